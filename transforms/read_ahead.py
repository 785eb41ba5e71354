"""The next items are made while the last ones are worked on."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class ReadAhead(Generic[Item]):
    """The items of a generator, which a thread of its own runs from now on.

    It rests while the items that nobody has asked for are larger than `enough`, in sum of `size`.
    """

    def __init__(
        self, items: Generator[Item, None, None], size: Callable[[Item], int], enough: int
    ) -> None:
        self._items = items
        self._size = size
        self._enough = enough
        self._ready: deque[Item] = deque()
        self._ready_size = 0
        self._has_ended = False
        self._error: BaseException | None = None
        self._is_stopped = False
        self._changed = threading.Condition()
        # A daemon: nobody waits at exit for an item that nobody wants.
        threading.Thread(target=self._fill, daemon=True).start()

    def __iter__(self) -> Iterator[Item]:
        """The items in order, for one reader.

        If it stops early, the generator is closed, too, as soon as it has made the item it is at.

        Raises:
          BaseException: what the generator raised, after the items before it.
        """
        try:
            while self._awaited():
                yield self._next()
            if self._error is not None:
                raise self._error
        finally:
            self.close()

    def close(self) -> None:
        """Nobody wants a further item, nor those that are ready."""
        with self._changed:
            self._is_stopped = True
            self._ready.clear()
            self._ready_size = 0
            self._changed.notify()

    def _awaited(self) -> bool:
        """Whether there is a next item, once that is known."""
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._has_ended)
            return bool(self._ready)

    def _next(self) -> Item:
        with self._changed:
            item = self._ready.popleft()
            self._ready_size -= self._size(item)
            self._changed.notify()
            return item

    def _fill(self) -> None:
        error: BaseException | None = None
        try:
            for item in self._items:
                self._add(item)
                if self._is_stopped:
                    self._items.close()
                    break
        except BaseException as raised:
            error = raised
        with self._changed:
            self._error = error
            self._has_ended = True
            self._changed.notify()

    def _add(self, item: Item) -> None:
        """Adds an item and waits until another one is wanted, or none."""
        with self._changed:
            if self._is_stopped:
                return
            self._ready.append(item)
            self._ready_size += self._size(item)
            self._changed.notify()
            self._changed.wait_for(lambda: self._is_stopped or self._ready_size <= self._enough)

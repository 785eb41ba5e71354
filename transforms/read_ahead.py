"""The next item is made while the last one is worked on."""

import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from queue import Empty, Queue
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class _End:
    """No item comes any more, because of `error` if there is one."""

    error: BaseException | None = None


class ReadAhead(Generic[Item]):
    """The items of a generator, which a thread of its own runs from now on, one or two ahead."""

    def __init__(self, items: Generator[Item, None, None]) -> None:
        self._items = items
        self._ready: Queue[Item | _End] = Queue(maxsize=1)
        self._stopped = threading.Event()
        # A daemon: nobody waits at exit for an item that nobody wants.
        threading.Thread(target=self._fill, daemon=True).start()

    def __iter__(self) -> Iterator[Item]:
        """The items in order, for one reader.

        If it stops early, the generator is closed, too, as soon as it has made the item it is at.

        Raises:
          BaseException: what the generator raised, after the items before it.
        """
        try:
            while not isinstance(item := self._ready.get(), _End):
                yield item
            if item.error is not None:
                raise item.error
        finally:
            self.close()

    def close(self) -> None:
        """Nobody wants a further item."""
        self._stopped.set()
        self._make_room()

    def _fill(self) -> None:
        try:
            for item in self._items:
                self._ready.put(item)
                if self._stopped.is_set():
                    self._items.close()
                    return
        except BaseException as error:
            self._ready.put(_End(error))
        else:
            self._ready.put(_End())

    def _make_room(self) -> None:
        """Lets a `put` that waits go on; no further one follows it."""
        try:
            self._ready.get_nowait()
        except Empty:
            return

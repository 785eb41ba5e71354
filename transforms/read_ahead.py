"""The next item is made while the last one is worked on."""

import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from queue import Empty, Queue
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class _End:
    """No item comes any more, because of `error` if there is one."""

    error: BaseException | None = None


def read_ahead(items: Generator[Item, None, None]) -> Iterator[Item]:
    """The items of a generator that runs in a thread of its own, one or two items ahead.

    Whoever stops early closes the generator, too, as soon as it has made the item that it is at.

    Raises:
      BaseException: what the generator raised, after the items before it.
    """
    ready: Queue[Item | _End] = Queue(maxsize=1)
    stopped = threading.Event()
    # A daemon: nobody waits at exit for an item that nobody wants.
    threading.Thread(target=_fill, args=(items, ready, stopped), daemon=True).start()
    try:
        while not isinstance(item := ready.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stopped.set()
        _make_room(ready)


def _fill(
    items: Generator[Item, None, None], ready: "Queue[Item | _End]", stopped: threading.Event
) -> None:
    try:
        for item in items:
            ready.put(item)
            if stopped.is_set():
                items.close()
                return
    except BaseException as error:
        ready.put(_End(error))
    else:
        ready.put(_End())


def _make_room(ready: "Queue[Item | _End]") -> None:
    """Lets a `put` that waits go on; no further one follows it."""
    try:
        ready.get_nowait()
    except Empty:
        return

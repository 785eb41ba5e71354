"""Items come in order, errors after them, and nobody is left waiting when the reader stops."""

import threading
from collections.abc import Generator

import pytest

from transforms.read_ahead import ReadAhead

_TIMEOUT_S = 30.0


def test_every_item_comes_in_order() -> None:
    assert list(ReadAhead(i for i in range(1000))) == list(range(1000))


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Generator[int, None, None]:
        yield 1
        yield 2
        raise ValueError("broken")

    found: list[int] = []
    with pytest.raises(ValueError, match="broken"):
        found.extend(ReadAhead(items()))
    assert list(_until_error(items())) == [1, 2]


def _until_error(items: Generator[int, None, None]) -> Generator[int, None, None]:
    ahead = iter(ReadAhead(items))
    while True:
        try:
            yield next(ahead)
        except ValueError:
            return


def test_items_are_made_before_anybody_asks_for_them() -> None:
    made = threading.Event()

    def items() -> Generator[int, None, None]:
        yield 1
        made.set()
        yield 2

    ahead = ReadAhead(items())
    assert made.wait(_TIMEOUT_S)
    assert list(ahead) == [1, 2]


def _many(closed: threading.Event) -> Generator[int, None, None]:
    try:
        yield from range(1_000_000)
    finally:
        closed.set()


def test_whoever_stops_early_closes_the_generator() -> None:
    closed = threading.Event()
    ahead = iter(ReadAhead(_many(closed)))
    assert next(ahead) == 0
    del ahead
    assert closed.wait(_TIMEOUT_S)


def test_what_nobody_wants_is_closed_without_having_been_read() -> None:
    closed = threading.Event()
    ReadAhead(_many(closed)).close()
    assert closed.wait(_TIMEOUT_S)

"""Items come in order, errors after them, and nobody is left waiting when the reader stops."""

import threading
import weakref
from collections.abc import Generator

import pytest

from transforms.read_ahead import ReadAhead

_TIMEOUT_S = 30.0


def _ahead(items: Generator[int, None, None], enough: int = 1) -> ReadAhead[int]:
    """Each item is as large as it says."""
    return ReadAhead(items, size=int, enough=enough)


@pytest.mark.parametrize("enough", [0, 1, 500, 1_000_000])
def test_every_item_comes_in_order(enough: int) -> None:
    assert list(_ahead((i for i in range(1000)), enough)) == list(range(1000))


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Generator[int, None, None]:
        yield 1
        yield 2
        raise ValueError("broken")

    found: list[int] = []
    with pytest.raises(ValueError, match="broken"):
        found.extend(_ahead(items()))
    assert list(_until_error(items())) == [1, 2]


def _until_error(items: Generator[int, None, None]) -> Generator[int, None, None]:
    ahead = iter(_ahead(items))
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

    ahead = _ahead(items())
    assert made.wait(_TIMEOUT_S)
    assert list(ahead) == [1, 2]


def test_it_rests_while_more_than_enough_is_ready() -> None:
    enough = 10
    wanted = 0
    has_begun = threading.Event()

    def items() -> Generator[int, None, None]:
        made = 0
        for size in [4, 5, 1, 3, 2] * 200:
            assert made - wanted <= enough
            made += size
            if made > enough:
                has_begun.set()
            yield size

    ahead = iter(_ahead(items(), enough))
    assert has_begun.wait(_TIMEOUT_S)
    # What is being asked for counts as asked for.
    found = 0
    while found < 3000:
        wanted = found + 5
        found += next(ahead)
    assert next(ahead, None) is None


def test_one_who_waits_gets_an_item_as_soon_as_it_is_made() -> None:
    got = threading.Event()

    def items() -> Generator[int, None, None]:
        yield 1
        assert got.wait(_TIMEOUT_S)
        yield 2

    ahead = iter(_ahead(items(), enough=1_000_000))
    assert next(ahead) == 1
    got.set()
    assert list(ahead) == [2]


def _many(closed: threading.Event) -> Generator[int, None, None]:
    try:
        yield from range(1_000_000)
    finally:
        closed.set()


def test_whoever_stops_early_closes_the_generator() -> None:
    closed = threading.Event()
    ahead = iter(_ahead(_many(closed)))
    assert next(ahead) == 0
    del ahead
    assert closed.wait(_TIMEOUT_S)


def test_what_is_ready_is_let_go_when_the_reader_stops() -> None:
    """Also while the generator waits for its next item, which may take long."""
    goes_on = threading.Event()

    class Page:
        pass

    def pages() -> Generator[Page, None, None]:
        for _ in range(5):
            page = Page()
            kept.append(weakref.ref(page))
            yield page
        is_waiting.set()
        assert goes_on.wait(_TIMEOUT_S)

    kept: list[weakref.ref[Page]] = []
    is_waiting = threading.Event()
    ahead = ReadAhead(pages(), size=lambda _: 1, enough=10)
    assert is_waiting.wait(_TIMEOUT_S)
    ahead.close()
    # The last one is still at hand.
    assert [page() for page in kept[:-1]] == [None] * 4
    goes_on.set()


def test_what_nobody_wants_is_closed_without_having_been_read() -> None:
    closed = threading.Event()
    _ahead(_many(closed)).close()
    assert closed.wait(_TIMEOUT_S)

"""The search for the number of rows of a call, told how long calls take."""

from collections.abc import Callable

import pytest

from scoring.call_size import CallSize


def _sizes(seconds: Callable[[int], float], *, max_rows: int = 5000, calls: int = 30) -> list[int]:
    """The sizes of the calls, each once, in the order in which they were tried."""
    size = CallSize(max_rows, 32)
    called = []
    for _ in range(calls):
        called.append(size.rows)
        size.learn(size.rows, seconds(size.rows))
    changes = zip([0, *called], called, strict=False)
    return [rows for before, rows in changes if rows != before]


@pytest.mark.parametrize(
    ("seconds", "sizes"),
    [
        (lambda rows: 0.0, [32, 64, 128, 256, 512, 1024, 2048, 4096, 5000]),
        (lambda rows: 1.0, [32, 64, 128, 256, 512, 1024, 2048, 4096, 5000]),
        (lambda rows: 0.5 * rows, [32, 64, 32]),
        # Worth it until what a call itself costs is a trifle.
        (lambda rows: 0.5 + rows * 0.01, [32, 64, 128, 256, 512, 1024, 512]),
        (lambda rows: 1.0 if rows <= 200 else 3.0 * rows, [32, 64, 128, 256, 128]),
        # Quick calls grow at once, slow ones must be worth it.
        (lambda rows: rows * 0.0001, [32, 64, 128, 256, 512, 256]),
    ],
    ids=["free", "constant", "by row", "both", "dear when large", "quick at first"],
)
def test_calls_grow_while_rows_become_cheaper(
    seconds: Callable[[int], float], sizes: list[int]
) -> None:
    assert _sizes(seconds) == sizes


def test_slow_calls_of_a_size_do_not_end_the_search() -> None:
    size = CallSize(64, 32)
    for seconds in (1.0, 1.0, 1.0):
        size.learn(32, seconds)
    assert size.rows == 64
    # Two calls at once may wait for the same compilation.
    for seconds in (9.0, 9.0, 1.0):
        size.learn(64, seconds)
    assert size.rows == 64


def test_calls_of_another_size_teach_nothing() -> None:
    size = CallSize(1024, 32)
    for _ in range(10):
        size.learn(31, 0.0)
        size.learn(64, 0.0)
    assert size.rows == 32


def test_a_size_that_ran_out_of_memory_is_not_tried_again() -> None:
    size = CallSize(1024, 32)
    size.learn(32, 0.0)
    size.learn(64, 0.0)
    size.limit(100)
    assert (size.rows, size.max_rows) == (100, 100)
    for _ in range(10):
        size.learn(size.rows, 0.0)
        size.limit(500)
    assert (size.rows, size.max_rows) == (100, 100)


def test_the_first_calls_are_within_the_limit() -> None:
    assert CallSize(7, 32).rows == 7

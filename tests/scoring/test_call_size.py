"""The search for the number of rows of a call, told how long calls take."""

from collections.abc import Callable

import numpy as np
import pytest

from scoring.call_size import CallSize


def _sizes(seconds: Callable[[int], float], *, max_rows: int = 5000, calls: int = 60) -> list[int]:
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
        # Quick calls grow at once, short ones while rows are no dearer, long ones must be worth it.
        (lambda rows: rows * 0.0001, [32, 64, 128, 256, 512, 1024, 2048, 1024]),
        (lambda rows: rows * 0.0011, [32, 64, 128, 256, 128]),
        (lambda rows: 0.04 if rows == 32 else 0.095, [32, 64, 32]),
    ],
    ids=[
        "free",
        "constant",
        "by row",
        "both",
        "dear when large",
        "quick at first",
        "short at first",
        "short and dearer",
    ],
)
def test_calls_grow_while_rows_become_cheaper(
    seconds: Callable[[int], float], sizes: list[int]
) -> None:
    assert _sizes(seconds) == sizes


def test_slow_calls_of_a_size_do_not_end_the_search() -> None:
    size = CallSize(128, 32)
    for seconds in (1.0, 1.0, 1.0, 1.0, 1.0):
        size.learn(32, seconds)
    assert size.rows == 64
    # Two calls at once may wait for the same compilation.
    for seconds in (9.0, 9.0, 1.0, 1.0, 1.0):
        size.learn(64, seconds)
    assert size.rows == 128


def test_rows_that_differ_do_not_end_the_search() -> None:
    """A few milliseconds a call beside a row's one, which it takes in the mean."""
    ends = []
    for seed in range(200):
        random = np.random.default_rng(seed)

        def seconds(rows: int, random: np.random.Generator = random) -> float:
            return 0.004 + float(random.exponential(0.001, rows).sum())

        ends.append(_sizes(seconds)[-1])
    # By the quickest of three calls, all of which had to be worth it, 112 were 32.
    assert ends.count(32) < 10
    assert max(ends) <= 512


def test_small_gains_are_not_left_to_chance() -> None:
    """As guesslang: a millisecond a row, and larger calls save a few percent, less than chance."""
    ends = []
    for seed in range(200):
        random = np.random.default_rng(seed)

        def seconds(rows: int, random: np.random.Generator = random) -> float:
            return (0.003 + rows * 0.00095) * float(random.normal(1.0, 0.07))

        ends.append(_sizes(seconds)[-1])
    # When calls of 0.1 s had to be worth it, 133 were 64.
    assert ends.count(64) + ends.count(32) < 10


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

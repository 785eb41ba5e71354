"""The sums of a run and what forbids publishing it."""

from dataclasses import replace

import pyarrow as pa
import pytest

from transforms.accounts import RunCounts, refusal, run_counts, tally, tally_codes

_GOOD = RunCounts(
    rows_read=10,
    rows_scored=8,
    rows_written=24,
    rows_rejected=2,
    rejected_by_code=(("NULL_VALUE", 1), ("OUT_OF_RANGE", 1)),
)


def test_tallies_add_up_to_counts() -> None:
    rejects = pa.RecordBatch.from_pydict({"code": ["B_CODE", "A_CODE", "B_CODE"]})
    tallies = [tally(rejects, "read"), *tally_codes(rejects)]
    assert run_counts(dict(tallies)) == RunCounts(3, 0, 0, 3, (("B_CODE", 2), ("A_CODE", 1)))


def test_codes_of_equal_number_are_in_order_of_name() -> None:
    counts = run_counts({"Z": 1, "A": 1, "M": 5, "scored": 2, "written": 6})
    assert counts == RunCounts(0, 2, 6, 7, (("M", 5), ("A", 1), ("Z", 1)))


def test_a_run_whose_sums_hold_is_published() -> None:
    assert refusal(_GOOD, 24, 2, 0.2) is None


@pytest.mark.parametrize(
    ("counts", "loaded_rows", "loaded_rejects", "reason"),
    [
        (
            replace(_GOOD, rows_read=11),
            24,
            2,
            "11 rows were read, but 8 scored and 2 rejected make 10",
        ),
        (_GOOD, 23, 2, "24 rows were written, but the run table has 23"),
        (_GOOD, 25, 2, "24 rows were written, but the run table has 25"),
        (_GOOD, 24, 1, "2 rows were rejected, but 1 of them were loaded"),
    ],
)
def test_sums_that_do_not_hold_are_named(
    counts: RunCounts, loaded_rows: int, loaded_rejects: int, reason: str
) -> None:
    assert refusal(counts, loaded_rows, loaded_rejects, 1.0) == reason


def test_too_many_rejects_are_named_with_the_commonest_codes() -> None:
    assert refusal(_GOOD, 24, 2, 0.19) == (
        "2 of 10 rows were rejected (20.00%), which is more than --max_rejected_fraction 0.19 "
        "allows: NULL_VALUE 1, OUT_OF_RANGE 1"
    )

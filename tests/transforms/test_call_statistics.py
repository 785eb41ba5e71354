"""Statistics of calls: the same whichever way they are added up."""

import itertools

import pytest

from scoring.batch import ScoredBatch
from transforms.call_statistics import CallStatistics, SumCalls, call_statistics, call_tally


def _batch(rows: int, call_seconds: float = 0.25) -> ScoredBatch:
    return ScoredBatch(
        scored=None,
        rejected=None,
        defaulted_rows=1,
        feed_seconds=0.5,
        call_seconds=call_seconds,
        outputs_seconds=0.125,
        called_rows=rows,
        non_finite_rows=2,
    )


@pytest.mark.parametrize(
    ("rows", "bound"), [(0, 0), (1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (1024, 1024), (1025, 2048)]
)
def test_a_batch_counts_under_the_power_of_two_above(rows: int, bound: int) -> None:
    key, tally = call_tally(_batch(rows))
    assert key == bound
    assert tally.calls == (1 if rows else 0)


def test_the_sums_do_not_depend_on_how_they_are_made() -> None:
    batches = [_batch(1, 1.0), _batch(3), _batch(4, 2.0), _batch(0, 0.0), _batch(3)]
    combine = SumCalls()
    for cut in range(len(batches) + 1):
        by_bound = {}
        for bound in {call_tally(b)[0] for b in batches}:
            parts = [
                [call_tally(b)[1] for b in part if call_tally(b)[0] == bound]
                for part in (batches[:cut], batches[cut:])
            ]
            sums = [
                list(
                    itertools.accumulate(p, combine.add_input, initial=combine.create_accumulator())
                )
                for p in parts
            ]
            by_bound[bound] = combine.merge_accumulators(s[-1] for s in sums)
        assert call_statistics(by_bound) == CallStatistics(
            calls=4,
            nulls_defaulted=5,
            non_finite=10,
            feed_ms=2500,
            call_ms=3500,
            outputs_ms=625,
            longest_call_ms=2000,
            batch_sizes=((1, 1), (4, 3)),
        )


def test_no_calls_at_all() -> None:
    assert call_statistics({}) == CallStatistics(0, 0, 0, 0, 0, 0, 0, ())

"""What the calls of the model took and met, summed as data so that it is right on any runner."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import apache_beam as beam

from scoring.batch import ScoredBatch


@dataclass(frozen=True)
class CallTally:
    """Some calls of the model together. Times are in seconds, summed over all workers."""

    calls: int = 0
    nulls_defaulted: int = 0
    non_finite: int = 0
    feed_seconds: float = 0.0
    call_seconds: float = 0.0
    outputs_seconds: float = 0.0
    longest_call_seconds: float = 0.0

    def __add__(self, other: "CallTally") -> "CallTally":
        """Both together."""
        return CallTally(
            self.calls + other.calls,
            self.nulls_defaulted + other.nulls_defaulted,
            self.non_finite + other.non_finite,
            self.feed_seconds + other.feed_seconds,
            self.call_seconds + other.call_seconds,
            self.outputs_seconds + other.outputs_seconds,
            max(self.longest_call_seconds, other.longest_call_seconds),
        )


_NONE = CallTally()


@dataclass(frozen=True)
class CallStatistics:
    """All calls of a run.

    Attributes:
      calls: batches that the model was called with.
      nulls_defaulted: rows with a NULL that a default stood in for.
      non_finite: rows with a NaN or an infinity in an output, whatever became of it.
      feed_ms, call_ms, outputs_ms: wall time of the three steps, summed over all workers.
      longest_call_ms: of one batch.
      batch_sizes: pairs (rows, calls): calls with at most `rows` rows and more than half of it.
    """

    calls: int
    nulls_defaulted: int
    non_finite: int
    feed_ms: int
    call_ms: int
    outputs_ms: int
    longest_call_ms: int
    batch_sizes: tuple[tuple[int, int], ...]


def call_tally(batch: ScoredBatch) -> tuple[int, CallTally]:
    """One batch, under the power of two that its rows do not exceed; 0 if no call was made."""
    bound = 1 << (batch.called_rows - 1).bit_length() if batch.called_rows else 0
    return bound, CallTally(
        1 if batch.called_rows else 0,
        batch.defaulted_rows,
        batch.non_finite_rows,
        batch.feed_seconds,
        batch.call_seconds,
        batch.outputs_seconds,
        batch.call_seconds,
    )


class SumCalls(beam.CombineFn):
    """Adds CallTallies up."""

    def create_accumulator(self) -> CallTally:
        return _NONE

    def add_input(self, mutable_accumulator: CallTally, element: CallTally) -> CallTally:
        return mutable_accumulator + element

    def merge_accumulators(self, accumulators: Iterable[CallTally]) -> CallTally:
        return sum(accumulators, _NONE)

    def extract_output(self, accumulator: CallTally) -> CallTally:
        return accumulator


def call_statistics(tallies: Mapping[int, CallTally]) -> CallStatistics:
    """The statistics of a run from its tallies by batch size."""
    total = sum(tallies.values(), _NONE)
    return CallStatistics(
        calls=total.calls,
        nulls_defaulted=total.nulls_defaulted,
        non_finite=total.non_finite,
        feed_ms=_milliseconds(total.feed_seconds),
        call_ms=_milliseconds(total.call_seconds),
        outputs_ms=_milliseconds(total.outputs_seconds),
        longest_call_ms=_milliseconds(total.longest_call_seconds),
        batch_sizes=tuple(sorted((rows, t.calls) for rows, t in tallies.items() if rows)),
    )


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)

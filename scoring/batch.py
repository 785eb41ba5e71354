"""Scoring one record batch: feed, call, outputs; bad rows become rejects, alone."""

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scoring.call_size import FIRST_CALL_ROWS, CallShapes, CallSize
from scoring.composite import Result, first_rows
from scoring.conversions import Values
from scoring.errors import BatchCallError
from scoring.feed import feed_batch
from scoring.objects import Fetch, ObjectReader
from scoring.outputs import ResultBinding, non_finite_rows
from scoring.rejects import CALL, Fault, reject_batch
from scoring.spec import ScoringSpec, output_schema

# A call's input tensors together; beyond it larger calls gain nothing and cost memory.
MAX_FEED_BYTES = 16 * 2**20

MAX_BATCH_BYTES = 64 * 2**20
"""Of rows that are scored together: between two batches no thread calls the model, so that a batch
of large rows, too, is to be more than a few calls."""

CALLS_AT_ONCE = 2
"""Of a model that a process has to itself: while one slice is called another is fed, and an op that
uses one core leaves none idle.  Each more would need the memory of one more call."""

# The smallest slice at the end of a batch is this part of a call's rows.
_LEAST_PART = 8

# Slices under way beside those that are being scored, so that no thread waits for its next one.
_WAITING_SLICES = 1

Feed = dict[str, Values]
Results = Mapping[str, Result]
Rows = npt.NDArray[np.int64]


class Model(Protocol):
    """What a scorer calls, in several threads at once: arrays of n rows in, results of n out."""

    def __call__(self, feed: Mapping[str, Values]) -> Results: ...


@dataclass(frozen=True)
class Clock:
    """Where the time comes from: seconds that only grow, and the time of day (UTC)."""

    seconds: Callable[[], float]
    now: Callable[[], datetime]


@dataclass(frozen=True)
class ScoredBatch:
    """What became of the rows of one call: each is in `scored` or in `rejected`.

    Either is None when it would be empty.  Of the rows that the model was called with,
    `defaulted_rows` had a NULL that a default stood in for.  The seconds are wall time of the
    three steps.  Rows whose objects did not come, and what fetching took for the rows after them,
    are an outcome of their own, without a call.

    The model was called with `called_rows`; `non_finite_rows` of them have a NaN or an infinity in
    an output, whatever became of it.
    """

    scored: pa.RecordBatch | None
    rejected: pa.RecordBatch | None
    defaulted_rows: int
    feed_seconds: float
    call_seconds: float
    outputs_seconds: float
    objects_fetched: int = 0
    object_bytes: int = 0
    fetch_seconds: float = 0.0
    called_rows: int = 0
    non_finite_rows: int = 0


_Outcome = Future[ScoredBatch]


class Scorer:
    """Scores record batches with a loaded model, in this process."""

    def __init__(
        self,
        spec: ScoringSpec,
        model: Model,
        clock: Clock,
        fetch: Fetch | None = None,
        *,
        calls_at_once: int = 1,
        first_call_rows: int = FIRST_CALL_ROWS,
    ) -> None:
        """Prepares to score.

        Args:
          fetch: brings an object; needed if `spec.objects` are any.
          calls_at_once: how many slices of a batch are fed, called and built at the same time,
            each in a thread; with 1 all happens in the caller's.
          first_call_rows: where the search for the best number of rows of a call begins.
        """
        self._spec = spec
        self._model = model
        self._clock = clock
        fixed = spec.fixed_batch_rows
        self._tensor_row_bytes = sum(b.row_bytes for b in spec.inputs)
        self._shapes = CallShapes(fixed, spec.xla, _rows_within_limit(self._tensor_row_bytes))
        most_rows = self._shapes.at_most(min(spec.max_batch_rows, spec.batch_rows))
        self._size = CallSize(most_rows, fixed or first_call_rows)
        self._calls_at_once = calls_at_once
        self._threads: ThreadPoolExecutor | None = None
        self._slices_at_once = 1
        if calls_at_once > 1:
            self._threads = ThreadPoolExecutor(calls_at_once, thread_name_prefix="calls")
            self._slices_at_once = calls_at_once + _WAITING_SLICES
        self._objects: ObjectReader | None = None
        if spec.objects:
            if fetch is None:
                names = ", ".join(c.name for c in spec.objects)
                raise ValueError(f"nothing fetches the objects that {names} names")
            self._objects = ObjectReader(spec.objects, fetch, clock.seconds, fixed)

    def score(self, *pages: pa.RecordBatch) -> Iterator[ScoredBatch]:
        """Scores a batch of any length in calls of at most the allowed number of rows.

        Slices that are scored at the same time come in the order of their rows all the same.

        Raises:
          FetchError: an object did not come, which says nothing about its row.
        """
        under_way: deque[_Outcome] = deque()
        try:
            for outcome in self._outcomes([page for page in pages if page.num_rows]):
                under_way.append(outcome)
                if len(under_way) == self._slices_at_once:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for outcome in under_way:
                outcome.cancel()

    def _outcomes(self, pages: Sequence[pa.RecordBatch]) -> Iterator[_Outcome]:
        """Starts to score one slice after the other, as it is asked for the next."""
        if self._objects is None:
            yield from map(self._started, self._slices(pages))
            return
        for part in (part for page in pages for part in self._objects.fetched(page)):
            fetched: _Outcome = Future()
            fetched.set_result(
                ScoredBatch(
                    scored=None,
                    rejected=self._reject(part.batch, part.faults),
                    defaulted_rows=0,
                    feed_seconds=0.0,
                    call_seconds=0.0,
                    outputs_seconds=0.0,
                    objects_fetched=part.objects,
                    object_bytes=part.object_bytes,
                    fetch_seconds=part.seconds,
                )
            )
            yield fetched
            yield from map(self._started, self._slices([part.rows]))

    def call_rows(self, batch: pa.RecordBatch) -> int:
        """Most rows of the next call of the model, given rows such as those of `batch`.

        Args:
          batch: at least one row.
        """
        most_rows = self._most_rows(int(batch.nbytes) // int(batch.num_rows))
        return self._shapes.at_most(min(self._size.rows, most_rows))

    def _most_rows(self, row_bytes: int) -> int:
        """Rows of so many bytes, and of their tensors, that a call may have."""
        return _rows_within_limit(max(row_bytes, self._tensor_row_bytes))

    def _started(self, batch: pa.RecordBatch) -> _Outcome:
        """The outcome of a slice: to be waited for where there are threads for it."""
        if self._threads is not None:
            return self._threads.submit(self._score_slice, batch)
        scored: _Outcome = Future()
        scored.set_result(self._score_slice(batch))
        return scored

    def _slices(self, pages: Sequence[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows = _Rows(pages)
        most_rows = self._most_rows(sum(int(p.nbytes) for p in pages) // max(1, rows.left))
        is_first = True
        while rows.left:
            yield rows.take(self._slice_rows(rows.left, most_rows, is_first=is_first))
            is_first = False

    def _slice_rows(self, left: int, most_rows: int, *, is_first: bool) -> int:
        """Rows of the next slice of a batch, of which `left` are left, at most `most_rows`.

        Once the size of calls is found, or wide rows leave no room for a larger one, slices become
        smaller towards the end of the batch, so that no thread waits long for the last one, however
        unlike the rows are.  A batch that fits one call is only cut if calls are known to take
        long: short ones at the same time hinder each other.
        """
        threads = self._calls_at_once
        # Asked for each slice: every call teaches, in a thread of its own.
        size = self._size.rows
        most = self._shapes.at_most(min(size, most_rows))
        is_short = is_first and left <= most and not self._size.is_long
        is_settled = self._size.is_found or most_rows < size
        if threads == 1 or is_short or not (self._shapes.is_any and is_settled):
            return most
        least = math.ceil(most / _LEAST_PART)
        return min(most, max(least, math.ceil(left / (2 * threads))))

    def _score_slice(self, batch: pa.RecordBatch) -> ScoredBatch:
        seconds = self._clock.seconds
        started = seconds()
        feed, faults, defaulted_rows = feed_batch(batch, self._spec.inputs)
        rows = _without(np.arange(batch.num_rows), faults)
        fed = seconds()
        called_rows = len(rows)
        pieces, refused = self._call(feed, called_rows)
        faults += _relocated(refused, rows)
        rows = _without(rows, refused)
        called = seconds()
        scored, unfit = self._build(batch, rows, pieces)
        faults += _relocated(unfit, rows)
        rejected = self._reject(batch, faults)
        tensors = [b.tensor for b in self._spec.outputs]
        non_finite = sum(non_finite_rows(piece, tensors) for piece in pieces)
        built = seconds()
        if len(pieces) == 1 and not refused:
            self._size.learn(batch.num_rows, built - started)
        return ScoredBatch(
            scored,
            rejected,
            defaulted_rows,
            feed_seconds=fed - started,
            call_seconds=called - fed,
            outputs_seconds=built - called,
            called_rows=called_rows,
            non_finite_rows=non_finite,
        )

    def _call(self, feed: Feed, rows: int) -> tuple[list[Results], list[Fault]]:
        """Calls the model, halving a batch that fails until the guilty rows are alone.

        Returns the outputs of the rows that succeeded, in order, call by call, and a fault for
        each other row.
        """
        pieces: list[Results] = []
        faults: list[Fault] = []
        max_rows = affordable = self._size.max_rows
        pending = [(0, rows)] if rows else []
        while pending:
            start, stop = pending.pop()
            if stop - start > affordable:
                pending.append((start + affordable, stop))
                stop = start + affordable
            try:
                size = self._shapes.padded(stop - start, affordable)
                pieces.append(self._call_padded({k: v[start:stop] for k, v in feed.items()}, size))
            except BatchCallError as e:
                if stop - start == 1:
                    faults.append(Fault(start, CALL, e.code, str(e)))
                    # Too large by itself: smaller batches of other rows would not help.
                    affordable = max_rows
                    continue
                middle = (start + stop) // 2
                pending += [(middle, stop), (start, middle)]
                if e.out_of_memory and self._spec.fixed_batch_rows is None:
                    affordable = min(affordable, middle - start)
        self._size.limit(affordable)
        return pieces, faults

    def _call_padded(self, feed: Feed, size: int) -> Results:
        rows = len(next(iter(feed.values())))
        if size == rows:
            return self._model(feed)
        padded = {k: np.concatenate([v, v[-1:].repeat(size - rows, 0)]) for k, v in feed.items()}
        return {k: first_rows(v, rows) for k, v in self._model(padded).items()}

    def _build(
        self, batch: pa.RecordBatch, rows: Rows, pieces: Sequence[Results]
    ) -> tuple[pa.RecordBatch | None, list[Fault]]:
        """The output rows for the batch's `rows`, and the faults of those that do not fit."""
        if not len(rows):
            return None, []
        columns: list[pa.Array] = []
        unfit: dict[int, Fault] = {}
        for binding in self._spec.outputs:
            column, faults = _joined_column(pieces, binding)
            columns.append(column)
            for fault in faults:
                unfit.setdefault(fault.row, fault)
        kept = batch if len(rows) == batch.num_rows else batch.take(pa.array(rows))
        zeros = pa.array(np.zeros(len(rows), dtype=np.int8))
        constants = [
            pa.DictionaryArray.from_arrays(zeros, pa.array([text]))
            for _, text in self._spec.metadata
        ]
        carried = _apart(kept.select([f.name for f in self._spec.carried]), kept)
        schema = output_schema(self._spec, batch.schema)
        scored = pa.RecordBatch.from_arrays([*carried, *columns, *constants], schema=schema)
        if unfit:
            scored = scored.take(pa.array(np.delete(np.arange(len(rows)), list(unfit))))
        return scored if scored.num_rows else None, [unfit[row] for row in sorted(unfit)]

    def _reject(self, batch: pa.RecordBatch, faults: list[Fault]) -> pa.RecordBatch | None:
        if not faults:
            return None
        return reject_batch(
            batch,
            faults,
            self._spec.rejects,
            run_id=self._spec.run_id,
            model_digest=self._spec.model_digest,
            now=self._clock.now,
        )


class _Rows:
    """Rows of several pages, taken from the first one on; only what lies in two pages is copied."""

    def __init__(self, pages: Sequence[pa.RecordBatch]) -> None:
        self._pages = deque(pages)
        self.left = sum(int(page.num_rows) for page in pages)

    def take(self, rows: int) -> pa.RecordBatch:
        """The next rows, at most so many; there is one left at least."""
        parts: list[pa.RecordBatch] = []
        while rows and self._pages:
            page = self._pages.popleft()
            parts.append(page.slice(0, rows))
            taken = int(parts[-1].num_rows)
            if taken < page.num_rows:
                self._pages.appendleft(page.slice(taken))
            rows -= taken
            self.left -= taken
        return parts[0] if len(parts) == 1 else pa.concat_batches(parts)


def _apart(columns: pa.RecordBatch, page: pa.RecordBatch) -> Sequence[pa.Array]:
    """Some columns of a page that do not keep the memory of all others, if those are larger.

    The columns of a page that came uncompressed are views of one message.
    """
    if 2 * columns.nbytes > page.nbytes:
        return cast(Sequence[pa.Array], columns.columns)
    # Of a single array, too, concatenation makes a copy, but of dictionaries, which no page has.
    return [pa.concat_arrays([column]) for column in columns.columns]


def _rows_within_limit(row_bytes: int) -> int:
    """The rows of so many bytes that a call may have."""
    return max(1, MAX_FEED_BYTES // max(1, row_bytes))


def _joined_column(
    pieces: Sequence[Results], binding: ResultBinding
) -> tuple[pa.Array, list[Fault]]:
    """The column of one output over all calls, whose rows may differ in width between calls."""
    arrays: list[pa.Array] = []
    faults: list[Fault] = []
    start = 0
    for piece in pieces:
        array, found = binding.convert(piece[binding.tensor.name])
        faults += [replace(f, row=start + f.row) for f in found]
        arrays.append(array)
        start += len(array)
    return arrays[0] if len(arrays) == 1 else pa.concat_arrays(arrays), faults


def _without(rows: Rows, faults: Sequence[Fault]) -> Rows:
    """`rows` without those at the faults' positions."""
    return np.delete(rows, [f.row for f in faults]) if faults else rows


def _relocated(faults: Sequence[Fault], rows: Rows) -> list[Fault]:
    """The faults with their position in `rows` replaced by the row found there."""
    return [replace(f, row=int(rows[f.row])) for f in faults]

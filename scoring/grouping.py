"""Whether a row's outputs depend on the rows that are scored with it, or on chance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from scoring.batch import Clock, Model, Scorer
from scoring.composite import RaggedRows, Result, SparseRows
from scoring.conversions import Values
from scoring.feed import InputBinding
from scoring.objects import Fetch
from scoring.spec import ScoringSpec

# Floats differ if they are further apart than this, or than this share of the larger one where
# it is beyond 1.  The same sum in another order stays far below it, except in the short floats:
# theirs are eight units in the last place (2^-10 and 2^-7).
_TOLERANCE = 1e-3
_TOLERANCES = {"float16": 2.0**-7, "bfloat16": 2.0**-4}
_FLOATS = frozenset({"float16", "bfloat16", "float32", "float64"})

_COMPARED_ROWS = 8
# No further row is compared after this time, beyond the first two.
_PATIENCE_S = 20.0
_MAX_TEXT_CHARS = 40

# The values of one output for one row: more than one array where they come with their index.
_Cells = tuple[Values, ...]
_Outputs = dict[str, list[_Cells]]


@dataclass(frozen=True)
class _Difference:
    """How far apart two values of an output are, as a number to find the largest, in words."""

    size: float
    words: str


def grouping_warnings(
    spec: ScoringSpec,
    model: Model,
    clock: Clock,
    sample: pa.RecordBatch,
    fetch: Fetch | None = None,
) -> tuple[str, ...]:
    """Scores a few rows alone, each twice, and together, and tells which outputs differ.

    Rows that are rejected take no part.  A dense output whose width depends on the call is
    compared in the part that both have.

    Args:
      fetch: see `Scorer`.

    Returns:
      A sentence for each output that is not a function of its row.
    """
    probe = _Probe(spec, model, clock, fetch)
    rows, alone, again = _one_by_one(probe, clock, sample)
    together = _selected(probe, sample, rows)
    repeated = _selected(probe, sample, rows)
    random = _differences(alone, again) | _differences(together, repeated)
    dependent = _differences(alone, together)
    if len(rows) == 1:
        # There was no row beside it: these were four calls with the same.
        random |= dependent
    return (
        *(_random_warning(name, d) for name, d in sorted(random.items())),
        *(
            _dependence_warning(name, d, spec)
            for name, d in sorted(dependent.items())
            if name not in random
        ),
    )


class _Probe:
    """Scores rows as a run would, and keeps what the model itself returned."""

    def __init__(self, spec: ScoringSpec, model: Model, clock: Clock, fetch: Fetch | None) -> None:
        self._recorder = _Recorder(model)
        self._scorer = Scorer(spec, self._recorder, clock, fetch)

    def outputs(self, rows: pa.RecordBatch) -> _Outputs | None:
        """The outputs of each of `rows`, None if one of them is rejected."""
        calls = self._recorder.calls
        calls.clear()
        if any(outcome.rejected is not None for outcome in self._scorer.score(rows)):
            return None
        # What a fixed batch size adds stands at the end of the last call.
        return {
            name: [cells for call in calls for cells in _rows_of(call[name])][: rows.num_rows]
            for name in calls[0]
        }


class _Recorder:
    """A model that keeps what its calls returned."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.calls: list[Mapping[str, Result]] = []

    def __call__(self, feed: Mapping[str, Values]) -> Mapping[str, Result]:
        results = self._model(feed)
        self.calls.append(results)
        return results


def _one_by_one(
    probe: _Probe, clock: Clock, sample: pa.RecordBatch
) -> tuple[list[int], _Outputs, _Outputs]:
    """Some rows of the sample that can be scored, and their outputs alone, twice."""
    chosen: list[int] = []
    alone: _Outputs = {}
    again: _Outputs = {}
    started = clock.seconds()
    for row in _spread(sample.num_rows):
        first, second = (probe.outputs(sample.slice(row, 1)) for _ in range(2))
        if first is None or second is None:
            continue
        chosen.append(row)
        for name in first:
            alone.setdefault(name, []).extend(first[name])
            again.setdefault(name, []).extend(second[name])
        is_late = len(chosen) > 1 and clock.seconds() - started > _PATIENCE_S
        if len(chosen) == _COMPARED_ROWS or is_late:
            break
    return chosen, alone, again


def _spread(rows: int) -> list[int]:
    """All row numbers, first of all a few that are far apart: neighbours are often alike."""
    first = np.linspace(0, rows - 1, min(rows, _COMPARED_ROWS)).astype(int).tolist()
    return list(dict.fromkeys([*first, *range(rows)]))


def _selected(probe: _Probe, sample: pa.RecordBatch, rows: Sequence[int]) -> _Outputs:
    """The outputs of these rows together; none if there are no rows or one is rejected now."""
    if not rows:
        return {}
    return probe.outputs(sample.take(pa.array(rows, pa.int64()))) or {}


def _rows_of(result: Result) -> list[_Cells]:
    """The rows of a result; the length of a ragged or sparse row is part of its value."""
    match result:
        case RaggedRows():
            parts: _Cells = (result.values,)
        case SparseRows():
            parts = (result.index, result.values)
        case _:
            return [(row,) for row in result]
    return [
        (np.array(stop - start), *(p[start:stop] for p in parts))
        for start, stop in pairwise(result.row_splits)
    ]


def _differences(some: _Outputs, others: _Outputs) -> dict[str, _Difference]:
    """The largest difference of each output between the same rows, where there is one."""
    largest: dict[str, _Difference] = {}
    for name in some.keys() & others.keys():
        for cells in zip(some[name], others[name], strict=True):
            for one, other in zip(*cells, strict=True):
                found = _difference(np.asarray(one), np.asarray(other))
                if found and (name not in largest or found.size > largest[name].size):
                    largest[name] = found
    return largest


def _difference(a: Values, b: Values) -> _Difference | None:
    """How `a` and `b` differ, in the part that both have."""
    common = tuple(slice(min(m, n)) for m, n in zip(a.shape, b.shape, strict=True))
    a, b = a[common], b[common]
    if a.dtype.name not in _FLOATS:
        unequal = np.flatnonzero(a != b)
        if not len(unequal):
            return None
        one, other = (np.ravel(v)[unequal[0]] for v in (a, b))
        return _Difference(0.0, f"{_shown(one)} and {_shown(other)}")
    tolerance = _TOLERANCES.get(a.dtype.name, _TOLERANCE)
    a, b = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.abs(a - b)
        limit = tolerance * np.maximum(1.0, np.maximum(np.abs(a), np.abs(b)))
    is_same = (a == b) | (np.isnan(a) & np.isnan(b))
    # Where only one of the two is a finite number the subtraction says nothing.
    apart = np.where(np.isfinite(apart), apart, np.inf)
    beyond = ~is_same & ((apart > limit) | np.isinf(apart))
    if not beyond.any():
        return None
    size = float(apart[beyond].max())
    return _Difference(size, f"differs by {size:.2g}")


def _shown(value: object) -> str:
    text = repr(value.decode(errors="replace")) if isinstance(value, bytes) else str(value)
    return text if len(text) <= _MAX_TEXT_CHARS else text[: _MAX_TEXT_CHARS - 1] + "…"


def _random_warning(name: str, difference: _Difference) -> str:
    return (
        f"output {name!r} of a row is not the same when called twice ({difference.words}): the "
        "model uses random numbers (dropout left in training mode, sampling) or keeps a state. "
        "Scores will change from run to run; export it with training=False."
    )


def _dependence_warning(name: str, difference: _Difference, spec: ScoringSpec) -> str:
    found = f"output {name!r} of a row depends on the rows beside it ({difference.words})"
    padded = [b.tensor.name for b in spec.inputs if isinstance(b, InputBinding) and b.is_variable]
    if padded:
        return (
            f"{found}: input {padded[0]!r} is padded to the longest row of a call, which the model "
            "may not mask, or the model may have been exported in training mode. Scores will "
            "depend on how rows are grouped; --max_batch_size=1 scores each row by itself."
        )
    return (
        f"{found}: the model may have been exported in training mode (batch normalisation, "
        "dropout). Scores will depend on how rows are grouped; export it with training=False."
    )

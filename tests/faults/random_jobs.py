"""Random jobs: a model, a table with bad rows in it, a fault; and what must come of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import saved_models
import unusual_models
from fault_plan import Fault
from hypothesis import assume
from hypothesis import strategies as st
from job_points import KINDS, MODE_CHECK, POINTS, QUERY_POINTS, applies
from saved_models import Builder
from whole_job import fault_at

_MOST_ROWS = 300
_FAULTS = tuple(
    fault_at(kind, point)
    for point in POINTS
    # Neither replacing nor appending checks anything.
    if point != MODE_CHECK
    for kind in KINDS
    if applies(kind, point)
)
# A table has few different values: what matters is where the bad ones are.
_MOST_VALUES = 12
_FLOAT32_MAX = 3.4028234663852886e38

Scores = Counter[tuple[int | None, str]]
"""Rows (key, score) of an output table, each with how often it is there; scores as texts."""


@dataclass(frozen=True)
class Rejected:
    """What becomes of a value that cannot be scored."""

    code: str


@dataclass(frozen=True)
class Feature:
    """A model of one input, the values that feed it, and what it makes of them.

    Attributes:
      type: Arrow type of the source's column.
      values: good ones and bad ones.
      becomes: the score of a value, or how it is rejected.
      score: Arrow type of the output table's column y.
      column: name of the model's input.
      output: name of the output that becomes y.
    """

    builder: Builder
    type: pa.DataType
    values: st.SearchStrategy[Any]
    becomes: Callable[[Any], Any]
    score: pa.DataType
    column: str = "x"
    output: str = "y"

    def __repr__(self) -> str:
        return self.builder.__name__


def _twice(x: float | None) -> Any:
    if x is None:
        return Rejected("NULL_VALUE")
    if abs(x) > _FLOAT32_MAX:
        return Rejected("OUT_OF_RANGE")
    return 2 * x if abs(2 * x) <= _FLOAT32_MAX else Rejected("OUTPUT_NOT_FINITE")


def _twice_unless_negative(x: float | None) -> Any:
    if x is not None and -_FLOAT32_MAX <= x < 0:
        return Rejected("CALL_FAILED")
    return _twice(x)


def _times_matrix(x: list[float]) -> Any:
    if len(x) != len(saved_models.VECTOR_MATRIX):
        return Rejected("WRONG_LENGTH")
    first, second = x[0] + x[2], x[1] + x[3]
    return [first, second, (first + second) / 2]


def _upper(text: str | None) -> Any:
    # TensorFlow knows upper case of ASCII alone.
    return Rejected("NULL_VALUE") if text is None else text.encode().upper().decode()


def _same_text(data: bytes | None) -> Any:
    if data is None:
        return Rejected("NULL_VALUE")
    if not data:
        return Rejected("CALL_FAILED")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return Rejected("OUTPUT_NOT_UTF8")


def _unless_negative(x: int | None) -> Any:
    if x is None:
        return Rejected("NULL_VALUE")
    return x if x >= 0 else Rejected("OUTPUT_OUT_OF_RANGE")


# Halves that float32 holds exactly, and so their sums.
_SMALL = st.integers(-4096, 4096).map(lambda n: n / 2)
_NUMBERS = _SMALL | st.none() | st.sampled_from([2.0**127, -(2.0**127), 1e39, -1e300])
_VECTORS = st.lists(_SMALL, min_size=4, max_size=4) | st.lists(_SMALL, max_size=6)

FEATURES = (
    Feature(saved_models.doubled, pa.float64(), _NUMBERS, _twice, pa.float64()),
    Feature(saved_models.fixed_batch_of_4, pa.float64(), _NUMBERS, _twice, pa.float64()),
    Feature(saved_models.picky, pa.float64(), _NUMBERS, _twice_unless_negative, pa.float64()),
    Feature(
        saved_models.vectors,
        pa.list_(pa.float64()),
        _VECTORS,
        _times_matrix,
        pa.list_(pa.float64()),
    ),
    Feature(
        unusual_models.summed,
        pa.list_(pa.float64()),
        _VECTORS,
        lambda x: float(sum(x)),
        pa.float64(),
        output="total",
    ),
    Feature(
        saved_models.texts,
        pa.string(),
        st.text(max_size=8) | st.none(),
        _upper,
        pa.string(),
        column="text",
        output="upper",
    ),
    Feature(
        saved_models.picky_bytes,
        pa.binary(),
        st.text(max_size=3).map(str.encode) | st.binary(max_size=3) | st.none(),
        _same_text,
        pa.string(),
        column="data",
        output="same",
    ),
    Feature(
        saved_models.unsigned,
        pa.int64(),
        st.integers(-(2**63), 2**63 - 1) | st.none(),
        _unless_negative,
        pa.int64(),
    ),
)


@dataclass(frozen=True)
class RandomJob:
    """A job of the table `t` into the table `p`.

    Attributes:
      rows: pairs (key, value) of the source; a key may be NULL, or there several times.
      old_keys: of the output table's rows before, whose scores are NULL; None for no table.
    """

    feature: Feature
    rows: list[tuple[int | None, Any]]
    old_keys: list[int] | None
    write_mode: str
    max_batch_size: int
    max_rejected_fraction: float
    is_query: bool
    fault: Fault | None

    @property
    def source(self) -> pa.Table:
        """The table to score."""
        keys, values = zip(*self.rows, strict=True) if self.rows else ((), ())
        columns = [pa.array(keys, pa.int64()), pa.array(values, self.feature.type)]
        return pa.table(columns, names=["id", self.feature.column])

    @property
    def old_output(self) -> pa.Table | None:
        """The output table before."""
        if self.old_keys is None:
            return None
        n = len(self.old_keys)
        # As BigQuery keeps a NULL ARRAY.
        score: list[float] | None = [] if pa.types.is_list(self.feature.score) else None
        columns = {
            "id": pa.array(self.old_keys, pa.int64()),
            "y": pa.array([score] * n, self.feature.score),
            "run_id": pa.array(["old"] * n, pa.string()),
            "model_digest": pa.array(["old"] * n, pa.string()),
        }
        return pa.table(columns)

    @property
    def old(self) -> Scores | None:
        """Rows of the output table before, None if there is no such table."""
        table = self.old_output
        if table is None:
            return None
        return scores(zip(table["id"].to_pylist(), table["y"].to_pylist(), strict=True))

    @property
    def kept_by_publishing(self) -> Scores:
        """Rows of the output table before that are there afterwards, too."""
        return self.old or Scores() if self.write_mode == "append" else Scores()

    @property
    def output(self) -> Scores | None:
        """Rows of the output table afterwards, None if there is no such table."""
        return self.old if self.is_refused else self.kept_by_publishing + self.scored

    @property
    def scored(self) -> Scores:
        """Rows that the run makes."""
        outcomes = ((key, self.feature.becomes(value)) for key, value in self.rows)
        return scores(o for o in outcomes if not isinstance(o[1], Rejected))

    @property
    def rejected(self) -> Counter[tuple[int | None, str]]:
        """Keys and codes of the rows that the run rejects."""
        outcomes = ((key, self.feature.becomes(value)) for key, value in self.rows)
        return Counter((key, o.code) for key, o in outcomes if isinstance(o, Rejected))

    @property
    def is_refused(self) -> bool:
        """Whether too many rows are rejected."""
        return self.rejected.total() > self.max_rejected_fraction * len(self.rows)

    def arguments(self, model: object, dataset: str) -> list[str]:
        """The command line, without the services."""
        source = f"--input_table={dataset}.t"
        if self.is_query:
            source = f"--input_query=SELECT * FROM `{dataset}.t`"
        return [
            "score",
            source,
            f"--model={model}",
            "--key_columns=id",
            f"--output_columns={self.feature.output}=y",
            "--on_non_finite=reject",
            f"--output_table={dataset}.p",
            f"--write_mode={self.write_mode}",
            f"--max_batch_size={self.max_batch_size}",
            f"--max_rejected_fraction={self.max_rejected_fraction}",
            f"--run_id={dataset}",
        ]


def scores(pairs: Iterable[tuple[int | None, Any]]) -> Scores:
    """Keys and scores of a table."""
    return Counter((key, repr(score)) for key, score in pairs)


@st.composite
def random_jobs(draw: st.DrawFn) -> RandomJob:
    """Jobs with tables of good and bad rows, and with at most one fault anywhere."""
    feature = draw(st.sampled_from(FEATURES))
    values = draw(st.lists(feature.values, min_size=2, max_size=_MOST_VALUES))
    row = st.tuples(st.integers(0, _MOST_ROWS) | st.none(), st.sampled_from(values))
    n = _MOST_ROWS - draw(st.integers(0, _MOST_ROWS))
    rows = draw(st.lists(row, min_size=n, max_size=n))
    # What is tried first is the simplest: the same row again and again.
    assume(not rows or len(set(map(repr, rows))) > 1)
    old_keys = st.lists(st.integers(0, 2 * _MOST_ROWS), max_size=5)
    fault = draw(st.sampled_from(_FAULTS) | st.none())
    return RandomJob(
        feature,
        rows,
        draw(old_keys | st.none()),
        write_mode=draw(st.sampled_from(["replace", "append"])),
        max_batch_size=draw(st.integers(1, 2 * _MOST_ROWS)),
        max_rejected_fraction=draw(st.sampled_from([1.0, 0.25])),
        is_query=fault is not None and fault.point in QUERY_POINTS,
        fault=fault,
    )

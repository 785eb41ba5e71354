"""Scores of a classifier as the best classes of each row, with their labels."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scoring.composite import Result
from scoring.conversions import Values
from scoring.outputs import NonFinite, not_finite
from scoring.rejects import Fault
from scoring.schema import Field
from scoring.signature import TensorSpec

# What is said of a class: a STRUCT, or columns when there is a row for each class.
CLASS_FIELDS = (Field("label", "STRING"), Field("index", "INTEGER"), Field("score", "FLOAT"))

# Rows of one batch of classes, so that many classes do not make a batch of any size.
_MAX_EXPLODED_ROWS = 65_536


@dataclass(frozen=True)
class ClassOptions:
    """How a vector of scores becomes classes.

    Attributes:
      top_k: how many of the best classes are written, fewer if the model has fewer; None for all.
      labels: names of the classes in the order of the model; empty for none.
      softmax: whether the scores are logits, to be made probabilities first.
      explode: whether the output table has a row for each class.
    """

    top_k: int | None = None
    labels: tuple[str, ...] = ()
    softmax: bool = False
    explode: bool = False


@dataclass(frozen=True)
class ClassBinding:
    """A score vector `[batch, classes]` and the column that receives its best classes.

    Best first; of equal scores the class of the lower index.  NaN comes last.  A column that will
    be exploded is called like one of those that come of it: no other column has the name.
    """

    tensor: TensorSpec
    column: Field
    options: ClassOptions
    non_finite: NonFinite = "keep"

    @property
    def fields(self) -> tuple[Field, ...]:
        """The column, or those of a class when there is a row for each."""
        return CLASS_FIELDS if self.options.explode else (self.column,)

    @property
    def arrow_type(self) -> pa.DataType:
        """The Arrow type of what `convert` makes."""
        return pa.list_(_CLASS)

    def convert(self, result: Result) -> tuple[pa.Array, list[Fault]]:
        """The best classes of n rows as an array of length n."""
        if not isinstance(result, np.ndarray):
            raise TypeError(f"output {self.tensor} is bound to classes, but is not dense")
        scores = result.astype(np.float64)
        rows, classes = scores.shape
        k = min(self.options.top_k or classes, classes)
        # Before softmax, which makes logits equal that differ by little.
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        if self.options.softmax:
            scores = _softmax(scores)
        index = pa.array(best.reshape(-1))
        columns = [
            self._labels(classes).take(index),
            index,
            self._scores(np.take_along_axis(scores, best, axis=1).reshape(-1)),
        ]
        offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * k)
        array = pa.ListArray.from_arrays(
            offsets, pa.StructArray.from_arrays(columns, fields=list(_CLASS))
        )
        faults = not_finite(result, self.tensor) if self.non_finite == "reject" else []
        return array, faults

    def _labels(self, classes: int) -> pa.Array:
        labels = self.options.labels
        return pa.array([*labels, *[None] * (classes - len(labels))], pa.string())

    def _scores(self, scores: Values) -> pa.Array:
        return pa.array(scores, mask=~np.isfinite(scores) if self.non_finite == "null" else None)


def class_field(name: str) -> Field:
    """The column of a ClassBinding."""
    return Field(name, "RECORD", "REPEATED", CLASS_FIELDS)


def exploded(batch: pa.RecordBatch, column: str) -> Iterator[pa.RecordBatch]:
    """A row for each class of each row: what `column` lists in its place, the rest repeated.

    Args:
      column: the column of a ClassBinding.

    Yields:
      The rows in order, in batches of bounded length.
    """
    classes = len(batch[column].flatten())
    step = max(1, _MAX_EXPLODED_ROWS * batch.num_rows // max(1, classes))
    for start in range(0, batch.num_rows, step):
        part = _exploded(batch.slice(start, step), column)
        if part.num_rows:
            yield part


def _exploded(batch: pa.RecordBatch, column: str) -> pa.RecordBatch:
    rows = pc.list_parent_indices(batch[column])
    arrays: list[pa.Array] = []
    fields: list[pa.Field] = []
    for field in batch.schema:
        if field.name == column:
            arrays += batch[column].flatten().flatten()
            fields += field.type.value_type.fields
        else:
            arrays.append(batch[field.name].take(rows))
            fields.append(field)
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


def _softmax(logits: Values) -> Values:
    # Of the greatest logit less than each, so that nothing overflows.
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    normalised: Values = powers / powers.sum(axis=1, keepdims=True)
    return normalised


_CLASS = pa.struct([("label", pa.string()), ("index", pa.int64()), ("score", pa.float64())])

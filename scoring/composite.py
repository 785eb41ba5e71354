"""Output tensors whose rows differ in size, ragged and sparse ones, as numpy arrays."""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from scoring.conversions import Values
from scoring.errors import BatchCallError
from scoring.signature import TensorSpec, elements_per_row

# Rows of a sparse output are written in full up to this width, as the tensor says; wider ones
# would be zeros for the most part.
MAX_FULL_ROW_ELEMENTS = 1024


@dataclass(frozen=True)
class RaggedRows:
    """Rows of a ragged tensor.

    Attributes:
      values: `[n, …]`, the values of all rows one after the other.
      splits: for each ragged dimension, from the outside in, where its parts begin and end: part
        i is items splits[i] to splits[i + 1] of the next dimension, in the end of `values`.
    """

    values: Values
    splits: tuple[Values, ...]

    def __len__(self) -> int:
        return len(self.splits[0]) - 1

    @property
    def row_splits(self) -> Values:
        """Row i has values[row_splits[i]:row_splits[i + 1]]."""
        splits = self.splits[0]
        for inner in self.splits[1:]:
            splits = inner[splits]
        return splits

    def first(self, rows: int) -> Self:
        """The first rows alone."""
        return replace(self, splits=(self.splits[0][: rows + 1], *self.splits[1:]))


@dataclass(frozen=True)
class SparseRows:
    """Rows of a sparse tensor as the entries that it stores, in the order of their index.

    Attributes:
      values: `[n]`, the entries of all rows one after the other.
      index: `[n, rank - 1]`, where in its row each entry is.
      row_splits: row i has values[row_splits[i]:row_splits[i + 1]].
    """

    values: Values
    index: Values
    row_splits: Values

    def __len__(self) -> int:
        return len(self.row_splits) - 1

    def first(self, rows: int) -> Self:
        """The first rows alone."""
        return replace(self, row_splits=self.row_splits[: rows + 1])


# One output of a call, of as many rows as it has: an array `[rows, …]` if it is dense.
Result = Values | RaggedRows | SparseRows


def result_of(tensor: Any, spec: TensorSpec) -> Result:
    """The tensor that a call returned for output `spec`.

    Raises:
      BatchCallError: a sparse tensor has an entry outside of its shape.
    """
    if spec.encoding == "ragged":
        splits = tuple(s.numpy().astype(np.int64, copy=False) for s in tensor.nested_row_splits)
        return RaggedRows(tensor.flat_values.numpy(), splits)
    if spec.encoding != "sparse":
        # Of a single value TensorFlow makes a scalar.
        return np.asarray(tensor.numpy())
    index, values, shape = (t.numpy() for t in (tensor.indices, tensor.values, tensor.dense_shape))
    full = shape if stores_entries(spec) else np.array([shape[0], *(spec.shape or ())[1:]])
    if (index < 0).any() or (index >= full).any():
        message = f"output {spec.name!r} has an entry outside of its shape {full.tolist()}"
        raise BatchCallError("CALL_FAILED", message)
    return _entries(index, values, full) if stores_entries(spec) else _full(index, values, full)


def stores_entries(spec: TensorSpec) -> bool:
    """Whether the rows of a sparse output are kept as its entries, not written in full.

    They are where the width is not known or large.  A width that only a call tells would depend
    on the other rows of the call.
    """
    size = elements_per_row(spec)
    return spec.encoding == "sparse" and (size is None or size > MAX_FULL_ROW_ELEMENTS)


def first_rows(result: Result, rows: int) -> Result:
    """The first rows of a result."""
    return result[:rows] if isinstance(result, np.ndarray) else result.first(rows)


def rows_with(faulty: Values, result: Result) -> Values:
    """The rows of `result` in which a value is faulty, by a mask of the shape of its values."""
    items: Values = np.flatnonzero(faulty.any(axis=tuple(range(1, faulty.ndim))))
    if isinstance(result, np.ndarray):
        return items
    splits = result.row_splits
    # Behind the last row there may be values of rows that were cut off.
    return np.unique(np.searchsorted(splits, items[items < splits[-1]], side="right") - 1)


def _full(index: Values, values: Values, shape: Values) -> Values:
    empty = b"" if values.dtype == object else 0
    full: Values = np.full(tuple(shape), empty, dtype=values.dtype)
    full[tuple(index.T)] = values
    return full


def _entries(index: Values, values: Values, shape: Values) -> SparseRows:
    # The order is the model's own choice; the first column counts most.
    order = np.lexsort(index.T[::-1])
    index = index[order]
    splits = np.searchsorted(index[:, 0], np.arange(shape[0] + 1))
    return SparseRows(values[order], index[:, 1:], splits)

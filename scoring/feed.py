"""Columns to tensors: one Arrow column becomes one numpy array, without a loop over rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scoring.conversions import (
    Faulty,
    Values,
    empty_value,
    find_conversion,
    numpy_dtype,
    shown,
)
from scoring.layout import Dims, Ints, Layout, ListSizes, Mask, elements_of, list_sizes
from scoring.objects import described
from scoring.rejects import FEED, Fault
from scoring.schema import Field
from scoring.signature import TensorSpec


class Fed(NamedTuple):
    """What one input gets from n rows.

    Attributes:
      values: the tensor of n rows; what it holds for rows with a fault means nothing.
      faults: at most one for each row that cannot be fed, in row order.
      defaulted: `[n]`, the rows with a NULL that a default stands in for; None for no row.
    """

    values: Values
    faults: list[Fault]
    defaulted: Mask | None = None


class FedBatch(NamedTuple):
    """What the model gets from a record batch.

    Attributes:
      arrays: by input name, the rows without a fault.
      faults: of the other rows, one each, in row order.
      defaulted_rows: number of rows in `arrays` with a NULL that a default stands in for.
    """

    arrays: dict[str, Values]
    faults: list[Fault]
    defaulted_rows: int


class Binding(Protocol):
    """One input of the model, and how columns feed it."""

    @property
    def tensor(self) -> TensorSpec:
        """The input."""

    @property
    def columns(self) -> tuple[Field, ...]:
        """The columns that it needs."""

    @property
    def rule(self) -> str:
        """What happens to each value, in words."""

    @property
    def row_bytes(self) -> int:
        """Bytes of one row in the tensor; 0 where the column's own size tells."""

    def feed(self, batch: pa.RecordBatch) -> Fed:
        """The tensor of the batch's rows."""


@dataclass(frozen=True)
class InputBinding:
    """One input of the model and the one column whose values feed it.

    The plan has made sure that a conversion exists and that the column's lists can fill the
    dimensions of the tensor.

    Attributes:
      default: taken for a NULL, in the column's own type; None rejects the row.
      pad: fills what shorter rows leave of free dimensions.
    """

    tensor: TensorSpec
    column: Field
    default: Any = None
    pad: Any = None

    @property
    def columns(self) -> tuple[Field, ...]:
        """The one column."""
        return (self.column,)

    @property
    def rule(self) -> str:
        """What happens to each value, in words."""
        rule = self._conversion_rule
        if self.default is None:
            return rule
        null = f"{rule}; NULL is {shown(self.default)}"
        return f"{null}, an empty ARRAY as many" if self.fills_empty else null

    @property
    def row_bytes(self) -> int:
        """Bytes of one row in the tensor; 0 for strings and variable lengths."""
        if self.tensor.dtype == "string" or self.is_variable:
            return 0
        return (
            int(np.prod(self.row_shape, dtype=np.int64)) * numpy_dtype(self.tensor.dtype).itemsize
        )

    @property
    def dims(self) -> Dims:
        """Dimensions of one row; where the model leaves the rank free, those of the column."""
        shape = self.tensor.shape
        return (None,) * self.column.rank if shape is None else shape[1:]

    @property
    def is_variable(self) -> bool:
        """Whether rows of different sizes are padded to the longest of a call."""
        return None in self.dims

    @property
    def row_shape(self) -> tuple[int, ...]:
        """The dimensions that are known."""
        return tuple(d for d in self.dims if d is not None)

    @property
    def layout(self) -> Layout:
        """How the column's lists fill the dimensions."""
        return Layout(self.column.rank, self.dims)

    @property
    def fills_empty(self) -> bool:
        """Whether an empty ARRAY is a NULL: BigQuery stores one like the other."""
        return self.column.rank > 0 and not self.is_variable and 0 not in self.dims

    def feed(self, batch: pa.RecordBatch) -> Fed:
        """The tensor of the batch's rows; see `feed_column`."""
        return feed_column(self.column.values(batch), self)

    @property
    def _conversion_rule(self) -> str:
        conversion = find_conversion(self.column.type, self.tensor.dtype)
        return described(self.column, conversion.rule) if conversion else ""

    def __str__(self) -> str:
        return f"input {self.tensor.name!r}"


def feed_column(column: pa.Array, binding: InputBinding) -> Fed:
    """Converts the values of n rows to an array of shape `[n, *binding.dims]`."""
    # Decimals come with the digits that the column declares, which a default may exceed.
    kind = binding.column.arrow_type
    if column.type != kind:
        column = column.cast(kind)
    return _feed_lists(column, binding) if binding.column.rank else _feed_scalars(column, binding)


def feed_batch(batch: pa.RecordBatch, bindings: Sequence[Binding]) -> FedBatch:
    """Feeds every input of the model from one record batch."""
    arrays: dict[str, Values] = {}
    faults: dict[int, Fault] = {}
    good, defaulted = np.ones(batch.num_rows, np.bool_), np.zeros(batch.num_rows, np.bool_)
    for binding in bindings:
        fed = binding.feed(batch)
        arrays[binding.tensor.name] = fed.values
        for fault in fed.faults:
            faults.setdefault(fault.row, fault)
        if fed.defaulted is not None:
            defaulted |= fed.defaulted
    if faults:
        good[list(faults)] = False
        arrays = {name: values[good] for name, values in arrays.items()}
    defaulted_rows = int(np.count_nonzero(defaulted & good))
    return FedBatch(arrays, [faults[row] for row in sorted(faults)], defaulted_rows)


def _feed_scalars(column: pa.Array, binding: InputBinding) -> Fed:
    faults: dict[int, Fault] = {}
    nulls: Mask | None = None
    if column.null_count:
        nulls = column.is_null().to_numpy(zero_copy_only=False)
        if binding.default is None:
            for row in np.flatnonzero(nulls):
                faults[int(row)] = _null(int(row), binding)
    elements, values, faulty = _convert(column, binding)
    if faulty is not None:
        for row in np.flatnonzero(faulty):
            # A NULL was filled with a zero, which every conversion takes, or with the default.
            faults[int(row)] = _misfit(int(row), elements[int(row)], binding)
    shaped = values.reshape(len(column), *binding.row_shape)
    return Fed(shaped, _in_order(faults), None if binding.default is None else nulls)


def _feed_lists(column: pa.Array, binding: InputBinding) -> Fed:
    rank, layout = binding.column.rank, binding.layout
    measured = list_sizes(column, rank)
    defaulted = _absent(measured, binding)
    if defaulted is not None:
        column = pc.if_else(pa.array(defaulted), _default_row(column.type, binding), column)
        measured = list_sizes(column, rank)
    sizes, fit = layout.fitted(measured.sizes)
    faults = _wrong_lists(measured, fit, binding)
    fit = fit & ~(measured.null | measured.holed | measured.ragged)
    kept = column if fit.all() else column.filter(pa.array(fit))
    elements = _Elements.of(elements_of(kept, rank), np.flatnonzero(fit), sizes[fit])
    filled = elements.rows_of(elements.nulls)
    if len(filled) and binding.default is not None:
        defaulted = np.zeros(len(column), np.bool_) if defaulted is None else defaulted
        defaulted[filled] = True
    elif len(filled):
        for i in elements.nulls:
            row, index = elements.place_of(i)
            faults.setdefault(row, _null_element(row, index, binding))
    array, values, faulty = _convert(elements.values, binding)
    if faulty is not None:
        for i in np.flatnonzero(faulty):
            row, _ = elements.place_of(i)
            faults.setdefault(row, _misfit(row, array[int(i)], binding))
    pad = binding.pad if binding.pad is not None else b"" if values.dtype.hasobject else 0
    return Fed(layout.placed(values, sizes, fit, pad), _in_order(faults), defaulted)


@dataclass(frozen=True)
class _Elements:
    """Elements of lists; those of row rows[k] lie at offsets[k] to offsets[k + 1]."""

    values: pa.Array
    rows: Ints
    offsets: Ints

    @classmethod
    def of(cls, values: pa.Array, rows: Ints, sizes: Ints) -> Self:
        """The elements of rows of these sizes `[n, rank]`."""
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes.prod(axis=1))])
        return cls(values, rows, offsets)

    @cached_property
    def nulls(self) -> Ints:
        """Where the elements are NULL."""
        if not self.values.null_count:
            return np.empty(0, dtype=np.int64)
        return np.flatnonzero(self.values.is_null().to_numpy(zero_copy_only=False))

    def rows_of(self, positions: Ints) -> Ints:
        """The rows of the elements at these positions."""
        rows: Ints = self.rows[np.searchsorted(self.offsets, positions, side="right") - 1]
        return rows

    def place_of(self, position: np.int64) -> tuple[int, int]:
        """The row of an element and its index there."""
        k = int(np.searchsorted(self.offsets, position, side="right")) - 1
        return int(self.rows[k]), int(position - self.offsets[k])


def _absent(measured: ListSizes, binding: InputBinding) -> Mask | None:
    """The rows that the default stands in for as a whole, None if there are none."""
    if binding.default is None:
        return None
    empty = measured.sizes[:, 0] == 0 if binding.fills_empty else False
    absent: Mask = measured.null | empty
    return absent if absent.any() else None


def _default_row(kind: pa.DataType, binding: InputBinding) -> pa.Scalar:
    """A row of defaults, empty where the model leaves a dimension free."""
    if binding.is_variable:
        return pa.scalar([], type=kind)
    row: Any = binding.default
    for size in reversed(binding.layout.levels):
        row = [row] * (size or 0)
    return pa.scalar(row, type=kind)


def _wrong_lists(measured: ListSizes, fit: Mask, binding: InputBinding) -> dict[int, Fault]:
    """The faults of rows that are NULL, or whose lists do not fill the tensor."""
    layout, faults = binding.layout, dict[int, Fault]()
    column = f"column {binding.column.name!r}"
    bad = measured.null | measured.holed | measured.ragged | ~fit
    for row in map(int, np.flatnonzero(bad)):
        if measured.null[row]:
            faults[row] = _null(row, binding)
        elif measured.holed[row]:
            message = f"a list of {column} is NULL; {binding} needs a value"
            faults[row] = Fault(row, FEED, "NULL_ELEMENT", message)
        else:
            got = layout.got(measured.sizes[row])
            if measured.ragged[row]:
                got = "lists of different lengths"
            message = f"{column} has {got}; {binding} needs {layout.needs}"
            faults[row] = Fault(row, FEED, "WRONG_LENGTH", message)
    return faults


def _convert(array: pa.Array, binding: InputBinding) -> tuple[pa.Array, Values, Faulty | None]:
    """The elements with NULLs filled, converted, and which of them lose information."""
    conversion = find_conversion(binding.column.type, binding.tensor.dtype)
    if conversion is None:
        raise AssertionError(f"the plan let {binding.column} feed {binding.tensor}")
    if array.null_count:
        filler = empty_value(array.type) if binding.default is None else binding.default
        array = pc.fill_null(array, pa.scalar(filler, type=array.type))
    return array, *conversion.convert(array, numpy_dtype(binding.tensor.dtype))


def _in_order(faults: dict[int, Fault]) -> list[Fault]:
    return [faults[row] for row in sorted(faults)]


def _null(row: int, binding: InputBinding) -> Fault:
    return Fault(
        row, FEED, "NULL_VALUE", f"column {binding.column.name!r} is NULL; {binding} needs a value"
    )


def _null_element(row: int, index: int, binding: InputBinding) -> Fault:
    message = f"element {index} of column {binding.column.name!r} is NULL; {binding} needs a value"
    return Fault(row, FEED, "NULL_ELEMENT", message)


def _misfit(row: int, value: pa.Scalar, binding: InputBinding) -> Fault:
    conversion = find_conversion(binding.column.type, binding.tensor.dtype)
    rule = conversion.rule if conversion else ""
    message = (
        f"column {binding.column.name!r} holds {shown(value.as_py())}; "
        f"{binding} is {binding.tensor.dtype}: {rule}"
    )
    return Fault(row, FEED, "OUT_OF_RANGE", message)

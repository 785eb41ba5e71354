"""Tensors to columns: one output of the model becomes one Arrow array."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scoring.composite import RaggedRows, Result, SparseRows, rows_with, stores_entries
from scoring.conversions import FLOAT_DTYPES, INT_DTYPES, Values, numpy_dtype
from scoring.rejects import OUTPUTS, Fault
from scoring.schema import Field
from scoring.signature import TensorSpec

# What a free dimension, and what is in a sparse row, is taken for: that of most token and detection
# outputs is near.
_FREE_SIZE = 128

_SHAPE = Field("shape", "INTEGER", "REPEATED")
_VALUES = "values"

NonFinite = Literal["keep", "null", "reject"]


class ResultBinding(Protocol):
    """One output of the model, and how it becomes a column."""

    @property
    def tensor(self) -> TensorSpec:
        """The output."""

    @property
    def column(self) -> Field:
        """The column of a scored batch that receives it."""

    @property
    def fields(self) -> tuple[Field, ...]:
        """The columns of the output table that it fills: that one, unless it is exploded."""

    @property
    def arrow_type(self) -> pa.DataType:
        """The Arrow type of what `convert` makes."""

    def convert(self, result: Result) -> tuple[pa.Array, list[Fault]]:
        """The output of n rows as an array of length n, and the rows that it cannot hold."""


@dataclass(frozen=True)
class OutputBinding:
    """One output of the model and the column that receives its values.

    `non_finite` says what becomes of NaN and the infinities: `null` makes a scalar NULL.
    """

    tensor: TensorSpec
    column: Field
    non_finite: NonFinite = "keep"

    @property
    def fields(self) -> tuple[Field, ...]:
        """The column alone."""
        return (self.column,)

    @property
    def arrow_type(self) -> pa.DataType:
        """The Arrow type of what `convert` makes."""
        return arrow_output_type(self)

    def convert(self, result: Result) -> tuple[pa.Array, list[Fault]]:
        """The output of n rows as an array of length n; see `output_column`."""
        array, faults = output_column(result, self)
        if self.non_finite == "keep" or self.tensor.dtype not in FLOAT_DTYPES:
            return array, faults
        if self.non_finite == "null":
            finite = np.isfinite(_values(result).reshape(-1))
            return pc.if_else(pa.array(finite), array, None), faults
        return array, [*faults, *not_finite(result, self.tensor)]


def not_finite(result: Result, tensor: TensorSpec) -> list[Fault]:
    """A fault for each row with a NaN or an infinity."""
    finite = np.isfinite(_values(result))
    if finite.all():
        return []
    message = f"output {tensor.name!r} holds NaN or an infinity"
    rows = rows_with(~finite, result)
    return [Fault(int(row), OUTPUTS, "OUTPUT_NOT_FINITE", message) for row in rows]


def non_finite_rows(results: Mapping[str, Result], tensors: Iterable[TensorSpec]) -> int:
    """How many rows of one call have a NaN or an infinity in any of the outputs `tensors`."""
    rows: set[int] = set()
    for tensor in tensors:
        if tensor.dtype in FLOAT_DTYPES:
            finite = np.isfinite(_values(results[tensor.name]))
            if not finite.all():
                rows.update(rows_with(~finite, results[tensor.name]).tolist())
    return len(rows)


def _values(result: Result) -> Values:
    return result if isinstance(result, np.ndarray) else result.values


def row_bytes(tensor: TensorSpec) -> int:
    """Bytes of one row of an output, with 128 for each free dimension and 8 for a string.

    A row of a sparse output is taken for 128 entries, whatever its shape has room for.
    """
    inner = (None,) if tensor.shape is None else tensor.shape[1:]
    element_bytes = numpy_dtype(tensor.dtype).itemsize
    if tensor.encoding == "sparse":
        return _FREE_SIZE * (element_bytes + len(inner) * np.dtype(np.int64).itemsize)
    return math.prod(_FREE_SIZE if size is None else size for size in inner) * element_bytes


def column_type(dtype: str) -> str | None:
    """BigQuery type of an output of this dtype, None if there is none."""
    if dtype in FLOAT_DTYPES:
        return "FLOAT"
    if dtype in INT_DTYPES:
        return "INTEGER"
    return {"bool": "BOOLEAN", "string": "STRING"}.get(dtype)


def output_field(name: str, tensor: TensorSpec, kind: str) -> Field:
    """The column for an output: what its shape says of one row.

    - dense: `[batch]` and `[batch, 1]` are scalars, `[batch, d]` and `[batch, None]` an ARRAY,
      and tensors of more or of unknown dimensions STRUCT<shape ARRAY<INT64>, values ARRAY<…>>
      with the values in row-major order;
    - ragged: `[batch, (n)]` is an ARRAY, `[batch, (n), d]` a STRUCT<shape, values> whose shape
      begins with the row's own n, and each further ragged dimension an ARRAY of the STRUCTs
      that hold the inner one as `values`, because an ARRAY holds no ARRAYs;
    - sparse: as if it were dense if the width of a row is known and at most
      MAX_FULL_ROW_ELEMENTS, else ARRAY<STRUCT<index, value>> of the entries that it stores.
    """
    if tensor.encoding == "ragged":
        return _ragged_field(name, tensor, kind)
    if stores_entries(tensor):
        rank = None if tensor.shape is None else len(tensor.shape)
        index = Field("index", "INTEGER", "NULLABLE" if rank == _MATRIX else "REPEATED")
        return Field(name, "RECORD", "REPEATED", (index, Field("value", kind)))
    inner = None if tensor.shape is None else tensor.shape[1:]
    if inner in ((), (1,)):
        return Field(name, kind)
    if inner is not None and len(inner) == 1:
        return Field(name, kind, "REPEATED")
    return Field(name, "RECORD", fields=(_SHAPE, Field("values", kind, "REPEATED")))


def _ragged_field(name: str, tensor: TensorSpec, kind: str) -> Field:
    field = Field(_VALUES, kind, "REPEATED")
    if _has_inner_dimensions(tensor):
        field = Field(_VALUES, "RECORD", fields=(_SHAPE, field))
    for _ in range(tensor.ragged_rank - 1):
        members = (field,) if field.mode == "REPEATED" else field.fields
        field = Field(_VALUES, "RECORD", "REPEATED", members)
    return replace(field, name=name)


def _has_inner_dimensions(tensor: TensorSpec) -> bool:
    """Whether the values of a ragged tensor are tensors themselves, not scalars."""
    return tensor.shape is None or len(tensor.shape) > tensor.ragged_rank + 1


def arrow_output_type(binding: OutputBinding) -> pa.DataType:
    """The Arrow type of `output_column`'s arrays for this binding."""
    return _arrow_type(binding.column, _ELEMENT_TYPES.get(binding.tensor.dtype, pa.int64()))


def _arrow_type(field: Field, element: pa.DataType) -> pa.DataType:
    """The column's type, where the members that are not the output's elements are INT64."""
    item = element
    if field.fields:
        item = pa.struct(
            [
                (f.name, _arrow_type(f, pa.int64() if f.name in _POSITIONS else element))
                for f in field.fields
            ]
        )
    return pa.list_(item) if field.mode == "REPEATED" else item


# Members that say where in a row a value is; the elements themselves are in the others.
_POSITIONS = ("shape", "index")
_MATRIX = 2


# float32 stays: Parquet's FLOAT loads into FLOAT64 exactly, in half the bytes.
_ELEMENT_TYPES = {
    "float16": pa.float32(),
    "bfloat16": pa.float32(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "string": pa.string(),
}


def output_column(result: Result, binding: OutputBinding) -> tuple[pa.Array, list[Fault]]:
    """Converts the output of n rows to an Arrow array of length n.

    Rows whose value the column cannot hold are listed as faults; what the array holds for
    them means nothing.
    """
    values = _values(result)
    flat, faulty = _elements(values, binding.tensor.dtype)
    faults: list[Fault] = []
    if faulty is not None:
        code, reason = _FAULTS[binding.tensor.dtype == "string"]
        message = f"output {binding.tensor.name!r} {reason}"
        rows = rows_with(faulty.reshape(values.shape), result)
        faults = [Fault(int(row), OUTPUTS, code, message) for row in rows]
    if isinstance(result, RaggedRows):
        return _ragged(flat, result, _has_inner_dimensions(binding.tensor)), faults
    if isinstance(result, SparseRows):
        return _entries(flat, result, binding.column.fields[0]), faults
    return _dense(flat, values.shape, binding.column), faults


def _dense(flat: pa.Array, shape: tuple[int, ...], column: Field) -> pa.Array:
    n, *inner = shape
    if column.fields:
        return _tensors(flat, n, tuple(inner))
    if column.mode == "REPEATED":
        return _lists(flat, n, int(np.prod(inner, dtype=np.int64)))
    return flat


def _ragged(flat: pa.Array, rows: RaggedRows, has_inner_dimensions: bool) -> pa.Array:
    *outer, splits = rows.splits
    inner = rows.values.shape[1:]
    array = _parts(flat, splits * int(np.prod(inner, dtype=np.int64)))
    if has_inner_dimensions:
        lengths = np.diff(splits)
        shapes = np.column_stack([lengths, np.tile(inner, (len(lengths), 1))]).astype(np.int64)
        shape_lists = _lists(pa.array(shapes.reshape(-1)), *shapes.shape)
        array = pa.StructArray.from_arrays([shape_lists, array], names=[_SHAPE.name, _VALUES])
    for splits in reversed(outer):
        if not pa.types.is_struct(array.type):
            array = pa.StructArray.from_arrays([array], names=[_VALUES])
        array = _parts(array, splits)
    return array


def _entries(flat: pa.Array, rows: SparseRows, index_field: Field) -> pa.ListArray:
    index = pa.array(np.ascontiguousarray(rows.index).reshape(-1))
    if index_field.mode == "REPEATED":
        index = _lists(index, *rows.index.shape)
    entries = pa.StructArray.from_arrays([index, flat], names=[index_field.name, "value"])
    return _parts(entries, rows.row_splits)


def _parts(items: pa.Array, splits: Values) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(splits.astype(np.int32)), items)


_FAULTS = {
    False: ("OUTPUT_OUT_OF_RANGE", "holds a value beyond INT64"),
    True: ("OUTPUT_NOT_UTF8", "is not valid UTF-8"),
}


def _elements(values: Values, dtype: str) -> tuple[pa.Array, Values | None]:
    """All elements in row-major order, and a mask of those that the column cannot hold."""
    flat = np.ascontiguousarray(values).reshape(-1)
    if dtype == "string":
        return _texts(flat)
    if dtype == "uint64":
        faulty = flat > np.uint64(np.iinfo(np.int64).max)
        return pa.array(flat.astype(np.int64)), faulty if faulty.any() else None
    if dtype in INT_DTYPES:
        return pa.array(flat.astype(np.int64, copy=False)), None
    if dtype in FLOAT_DTYPES:
        wide = flat if dtype in ("float32", "float64") else flat.astype(np.float32)
        return pa.array(wide), None
    return pa.array(flat), None


def _texts(flat: Values) -> tuple[pa.Array, Values | None]:
    raw = pa.array(flat, type=pa.binary())
    try:
        return raw.cast(pa.string()), None
    except pa.ArrowInvalid:
        # Rare, so found out one by one.
        faulty = np.array([not _is_utf8(text) for text in flat], dtype=np.bool_)
        return pa.array(np.where(faulty, b"", flat), type=pa.binary()).cast(pa.string()), faulty


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _lists(flat: pa.Array, n: int, size: int) -> pa.ListArray:
    offsets = np.arange(n + 1, dtype=np.int64) * size
    return pa.ListArray.from_arrays(offsets.astype(np.int32), flat)


def _tensors(flat: pa.Array, n: int, inner: tuple[int, ...]) -> pa.StructArray:
    shapes = _lists(pa.array(np.tile(np.array(inner, dtype=np.int64), n)), n, len(inner))
    values = _lists(flat, n, int(np.prod(inner, dtype=np.int64)))
    return pa.StructArray.from_arrays([shapes, values], names=["shape", "values"])

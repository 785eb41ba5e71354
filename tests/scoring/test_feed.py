"""Columns to tensors: every row exact or rejected with the right code, against the oracle."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from conversion_oracle import ARROW_TYPES, PAIRS, REJECTED, VALUES, as_python, convert, describe
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.conversions import find_conversion, numpy_dtype, shown
from scoring.feed import InputBinding, feed_batch, feed_column
from scoring.rejects import Fault
from scoring.schema import Field
from scoring.signature import TensorSpec

_SCALAR_SHAPES = [(None,), (None, 1), (None, 1, 1), None, (4,)]
_LIST_SHAPES = [(None,), (None, 0), (None, 1), (None, 2), (None, 3), (None, 2, 2), (4, 2)]
_pairs = st.sampled_from(PAIRS)


def _binding(
    column_type: str, dtype: str, shape: tuple[int | None, ...] | None, *, repeated: bool = False
) -> InputBinding:
    mode = "REPEATED" if repeated else "NULLABLE"
    return InputBinding(TensorSpec("in/put", dtype, shape), Field("c", column_type, mode))


def _misfit(row: int, value: Any, column_type: str, dtype: str) -> Fault:
    conversion = find_conversion(column_type, dtype)
    assert conversion is not None
    message = f"column 'c' holds {shown(value)}; input 'in/put' is {dtype}: {conversion.rule}"
    return Fault(row, "feed", "OUT_OF_RANGE", message)


def _null(row: int) -> Fault:
    return Fault(row, "feed", "NULL_VALUE", "column 'c' is NULL; input 'in/put' needs a value")


def _scalar_outcome(row: int, value: Any, column_type: str, dtype: str) -> Any:
    """The row's value, or its fault."""
    if value is None:
        return _null(row)
    converted = convert(column_type, dtype, value)
    return _misfit(row, value, column_type, dtype) if converted is REJECTED else converted


def _list_outcome(row: int, value: Any, column_type: str, dtype: str, size: int) -> Any:
    """The row's flat list of values, or its fault."""
    if value is None:
        return _null(row)
    if len(value) != size:
        elements = "1 element" if len(value) == 1 else f"{len(value)} elements"
        message = f"column 'c' has {elements}; input 'in/put' needs exactly {size}"
        return Fault(row, "feed", "WRONG_LENGTH", message)
    for i, element in enumerate(value):
        if element is None:
            message = f"element {i} of column 'c' is NULL; input 'in/put' needs a value"
            return Fault(row, "feed", "NULL_ELEMENT", message)
    converted = [convert(column_type, dtype, element) for element in value]
    for element, result in zip(value, converted, strict=True):
        if result is REJECTED:
            return _misfit(row, element, column_type, dtype)
    return converted


def _check(column: pa.Array, binding: InputBinding, outcomes: list[Any]) -> None:
    """Feeds the column and compares with the outcome of every row."""
    values, faults, _ = feed_column(column, binding)
    assert faults == [o for o in outcomes if isinstance(o, Fault)]
    assert values.dtype == numpy_dtype(binding.tensor.dtype)
    assert values.shape == (len(column), *binding.row_shape)
    good = [row for row, outcome in enumerate(outcomes) if not isinstance(outcome, Fault)]
    got = [as_python(values[row : row + 1].reshape(-1)) for row in good]
    expected = [o if isinstance(o, list) else [o] for o in (outcomes[row] for row in good)]
    assert describe(got) == describe(expected)


def _sliced(draw: Any, rows: list[Any], kind: pa.DataType) -> pa.Array:
    """An array of the rows, cut twice out of longer ones."""
    first, second, third = (draw(st.integers(0, 4)) for _ in range(3))
    filler = [*rows, None]
    before, between, after = (filler[:n] for n in (first, second, third))
    whole = pa.array([*before, *between, *rows, *after], kind)
    return whole.slice(len(before)).slice(len(between), len(rows))


@settings(deadline=None, max_examples=300)
@given(data=st.data(), pair=_pairs, shape=st.sampled_from(_SCALAR_SHAPES))
def test_a_column_of_scalars_equals_the_oracle(
    data: st.DataObject, pair: tuple[str, str], shape: tuple[int | None, ...] | None
) -> None:
    column_type, dtype = pair
    rows = data.draw(st.lists(st.none() | VALUES[column_type], max_size=12))
    column = _sliced(data.draw, rows, ARROW_TYPES[column_type])
    outcomes = [_scalar_outcome(i, v, column_type, dtype) for i, v in enumerate(rows)]
    _check(column, _binding(column_type, dtype, shape), outcomes)


@settings(deadline=None, max_examples=500)
@given(data=st.data(), pair=_pairs, shape=st.sampled_from(_LIST_SHAPES))
def test_a_column_of_arrays_equals_the_oracle(
    data: st.DataObject, pair: tuple[str, str], shape: tuple[int | None, ...]
) -> None:
    column_type, dtype = pair
    size = int(np.prod([d or 0 for d in shape[1:]]))
    element = VALUES[column_type]
    right = st.lists(element, min_size=size, max_size=size)
    holey = st.lists(st.none() | element, min_size=size, max_size=size)
    # Often all rows are right: that is a path of its own.
    kinds = data.draw(st.sampled_from([[right], [right, holey], [right, holey, st.none()]]))
    any_length = st.lists(st.none() | element, max_size=5)
    rows = data.draw(st.lists(st.one_of(*kinds, *([any_length] * (len(kinds) > 2))), max_size=8))
    column = _sliced(data.draw, rows, pa.list_(ARROW_TYPES[column_type]))
    outcomes = [_list_outcome(i, v, column_type, dtype, size) for i, v in enumerate(rows)]
    _check(column, _binding(column_type, dtype, shape, repeated=True), outcomes)


def test_elements_hidden_below_a_null_array_are_not_fed() -> None:
    elements = pa.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    mask = pa.array([False, True, False])
    column = pa.ListArray.from_arrays(pa.array([0, 2, 4, 6], pa.int32()), elements, mask=mask)
    binding = _binding("FLOAT", "float32", (None, 2), repeated=True)
    _check(column, binding, [[1.0, 2.0], _null(1), [5.0, 6.0]])


@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize(("column_type", "dtype"), PAIRS)
def test_no_rows_give_an_empty_tensor_of_the_right_shape(
    column_type: str, dtype: str, repeated: bool
) -> None:
    kind = ARROW_TYPES[column_type]
    column = pa.array([], pa.list_(kind) if repeated else kind)
    shape = (None, 3) if repeated else (None, 1)
    _check(column, _binding(column_type, dtype, shape, repeated=repeated), [])


def test_values_are_laid_out_in_row_major_order() -> None:
    column = pa.array([[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]])
    values, faults, _ = feed_column(
        column, _binding("INTEGER", "int32", (None, 2, 3), repeated=True)
    )
    assert faults == []
    assert values.tolist() == [[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]]


def test_numbers_of_the_same_width_are_not_copied() -> None:
    column = pa.array([1.0, 2.0, 3.0])
    values, _, _ = feed_column(column, _binding("FLOAT", "float64", (None,)))
    assert values.ctypes.data == column.buffers()[1].address


def test_a_batch_is_fed_without_its_faulty_rows() -> None:
    bindings = [
        InputBinding(TensorSpec("count", "int8", (None,)), Field("n", "INTEGER")),
        InputBinding(TensorSpec("pair", "float32", (None, 2)), Field("xy", "FLOAT", "REPEATED")),
        InputBinding(TensorSpec("name", "string", (None, 1)), Field("s", "STRING")),
    ]
    batch = pa.record_batch(
        {
            "s": pa.array(["a", None, "c", "d", None, "f"]),
            "unused": pa.nulls(6),
            "n": pa.array([1, 2, 300, 4, None, 6]),
            "xy": pa.array([[0.5, 1.5], [2.0, 3.0], None, [4.0], [5.0, 6.0], [7.0, 8.0]]),
        }
    )
    arrays, faults, _ = feed_batch(batch, bindings)
    assert {name: values.tolist() for name, values in arrays.items()} == {
        "count": [1, 6],
        "pair": [[0.5, 1.5], [7.0, 8.0]],
        "name": [[b"a"], [b"f"]],
    }
    # One fault a row, of the first input in order that cannot be fed.
    assert [(f.row, f.code) for f in faults] == [
        (1, "NULL_VALUE"),
        (2, "OUT_OF_RANGE"),
        (3, "WRONG_LENGTH"),
        (4, "NULL_VALUE"),
    ]
    assert [f.message for f in faults] == [
        "column 's' is NULL; input 'name' needs a value",
        "column 'n' holds 300; input 'count' is int8: must fit the dtype",
        "column 'xy' has 1 element; input 'pair' needs exactly 2",
        "column 'n' is NULL; input 'count' needs a value",
    ]


def test_one_column_can_feed_two_inputs() -> None:
    column = Field("n", "INTEGER")
    bindings = [
        InputBinding(TensorSpec("wide", "int64", (None,)), column),
        InputBinding(TensorSpec("narrow", "uint8", (None,)), column),
    ]
    arrays, faults, _ = feed_batch(pa.record_batch({"n": [1, 256, 3]}), bindings)
    assert {name: values.tolist() for name, values in arrays.items()} == {
        "wide": [1, 3],
        "narrow": [1, 3],
    }
    assert faults == [
        Fault(
            1,
            "feed",
            "OUT_OF_RANGE",
            "column 'n' holds 256; input 'narrow' is uint8: must fit the dtype",
        )
    ]

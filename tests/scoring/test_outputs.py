"""Tensors to columns: shapes to BigQuery types, values exact, misfits found."""

import math
from typing import Any

import ml_dtypes
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from scoring.conversions import FLOAT_DTYPES, INT_DTYPES, numpy_dtype
from scoring.outputs import (
    OutputBinding,
    arrow_output_type,
    column_type,
    output_column,
    output_field,
)
from scoring.rejects import Fault
from scoring.schema import Field
from scoring.signature import TensorSpec

_SHAPE = Field("shape", "INTEGER", "REPEATED")


def _binding(dtype: str, *inner: int | None) -> OutputBinding:
    spec = TensorSpec("out/put", dtype, (None, *inner))
    kind = column_type(dtype)
    assert kind is not None
    return OutputBinding(spec, output_field("c", spec, kind))


def _column(values: Any, dtype: str, *inner: int | None) -> pa.Array:
    """The column of values without faults; of the promised type."""
    binding = _binding(dtype, *inner)
    column, faults = output_column(np.array(values, numpy_dtype(dtype)), binding)
    assert faults == []
    assert column.type == arrow_output_type(binding)
    column.validate(full=True)
    return column


@pytest.mark.parametrize(
    ("dtypes", "kind"),
    [
        (FLOAT_DTYPES, "FLOAT"),
        (INT_DTYPES, "INTEGER"),
        (("bool",), "BOOLEAN"),
        (("string",), "STRING"),
        (("complex64", "complex128", "qint8", "variant", "resource", "IndexedSlices"), None),
    ],
)
def test_dtypes_have_a_bigquery_type_or_none(dtypes: tuple[str, ...], kind: str | None) -> None:
    assert {column_type(dtype) for dtype in dtypes} == {kind}


@pytest.mark.parametrize(
    ("shape", "field"),
    [
        ((None,), Field("c", "FLOAT")),
        ((4,), Field("c", "FLOAT")),
        ((None, 1), Field("c", "FLOAT")),
        ((None, 0), Field("c", "FLOAT", "REPEATED")),
        ((None, 3), Field("c", "FLOAT", "REPEATED")),
        ((None, None), Field("c", "FLOAT", "REPEATED")),
        (
            (None, 2, 3),
            Field("c", "RECORD", fields=(_SHAPE, Field("values", "FLOAT", "REPEATED"))),
        ),
        (
            (None, None, 1, None),
            Field("c", "RECORD", fields=(_SHAPE, Field("values", "FLOAT", "REPEATED"))),
        ),
        (None, Field("c", "RECORD", fields=(_SHAPE, Field("values", "FLOAT", "REPEATED")))),
    ],
)
def test_the_shape_of_a_row_decides_the_type(
    shape: tuple[int | None, ...] | None, field: Field
) -> None:
    assert output_field("c", TensorSpec("y", "float32", shape), "FLOAT") == field


@pytest.mark.parametrize("dtype", INT_DTYPES)
def test_integers_become_int64_at_their_extremes(dtype: str) -> None:
    bounds = np.iinfo(dtype)
    highest = min(int(bounds.max), 2**63 - 1)
    column = _column([int(bounds.min), 0, highest], dtype)
    assert column.type == pa.int64()
    assert column.to_pylist() == [int(bounds.min), 0, highest]


@pytest.mark.parametrize(
    ("dtype", "arrow"),
    [
        ("float16", pa.float32()),
        ("bfloat16", pa.float32()),
        ("float32", pa.float32()),
        ("float64", pa.float64()),
    ],
)
def test_floats_stay_exact_and_nan_is_no_null(dtype: str, arrow: pa.DataType) -> None:
    bounds = ml_dtypes.finfo(numpy_dtype(dtype))
    values = [0.0, -0.0, float(bounds.max), float(bounds.tiny), math.inf, -math.inf, math.nan]
    column = _column(values, dtype)
    assert column.type == arrow
    assert column.null_count == 0
    assert repr(column.to_pylist()) == repr(values)


def test_booleans_stay() -> None:
    assert _column([True, False, True], "bool").to_pylist() == [True, False, True]


def test_strings_are_decoded() -> None:
    texts = ["", "a\0b", "größe", "🙂"]
    column = _column([text.encode() for text in texts], "string")
    assert column.type == pa.string()
    assert column.to_pylist() == texts


def test_a_column_of_one_is_a_scalar() -> None:
    assert _column([[1.5], [2.5]], "float32", 1).to_pylist() == [1.5, 2.5]


def test_vectors_become_arrays() -> None:
    assert _column([[1, 2, 3], [4, 5, 6]], "int32", 3).to_pylist() == [[1, 2, 3], [4, 5, 6]]
    assert _column([[b"a", b"b"]], "string", None).to_pylist() == [["a", "b"]]


def test_vectors_without_elements_are_empty_arrays() -> None:
    assert _column(np.zeros((2, 0)), "float32", None).to_pylist() == [[], []]
    assert _column(np.zeros((2, 0)), "string", 0).to_pylist() == [[], []]


@pytest.mark.parametrize("inner", [(2, 3), (None, 3), (1, 1), (2, 0, 4)])
@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_tensors_carry_their_shape_and_their_values_in_row_major_order(
    dtype: str, inner: tuple[int | None, ...]
) -> None:
    shape = tuple(5 if d is None else d for d in inner)
    values = np.arange(2 * int(np.prod(shape))).reshape(2, *shape).astype(dtype)
    assert _column(values, dtype, *inner).to_pylist() == [
        {"shape": list(shape), "values": values[row].ravel().tolist()} for row in range(2)
    ]


def test_tensors_of_unknown_rank_carry_their_shape() -> None:
    spec = TensorSpec("y", "float32", None)
    binding = OutputBinding(spec, output_field("c", spec, "FLOAT"))
    for values, expected in (
        ([1.0, 2.0], [{"shape": [], "values": [1.0]}, {"shape": [], "values": [2.0]}]),
        ([[1.0, 2.0]], [{"shape": [2], "values": [1.0, 2.0]}]),
    ):
        column, faults = output_column(np.array(values, np.float32), binding)
        assert faults == []
        assert column.type == arrow_output_type(binding)
        assert column.to_pylist() == expected


def test_tensors_that_are_not_contiguous_are_read_right() -> None:
    values = np.arange(12.0, dtype=np.float32).reshape(3, 4).T
    assert _column(values, "float32", 3).to_pylist() == values.tolist()


@settings(deadline=None, max_examples=60)
@given(values=npst.arrays(np.float32, npst.array_shapes(max_dims=4), elements=st.floats(width=32)))
def test_any_tensor_comes_back_from_its_column(values: np.ndarray[Any, Any]) -> None:
    inner = values.shape[1:]
    rows = _column(values, "float32", *inner).to_pylist()
    if inner in ((), (1,)):
        flat = rows
    elif len(inner) == 1:
        flat = [v for row in rows for v in row]
    else:
        assert [row["shape"] for row in rows] == [list(inner)] * len(rows)
        flat = [v for row in rows for v in row["values"]]
    np.testing.assert_array_equal(np.array(flat, np.float32), values.ravel(), strict=True)


def test_integers_beyond_int64_are_faults_of_their_rows() -> None:
    values = np.array([[1, 2], [2**63, 2**63], [3, 2**63 - 1], [4, 2**64 - 1]], np.uint64)
    column, faults = output_column(values, _binding("uint64", 2))
    message = "output 'out/put' holds a value beyond INT64"
    assert faults == [
        Fault(1, "outputs", "OUTPUT_OUT_OF_RANGE", message),
        Fault(3, "outputs", "OUTPUT_OUT_OF_RANGE", message),
    ]
    assert column.take(pa.array([0, 2])).to_pylist() == [[1, 2], [3, 2**63 - 1]]


@pytest.mark.parametrize(
    "text", [b"\xff", b"a\x80", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80"]
)
def test_strings_that_are_not_utf_8_are_faults_of_their_rows(text: bytes) -> None:
    values = np.array([b"good", text, "größe".encode()], object)
    column, faults = output_column(values, _binding("string"))
    assert faults == [Fault(1, "outputs", "OUTPUT_NOT_UTF8", "output 'out/put' is not valid UTF-8")]
    assert column.take(pa.array([0, 2])).to_pylist() == ["good", "größe"]


def test_one_bad_string_makes_the_whole_row_a_fault_once() -> None:
    values = np.array([[b"a", b"b"], [b"\xff", b"\xff"], [b"c", b"\xff"]], object)
    column, faults = output_column(values, _binding("string", 2))
    assert [f.row for f in faults] == [1, 2]
    assert column[0].as_py() == ["a", "b"]


@settings(deadline=None, max_examples=100)
@given(st.lists(st.binary(max_size=4) | st.text(max_size=2).map(str.encode), max_size=8))
def test_strings_are_faults_exactly_when_python_cannot_decode_them(texts: list[bytes]) -> None:
    values = np.empty(len(texts), object)
    values[:] = texts
    column, faults = output_column(values, _binding("string"))
    decoded = [text.decode(errors="replace") for text in texts]
    bad = [i for i, text in enumerate(texts) if decoded[i].encode() != text]
    assert [f.row for f in faults] == bad
    assert [v for i, v in enumerate(column.to_pylist()) if i not in bad] == [
        v for i, v in enumerate(decoded) if i not in bad
    ]

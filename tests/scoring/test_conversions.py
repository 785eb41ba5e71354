"""The table of conversions, each against the slow oracle."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from conversion_oracle import (
    ARROW_TYPES,
    EDGES,
    PAIRS,
    REJECTED,
    VALUES,
    as_python,
    convert,
    describe,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.conversions import (
    CONVERSIONS,
    FLOAT_DTYPES,
    INT_DTYPES,
    REFUSAL_HINTS,
    find_conversion,
    numpy_dtype,
)


def test_exactly_these_conversions_exist() -> None:
    numbers = {*INT_DTYPES, *FLOAT_DTYPES}
    expected = {
        "INTEGER": {*numbers, "bool"},
        "FLOAT": numbers,
        "NUMERIC": numbers,
        "BIGNUMERIC": numbers,
        "BOOLEAN": {*numbers, "bool"},
        "STRING": {"string"},
        "BYTES": {"string"},
    }
    assert len(set(PAIRS)) == len(PAIRS)
    assert set(PAIRS) == {(kind, dtype) for kind, dtypes in expected.items() for dtype in dtypes}


def test_a_conversion_is_found_by_its_pair() -> None:
    for conversion in CONVERSIONS:
        for dtype in conversion.dtypes:
            assert find_conversion(conversion.column_type, dtype) is conversion


@pytest.mark.parametrize(
    ("column_type", "dtype"),
    [
        ("FLOAT", "bool"),
        ("STRING", "int64"),
        ("INTEGER", "string"),
        ("NUMERIC", "bool"),
        ("BIGNUMERIC", "string"),
        ("DATE", "int32"),
        ("FLOAT", "complex64"),
        ("INTEGER", "qint8"),
        ("RECORD", "float32"),
    ],
)
def test_other_pairs_have_no_conversion(column_type: str, dtype: str) -> None:
    assert find_conversion(column_type, dtype) is None


def test_every_hint_names_the_column() -> None:
    for hint in REFUSAL_HINTS.values():
        assert "price" in hint.format(column="price")


@pytest.mark.parametrize("dtype", [*INT_DTYPES, *FLOAT_DTYPES, "bool"])
def test_numpy_dtypes_have_the_name_of_the_tensor_dtype(dtype: str) -> None:
    assert numpy_dtype(dtype).name == dtype


def test_strings_are_object_arrays() -> None:
    assert numpy_dtype("string") == np.dtype(object)


@pytest.mark.parametrize(("column_type", "dtype"), PAIRS)
@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_every_conversion_equals_the_oracle(
    column_type: str, dtype: str, data: st.DataObject
) -> None:
    values = data.draw(st.lists(VALUES[column_type], max_size=30))
    before, after = (data.draw(st.integers(0, 9)) for _ in range(2))
    filler = values[:1] or [None]
    whole = pa.array(filler * before + values + filler * after, ARROW_TYPES[column_type])
    _check(column_type, dtype, values, whole.slice(before, len(values)))


@pytest.mark.parametrize(("column_type", "dtype"), [p for p in PAIRS if p[0] in EDGES])
def test_numbers_at_the_edges_of_every_dtype_equal_the_oracle(column_type: str, dtype: str) -> None:
    edges = EDGES[column_type]
    _check(column_type, dtype, edges, pa.array(edges, ARROW_TYPES[column_type]))


@pytest.mark.parametrize("units", [2**255 - 1, -(2**255)])
def test_the_largest_bignumeric_has_more_digits_than_arrow_vouches_for(units: int) -> None:
    data = pa.py_buffer(units.to_bytes(32, "little", signed=True))
    array = pa.Array.from_buffers(pa.decimal256(76, 38), 1, [None, data])
    for dtype, expected in (("float64", units / 10**38), ("float32", None), ("uint64", None)):
        conversion = find_conversion("BIGNUMERIC", dtype)
        assert conversion is not None
        converted, faulty = conversion.convert(array, numpy_dtype(dtype))
        assert (faulty is None) == (expected is not None)
        assert expected is None or converted.tolist() == [expected]


def _check(column_type: str, dtype: str, values: list[Any], array: pa.Array) -> None:
    conversion = find_conversion(column_type, dtype)
    assert conversion is not None
    converted, faulty = conversion.convert(array, numpy_dtype(dtype))
    expected = [convert(column_type, dtype, value) for value in values]
    assert converted.dtype == numpy_dtype(dtype)
    rejected = [value is REJECTED for value in expected]
    assert (faulty is None) == (not any(rejected))
    assert ([False] * len(values) if faulty is None else faulty.tolist()) == rejected
    assert describe([v for v, r in zip(as_python(converted), rejected, strict=True) if not r]) == (
        describe([v for v in expected if v is not REJECTED])
    )

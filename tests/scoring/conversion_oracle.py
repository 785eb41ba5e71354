"""What every conversion of one value should give, said slowly with Python's exact numbers."""

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from scoring.conversions import CONVERSIONS

REJECTED = object()

PAIRS = tuple((c.column_type, dtype) for c in CONVERSIONS for dtype in c.dtypes)

ARROW_TYPES = {
    "INTEGER": pa.int64(),
    "FLOAT": pa.float64(),
    "NUMERIC": pa.decimal128(38, 9),
    "BIGNUMERIC": pa.decimal256(76, 38),
    "BOOLEAN": pa.bool_(),
    "STRING": pa.string(),
    "BYTES": pa.binary(),
}

# Bits of the significand (with the hidden one), smallest and largest exponent.
_FORMATS = {
    "float16": (11, -14, 15),
    "bfloat16": (8, -126, 127),
    "float32": (24, -126, 127),
    "float64": (53, -1022, 1023),
}

_AROUND_POWERS = [
    sign * (2**power + step)
    for power in (0, 1, 7, 8, 11, 15, 16, 24, 31, 32, 33, 53, 62, 63)
    for step in (-1, 0, 1)
    for sign in (-1, 1)
]
_INT64_EDGES = [n for n in _AROUND_POWERS if -(2**63) <= n < 2**63]
_FLOAT_EDGES = [
    *map(float, _AROUND_POWERS),
    *(n + 0.5 for n in _AROUND_POWERS),
    *(sign * x for x in (0.0, 65504.0, 65519.9, 65520.0, 2.0**64) for sign in (-1, 1)),
    *(sign * x for x in (3.4028234663852886e38, 3.4028235677973366e38) for sign in (-1, 1)),
    *(sign * x for x in (3.3961775292304601e38, 5e-324, 1e-45, 5.9e-8, 1e308) for sign in (-1, 1)),
    # Just above, on and just below the middle between two bfloat16.
    *(1 + 2.0**-8 + step for step in (-(2.0**-40), 0.0, 2.0**-40)),
    math.inf,
    -math.inf,
    math.nan,
]


def _decimal(units: int, places: int) -> Decimal:
    """`units` of the last of so many decimal places, exact whatever its size."""
    digits = tuple(map(int, str(abs(units))))
    return Decimal((int(units < 0), digits, -places))


def _decimal_edges(places: int) -> list[Decimal]:
    """Numbers beside those that a dtype begins or ends at, or that lie between two floats."""
    unit = 10**places
    most = 10 ** (38 if places < 10 else 76) - 1
    between = [
        int(Fraction(x) * unit)
        for x in (1 + 2.0**-8, 1 + 2.0**-11, 1 + 2.0**-24, 1 + 2.0**-53, 2.0**24 + 1, 2.0**53 + 1)
    ]
    units = [
        *(n * unit + step for n in [*_AROUND_POWERS, 2**64] for step in (-1, 0, 1)),
        *(n * unit + unit // 2 for n in _AROUND_POWERS),
        *(n + step for n in between for step in (-1, 0, 1)),
        *(int(65520 * unit) + step for step in (-1, 0, 1)),
        *(most, -most, 0, 1, -1),
    ]
    return [_decimal(n, places) for n in units]


EDGES: dict[str, list[Any]] = {
    "INTEGER": _INT64_EDGES,
    "FLOAT": _FLOAT_EDGES,
    "NUMERIC": _decimal_edges(9),
    "BIGNUMERIC": _decimal_edges(38),
}


def _decimals(places: int) -> st.SearchStrategy[Decimal]:
    unit = 10**places
    most = 10 ** (38 if places < 10 else 76) - 1
    return st.one_of(
        st.sampled_from([Decimal(0), Decimal(1)]),
        st.sampled_from(_decimal_edges(places)),
        st.integers(-300, 300).map(lambda n: _decimal(n * unit, places)),
        st.integers(-(2**64) * unit, 2**64 * unit).map(lambda n: _decimal(n, places)),
        st.integers(-most, most).map(lambda n: _decimal(n, places)),
    )


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "INTEGER": st.one_of(
        st.sampled_from([0, 1]),
        st.sampled_from(_INT64_EDGES),
        st.integers(-300, 300),
        st.integers(-(2**63), 2**63 - 1),
    ),
    "FLOAT": st.one_of(
        st.sampled_from(_FLOAT_EDGES),
        st.integers(-300, 300).map(float),
        st.floats(-1e5, 1e5),
        st.floats(),
    ),
    "NUMERIC": _decimals(9),
    "BIGNUMERIC": _decimals(38),
    "BOOLEAN": st.booleans(),
    "STRING": st.text(max_size=5),
    "BYTES": st.binary(max_size=5),
}


def convert(column_type: str, dtype: str, value: Any) -> Any:
    """The exact value that the tensor must hold, or REJECTED."""
    if column_type == "STRING":
        return value.encode()
    if column_type == "BYTES":
        return value
    if dtype in _FORMATS:
        return _to_float(value, dtype)
    if dtype == "bool":
        return bool(value) if value in (0, 1) else REJECTED
    return _to_int(value, dtype)


def _to_int(value: Any, dtype: str) -> Any:
    if not math.isfinite(value) or Fraction(value).denominator != 1:
        return REJECTED
    bits = int(dtype.removeprefix("u").removeprefix("int"))
    low, high = (0, 2**bits) if dtype.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    return int(value) if low <= int(value) < high else REJECTED


def _to_float(value: Any, dtype: str) -> Any:
    if not math.isfinite(value):
        return value
    # To bfloat16 by way of float32, as tf.cast does, and from decimals to float16 by way of
    # float64, as CAST(x AS FLOAT64) would.
    way = ("float32",) if dtype == "bfloat16" else ("float64",) if dtype == "float16" else ()
    for step in (*way, dtype):
        value = _rounded(value, *_FORMATS[step])
        if value is REJECTED:
            return REJECTED
    return value


def _rounded(value: Any, bits: int, low: int, high: int) -> Any:
    """The nearest number of a binary floating-point format, ties to even."""
    exact = Fraction(value)
    if not exact:
        return float(value)
    exponent = exact.numerator.bit_length() - exact.denominator.bit_length()
    if abs(exact) < Fraction(2) ** exponent:
        exponent -= 1
    quantum = Fraction(2) ** (max(exponent, low) - bits + 1)
    rounded = round(exact / quantum) * quantum
    if abs(rounded) >= Fraction(2) ** (high + 1):
        return REJECTED
    return math.copysign(float(rounded), value)


def as_python(values: np.ndarray[Any, Any]) -> list[Any]:
    """The array's elements as Python values, none of them changed."""
    return (values.astype(np.float64) if values.dtype.name == "bfloat16" else values).tolist()


def describe(value: Any) -> Any:
    """Tells NaN from NaN's absence, 0.0 from -0.0, and 1 from 1.0 and True, under `==`."""
    if isinstance(value, list):
        return [describe(v) for v in value]
    return repr(value)

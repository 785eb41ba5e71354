"""Which column types feed which tensor dtypes, and the element-wise conversion.

The one table of conversions: the plan asks it whether a column can feed an input, the feed
uses it on values, the README prints it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Values = npt.NDArray[Any]
Faulty = npt.NDArray[np.bool_]

INT_DTYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOAT_DTYPES = ("float16", "bfloat16", "float32", "float64")

# A decimal without a fraction as Arrow writes it; a zero may have an exponent.
_WHOLE_DECIMAL = r"^(-?[0-9]+(\.0*)?|0E-[0-9]+)$"


@dataclass(frozen=True)
class Conversion:
    """How elements of one column type become elements of one family of dtypes.

    `convert` takes an Arrow array without NULLs and a numpy dtype, and returns the
    converted values and a mask of the elements that would lose information (None when
    there are none); the values under the mask are meaningless.
    """

    column_type: str
    dtypes: tuple[str, ...]
    rule: str
    convert: Callable[[pa.Array, np.dtype[Any]], tuple[Values, Faulty | None]]


def find_conversion(column_type: str, dtype: str) -> Conversion | None:
    """The conversion from a BigQuery type (REST name) to a tensor dtype, if there is one."""
    return _BY_PAIR.get((column_type, dtype))


def empty_value(kind: pa.DataType) -> Any:
    """0, false or the empty text, as a value of an Arrow type that feeds inputs."""
    if pa.types.is_decimal(kind):
        return Decimal(0)
    if pa.types.is_floating(kind):
        return 0.0
    if pa.types.is_boolean(kind):
        return False
    return b"" if pa.types.is_binary(kind) else "" if pa.types.is_string(kind) else 0


def shown(value: Any) -> str:
    """A column's value in a message."""
    if not isinstance(value, Decimal):
        return repr(value)
    digits = f"{value:f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def numpy_dtype(dtype: str) -> np.dtype[Any]:
    """The numpy dtype that TensorFlow uses for `dtype`; strings are object arrays of bytes."""
    if dtype == "string":
        return np.dtype(object)
    if dtype == "bfloat16":
        import ml_dtypes

        dtype_bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return dtype_bfloat16
    return np.dtype(dtype)


def _integers_to_int(array: pa.Array, dtype: np.dtype[Any]) -> tuple[Values, Faulty | None]:
    values = array.to_numpy(zero_copy_only=True)
    if dtype == values.dtype:
        return values, None
    bounds = np.iinfo(dtype)
    # uint64 reaches beyond int64, where only the lower bound can be missed.
    high = min(int(bounds.max), np.iinfo(np.int64).max)
    faulty = (values < max(int(bounds.min), np.iinfo(np.int64).min)) | (values > high)
    return values.astype(dtype), _some(faulty)


def _floats_to_int(array: pa.Array, dtype: np.dtype[Any]) -> tuple[Values, Faulty | None]:
    values = array.to_numpy(zero_copy_only=True)
    bounds = np.iinfo(dtype)
    # Both bounds are powers of two and therefore exact, unlike float(2**63 - 1).
    fits = (values >= float(bounds.min)) & (values < float(int(bounds.max) + 1))
    faulty = ~(fits & (np.trunc(values) == values))
    with np.errstate(invalid="ignore"):
        return values.astype(dtype), _some(faulty)


def _numbers_to_float(array: pa.Array, dtype: np.dtype[Any]) -> tuple[Values, Faulty | None]:
    values = array.to_numpy(zero_copy_only=True)
    if dtype == values.dtype:
        return values, None
    with np.errstate(over="ignore"):
        converted = values.astype(dtype)
    # One cheap pass; only a batch that holds an infinity pays for finding out whose it is.
    if np.isfinite(converted).all():
        return converted, None
    return converted, _some(np.isinf(converted) & np.isfinite(values))


def _decimals_to_int(array: pa.Array, dtype: np.dtype[Any]) -> tuple[Values, Faulty | None]:
    # By way of text: Arrow's arithmetic with decimals of 256 bits is not exact.
    bounds = np.iinfo(dtype)
    low, high = (pa.scalar(Decimal(int(b)), array.type) for b in (bounds.min, bounds.max))
    fits = pc.and_(pc.greater_equal(array, low), pc.less_equal(array, high))
    texts = array.cast(pa.string())
    good = pc.and_(fits, pc.match_substring_regex(texts, _WHOLE_DECIMAL))
    digits = pc.replace_substring_regex(texts, r"(\.|E).*", "")
    values = pc.if_else(good, digits, "0").cast(pa.from_numpy_dtype(dtype))
    faulty = ~good.to_numpy(zero_copy_only=False)
    return values.to_numpy(), _some(faulty)


def _decimals_to_float(array: pa.Array, dtype: np.dtype[Any]) -> tuple[Values, Faulty | None]:
    # By way of text, which Arrow reads as the nearest float; its cast from a decimal is not it.
    wide = dtype in (np.float16, np.float64)
    parsed = array.cast(pa.string()).cast(pa.float64() if wide else pa.float32())
    with np.errstate(over="ignore"):
        values = parsed.to_numpy().astype(dtype, copy=False)
    return values, _some(np.isinf(values))


def _integers_to_bool(array: pa.Array, dtype: np.dtype[Any]) -> tuple[Values, Faulty | None]:
    values = array.to_numpy(zero_copy_only=True)
    return values.astype(dtype), _some((values != 0) & (values != 1))


def _booleans(array: pa.Array, dtype: np.dtype[Any]) -> tuple[Values, Faulty | None]:
    return array.to_numpy(zero_copy_only=False).astype(dtype), None


def _texts(array: pa.Array, dtype: np.dtype[Any]) -> tuple[Values, Faulty | None]:
    # As bytes: TensorFlow would encode every str again.
    return array.cast(pa.binary()).to_numpy(zero_copy_only=False), None


def _some(faulty: Faulty) -> Faulty | None:
    return faulty if faulty.any() else None


_NEAREST = "rounded to the nearest float; must be in range"
_WHOLE = "must be whole and fit the dtype"

CONVERSIONS: tuple[Conversion, ...] = (
    Conversion("INTEGER", INT_DTYPES, "must fit the dtype", _integers_to_int),
    Conversion("INTEGER", FLOAT_DTYPES, _NEAREST, _numbers_to_float),
    Conversion("INTEGER", ("bool",), "must be 0 or 1", _integers_to_bool),
    Conversion("FLOAT", FLOAT_DTYPES, _NEAREST, _numbers_to_float),
    Conversion("FLOAT", INT_DTYPES, _WHOLE, _floats_to_int),
    Conversion("NUMERIC", FLOAT_DTYPES, _NEAREST, _decimals_to_float),
    Conversion("NUMERIC", INT_DTYPES, _WHOLE, _decimals_to_int),
    Conversion("BIGNUMERIC", FLOAT_DTYPES, _NEAREST, _decimals_to_float),
    Conversion("BIGNUMERIC", INT_DTYPES, _WHOLE, _decimals_to_int),
    Conversion("BOOLEAN", ("bool",), "as it is", _booleans),
    Conversion("BOOLEAN", INT_DTYPES + FLOAT_DTYPES, "false is 0, true is 1", _booleans),
    Conversion("STRING", ("string",), "its UTF-8 bytes", _texts),
    Conversion("BYTES", ("string",), "as they are", _texts),
)

_BY_PAIR = {(c.column_type, dtype): c for c in CONVERSIONS for dtype in c.dtypes}

# What to write into --input_query for a type that feeds nothing by itself.
REFUSAL_HINTS = {
    "NUMERIC": "CAST({column} AS STRING)",
    "BIGNUMERIC": "CAST({column} AS STRING)",
    "DATE": "UNIX_DATE({column})",
    "TIMESTAMP": "UNIX_MICROS({column})",
    "DATETIME": "UNIX_MICROS(TIMESTAMP({column}))",
    "TIME": "TIME_DIFF({column}, TIME '00:00:00', MICROSECOND)",
    "JSON": "JSON_VALUE({column})",
    "GEOGRAPHY": "ST_ASTEXT({column})",
    "STRING": "SAFE_CAST({column} AS FLOAT64)",
    "BYTES": "SAFE_CONVERT_BYTES_TO_STRING({column})",
    "INTEGER": "CAST({column} AS STRING)",
    "FLOAT": "CAST({column} AS STRING)",
    "BOOLEAN": "CAST({column} AS STRING)",
}

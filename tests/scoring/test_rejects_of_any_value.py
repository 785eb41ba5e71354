"""A reject can be written whatever the row holds: no value, however odd or long, is in its way."""

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from scoring.rejects import FEED, Fault, RejectSchema, reject_batch
from scoring.schema import Field

_NOW = datetime(2024, 5, 1, tzinfo=UTC)


def _reject(value: Any, kind: pa.DataType, message: str = "m") -> dict[str, Any]:
    batch = pa.RecordBatch.from_arrays([pa.array([value], kind)], names=["x"])
    schema = RejectSchema((Field("x", "STRING"),), ("x",))
    rejects = reject_batch(
        batch,
        [Fault(0, FEED, "CODE", message)],
        schema,
        run_id="r",
        model_digest="d",
        now=lambda: _NOW,
    )
    rejects.validate(full=True)
    (row,) = rejects.to_pylist()
    return row | {"row": json.loads(row["row"])}


_VALUES = [
    (None, pa.string()),
    ("", pa.string()),
    ("a\x00b\ud7ff\U0001f600", pa.string()),
    (b"\xff\x00", pa.binary()),
    (float("nan"), pa.float64()),
    (float("-inf"), pa.float64()),
    (-(2**63), pa.int64()),
    (date(1, 1, 1), pa.date32()),
    (date(9999, 12, 31), pa.date32()),
    (datetime(1, 1, 1, tzinfo=UTC), pa.timestamp("us", tz="UTC")),
    (datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), pa.timestamp("us", tz="UTC")),
    (datetime(9999, 12, 31, 23, 59, 59, 999999), pa.timestamp("us")),
    (time(23, 59, 59, 999999), pa.time64("us")),
    (Decimal("99999999999999999999999999999.999999999"), pa.decimal128(38, 9)),
    (Decimal(10) ** 37, pa.decimal256(76, 38)),
    ([], pa.list_(pa.int64())),
    (
        {"a": None, "b": [{"c": b"x"}]},
        pa.struct({"a": pa.int8(), "b": pa.list_(pa.struct({"c": pa.binary()}))}),
    ),
]


@pytest.mark.parametrize(("value", "kind"), _VALUES, ids=str)
def test_any_value_makes_a_reject_with_its_key(value: Any, kind: pa.DataType) -> None:
    row = _reject(value, kind)
    assert list(row["row"]) == ["x"]
    key = row["key"]["x"]
    assert key == value or (key != key and value != value)


@pytest.mark.parametrize("message", ["\udcff raw byte", "\ud800", "\x00", "x" * 10**6])
def test_any_message_is_text(message: str) -> None:
    text = _reject(1, pa.int64(), message)["message"]
    assert len(text.encode()) <= 1002
    assert text


def _nested(depth: int, width: int) -> tuple[Any, pa.DataType]:
    value: Any = "t" * 10_000
    kind: pa.DataType = pa.string()
    for _ in range(depth):
        value, kind = [{"f": value}] * width, pa.list_(pa.struct({"f": kind}))
    return value, kind


@pytest.mark.parametrize(("depth", "width"), [(0, 1), (1, 1000), (3, 20), (5, 6), (15, 1)])
def test_the_row_is_cut_to_a_bounded_text(depth: int, width: int) -> None:
    row = _reject(*_nested(depth, width))
    assert len(json.dumps(row["row"])) < 100_000


def test_long_keys_are_whole() -> None:
    assert _reject("k" * 10**6, pa.string())["key"]["x"] == "k" * 10**6

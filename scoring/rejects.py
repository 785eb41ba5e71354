"""Rejects: the rows that were not scored, with the reason, as rows of a table of their own."""

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from scoring.schema import Field

# Stages, in the order in which a row meets them.
FEED = "feed"
CALL = "call"
OUTPUTS = "outputs"

# What each code means to a reader of the rejects table; the README's error table prints it.
REJECT_CODES = {
    "NULL_VALUE": "a fed column is NULL",
    "NULL_ELEMENT": "an element of a fed ARRAY is NULL",
    "WRONG_LENGTH": "a fed ARRAY has another length than the model's input",
    "OUT_OF_RANGE": "a value does not fit the input's dtype without loss",
    "URI_NOT_VALID": "a fed URI is not of the form `gs://bucket/object`; others are not fetched",
    "OBJECT_NOT_FOUND": "there is no object at a fed URI",
    "OBJECT_UNREADABLE": "the object at a fed URI may not be read, by permissions say",
    "OBJECT_TOO_LARGE": "the object at a fed URI has more than 64 MiB",
    "NOT_AN_IMAGE": "a fed image is none of JPEG, PNG, GIF, WebP, BMP",
    "IMAGE_TRUNCATED": "a fed image is cut short or damaged",
    "IMAGE_TOO_LARGE": "a fed image has more pixels than are decoded",
    "CALL_FAILED": "the model raised an error for this row alone",
    "OUT_OF_MEMORY": "the model ran out of memory for this row alone",
    "OUTPUT_ROWS": "the model returned another number of rows than it was given",
    "OUTPUT_OUT_OF_RANGE": "an output value does not fit INT64",
    "OUTPUT_NOT_FINITE": "an output is NaN or infinite, and --on_non_finite is reject",
    "OUTPUT_NOT_UTF8": "a string output is not UTF-8, as a STRING column must be",
}

# A reject is for reading: enough of a value to recognise it, never a whole document.
_MAX_TEXT_CHARS = 200
_MAX_ELEMENTS = 20
_MAX_MESSAGE_CHARS = 1000


@dataclass(frozen=True)
class Fault:
    """Why row `row` of a batch cannot be scored."""

    row: int
    stage: str
    code: str
    message: str


@dataclass(frozen=True)
class RejectSchema:
    """The shape of a rejects table: what identifies a row and which columns were fed.

    Attributes:
      key: the key columns; the table has a STRUCT column `key` of them if there are any.
      fed: names of the columns whose values go into the JSON column `row`.
    """

    key: tuple[Field, ...]
    fed: tuple[str, ...]

    @property
    def fields(self) -> tuple[Field, ...]:
        """The columns of the rejects table."""
        return (
            Field("run_id", "STRING"),
            Field("model_digest", "STRING"),
            *((Field("key", "RECORD", fields=self.key),) if self.key else ()),
            Field("stage", "STRING"),
            Field("code", "STRING"),
            Field("message", "STRING"),
            Field("row", "STRING"),
            Field("at", "TIMESTAMP"),
        )


def reject_batch(
    batch: pa.RecordBatch,
    faults: Sequence[Fault],
    schema: RejectSchema,
    *,
    run_id: str,
    model_digest: str,
    now: Callable[[], datetime],
) -> pa.RecordBatch:
    """Rows of the rejects table for the faults of one input batch.

    Args:
      batch: the input rows, with at least the key columns and the fed columns.
      faults: at most one for each row, `row` being its position in `batch`.
      now: clock, for the column `at`.
    """
    rows = batch.take(pa.array([f.row for f in faults], type=pa.int64()))
    n = len(faults)
    columns: dict[str, pa.Array] = {
        "run_id": pa.repeat(run_id, n),
        "model_digest": pa.repeat(model_digest, n),
        "stage": pa.array([f.stage for f in faults], pa.string()),
        "code": pa.array([f.code for f in faults], pa.string()),
        "message": pa.array([_message(f.message) for f in faults], pa.string()),
        "row": pa.array(_row_texts(rows.select(schema.fed)), pa.string()),
        "at": pa.array([now()] * n, pa.timestamp("us", tz="UTC")),
    }
    if schema.key:
        columns["key"] = pa.StructArray.from_arrays(
            [rows[f.name] for f in schema.key],
            # As they were read: another reader may name or order nested types differently.
            fields=[rows.schema.field(f.name) for f in schema.key],
        )
    return pa.RecordBatch.from_pydict({f.name: columns[f.name] for f in schema.fields})


def _message(text: str) -> str:
    # What a library says may quote bytes that are no text; a STRING must be UTF-8 all the same.
    return _cut(text.encode(errors="replace").decode(), _MAX_MESSAGE_CHARS)


def _row_texts(rows: pa.RecordBatch) -> Iterable[str]:
    for row in rows.to_pylist():
        yield json.dumps({k: _readable(v) for k, v in row.items()}, ensure_ascii=False)


def _readable(value: Any, max_elements: int = _MAX_ELEMENTS) -> Any:
    """The value as JSON can hold it, cut to a length for reading; ARRAYs within ARRAYs the more."""
    match value:
        case None | bool() | int():
            return value
        case float():
            # NaN and the infinities have no JSON form.
            return value if value - value == 0 else str(value)
        case str():
            return _cut(value, _MAX_TEXT_CHARS)
        case bytes():
            return _cut(base64.b64encode(value[:_MAX_TEXT_CHARS]).decode(), _MAX_TEXT_CHARS)
        case list():
            shown = [_readable(v, max(1, max_elements // 4)) for v in value[:max_elements]]
            rest = len(value) - len(shown)
            return [*shown, f"… {rest} more"] if rest > 0 else shown
        case dict():
            return {k: _readable(v, max_elements) for k, v in value.items()}
        case _:
            return str(value)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"

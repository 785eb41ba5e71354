"""How a table is partitioned and clustered, and which rows a partition has.

The real service: "Introduction to partitioned tables", "Managing partitioned table data" (formats
of partition decorators) and "REST Resource: tables" (TimePartitioning, RangePartitioning).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bqemulator.domain.errors import UnsupportedFeatureError, ValidationError

from pipeline.local.service.schema import Field, is_repeated, quoted, rest_type

LAYOUT = ("timePartitioning", "rangePartitioning", "clustering")
"""The parts of a table's or a job's resource that say how the table is laid out."""

NULLS = "__NULL__"
OUTSIDE = "__UNPARTITIONED__"

_UNITS = {"HOUR": "%Y%m%d%H", "DAY": "%Y%m%d", "MONTH": "%Y%m", "YEAR": "%Y"}
_SPELLED_UNITS = {"HOUR": "YYYYMMDDHH", "DAY": "YYYYMMDD", "MONTH": "YYYYMM", "YEAR": "YYYY"}
_LITERALS = {
    "DATE": "DATE '{:%Y-%m-%d}'",
    "DATETIME": "TIMESTAMP '{:%Y-%m-%d %H:%M:%S}'",
    "TIMESTAMP": "TIMESTAMPTZ '{:%Y-%m-%d %H:%M:%S}+00'",
}
_UNCLUSTERABLE = frozenset(
    {"FLOAT", "BYTES", "TIME", "JSON", "RECORD", "INTERVAL"}
)  # "Create clustered tables", limitations: the other types can cluster
_MAX_CLUSTERING_COLUMNS = 4


@dataclass(frozen=True)
class TimeUnit:
    """Partitions of an hour, a day, a month or a year of a column of REST type `kind`."""

    unit: str
    column: str
    kind: str

    def condition(self, partition: str) -> str:
        """SQL that is true for the rows of the partition.

        Raises:
            ValidationError: no partition of such a table has this id.
        """
        name = quoted(self.column)
        if partition == NULLS:
            return f"{name} IS NULL"
        start = _LITERALS[self.kind].format(self._start(partition))
        return f"date_trunc('{self.unit}', {name}) = {start}"

    def id_sql(self) -> str:
        """SQL for the id of a row's partition."""
        return f"coalesce(strftime({quoted(self.column)}, '{_UNITS[self.unit]}'), '{NULLS}')"

    def _start(self, partition: str) -> datetime:
        spelling = _SPELLED_UNITS[self.unit]
        if re.fullmatch(f"[0-9]{{{len(spelling)}}}", partition):
            try:
                return datetime.strptime(partition, _UNITS[self.unit]).replace(tzinfo=UTC)
            except ValueError:
                pass  # digits that are no date, as of the 30th of February
        raise ValidationError(
            f"Invalid partition id {partition!r}: the table is partitioned by {self.unit}, "
            f"expected {spelling} or {NULLS}"
        )

    def __str__(self) -> str:
        return f"interval(type:{self.unit.lower()},field:{self.column})"


@dataclass(frozen=True)
class IngestionTime:
    """Partitions by the time of a row's arrival, which the embedded service does not keep."""

    unit: str

    def condition(self, partition: str) -> str:
        """
        Raises:
            UnsupportedFeatureError: always.
        """
        raise UnsupportedFeatureError(
            f"partition {partition}: the embedded BigQuery does not keep when a row arrived, so it "
            "has no partitions by ingestion time; partition the table by a column"
        )

    def id_sql(self) -> str:
        """SQL for the id of a row's partition: of a row that has none yet."""
        return f"'{OUTSIDE}'"

    def __str__(self) -> str:
        return f"interval(type:{self.unit.lower()})"


@dataclass(frozen=True)
class IntegerRange:
    """Partitions of `interval` integers each, from `start` to before `end`."""

    column: str
    start: int
    end: int
    interval: int

    def condition(self, partition: str) -> str:
        """SQL that is true for the rows of the partition.

        Raises:
            ValidationError: no partition of such a table has this id.
        """
        name = quoted(self.column)
        if partition == NULLS:
            return f"{name} IS NULL"
        if partition == OUTSIDE:
            return f"({name} < {self.start} OR {name} >= {self.end})"
        if re.fullmatch("-?[0-9]{1,19}", partition):
            first = int(partition)
            if self.start <= first < self.end and (first - self.start) % self.interval == 0:
                last = min(first + self.interval, self.end)
                return f"({name} >= {first} AND {name} < {last})"
        raise ValidationError(
            f"Invalid partition id {partition!r}: expected the start of a range, "
            f"{self.start} plus a multiple of {self.interval} below {self.end}, "
            f"or {NULLS} or {OUTSIDE}"
        )

    def id_sql(self) -> str:
        """SQL for the id of a row's partition."""
        name = quoted(self.column)
        first = f"{name} - ({name} - {self.start}) % {self.interval}"
        return (
            f"CASE WHEN {name} IS NULL THEN '{NULLS}' "
            f"WHEN {name} < {self.start} OR {name} >= {self.end} THEN '{OUTSIDE}' "
            f"ELSE CAST({first} AS VARCHAR) END"
        )

    def __str__(self) -> str:
        return (
            f"range(field:{self.column},start:{self.start},end:{self.end},interval:{self.interval})"
        )


Partitioning = TimeUnit | IngestionTime | IntegerRange


def partitioning(resource: Mapping[str, Any], fields: Sequence[Field]) -> Partitioning | None:
    """How a table of these columns is partitioned; `resource` has its LAYOUT parts.

    Raises:
        ValidationError: the columns do not allow it.
    """
    by_time, by_range = resource.get("timePartitioning"), resource.get("rangePartitioning")
    if by_time and by_range:
        raise ValidationError("Only one of timePartitioning and rangePartitioning may be given")
    if by_range:
        return _integer_range(by_range, fields)
    if not by_time:
        return None
    unit = str(by_time.get("type") or "").upper()
    if unit not in _UNITS:
        raise ValidationError(f"Invalid partitioning type {unit!r}: expected {', '.join(_UNITS)}")
    if not by_time.get("field"):
        return IngestionTime(unit)
    column = _column(fields, by_time["field"], "partitioning")
    kind = rest_type(column["type"])
    if kind not in _LITERALS or is_repeated(column) or (unit, kind) == ("HOUR", "DATE"):
        raise ValidationError(
            f"The field {column['name']} of type {kind} cannot be used for {unit} partitioning: "
            "expected DATE (except by HOUR), TIMESTAMP or DATETIME"
        )
    return TimeUnit(unit, column["name"], kind)


def _integer_range(given: Mapping[str, Any], fields: Sequence[Field]) -> IntegerRange:
    column = _column(fields, given.get("field") or "", "partitioning")
    if rest_type(column["type"]) != "INTEGER" or is_repeated(column):
        raise ValidationError(
            f"The field {column['name']} cannot be used for range partitioning: expected INTEGER"
        )
    bounds = given.get("range") or {}
    try:
        start, end, interval = (int(bounds[name]) for name in ("start", "end", "interval"))
    except (KeyError, ValueError) as error:
        raise ValidationError(
            f"Invalid range {dict(bounds)}: expected the integers start, end and interval"
        ) from error
    if start >= end or interval <= 0:
        raise ValidationError(
            f"Invalid range {dict(bounds)}: expected start below end and interval above 0"
        )
    return IntegerRange(column["name"], start, end, interval)


def check_layout(resource: Mapping[str, Any], fields: Sequence[Field]) -> None:
    """
    Raises:
        ValidationError: a table of these columns cannot have this layout.
    """
    partitioning(resource, fields)
    clustered = clustering(resource)
    if len(clustered) > _MAX_CLUSTERING_COLUMNS:
        raise ValidationError(
            f"Too many clustering fields: {len(clustered)}, at most {_MAX_CLUSTERING_COLUMNS}"
        )
    for name in clustered:
        column = _column(fields, name, "clustering")
        kind = rest_type(column["type"])
        if kind in _UNCLUSTERABLE or is_repeated(column):
            raise ValidationError(f"The field {name} of type {kind} cannot be used for clustering")


def clustering(resource: Mapping[str, Any]) -> list[str]:
    """The columns that a table is clustered by."""
    return list((resource.get("clustering") or {}).get("fields") or [])


def specification(resource: Mapping[str, Any], fields: Sequence[Field]) -> str:
    """The layout as BigQuery's messages spell it; equal layouts are spelled equally."""
    clustered = clustering(resource)
    suffix = f" clustering({','.join(clustered)})" if clustered else ""
    return f"{partitioning(resource, fields) or 'none'}{suffix}".lower()


def _column(fields: Sequence[Field], name: str, purpose: str) -> Field:
    for field in fields:
        if field["name"].lower() == name.lower():
            return field
    raise ValidationError(
        f"The field specified for {purpose} cannot be found in the schema. Invalid field: {name}"
    )

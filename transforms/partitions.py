"""Partitions of a table: their ids, and the SQL condition that their rows meet.

Source: "Managing partitioned table data", "Partition decorators", in BigQuery's documentation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from scoring.schema import Field

_ID_FORMATS = {"HOUR": "%Y%m%d%H", "DAY": "%Y%m%d", "MONTH": "%Y%m", "YEAR": "%Y"}
_ID_SPELLINGS = {"HOUR": "YYYYMMDDHH", "DAY": "YYYYMMDD", "MONTH": "YYYYMM", "YEAR": "YYYY"}


@dataclass(frozen=True)
class TimePartitioning:
    """Partitions of an hour, a day, a month or a year of a column, in UTC."""

    column: Field
    unit: str

    def condition(self, partition: str) -> str:
        """SQL that is true for the rows of a partition, and lets BigQuery read no other.

        Raises:
          ValueError: no partition has this id; the message says how one is spelled.
        """
        start = self._start(partition)
        name, kind = f"`{self.column.name}`", self.column.type
        condition = f"{name} >= {_literal(kind, start)}"
        end = _next(start, self.unit)
        return f"{condition} AND {name} < {_literal(kind, end)}" if end else condition

    def _start(self, partition: str) -> datetime:
        spelling = _ID_SPELLINGS[self.unit]
        try:
            if len(partition) == len(spelling):
                start = datetime.strptime(partition, _ID_FORMATS[self.unit])
                return start.replace(tzinfo=UTC)
        except ValueError as e:
            raise ValueError(f"expected a date as {spelling}") from e
        raise ValueError(f"expected {spelling}")

    def __str__(self) -> str:
        return f"{self.unit} of column {self.column.name}"


@dataclass(frozen=True)
class RangePartitioning:
    """Partitions of `interval` integers each, from `start` to before `end`."""

    column: Field
    start: int
    end: int
    interval: int

    def condition(self, partition: str) -> str:
        """As for TimePartitioning."""
        try:
            first = int(partition)
        except ValueError as e:
            raise ValueError("expected an integer") from e
        if not (self.start <= first < self.end and (first - self.start) % self.interval == 0):
            raise ValueError(
                f"expected the start of a range, {self.start} plus a multiple of {self.interval} "
                f"below {self.end}"
            )
        name = f"`{self.column.name}`"
        return f"{name} >= {first} AND {name} < {min(first + self.interval, self.end)}"

    def __str__(self) -> str:
        return f"ranges of {self.interval} of column {self.column.name}"


Partitioning = TimePartitioning | RangePartitioning


def partitioning(layout: Mapping[str, Any], fields: Sequence[Field]) -> Partitioning | None:
    """How a table is divided by one of its columns.

    Args:
      layout: `timePartitioning` or `rangePartitioning` as in the REST API.
      fields: the table's columns.

    Returns:
      None for a table that is not partitioned, or is by the time at which a row arrived.
    """
    by_name = {f.name.lower(): f for f in fields}
    by_time, by_range = layout.get("timePartitioning"), layout.get("rangePartitioning")
    if by_range:
        bounds = (int(by_range["range"][part]) for part in ("start", "end", "interval"))
        return RangePartitioning(by_name[by_range["field"].lower()], *bounds)
    if by_time and by_time.get("field"):
        return TimePartitioning(by_name[by_time["field"].lower()], by_time["type"].upper())
    return None


def _literal(kind: str, moment: datetime) -> str:
    """The moment as GoogleSQL writes it in the type `kind` of a partitioning column."""
    if kind == "DATE":
        return f"DATE '{moment.date()}'"
    if kind == "DATETIME":
        return f"DATETIME '{moment.replace(tzinfo=None)}'"
    return f"TIMESTAMP '{moment}'"


def _next(start: datetime, unit: str) -> datetime | None:
    """The start of the next partition, None after the last that there can be."""
    try:
        match unit:
            case "YEAR":
                return start.replace(year=start.year + 1)
            case "MONTH":
                return (start.replace(day=1) + timedelta(days=31)).replace(day=1)
            case "DAY":
                return start + timedelta(days=1)
            case _:
                return start + timedelta(hours=1)
    except (ValueError, OverflowError):
        return None

"""Copy jobs: tables or partitions, all sources or none.

bqemulator copies the first of several sources only and knows no partitions. What the real service
does: "Managing tables", "Copying multiple source tables"; "Managing partitioned tables", "Copy a
partitioned table" and "Copy partitions"; JobConfigurationTableCopy in "REST Resource: jobs".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bqemulator.api.dependencies import AppContext
from bqemulator.domain.errors import ValidationError

from pipeline.local.service.destinations import Destination, open_destination, transaction
from pipeline.local.service.layouts import partitioning, specification
from pipeline.local.service.schema import Field, duckdb_columns, quoted
from pipeline.local.service.tables import (
    TableName,
    count_rows,
    fields_of,
    layout_of,
    require_table,
    rows_of,
    table_name,
)

_PLAIN = (None, "COPY", "OPERATION_TYPE_UNSPECIFIED")


@dataclass(frozen=True)
class _Source:
    """A table, or one partition of it. `rows` is what follows FROM."""

    name: TableName
    fields: list[Field]
    layout: dict[str, Any]
    rows: str

    def specification(self) -> str:
        return specification(self.layout, self.fields)

    def is_partitioned(self) -> bool:
        return partitioning(self.layout, self.fields) is not None


def is_plain_copy(configuration: dict[str, Any]) -> bool:
    """False for a copy job that makes or restores a snapshot or a clone."""
    return (configuration.get("copy") or {}).get("operationType") in _PLAIN


def execute_copy(context: AppContext, project: str, copy: dict[str, Any]) -> dict[str, Any]:
    """Runs a copy job under the engine's write lock and returns its statistics.

    Raises:
        DomainError: the job fails; the destination is as it was.
    """
    references = copy.get("sourceTables") or [copy.get("sourceTable") or {}]
    sources = [_source(context, table_name(reference, project)) for reference in references]
    destination = open_destination(context, copy, project, "WRITE_EMPTY")
    if destination.old is None:
        given = {**sources[0].layout, **destination.properties}
        destination = replace(destination, properties=given)
    _check_layouts(destination, sources)
    fields = destination.kept or sources[0].fields
    for source in sources:
        _check_same(destination.name, fields, source)
    connection = context.engine.connection
    rows = sum(count_rows(connection, source.rows) for source in sources)
    names = ", ".join(quoted(field["name"]) for field in fields)
    selects = " UNION ALL ".join(f"SELECT {names} FROM {source.rows}" for source in sources)
    with transaction(connection, f"Copying to {destination.name}"):
        if destination.name.whole() in [source.name.whole() for source in sources]:
            # The rows to copy must outlive those that the destination loses first.
            connection.execute(f"CREATE OR REPLACE TEMP TABLE copied AS {selects}")
            selects = f"SELECT {names} FROM copied"
        destination.prepare(connection, fields)
        destination.insert(connection, fields, f"({names}) {selects}")
        connection.execute("DROP TABLE IF EXISTS temp.copied")
    destination.register(context, connection, fields)
    return {"copy": {"copiedRows": str(rows)}}


def _source(context: AppContext, name: TableName) -> _Source:
    table = require_table(context, name)
    return _Source(name, fields_of(table), layout_of(table), rows_of(context, name))


def _check_layouts(destination: Destination, sources: Sequence[_Source]) -> None:
    """The layouts of all sources and of the destination are the same.

    "To copy a partitioned table into another partitioned table, the partition specifications for
    the source and destination tables must match"; "the source tables can't contain a mixture of
    partitioned and non-partitioned tables".
    """
    old = destination.old
    fields = fields_of(old) if old is not None else sources[0].fields
    expected = specification(destination.layout, fields)
    for source in sources:
        if source.specification() == expected:
            _check_partition(destination.name, source)
        elif partitioning(destination.layout, fields) is not None and not source.is_partitioned():
            raise ValidationError(
                "Failed to copy Non partitioned table to Column partitioned table: not supported. "
                f"({source.name} to {destination.name}, which is {expected})"
            )
        else:
            raise ValidationError(
                "Incompatible table partitioning specification when copying to the column "
                f"partitioned table: {source.name} is {source.specification()}, "
                f"{destination.name} is {expected}"
            )


def _check_partition(destination: TableName, source: _Source) -> None:
    if destination.partition is None or not source.is_partitioned():
        return
    if source.name.partition is None:
        raise ValidationError(
            f"Cannot copy the partitioned table {source.name} into one partition, {destination}: "
            "name the partition of the source"
        )


def _check_same(destination: TableName, fields: Sequence[Field], source: _Source) -> None:
    """Columns of the same names and types, in any order."""
    if sorted(duckdb_columns(fields)) != sorted(duckdb_columns(source.fields)):
        raise ValidationError(
            f"Provided Schema does not match Table {destination}: {source.name} has other columns"
        )

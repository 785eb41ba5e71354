"""Names of tables, and what the catalog knows of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb
from bqemulator.api.dependencies import AppContext
from bqemulator.api.routes import tables as routes
from bqemulator.catalog.models import TableMeta
from bqemulator.domain.errors import NotFoundError, ValidationError
from bqemulator.storage.sql_identifiers import quoted_table_ref

from pipeline.local.service.layouts import LAYOUT, partitioning
from pipeline.local.service.schema import Field


@dataclass(frozen=True)
class TableName:
    """A table's full name; `partition` is what a partition decorator names ("table$20240229").

    Decorators: "REST Resource: tables", TableReference.tableId.
    """

    project: str
    dataset: str
    table: str
    partition: str | None = None

    def __str__(self) -> str:
        """As BigQuery's messages spell it."""
        decorator = "" if self.partition is None else f"${self.partition}"
        return f"{self.project}:{self.dataset}.{self.table}{decorator}"

    def sql(self) -> str:
        """The table that holds the rows, those of other partitions too, for DuckDB.

        Raises:
            ValidationError: a part of the name is not a valid id.
        """
        return quoted_table_ref(self.project, self.dataset, self.table)

    def whole(self) -> TableName:
        """The table without the decorator."""
        return replace(self, partition=None)


def table_name(reference: dict[str, Any], project: str) -> TableName:
    """The name in REST's TableReference; `project` where it names none."""
    table, separator, partition = str(reference.get("tableId", "")).partition("$")
    return TableName(
        reference.get("projectId") or project,
        reference.get("datasetId", ""),
        table,
        partition if separator else None,
    )


def find_table(context: AppContext, name: TableName) -> TableMeta | None:
    """The catalog's entry of a table, None when there is no such table."""
    return context.catalog.get_table(name.project, name.dataset, name.table)


def require_table(context: AppContext, name: TableName) -> TableMeta:
    """The catalog's entry of a table.

    Raises:
        NotFoundError: there is no such table.
    """
    found = find_table(context, name)
    if found is None:
        raise NotFoundError(f"Not found: Table {name}")
    return found


def require_dataset(context: AppContext, name: TableName) -> None:
    """
    Raises:
        NotFoundError: there is no such dataset.
    """
    if context.catalog.get_dataset(name.project, name.dataset) is None:
        raise NotFoundError(f"Not found: Dataset {name.project}:{name.dataset}")


def fields_of(table: TableMeta) -> list[Field]:
    """The table's columns as REST spells them."""
    return [routes._field_to_rest(field) for field in table.schema_.fields]


def layout_of(table: TableMeta) -> dict[str, Any]:
    """The table's partitioning and clustering as REST spells them."""
    resource = routes._table_to_rest(table)
    return {key: resource[key] for key in LAYOUT if key in resource}


def rows_of(context: AppContext, name: TableName) -> str:
    """What follows FROM in SQL that reads the rows of the table, or of its partition.

    Raises:
        NotFoundError: there is no such table.
        ValidationError: it has no such partition.
    """
    table = require_table(context, name)
    if name.partition is None:
        return name.sql()
    divided = partitioning(layout_of(table), fields_of(table))
    if divided is None:
        raise ValidationError(
            f"Cannot read partition information from a table that is not partitioned: {name}"
        )
    return f"{name.sql()} WHERE {divided.condition(name.partition)}"


def register_table(
    context: AppContext,
    name: TableName,
    fields: Sequence[Field],
    rows: int,
    properties: dict[str, Any] | None = None,
) -> None:
    """Enters a table into the catalog, or its new schema and row count if it is there.

    `properties` are parts of a table's resource; a table that exists keeps its own where they
    have none.
    """
    body = {
        **{key: value for key, value in (properties or {}).items() if value},
        "tableReference": {"tableId": name.table},
        "schema": {"fields": list(fields)},
    }
    old = find_table(context, name)
    new = routes._rest_to_table_meta(name.project, name.dataset, body, context.clock, old)
    new = new.model_copy(update={"num_rows": rows})
    if old is None:
        context.catalog.create_table(new)
    else:
        context.catalog.update_table(new)


def before_change(context: AppContext, name: TableName) -> None:
    """Keeps the table's rows for time travel; under the engine's write lock."""
    snapshots: Any = context.snapshots
    snapshots.before_change(name.project, name.dataset, name.table)


def count_rows(connection: duckdb.DuckDBPyConnection, source: str) -> int:
    """The rows that there are now; `source` is what follows FROM."""
    counted = connection.execute(f"SELECT count(*) FROM {source}").fetchone()
    return int(counted[0]) if counted else 0

"""tables.get, tables.patch and tables.delete, for partitions too.

bqemulator knows no partition decorators and counts rows only when a load job ends. What the real
service does: "REST Resource: tables" (TableReference.tableId: "certain operations allow suffixing
of the table ID with a partition decorator"), "Managing partitioned tables", "Delete a partition".
"""

from __future__ import annotations

from typing import Annotated, Any

from bqemulator.api.dependencies import AppContext, get_context
from bqemulator.api.routes import tables as routes
from bqemulator.catalog.models import TableMeta
from bqemulator.domain.errors import NotFoundError, ValidationError
from fastapi import APIRouter, Depends, Request, Response, status

from pipeline.local.service import results
from pipeline.local.service.destinations import transaction
from pipeline.local.service.schema import check_names, duckdb_columns, is_required, quoted
from pipeline.local.service.tables import (
    TableName,
    before_change,
    count_rows,
    fields_of,
    require_table,
    rows_of,
    table_name,
)

router = APIRouter(prefix="/bigquery/v2")

_TABLE = "/projects/{project}/datasets/{dataset}/tables/{table}"
_Context = Annotated[AppContext, Depends(get_context)]


@router.get(_TABLE)
def get_table(project: str, dataset: str, table: str, context: _Context) -> dict[str, Any]:
    """A table's resource, also for a query's anonymous result; of a partition, with its rows.

    Raises:
        NotFoundError: there is no such table.
        ValidationError: it has no such partition.
    """
    if dataset == results.ANONYMOUS_DATASET:
        return _result(project, dataset, table)
    name = _name(project, dataset, table)
    meta = require_table(context, name)
    resource = routes._table_to_rest(meta)
    if meta.table_type == "TABLE":
        rows = count_rows(context.engine.connection, rows_of(context, name))
        resource |= {"numRows": str(rows), "id": str(name)}
        resource["tableReference"]["tableId"] = table
    return resource


@router.patch(_TABLE)
async def patch_table(
    project: str, dataset: str, table: str, request: Request, context: _Context
) -> dict[str, Any]:
    """Changes what the request names; labels one by one, null removes one.

    The real service: "Method: tables.patch" ("patch semantics"), "Modifying table schemas" (columns
    can be added, not removed or retyped by this call).

    Raises:
        NotFoundError: there is no such table.
        ValidationError: a column or the partitioning would change.
    """
    name = _name(project, dataset, table)
    existing = require_table(context, name)
    body = await request.json()
    if "labels" in body:
        merged = {**existing.labels, **(body["labels"] or {})}
        body["labels"] = {key: value for key, value in merged.items() if value is not None}
    body["tableReference"] = {"tableId": name.table}
    updated = routes._rest_to_table_meta(project, dataset, body, context.clock, existing)
    async with context.engine.write_lock():
        if existing.table_type == "TABLE":
            _alter(context, name, existing, updated)
        context.catalog.update_table(updated)
    return get_table(project, dataset, table, context)


@router.delete(_TABLE, status_code=status.HTTP_204_NO_CONTENT)
async def delete_table(project: str, dataset: str, table: str, context: _Context) -> Response:
    """Deletes a table, or the rows of one partition.

    Raises:
        NotFoundError: there is no such table.
        ValidationError: it has no such partition.
    """
    name = _name(project, dataset, table)
    require_table(context, name)
    if name.partition is None:
        return await routes.delete_table(project, dataset, table, context)
    async with context.engine.write_lock():
        before_change(context, name)
        with transaction(context.engine.connection, f"Deleting {name}"):
            context.engine.connection.execute(f"DELETE FROM {rows_of(context, name)}")
        context.snapshots.record_change(project, dataset, name.table)
    return Response(status_code=status.HTTP_204_NO_CONTENT)


def _name(project: str, dataset: str, table: str) -> TableName:
    return table_name({"projectId": project, "datasetId": dataset, "tableId": table}, project)


def _alter(context: AppContext, name: TableName, old: TableMeta, new: TableMeta) -> None:
    """Adds the columns that `new` has more than `old`."""
    before = {field["name"].lower(): field for field in fields_of(old)}
    fields = fields_of(new)
    types = {column.lower(): kind for column, kind in duckdb_columns(fields_of(old))}
    mismatch = f"Provided Schema does not match Table {name}."
    for field in fields_of(old):
        if field["name"].lower() not in {after["name"].lower() for after in fields}:
            raise ValidationError(f"{mismatch} Field {field['name']} is missing in new schema")
    added = [field for field in fields if field["name"].lower() not in before]
    check_names(added)
    for field in fields:
        key, (_, kind) = field["name"].lower(), duckdb_columns([field])[0]
        if key in types and types[key] != kind:
            raise ValidationError(f"{mismatch} Field {field['name']} has changed type")
        if is_required(field) and (key not in before or not is_required(before[key])):
            raise ValidationError(f"{mismatch} Field {field['name']} cannot become REQUIRED")
    before_change(context, name)
    with transaction(context.engine.connection, f"Changing {name}"):
        for column, kind in duckdb_columns(added):
            context.engine.connection.execute(
                f"ALTER TABLE {name.sql()} ADD COLUMN {quoted(column)} {kind}"
            )


def _result(project: str, dataset: str, table: str) -> dict[str, Any]:
    found = results.find_result(table)
    if found is None:
        raise NotFoundError(f"Not found: Table {project}:{dataset}.{table}")
    return {
        "kind": "bigquery#table",
        "id": f"{project}:{dataset}.{table}",
        "tableReference": {"projectId": project, "datasetId": dataset, "tableId": table},
        "type": "TABLE",
        "location": "US",
        "numRows": str(found.rows.num_rows),
        "numBytes": str(found.rows.nbytes),
        "schema": {"fields": found.fields},
    }

"""Load jobs: all files or none, columns by name.

Replaces bqemulator's, which goes by position, leaves the files before a bad one loaded, deletes
before it loads, accepts NULL in REQUIRED columns and drops partitioning. What the real service
does: "Introduction to loading data", "Loading Parquet data from Cloud Storage" and "REST Resource:
jobs", JobConfigurationLoad ("creation, truncation and append actions occur as one atomic update
upon job completion").
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import duckdb
from bqemulator.api.dependencies import AppContext
from bqemulator.domain.errors import ValidationError

from pipeline.local.service import source_files
from pipeline.local.service.destinations import Destination, open_destination, transaction
from pipeline.local.service.schema import (
    Field,
    check_names,
    duckdb_columns,
    is_repeated,
    is_required,
    quoted,
    rest_type,
)
from pipeline.local.service.source_files import Source
from pipeline.local.service.tables import TableName, fields_of

_READING = "Error while reading data, error message"

_ALSO_ACCEPTS = {
    "DATETIME": {"TIMESTAMP"},
    "TIMESTAMP": {"DATETIME"},
    "NUMERIC": {"BIGNUMERIC"},
    "BIGNUMERIC": {"NUMERIC"},
    "JSON": {"STRING"},
    "GEOGRAPHY": {"STRING"},
}
"""Types of files that a column takes besides its own; DATETIME by the file's wall clock."""


def execute_load(context: AppContext, project: str, load: dict[str, Any]) -> dict[str, Any]:
    """Runs a load job under the engine's write lock and returns its statistics.

    Raises:
        DomainError: the job fails; the destination is as it was.
    """
    destination = open_destination(context, load, project, "WRITE_APPEND")
    connection = context.engine.connection
    paths = source_files.resolve(context, load.get("sourceUris", []))
    with transaction(connection, _READING):
        fields, rows = _load(connection, load, destination, paths)
    destination.register(context, connection, fields)
    size = sum(path.stat().st_size for path in paths)
    statistics = {"inputFiles": len(paths), "inputFileBytes": size, "outputRows": rows}
    return {"load": {key: str(value) for key, value in statistics.items()} | {"badRecords": "0"}}


def _load(
    connection: duckdb.DuckDBPyConnection,
    load: dict[str, Any],
    destination: Destination,
    paths: Sequence[Any],
) -> tuple[list[Field], int]:
    """The table's columns after the load and the rows loaded."""
    given: list[Field] = (load.get("schema") or {}).get("fields") or []
    kept = fields_of(destination.old) if destination.old is not None else []
    source = source_files.open_source(connection, load, paths, given or kept)
    if destination.kept:
        fields = _extended(connection, load, destination.name.whole(), kept, given)
    else:
        fields = given or [column.field for column in source.columns]
        check_names(fields)
    destination.prepare(connection, fields)
    _check_columns(source, fields)
    names = ", ".join(quoted(column.field["name"]) for column in source.columns)
    values = ", ".join(column.value for column in source.columns)
    rows = destination.insert(
        connection, fields, f"({names}) SELECT {values} FROM {source.relation}"
    )
    return fields, rows


def _extended(
    connection: duckdb.DuckDBPyConnection,
    load: dict[str, Any],
    name: TableName,
    kept: list[Field],
    given: Sequence[Field],
) -> list[Field]:
    """The columns of a table that is appended to: its own, and new ones where the job allows it."""
    by_name = {field["name"].lower(): field for field in kept}
    fields = list(kept)
    mismatch = f"Provided Schema does not match Table {name}."
    for field in given:
        old = by_name.get(field["name"].lower())
        if old is None:
            if "ALLOW_FIELD_ADDITION" not in (load.get("schemaUpdateOptions") or []):
                raise ValidationError(f"{mismatch} Cannot add fields (field: {field['name']})")
            kind = duckdb_columns([field])[0][1]
            connection.execute(
                f"ALTER TABLE {name.sql()} ADD COLUMN {quoted(field['name'])} {kind}"
            )
            fields.append(field)
        elif rest_type(old["type"]) != rest_type(field["type"]):
            raise ValidationError(
                f"{mismatch} Field {field['name']} has changed type from "
                f"{rest_type(old['type'])} to {rest_type(field['type'])}"
            )
        elif is_repeated(old) != is_repeated(field):
            raise ValidationError(f"{mismatch} Field {field['name']} has changed mode")
    return fields


def _check_columns(source: Source, fields: Sequence[Field]) -> None:
    """Every column of the files is one of the table, with a type that the table's takes."""
    by_name = {field["name"].lower(): field for field in fields}
    for column in source.columns:
        name = column.field["name"]
        target = by_name.get(name.lower())
        if target is None:
            raise ValidationError(
                f"Provided Schema does not match the files. Cannot add fields (field: {name})"
            )
        if not _accepts(target, column.field):
            raise ValidationError(
                f"{_READING}: column '{name}' has type {_spelled(column.field)} which does not "
                f"match the table's {_spelled(target)}"
            )
    present = {column.field["name"].lower() for column in source.columns}
    for field in fields:
        if is_required(field) and field["name"].lower() not in present:
            raise ValidationError(f"{_READING}: Required field {field['name']} is missing")


def _accepts(target: Field, source: Field) -> bool:
    wanted, got = rest_type(target["type"]), rest_type(source["type"])
    if is_repeated(target) != is_repeated(source):
        return False
    if wanted == got == "RECORD":
        members = {member["name"].lower(): member for member in target.get("fields", [])}
        return all(
            member["name"].lower() in members and _accepts(members[member["name"].lower()], member)
            for member in source["fields"]
        )
    return wanted == got or got in _ALSO_ACCEPTS.get(wanted, ())


def _spelled(field: Field) -> str:
    name = rest_type(field["type"])
    members = [[member["name"], _spelled(member)] for member in field.get("fields", [])]
    spelled = f"{name}{json.dumps(dict(members))}" if name == "RECORD" else name
    return f"ARRAY of {spelled}" if is_repeated(field) else spelled

"""Tables between REST and bqemulator's catalog, with what bqemulator forgets.

It knows no rangePartitioning, encryptionConfiguration and requirePartitionFilter in REST and drops
expirationTime ("REST Resource: tables" has them all). Nothing is deleted when an expiration has
passed: no embedded server lives that long.

The real service spells types INTEGER, FLOAT, BOOLEAN and RECORD in REST answers ("REST Resource:
tables", TableFieldSchema.type); bqemulator repeats what it was given.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pydantic
from bqemulator.api.routes import tables as routes
from bqemulator.catalog.models import RangePartitioning, TableFieldSchema, TableMeta
from bqemulator.domain.errors import ValidationError
from bqemulator.jobs import executor
from bqemulator.sql import inner_query
from bqemulator.sql.rewriter import partition_pseudo_columns
from bqemulator.storage import partition_state, type_map

from pipeline.local.service import partition_filters, pseudo_columns
from pipeline.local.service.dml import run_single_sql
from pipeline.local.service.layouts import LAYOUT, check_layout, specification
from pipeline.local.service.partition_lists import list_partitions
from pipeline.local.service.schema import Field, duckdb_columns, rest_type


class LocalTableMeta(TableMeta):
    """bqemulator's entry of a table with the properties that it has no place for."""

    encryption_configuration: dict[str, str] | None = None
    require_partition_filter: bool = False


def install() -> None:
    """Replaces bqemulator's class and functions wherever they were imported."""
    field_to_rest = routes._field_to_rest
    table_to_rest = routes._table_to_rest
    rest_to_meta = routes._rest_to_table_meta

    def with_rest_names(field: TableFieldSchema) -> Field:
        rest = field_to_rest(field)
        rest["type"] = rest_type(rest["type"])
        return rest

    def to_rest(meta: TableMeta) -> dict[str, Any]:
        return table_to_rest(meta) | _more_to_rest(meta)

    def from_rest(
        project: str,
        dataset: str,
        body: dict[str, Any],
        clock: Any,
        existing: TableMeta | None = None,
    ) -> TableMeta:
        try:
            meta = rest_to_meta(project, dataset, body, clock, existing)
        except pydantic.ValidationError as error:
            raise ValidationError(f"Invalid table resource: {error}") from error
        updated = meta.model_copy(update=_more_from_rest(body, existing))
        _check(updated, existing)
        return updated

    _replace("TableMeta", TableMeta, LocalTableMeta)
    _replace("_table_to_rest", table_to_rest, to_rest)
    _replace("_rest_to_table_meta", rest_to_meta, from_rest)
    _replace("_field_to_rest", field_to_rest, with_rest_names)
    _replace("bq_schema_to_duckdb_columns", type_map.bq_schema_to_duckdb_columns, duckdb_columns)
    rewrite = partition_pseudo_columns.rewrite_partition_pseudo_columns
    _replace("rewrite_partition_pseudo_columns", rewrite, pseudo_columns.refuse)
    listed = partition_state.list_partitions_for_table
    _replace("list_partitions_for_table", listed, list_partitions)
    translate = inner_query.rewrite_and_translate_statement
    _replace("rewrite_and_translate_statement", translate, partition_filters.translate)
    _replace("_run_single_sql", executor._run_single_sql, run_single_sql)


def _more_to_rest(meta: TableMeta) -> dict[str, Any]:
    rest: dict[str, Any] = {}
    if meta.expiration_time is not None:
        rest["expirationTime"] = str(round(meta.expiration_time.timestamp() * 1000))
    if meta.range_partitioning is not None:
        divided = meta.range_partitioning
        bounds = {"start": divided.start, "end": divided.end, "interval": divided.interval}
        rest["rangePartitioning"] = {
            "field": divided.field,
            "range": {name: str(value) for name, value in bounds.items()},
        }
    key = getattr(meta, "encryption_configuration", None)
    if key:
        rest["encryptionConfiguration"] = key
    if getattr(meta, "require_partition_filter", False):
        rest["requirePartitionFilter"] = True
    return rest


def _more_from_rest(body: dict[str, Any], existing: TableMeta | None) -> dict[str, Any]:
    """Values for fields of LocalTableMeta: those of `body`, else those of `existing`."""
    readers: dict[str, tuple[str, Callable[[Any], Any]]] = {
        "expirationTime": ("expiration_time", _moment),
        "rangePartitioning": ("range_partitioning", _range),
        "encryptionConfiguration": ("encryption_configuration", lambda given: given),
        "requirePartitionFilter": ("require_partition_filter", bool),
    }
    values: dict[str, Any] = {}
    for key, (name, read) in readers.items():
        if key in body:
            values[name] = read(body[key])
        elif existing is not None and hasattr(existing, name):
            values[name] = getattr(existing, name)
    by_time = body.get("timePartitioning") or {}
    if "requirePartitionFilter" not in body and "requirePartitionFilter" in by_time:
        # The older place of the same property.
        values["require_partition_filter"] = bool(by_time["requirePartitionFilter"])
    return values


def _moment(milliseconds: str | None) -> datetime | None:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC) if milliseconds else None


def _range(given: dict[str, Any] | None) -> RangePartitioning | None:
    if not given:
        return None
    try:
        bounds = {name: int(given["range"][name]) for name in ("start", "end", "interval")}
        return RangePartitioning(field=given["field"], **bounds)
    except (KeyError, TypeError, ValueError) as error:
        raise ValidationError(
            f"Invalid rangePartitioning {given}: expected field and range with the integers "
            "start, end and interval"
        ) from error


def _check(meta: TableMeta, existing: TableMeta | None) -> None:
    """The columns allow the layout, and a table that has one keeps it.

    "Create partitioned tables": partitioning cannot be changed. "Modify clustered tables":
    clustering can.
    """
    if meta.table_type != "TABLE":
        return
    resource = routes._table_to_rest(meta)
    layout = {key: resource[key] for key in LAYOUT if key in resource}
    fields: list[Field] = (resource.get("schema") or {}).get("fields") or []
    if existing is None or not existing.schema_.fields:
        check_layout(layout, fields)
        return
    old = {key: value for key, value in routes._table_to_rest(existing).items() if key in LAYOUT}
    new = {**layout, "clustering": None}
    before, after = specification({**old, "clustering": None}, fields), specification(new, fields)
    if before != after:
        raise ValidationError(
            f"Cannot change partitioning spec for a partitioned/clustered table: it is {before}, "
            f"got {after}"
        )
    check_layout(layout, fields)


def _replace(name: str, old: object, new: object) -> None:
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith("bqemulator.") and getattr(module, name, None) is old:
            setattr(module, name, new)

"""Partitioning and clustering of the output table: its own, or what the flags give a new one.

Sources, in BigQuery's documentation: "Introduction to partitioned tables", "Time-unit column
partitioning"; "Create clustered tables", "Limitations".
"""

from collections.abc import Mapping, Sequence
from typing import Any

from google.cloud import bigquery

from options.config import Config
from pipeline.errors import PlanError
from scoring.schema import Field
from transforms.partitions import partitioning

_PROPERTIES = ("timePartitioning", "rangePartitioning", "clustering")
_PARTITIONING_TYPES = frozenset({"DATE", "DATETIME", "TIMESTAMP"})
_CLUSTERING_TYPES = frozenset(
    {
        "BIGNUMERIC",
        "BOOLEAN",
        "DATE",
        "DATETIME",
        "GEOGRAPHY",
        "INTEGER",
        "NUMERIC",
        "STRING",
        "TIMESTAMP",
    }
)


def table_layout(table: bigquery.Table) -> dict[str, Any]:
    """The table's partitioning and clustering as in the REST API."""
    return {k: v for k in _PROPERTIES if (v := table._properties.get(k))}


def existing_layout(table: bigquery.Table, config: Config) -> dict[str, Any]:
    """The table's layout as in the REST API.

    Raises:
      PlanError: the flags ask for another one.
    """
    layout = table_layout(table)
    name = config.output_table
    if config.output_partitioning is not None:
        column, unit = config.output_partitioning
        is_as_asked = _time_partitioning(layout) == (column.lower(), unit)
        if not is_as_asked:
            raise PlanError(
                f"Table {name} exists and is {partitioning_text(layout)}, which no run changes; "
                f"--output_partitioning asks for {column}:{unit}. Drop the flag, or choose another "
                "--output_table."
            )
    if config.output_clustering:
        clustered = (layout.get("clustering") or {}).get("fields") or []
        if [c.lower() for c in clustered] != [c.lower() for c in config.output_clustering]:
            found = f"clustered by {', '.join(clustered)}" if clustered else "not clustered"
            raise PlanError(
                f"Table {name} exists and is {found}, which no run changes; --output_clustering "
                f"asks for {', '.join(config.output_clustering)}. Drop the flag, or choose another "
                "--output_table."
            )
    return layout


def new_layout(config: Config, fields: Sequence[Field]) -> dict[str, Any]:
    """The layout of a new table with the columns `fields`, as in the REST API.

    Raises:
      PlanError: its columns do not allow it.
    """
    layout: dict[str, Any] = {}
    if config.output_partitioning is not None:
        name, unit = config.output_partitioning
        field = _column("--output_partitioning", name, fields)
        if field.type not in _PARTITIONING_TYPES or field.rank or _is_finer(unit, field):
            expected = "DATETIME or TIMESTAMP" if unit == "HOUR" else "DATE, DATETIME or TIMESTAMP"
            raise PlanError(
                f"--output_partitioning names column {field.name!r}, which is {field.sql_type}; "
                f"expected {expected} for partitions of a {unit}."
            )
        layout["timePartitioning"] = {"type": unit, "field": field.name}
    clustering = [_column("--output_clustering", n, fields) for n in config.output_clustering]
    for field in clustering:
        if field.type not in _CLUSTERING_TYPES or field.rank:
            raise PlanError(
                f"--output_clustering names column {field.name!r}, which is {field.sql_type}; "
                "BigQuery clusters by BIGNUMERIC, BOOL, DATE, DATETIME, GEOGRAPHY, INT64, NUMERIC, "
                "STRING and TIMESTAMP."
            )
    if clustering:
        layout["clustering"] = {"fields": [field.name for field in clustering]}
    return layout


def check_partition(config: Config, layout: Mapping[str, Any], fields: Sequence[Field]) -> None:
    """Checks that the output table can have the partition that --partition names.

    Raises:
      PlanError: it cannot.
    """
    found = partitioning(layout, fields)
    if found is None:
        cure = "Choose another --write_mode, or another --output_table"
        if not layout.get("timePartitioning"):
            cure += ", or give a new one --output_partitioning"
        raise PlanError(
            f"Table {config.output_table} is {partitioning_text(layout)}; --write_mode partition "
            f"needs one that is partitioned by a column. {cure}."
        )
    try:
        found.condition(str(config.partition))
    except ValueError as e:
        raise PlanError(
            f"--partition {config.partition} is not a partition of {config.output_table}, which "
            f"is {partitioning_text(layout)}: {e}."
        ) from e


def layout_text(layout: Mapping[str, Any]) -> str | None:
    """Partitions and clusters in a few words, None for a table without."""
    parts = []
    if layout.get("timePartitioning") or layout.get("rangePartitioning"):
        parts.append(partitioning_text(layout))
    if layout.get("clustering"):
        parts.append(f"clustered by {', '.join(layout['clustering']['fields'])}")
    return ", ".join(parts) or None


def partitioning_text(layout: Mapping[str, Any]) -> str:
    """How a table is partitioned, as the end of "the table is …"."""
    by_time, by_range = layout.get("timePartitioning"), layout.get("rangePartitioning")
    if by_range:
        return f"partitioned by integer ranges of column {by_range['field']}"
    if not by_time:
        return "not partitioned"
    column = by_time.get("field")
    return f"partitioned by {by_time['type']} of " + (f"column {column}" if column else "arrival")


def _time_partitioning(layout: Mapping[str, Any]) -> tuple[str, str] | None:
    by_time = layout.get("timePartitioning") or {}
    return (by_time["field"].lower(), by_time["type"]) if by_time.get("field") else None


def _is_finer(unit: str, field: Field) -> bool:
    return unit == "HOUR" and field.type == "DATE"


def _column(flag: str, name: str, fields: Sequence[Field]) -> Field:
    for field in fields:
        if field.name.lower() == name.lower():
            return field
    known = ", ".join(f.name for f in fields)
    raise PlanError(
        f"{flag} names column {name!r}, which the output does not have. Its columns are: {known}. "
        "Add it to --passthrough_columns."
    )

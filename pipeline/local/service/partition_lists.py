"""The partitions of a table, as INFORMATION_SCHEMA.PARTITIONS lists them.

bqemulator leaves out the rows outside of all ranges and those without a value, and gives tables
without partitions a partition. The real service: "PARTITIONS view", `partition_id`: NULL for
unpartitioned tables, ``__NULL__`` for rows with NULL in the partitioning column.
"""

from __future__ import annotations

from typing import Any

from bqemulator.catalog.models import PartitionMeta, TableMeta
from bqemulator.storage.engine import DuckDBEngine

from pipeline.local.service.layouts import partitioning
from pipeline.local.service.tables import TableName, fields_of, layout_of


def list_partitions(engine: DuckDBEngine, table: TableMeta) -> tuple[PartitionMeta, ...]:
    """Every partition that has rows; of a table without partitions, one entry without an id."""
    divided = partitioning(layout_of(table), fields_of(table))
    expression = "NULL" if divided is None else divided.id_sql()
    name = TableName(table.project_id, table.dataset_id, table.table_id)
    found = engine.connection.execute(
        f"SELECT {expression} AS id, count(*) FROM {name.sql()} GROUP BY id ORDER BY id"
    ).fetchall()
    if divided is None and not found:
        found = [(None, 0)]
    return tuple(_entry(table, *row) for row in found)


def _entry(table: TableMeta, partition: str | None, rows: int) -> PartitionMeta:
    # Without validation: the class knows no partition without an id.
    values: dict[str, Any] = {
        "table_catalog": table.project_id,
        "table_schema": table.dataset_id,
        "table_name": table.table_id,
        "partition_id": partition,
        "total_rows": rows,
        "total_logical_bytes": 0,
        "last_modified_time": table.last_modified_time,
        "storage_tier": "ACTIVE",
    }
    return PartitionMeta.model_construct(**values)

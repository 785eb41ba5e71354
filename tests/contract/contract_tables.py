"""Tables made, filled and looked at, as short as the tests of the contract want them."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from google.cloud import bigquery

BY_DAY = {"timePartitioning": {"type": "DAY", "field": "day"}}


def make(client: bigquery.Client, name: str, columns: str, **properties: Any) -> None:
    """A new table; `columns` is "name TYPE, ...", `properties` parts of its REST resource."""
    fields = [column.split() for column in columns.split(", ")]
    schema = [
        {"name": column, "type": kind, **({"mode": mode[0]} if mode else {})}
        for column, kind, *mode in fields
    ]
    reference = bigquery.TableReference.from_string(name).to_api_repr()
    resource = {"tableReference": reference, "schema": {"fields": schema}, **properties}
    client.create_table(bigquery.Table.from_api_repr(resource))


def load(client: bigquery.Client, name: str, rows: dict[str, list[Any]], **options: Any) -> None:
    """A finished load job of one Parquet file; `options` are parts of its configuration."""
    file = io.BytesIO()
    pq.write_table(pa.table(rows), file)
    config = {"load": {"sourceFormat": "PARQUET", **options}}
    job_config = bigquery.LoadJobConfig.from_api_repr(config)
    client.load_table_from_file(file, name, rewind=True, job_config=job_config).result()


def copy(
    client: bigquery.Client, sources: str | list[str], destination: str, disposition: str
) -> bigquery.CopyJob:
    """A finished copy job."""
    config = bigquery.CopyJobConfig(write_disposition=disposition)
    job = client.copy_table(sources, destination, job_config=config)
    job.result()
    return job


def query(client: bigquery.Client, sql: str, **options: Any) -> bigquery.QueryJob:
    """A finished query job; `options` are parts of its configuration."""
    config = bigquery.QueryJobConfig()
    for key, value in options.items():
        setattr(config, key, value)
    job = client.query(sql, job_config=config, job_retry=None)
    job.result()
    return job


def rows(client: bigquery.Client, name: str, columns: str = "*") -> list[tuple[Any, ...]]:
    """The table's rows, sorted."""
    found = client.query(f"SELECT {columns} FROM `{name}`").result()
    return sorted((row.values() for row in found), key=repr)

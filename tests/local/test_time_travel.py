"""A table as it was: after loads, queries, DML, a change of its columns, and a failed job."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pyarrow as pa
import pytest
from bigquery_jobs import Bucket, load, rows
from google.api_core.exceptions import BadRequest, GoogleAPICallError
from google.cloud import bigquery

Table = str


@pytest.fixture
def table(client: bigquery.Client, dataset: str, bucket: Bucket) -> Table:
    """A table `t` with the rows 1 and 2."""
    load(client, f"{dataset}.t", bucket.put_table(pa.table({"a": [1, 2]})))
    return f"{dataset}.t"


def _as_of(client: bigquery.Client, table: Table, moment: dt.datetime) -> list[object]:
    time = f"TIMESTAMP '{moment.isoformat()}'"
    found = client.query(f"SELECT a FROM {table} FOR SYSTEM_TIME AS OF {time}").result()
    return sorted(row.a for row in found)


def _replace(client: bigquery.Client, table: Table, bucket: Bucket) -> None:
    uri = bucket.put_table(pa.table({"a": [9]}))
    load(client, table, uri, write_disposition="WRITE_TRUNCATE")


def _append(client: bigquery.Client, table: Table, bucket: Bucket) -> None:
    load(client, table, bucket.put_table(pa.table({"a": [9]})))


def _copy(client: bigquery.Client, table: Table, bucket: Bucket) -> None:
    load(client, f"{table}_other", bucket.put_table(pa.table({"a": [9]})))
    config = bigquery.CopyJobConfig(write_disposition="WRITE_TRUNCATE")
    client.copy_table(f"{table}_other", table, job_config=config).result()


def _query(client: bigquery.Client, table: Table, bucket: Bucket) -> None:
    config = bigquery.QueryJobConfig(
        destination=f"{client.project}.{table}", write_disposition="WRITE_TRUNCATE"
    )
    client.query("SELECT 9 AS a", job_config=config).result()


def _update(client: bigquery.Client, table: Table, bucket: Bucket) -> None:
    client.query(f"UPDATE {table} SET a = 9 WHERE TRUE").result()


def _delete(client: bigquery.Client, table: Table, bucket: Bucket) -> None:
    client.query(f"DELETE FROM {table} WHERE a = 1").result()


def _make_again(client: bigquery.Client, table: Table, bucket: Bucket) -> None:
    client.query(f"CREATE OR REPLACE TABLE {table} AS SELECT 9 AS a").result()


def _insert_row(client: bigquery.Client, table: Table, bucket: Bucket) -> None:
    assert not client.insert_rows_json(table, [{"a": 9}])


def _add_column(client: bigquery.Client, table: Table, bucket: Bucket) -> None:
    changed = client.get_table(table)
    changed.schema = [*changed.schema, bigquery.SchemaField("b", "STRING")]
    client.update_table(changed, ["schema"])


@pytest.mark.parametrize(
    "change",
    [_replace, _append, _copy, _query, _update, _delete, _make_again, _insert_row, _add_column],
)
def test_a_table_is_seen_as_it_was_before_a_change(
    client: bigquery.Client,
    table: Table,
    bucket: Bucket,
    change: Callable[[bigquery.Client, Table, Bucket], None],
) -> None:
    before = dt.datetime.now(dt.UTC)
    change(client, table, bucket)
    after = dt.datetime.now(dt.UTC)

    assert _as_of(client, table, before) == [1, 2]
    assert _as_of(client, table, after) == [value for (value,) in rows(client, table, "a")]


def test_each_of_several_states_is_kept(
    client: bigquery.Client, table: Table, bucket: Bucket
) -> None:
    moments = []
    for value in (3, 4, 5):
        moments.append(dt.datetime.now(dt.UTC))
        load(client, table, bucket.put_table(pa.table({"a": [value]})))

    assert [_as_of(client, table, m) for m in moments] == [[1, 2], [1, 2, 3], [1, 2, 3, 4]]


def test_a_job_that_fails_changes_nothing(
    client: bigquery.Client, table: Table, bucket: Bucket
) -> None:
    before = dt.datetime.now(dt.UTC)
    with pytest.raises(BadRequest):
        load(client, table, bucket.put(b"no Parquet", "parquet"))

    assert _as_of(client, table, before) == _as_of(client, table, dt.datetime.now(dt.UTC)) == [1, 2]


def test_before_the_first_rows_there_is_no_table(
    client: bigquery.Client, dataset: str, bucket: Bucket
) -> None:
    before = dt.datetime.now(dt.UTC)
    load(client, f"{dataset}.t", bucket.put_table(pa.table({"a": [1]})))

    with pytest.raises(GoogleAPICallError, match="before the table's first captured state"):
        _as_of(client, f"{dataset}.t", before)

"""Partitions: decorators in loads, copies, queries and tables.get, and where rows must go."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from contract_tables import BY_DAY, copy, load, make, query, rows
from google.api_core.exceptions import BadRequest, Conflict, MethodNotImplemented
from google.cloud import bigquery

FIRST, SECOND, THIRD = (dt.date(2024, 2, day) for day in (27, 28, 29))
COLUMNS = "day DATE, n INT64"


def days(client: bigquery.Client, name: str) -> dict[str | None, int]:
    """The rows of each partition that has any, as INFORMATION_SCHEMA.PARTITIONS counts them."""
    dataset, _, table = name.rpartition(".")
    found = client.query(
        f"SELECT partition_id, total_rows FROM `{dataset}`.INFORMATION_SCHEMA.PARTITIONS "
        f"WHERE table_name = '{table}' AND total_rows > 0"
    ).result()
    return {row.partition_id: row.total_rows for row in found}


@pytest.fixture
def out(client: bigquery.Client, dataset: str) -> str:
    """A table partitioned by day with one row on each of two days."""
    name = f"{dataset}.out"
    make(client, name, COLUMNS, **BY_DAY)
    load(client, name, {"day": [FIRST, SECOND], "n": [1, 2]})
    return name


def test_a_load_replaces_one_partition(client: bigquery.Client, out: str) -> None:
    """WRITE_TRUNCATE to a partition replaces its rows and no others.

    Source: "Load data into partitioned tables", "Write data to a specific partition":
    ``bq load --replace=true`` with ``my_table$20160501``.
    """
    load(client, f"{out}$20240228", {"day": [SECOND], "n": [3]}, writeDisposition="WRITE_TRUNCATE")
    assert rows(client, out) == [(FIRST, 1), (SECOND, 3)]


def test_a_load_appends_to_one_partition(client: bigquery.Client, out: str) -> None:
    """Without a disposition a load adds its rows to the partition.

    Source: "Load data into partitioned tables", "Write data to a specific partition".
    """
    load(client, f"{out}$20240228", {"day": [SECOND], "n": [3]})
    assert rows(client, out) == [(FIRST, 1), (SECOND, 2), (SECOND, 3)]


@pytest.mark.parametrize("disposition", ["WRITE_TRUNCATE", "WRITE_APPEND"])
@pytest.mark.parametrize("other", [THIRD, None])
def test_rows_of_another_partition_fail_the_load(
    client: bigquery.Client, out: str, disposition: str, other: dt.date | None
) -> None:
    """The decorator must match the partitioning column of every row, or nothing is written.

    Source: "Load data into partitioned tables": "the partition ID specified in the decorator must
    match the data being written [...] Otherwise, an error occurs"; the message as users report it,
    github.com/mozilla/bigquery-etl/pull/4419.
    """
    wrong = {"day": [SECOND, other], "n": [3, 4]}
    with pytest.raises(BadRequest, match="Some rows belong to different partitions"):
        load(client, f"{out}$20240228", wrong, writeDisposition=disposition)
    assert rows(client, out) == [(FIRST, 1), (SECOND, 2)]


def test_a_load_takes_an_empty_partition_only(client: bigquery.Client, out: str) -> None:
    """WRITE_EMPTY looks at the partition that the decorator names, not at the table.

    Source: "REST Resource: jobs", JobConfigurationLoad.writeDisposition ("if the table already
    exists and contains data, a 'duplicate' error is returned"), where the table is the partition.
    """
    load(client, f"{out}$20240229", {"day": [THIRD], "n": [3]}, writeDisposition="WRITE_EMPTY")
    with pytest.raises(Conflict):
        load(client, f"{out}$20240229", {"day": [THIRD], "n": [4]}, writeDisposition="WRITE_EMPTY")
    assert rows(client, out) == [(FIRST, 1), (SECOND, 2), (THIRD, 3)]


def test_a_table_without_partitions_has_no_decorator(client: bigquery.Client, dataset: str) -> None:
    """A decorator needs a partitioned table, which a job makes only when it says how.

    Source: the service's messages, as in github.com/mozilla/telemetry-airflow/pull/857 and
    github.com/googleapis/google-cloud-python/issues/4073.
    """
    make(client, f"{dataset}.plain", COLUMNS)
    row: dict[str, list[Any]] = {"day": [FIRST], "n": [1]}
    with pytest.raises(BadRequest, match="Cannot add storage to a non-partitioned table"):
        load(client, f"{dataset}.plain$20240227", row)
    with pytest.raises(BadRequest, match="Cannot read partition information"):
        client.get_table(f"{dataset}.plain$20240227")
    with pytest.raises(BadRequest, match="Partitioning specification must be provided"):
        load(client, f"{dataset}.new$20240227", row)
    load(client, f"{dataset}.new$20240227", row, **BY_DAY)
    assert client.get_table(f"{dataset}.new").time_partitioning.field == "day"


@pytest.mark.parametrize(
    ("unit", "kind", "value", "partition", "wrong"),
    [
        ("DAY", "DATE", dt.date(2024, 2, 29), "20240229", "202402"),
        ("MONTH", "DATE", dt.date(2024, 2, 29), "202402", "20240229"),
        ("YEAR", "DATE", dt.date(2024, 2, 29), "2024", "24"),
        ("DAY", "DATETIME", dt.datetime(2024, 2, 29, 23, 59, 59, 999999), "20240229", "20240230"),
        ("HOUR", "DATETIME", dt.datetime(2024, 2, 29, 23, 59), "2024022923", "2024022924"),
        ("DAY", "TIMESTAMP", dt.datetime(2024, 2, 29, 23, 59, tzinfo=dt.UTC), "20240229", "x"),
        ("HOUR", "TIMESTAMP", dt.datetime(2024, 2, 29, 23, tzinfo=dt.UTC), "2024022923", ""),
        ("MONTH", "TIMESTAMP", dt.datetime(1969, 12, 31, tzinfo=dt.UTC), "196912", "196913"),
    ],
)
def test_each_unit_has_its_own_decorator(
    client: bigquery.Client,
    dataset: str,
    unit: str,
    kind: str,
    value: dt.date,
    partition: str,
    wrong: str,
) -> None:
    """yyyymmddhh, yyyymmdd, yyyymm and yyyy, in UTC, and no other spelling.

    Source: "Managing partitioned table data", "Partition decorators" (table of formats).
    """
    name = f"{dataset}.t"
    make(client, name, f"at {kind}, n INT64", timePartitioning={"type": unit, "field": "at"})
    for n in (1, 2):
        load(
            client,
            f"{name}${partition}",
            {"at": [value], "n": [n]},
            writeDisposition="WRITE_TRUNCATE",
        )
    assert rows(client, name, "n") == [(2,)]
    assert client.get_table(f"{name}${partition}").num_rows == 1
    assert days(client, name) == {partition: 1}
    with pytest.raises(BadRequest, match="Invalid partition id"):
        load(client, f"{name}${wrong}", {"at": [value], "n": [3]})


def test_integer_ranges_are_named_by_their_start(client: bigquery.Client, dataset: str) -> None:
    """The decorator of an integer range is its start; rows outside of all ranges are kept apart.

    Source: "Managing partitioned table data", "Partition decorators"; "Introduction to partitioned
    tables", "Integer range partitioning" (values outside go to ``__UNPARTITIONED__``, NULL to
    ``__NULL__``).
    """
    name = f"{dataset}.t"
    bounds = {"field": "k", "range": {"start": "0", "end": "25", "interval": "10"}}
    make(client, name, "k INT64, n INT64", rangePartitioning=bounds)
    load(client, name, {"k": [3, 10, 24, 25, -1, None], "n": [1, 2, 3, 4, 5, 6]})
    truncate = {"writeDisposition": "WRITE_TRUNCATE"}
    load(client, f"{name}$20", {"k": [20], "n": [7]}, **truncate)
    assert rows(client, f"{name}", "n") == [(1,), (2,), (4,), (5,), (6,), (7,)]
    with pytest.raises(BadRequest, match="Some rows belong to different partitions"):
        load(client, f"{name}$20", {"k": [25], "n": [8]}, **truncate)
    for wrong in ("15", "30", "-10", "a"):
        with pytest.raises(BadRequest, match="Invalid partition id"):
            load(client, f"{name}${wrong}", {"k": [15], "n": [8]}, **truncate)
    assert days(client, name) == {"0": 1, "10": 1, "20": 1, "__NULL__": 1, "__UNPARTITIONED__": 2}
    assert client.get_table(name).range_partitioning.range_.interval == 10


def test_rows_without_a_value_are_the_null_partition(client: bigquery.Client, out: str) -> None:
    """Rows with NULL in the partitioning column are the partition ``__NULL__``.

    Source: "Introduction to partitioned tables", "Time-unit column partitioning".
    """
    null: dict[str, list[Any]] = {"day": [None], "n": [3]}
    import pyarrow as pa

    load(client, f"{out}$__NULL__", {**null, "day": pa.array([None], pa.date32())})
    assert days(client, out) == {"20240227": 1, "20240228": 1, "__NULL__": 1}
    assert client.get_table(f"{out}$__NULL__").num_rows == 1


def test_tables_get_counts_the_rows_of_a_partition(client: bigquery.Client, out: str) -> None:
    """tables.get with a decorator answers for the partition, 0 rows for one that is not there.

    Source: "REST Resource: tables", TableReference.tableId ("certain operations allow suffixing of
    the table ID with a partition decorator"); used so in github.com/mozilla/bigquery-etl
    (shredder_rows_deleted_v1/query.py).
    """
    query(client, f"INSERT `{out}` (day, n) VALUES ('2024-02-28', 3)")
    assert client.get_table(out).num_rows == 3
    assert client.get_table(f"{out}$20240228").num_rows == 2
    assert client.get_table(f"{out}$20240301").num_rows == 0


def test_tables_delete_removes_one_partition(client: bigquery.Client, out: str) -> None:
    """tables.delete with a decorator deletes the partition and leaves the table.

    Source: "Managing partitioned tables", "Delete a partition" (``bq rm 'mytable$20160301'``).
    """
    client.delete_table(f"{out}$20240227")
    assert rows(client, out) == [(SECOND, 2)]


def test_a_copy_replaces_one_partition(client: bigquery.Client, dataset: str, out: str) -> None:
    """A copy from a partition to a partition with WRITE_TRUNCATE replaces that one.

    Source: "Managing partitioned tables", "Copy individual partitions".
    """
    run = f"{dataset}.run"
    make(client, run, COLUMNS, **BY_DAY)
    load(client, run, {"day": [SECOND, THIRD], "n": [20, 30]})
    job = copy(client, f"{run}$20240228", f"{out}$20240228", "WRITE_TRUNCATE")
    assert rows(client, out) == [(FIRST, 1), (SECOND, 20)]
    assert job.to_api_repr()["configuration"]["copy"]["destinationTable"]["tableId"] == (
        "out$20240228"
    )
    copy(client, f"{run}$20240229", f"{out}$20240229", "WRITE_EMPTY")
    copy(client, f"{run}$20240228", f"{out}$20240228", "WRITE_APPEND")
    expected = [(FIRST, 1), (SECOND, 20), (SECOND, 20), (THIRD, 30)]
    assert rows(client, out) == expected
    with pytest.raises(Conflict):
        copy(client, f"{run}$20240228", f"{out}$20240228", "WRITE_EMPTY")
    with pytest.raises(BadRequest, match="different partitions"):
        copy(client, f"{run}$20240229", f"{out}$20240228", "WRITE_TRUNCATE")
    assert rows(client, out) == expected


def test_an_empty_source_partition_empties_the_destination(
    client: bigquery.Client, dataset: str, out: str
) -> None:
    """A partition that has no rows is copied as no rows: WRITE_TRUNCATE leaves nothing.

    Source: "REST Resource: jobs", JobConfigurationTableCopy ("overwrites the table data").
    """
    run = f"{dataset}.run"
    make(client, run, COLUMNS, **BY_DAY)
    copy(client, f"{run}$20240228", f"{out}$20240228", "WRITE_TRUNCATE")
    assert rows(client, out) == [(FIRST, 1)]


def test_a_copy_wants_the_same_partitioning(
    client: bigquery.Client, dataset: str, out: str
) -> None:
    """Source and destination must be partitioned alike; a table without partitions has no day.

    Source: "Managing partitioned tables", "Copy a partitioned table" ("the partition
    specifications for the source and destination tables must match"); messages as reported in
    github.com/apache/airflow/pull/42130 and github.com/embulk/embulk-output-bigquery/issues/100.
    """
    make(client, f"{dataset}.plain", COLUMNS)
    make(client, f"{dataset}.month", COLUMNS, timePartitioning={"type": "MONTH", "field": "day"})
    clustered = {"clustering": {"fields": ["n"]}, **BY_DAY}
    make(client, f"{dataset}.clustered", COLUMNS, **clustered)
    for destination in (out, f"{out}$20240228"):
        with pytest.raises(BadRequest, match="Non partitioned table to Column partitioned table"):
            copy(client, f"{dataset}.plain", destination, "WRITE_TRUNCATE")
    for source in ("month", "clustered"):
        with pytest.raises(BadRequest, match="Incompatible table partitioning specification"):
            copy(client, f"{dataset}.{source}", out, "WRITE_TRUNCATE")
    with pytest.raises(BadRequest, match="Incompatible table partitioning specification"):
        copy(client, out, f"{dataset}.plain", "WRITE_TRUNCATE")
    with pytest.raises(BadRequest):
        copy(client, [f"{dataset}.plain", out], f"{dataset}.new", "WRITE_EMPTY")
    assert rows(client, out) == [(FIRST, 1), (SECOND, 2)]


def test_a_whole_copy_replaces_every_partition(
    client: bigquery.Client, dataset: str, out: str
) -> None:
    """Without decorators WRITE_TRUNCATE replaces the table, and its layout goes with the copy.

    Source: "Managing partitioned tables", "Copy a partitioned table" ("all the partitions"),
    JobConfigurationTableCopy.writeDisposition.
    """
    copy(client, out, f"{dataset}.new", "WRITE_EMPTY")
    assert client.get_table(f"{dataset}.new").time_partitioning.field == "day"
    query(client, f"DELETE FROM `{dataset}.new` WHERE day = '2024-02-27'")
    copy(client, f"{dataset}.new", out, "WRITE_TRUNCATE")
    assert rows(client, out) == [(SECOND, 2)]
    copy(client, f"{dataset}.new$20240228", out, "WRITE_APPEND")
    assert rows(client, out) == [(SECOND, 2), (SECOND, 2)]


def test_a_query_replaces_one_partition(client: bigquery.Client, out: str) -> None:
    """A query's destination may be a partition; all rows must belong to it.

    Source: "Load data into partitioned tables", "Write data to a specific partition"
    (``bq query --destination_table='my_table$20160501'``).
    """
    partition = bigquery.TableReference.from_string(f"{out}$20240228")
    truncate = {"destination": partition, "write_disposition": "WRITE_TRUNCATE"}
    query(client, "SELECT DATE '2024-02-28' AS day, 3 AS n", **truncate)
    assert rows(client, out) == [(FIRST, 1), (SECOND, 3)]
    with pytest.raises(BadRequest, match="different partitions"):
        query(client, "SELECT DATE '2024-02-29' AS day, 4 AS n", **truncate)
    assert rows(client, out) == [(FIRST, 1), (SECOND, 3)]


def test_dml_deletes_the_rows_of_a_partition(client: bigquery.Client, out: str) -> None:
    """DELETE with a filter on the partitioning column removes that partition's rows.

    Source: "Using DML with partitioned tables", "DELETE statement".
    """
    job = query(client, f"DELETE FROM `{out}` WHERE day = DATE '2024-02-27'")
    assert job.num_dml_affected_rows == 1
    assert rows(client, out) == [(SECOND, 2)]
    assert client.get_table(out).num_rows == 1


def test_arrival_times_are_refused(client: bigquery.Client, dataset: str) -> None:
    """The embedded service keeps no ingestion time, and says so instead of inventing one.

    The real service: "Query partitioned tables", "Query an ingestion-time partitioned table".
    """
    make(client, f"{dataset}.t", "n INT64", timePartitioning={"type": "DAY"})
    load(client, f"{dataset}.t", {"n": [1]})
    assert rows(client, f"{dataset}.t") == [(1,)]
    with pytest.raises(MethodNotImplemented, match="does not keep when a row arrived"):
        load(client, f"{dataset}.t$20240227", {"n": [1]})
    with pytest.raises(MethodNotImplemented, match="_PARTITIONTIME"):
        query(client, f"SELECT * FROM `{dataset}.t` WHERE _PARTITIONTIME > '2024-01-01'")

"""Properties of tables: kept by jobs that write, changed one by one, refused where impossible."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from contract_tables import BY_DAY, copy, load, make, query, rows
from google.api_core.exceptions import BadRequest
from google.cloud import bigquery

DAY = dt.date(2024, 2, 29)
KEY = "projects/p/locations/us/keyRings/r/cryptoKeys/k"
COLUMNS = "day DATE, k STRING, n INT64"
EXPIRES = dt.datetime(2099, 1, 1, tzinfo=dt.UTC)
PROPERTIES: dict[str, Any] = {
    "timePartitioning": {"type": "MONTH", "field": "day", "expirationMs": "86400000000"},
    "clustering": {"fields": ["k", "n"]},
    "labels": {"team": "a", "cost": "b"},
    "description": "Scores.",
    "friendlyName": "scores",
    "expirationTime": str(round(EXPIRES.timestamp() * 1000)),
    "encryptionConfiguration": {"kmsKeyName": KEY},
}
ROW: dict[str, list[Any]] = {"day": [DAY], "k": ["x"], "n": [1]}


def properties(client: bigquery.Client, name: str) -> dict[str, Any]:
    resource = client.get_table(name).to_api_repr()
    return {key: resource.get(key) for key in PROPERTIES}


@pytest.fixture
def out(client: bigquery.Client, dataset: str) -> str:
    name = f"{dataset}.out"
    make(client, name, COLUMNS, **PROPERTIES)
    return name


def test_a_new_table_has_what_it_was_given(client: bigquery.Client, out: str) -> None:
    """tables.get answers with the properties that tables.insert was given.

    Source: "REST Resource: tables".
    """
    assert properties(client, out) == PROPERTIES
    assert client.get_table(out).expires == EXPIRES


@pytest.mark.parametrize("disposition", ["WRITE_TRUNCATE", "WRITE_APPEND", "WRITE_TRUNCATE_DATA"])
def test_jobs_keep_the_properties(
    client: bigquery.Client, dataset: str, out: str, disposition: str
) -> None:
    """A load, query or copy into an existing table leaves its layout, labels, description,
    expiration and key; a job that overwrites may replace the schema.

    Source: "REST Resource: jobs", writeDisposition of JobConfigurationLoad, -Query and -TableCopy
    (WRITE_TRUNCATE "overwrites the data [...] and uses the schema from the" job, nothing else).
    """
    load(client, out, ROW, writeDisposition=disposition)
    source = f"{dataset}.source"
    layout = {key: PROPERTIES[key] for key in ("timePartitioning", "clustering")}
    make(client, source, COLUMNS, **layout, description="Another.")
    load(client, source, ROW)
    destination = bigquery.TableReference.from_string(out)
    sql = f"SELECT * FROM `{source}`"
    query(client, sql, destination=destination, write_disposition=disposition)
    copy(client, source, out, disposition)
    assert properties(client, out) == PROPERTIES
    assert client.get_table(out).num_rows == (3 if disposition == "WRITE_APPEND" else 1)


def test_truncating_takes_the_schema_of_the_source(client: bigquery.Client, dataset: str) -> None:
    """WRITE_TRUNCATE replaces columns, their modes and descriptions; WRITE_TRUNCATE_DATA does not.

    Source: "REST Resource: jobs", writeDisposition; BigQueryAuditMetadata.WriteDisposition ("might
    not preserve table metadata such as table schema [...] or column descriptions").
    """
    name = f"{dataset}.t"
    make(client, name, "k STRING REQUIRED, n INT64")
    described = [bigquery.SchemaField("k", "STRING", "REQUIRED", description="The key.")]
    table = client.get_table(name)
    table.schema = [*described, *table.schema[1:]]
    client.update_table(table, ["schema"])
    load(client, name, {"k": ["a"]}, writeDisposition="WRITE_TRUNCATE_DATA")
    assert [field.description for field in client.get_table(name).schema] == ["The key.", None]
    load(client, name, {"k": ["a"]}, writeDisposition="WRITE_TRUNCATE")
    assert client.get_table(name).schema == [bigquery.SchemaField("k", "STRING")]


def test_a_job_cannot_lay_out_a_table_anew(client: bigquery.Client, out: str) -> None:
    """A job that names a layout other than the table's fails, also with WRITE_TRUNCATE.

    Source: the service's message, as in github.com/mozilla/bigquery-etl/pull/1968 and
    github.com/GoogleCloudDataproc/spark-bigquery-connector/issues/164.
    """
    same = {key: PROPERTIES[key] for key in ("timePartitioning", "clustering")}
    load(client, out, ROW, **same)
    for other in (BY_DAY, {**same, "clustering": {"fields": ["n"]}}):
        with pytest.raises(BadRequest, match="Incompatible table partitioning specification"):
            load(client, out, ROW, writeDisposition="WRITE_TRUNCATE", **other)
    assert client.get_table(out).num_rows == 1


def test_a_truncation_cannot_lose_the_partitioning_column(
    client: bigquery.Client, out: str
) -> None:
    """The new schema must have the column that the table is partitioned by.

    Source: "Create partitioned tables"; the service's message.
    """
    with pytest.raises(BadRequest, match="specified for partitioning cannot be found"):
        load(client, out, {"k": ["x"], "n": [1]}, writeDisposition="WRITE_TRUNCATE")
    assert [field.name for field in client.get_table(out).schema] == ["day", "k", "n"]


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ({"timePartitioning": {"type": "DAY", "field": "gone"}}, "cannot be found in the schema"),
        ({"timePartitioning": {"type": "HOUR", "field": "day"}}, "cannot be used for HOUR"),
        ({"timePartitioning": {"type": "DAY", "field": "k"}}, "cannot be used for DAY"),
        ({"timePartitioning": {"type": "WEEK", "field": "day"}}, "[Ii]nvalid"),
        ({"clustering": {"fields": ["gone"]}}, "cannot be found in the schema"),
        ({"clustering": {"fields": ["x"]}}, "type FLOAT cannot be used for clustering"),
        (
            {"rangePartitioning": {"field": "k", "range": {"start": 0, "end": 9, "interval": 1}}},
            "expected INTEGER",
        ),
        (
            {"rangePartitioning": {"field": "n", "range": {"start": 9, "end": 0, "interval": 1}}},
            "expected start below end",
        ),
    ],
)
def test_layouts_that_columns_do_not_allow(
    client: bigquery.Client, dataset: str, layout: dict[str, Any], message: str
) -> None:
    """Time units want DATE, TIMESTAMP or DATETIME, ranges INTEGER, clusters one of some types.

    Source: "Introduction to partitioned tables"; "Create clustered tables", "Limitations".
    """
    columns = f"{COLUMNS}, x FLOAT64"
    with pytest.raises(BadRequest, match=message):
        make(client, f"{dataset}.t", columns, **layout)


def test_properties_for_a_table_that_a_job_makes(client: bigquery.Client, dataset: str) -> None:
    """destinationTableProperties and the key go to a new table; an existing one must have them.

    Source: "REST Resource: jobs", DestinationTableProperties ("only used if the destination table
    is newly created [...] if a value different than the current description is provided, the job
    will fail").
    """
    name = f"{dataset}.t"
    given = {key: PROPERTIES[key] for key in ("labels", "description", "friendlyName")}
    key = {"destinationEncryptionConfiguration": {"kmsKeyName": KEY}}
    load(client, name, ROW, destinationTableProperties=given, **key)
    found = properties(client, name)
    assert {**given, "encryptionConfiguration": {"kmsKeyName": KEY}} == {
        key: value for key, value in found.items() if value
    }
    load(client, name, ROW, destinationTableProperties=given)
    with pytest.raises(BadRequest, match="exists and has another"):
        load(client, name, ROW, destinationTableProperties={"description": "Another."})
    assert client.get_table(name).num_rows == 2


def test_labels_are_merged(client: bigquery.Client, out: str) -> None:
    """tables.patch changes the labels that it names, null removes one, the others stay.

    Source: "Method: tables.patch" ("patch semantics"); google.cloud.bigquery.Client.update_table.
    """
    table = client.get_table(out)
    table.labels = {"cost": None, "new": "c"}
    client.update_table(table, ["labels"])
    assert client.get_table(out).labels == {"team": "a", "new": "c"}
    assert client.get_table(out).description == "Scores."


def test_columns_are_added_and_nothing_else(client: bigquery.Client, out: str) -> None:
    """tables.patch adds NULLABLE columns; it removes none, retypes none and keeps the partitions.

    Source: "Modifying table schemas", "Add a column" and "Delete a column"; "Create partitioned
    tables" (partitioning cannot be changed).
    """
    load(client, out, ROW)
    table = client.get_table(out)
    old = table.schema
    table.schema = [*old, bigquery.SchemaField("extra", "FLOAT64")]
    client.update_table(table, ["schema"])
    assert rows(client, out, "n, extra") == [(1, None)]
    for wrong, message in (
        (old, "missing in new schema"),
        ([*old[:2], bigquery.SchemaField("n", "STRING"), *table.schema[3:]], "changed type"),
        ([*table.schema, bigquery.SchemaField("m", "STRING", "REQUIRED")], "become REQUIRED"),
    ):
        table.schema = wrong
        with pytest.raises(BadRequest, match=message):
            client.update_table(table, ["schema"])
    table.time_partitioning = bigquery.TimePartitioning("DAY", "day")
    with pytest.raises(BadRequest, match="Cannot change partitioning spec"):
        client.update_table(table, ["time_partitioning"])


def test_a_required_filter_is_required(client: bigquery.Client, dataset: str) -> None:
    """A table with requirePartitionFilter is only read, changed and merged into with a filter.

    Source: "Query partitioned tables", "Require a partition filter in queries"; "Using DML with
    partitioned tables", "MERGE statement".
    """
    name, run = f"{dataset}.out", f"{dataset}.run"
    make(client, name, COLUMNS, requirePartitionFilter=True, **BY_DAY)
    make(client, run, COLUMNS)
    load(client, name, ROW)
    load(client, run, ROW)
    assert client.get_table(name).require_partition_filter
    merge = (
        f"MERGE `{name}` T USING `{run}` S ON T.k = S.k {{}} "
        "WHEN MATCHED THEN UPDATE SET n = S.n + 1"
    )
    for sql in (f"SELECT n FROM `{name}`", f"DELETE FROM `{name}` WHERE n = 1", merge.format("")):
        with pytest.raises(BadRequest, match="without a filter over column"):
            query(client, sql)
    query(client, merge.format("AND T.day = S.day"))
    query(client, f"INSERT `{name}` (day, k, n) VALUES ('2024-02-28', 'y', 3)")
    found = client.query(f"SELECT n FROM `{name}` WHERE day >= '2024-01-01'").result()
    assert sorted(row.n for row in found) == [2, 3]


def test_subqueries_keep_the_order_of_arrays(client: bigquery.Client) -> None:
    """ARRAY(SELECT AS STRUCT ... ORDER BY OFFSET) has the elements in their places.

    Source: "Work with arrays", "Flattening arrays" and "Creating arrays from subqueries".
    """
    sql = (
        "SELECT * REPLACE (ARRAY(SELECT AS STRUCT e.p AS score, e.label FROM UNNEST(a) AS e "
        "WITH OFFSET AS place ORDER BY place) AS a) FROM (SELECT 1 AS k, "
        "[STRUCT('z' AS label, 0.2 AS p), STRUCT('b', 0.9), STRUCT('y', 0.1)] AS a)"
    )
    (row,) = client.query(sql).result()
    assert row.a == [
        {"score": 0.2, "label": "z"},
        {"score": 0.9, "label": "b"},
        {"score": 0.1, "label": "y"},
    ]

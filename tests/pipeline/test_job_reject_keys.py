"""Rejects reach their table whatever the keys are, and whatever that table is like."""

import pyarrow as pa
import saved_models
from google.cloud import bigquery
from workbench import Saved, Workbench

from pipeline import cli

# A value of each type that a column can have, except those that no load job takes.
_KEYS = {
    "bytes_key": "FROM_BASE64('/wA=')",
    "bool_key": "TRUE",
    "numeric_key": "NUMERIC '1.5'",
    "bignumeric_key": "BIGNUMERIC '1.5'",
    "date_key": "DATE '0001-01-01'",
    "time_key": "TIME '23:59:59.999999'",
    "datetime_key": "DATETIME '9999-12-31 23:59:59.999999'",
    "timestamp_key": "TIMESTAMP '9999-12-31 23:59:59.999999+00'",
    "float_key": "CAST('nan' AS FLOAT64)",
    "text_key": "REPEAT('é', 100000)",
    "json_key": """PARSE_JSON('{"a": 1}')""",
    "place_key": "ST_GEOGFROMTEXT('POINT (1 2)')",
    "array_key": "['a', '']",
    "struct_key": "STRUCT(1 AS n, [STRUCT(DATE '2024-05-01' AS d)] AS days)",
    "empty_array_key": "CAST([] AS ARRAY<INT64>)",
    "null_key": "CAST(NULL AS STRING)",
}


def test_keys_of_every_type(bench: Workbench, saved: Saved) -> None:
    dataset = bigquery.DatasetReference(bench.cloud.project, bench.dataset)
    config = bigquery.QueryJobConfig(destination=dataset.table("t"))
    values = ", ".join(f"{value} AS {name}" for name, value in _KEYS.items())
    bench.client.query(f"SELECT {values}, CAST(NULL AS FLOAT64) AS x", config).result()

    outcome = bench.score(
        saved(saved_models.doubled),
        f"--key_columns={','.join(_KEYS)}",
        "--max_rejected_fraction=1",
    )

    assert outcome.code == cli.OK, outcome.stderr
    (source,) = bench.arrow("t").to_pylist()
    (reject,) = bench.arrow("p__rejects").to_pylist()
    assert reject["code"] == "NULL_VALUE"
    key = reject["key"]
    assert set(key) == set(_KEYS)
    assert str(key.pop("float_key")) == "nan"
    for name in (
        "bytes_key",
        "numeric_key",
        "bignumeric_key",
        "text_key",
        "struct_key",
        "date_key",
    ):
        assert key[name] == source[name]


def test_a_rejects_table_with_partitions_of_its_own(bench: Workbench, saved: Saved) -> None:
    bench.load("t", pa.table({"id": [1, 2], "x": [1.0, None]}))
    arguments = ("--key_columns=id", "--max_rejected_fraction=0.5")
    assert bench.score(saved(saved_models.doubled), *arguments).code == cli.OK
    old = bench.client.get_table(bench.name("p__rejects"))
    table = bigquery.Table(f"{bench.cloud.project}.{bench.name('bad')}", old.schema)
    table.time_partitioning = bigquery.TimePartitioning(field="at", expiration_ms=10**10)
    table.clustering_fields = ["code"]
    bench.client.create_table(table)

    for _ in range(2):
        outcome = bench.score(
            saved(saved_models.doubled), *arguments, f"--rejects_table={bench.name('bad')}"
        )
        assert outcome.code == cli.OK, outcome.stderr

    assert [r["id"] for r in bench.rejects("bad")] == [2, 2]
    kept = bench.client.get_table(bench.name("bad"))
    assert kept.time_partitioning.field == "at"
    assert kept.clustering_fields == ["code"]

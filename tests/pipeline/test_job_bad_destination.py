"""Result tables that cannot take what a run would write: refused before anything is written."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pytest
from google.cloud import bigquery
from saved_models import doubled
from workbench import Saved, Workbench

from pipeline import cli
from pipeline.destination import tagged_columns


@pytest.fixture
def numbers(bench: Workbench) -> Workbench:
    """Table t: id, x and note; table p as a run with --key_columns=id makes it, with one row."""
    bench.load("t", pa.table({"id": [1, 2], "x": [1.0, 2.0], "note": ["a", "b"]}))
    bench.sql("CREATE TABLE p AS SELECT 9 AS id, 0.5 AS y, 'r' AS run_id, 'd' AS model_digest")
    return bench


@pytest.mark.parametrize("command", ["score", "check"])
@pytest.mark.parametrize(
    ("mode", "arguments", "problem"),
    [
        ("replace", ["--output_columns=y=other"], "column y FLOAT64 would be missing"),
        ("append", ["--output_columns=y=other"], "column y FLOAT64 would be missing"),
        ("append", ["--passthrough_columns=note"], "column note STRING would be new"),
    ],
)
def test_columns_that_are_missing_or_new(
    numbers: Workbench,
    saved: Saved,
    command: str,
    mode: str,
    arguments: list[str],
    problem: str,
) -> None:
    start = numbers.score if command == "score" else numbers.check
    outcome = start(saved(doubled), "--key_columns=id", f"--write_mode={mode}", *arguments)

    outcome.refused_with(
        f"Table bulkscore-local.{numbers.name('p')} exists with another schema",
        problem,
        "--output_columns",
        "--output_table",
    )
    assert numbers.tables() == {"t", "p"}
    assert numbers.rows() == [{"id": 9, "y": 0.5}]


@pytest.mark.parametrize("mode", ["replace", "append"])
@pytest.mark.parametrize(
    ("key", "problem"),
    [("CAST('k' AS STRING)", "column id is STRING, got INT64"), ("[1]", "ARRAY<INT64>, got INT64")],
)
def test_a_column_of_another_type(
    numbers: Workbench, saved: Saved, mode: str, key: str, problem: str
) -> None:
    numbers.sql(
        f"CREATE TABLE q AS SELECT {key} AS id, 0.5 AS y, 'r' AS run_id, 'd' AS model_digest"
    )

    outcome = numbers.score(saved(doubled), "--key_columns=id", f"--write_mode={mode}", output="q")

    outcome.refused_with(problem)
    assert numbers.tables() == {"t", "p", "q"}


def test_a_required_column_for_what_may_be_null(numbers: Workbench, saved: Saved) -> None:
    numbers.sql("CREATE TABLE q (id INT64, y FLOAT64 NOT NULL, run_id STRING, model_digest STRING)")

    outcome = numbers.score(saved(doubled), "--key_columns=id", output="q")

    outcome.refused_with("column y is REQUIRED")


def test_a_rejects_table_of_another_key(numbers: Workbench, saved: Saved) -> None:
    first = numbers.score(saved(doubled), "--key_columns=id", output="q")
    assert first.code == cli.OK, first.stderr
    recorded = numbers.arrow("q__runs").num_rows

    outcome = numbers.score(saved(doubled), "--key_columns=id,note", output="q")

    outcome.refused_with(
        f"Table bulkscore-local.{numbers.name('q__rejects')} exists with another schema",
        "column key is STRUCT<id INT64>, got STRUCT<id INT64, note STRING>",
        "--rejects_table",
    )
    assert numbers.arrow("q__runs").num_rows == recorded


def test_a_runs_table_that_is_none(numbers: Workbench, saved: Saved) -> None:
    numbers.sql("CREATE TABLE mine AS SELECT 1 AS one")

    outcome = numbers.score(
        saved(doubled), "--key_columns=id", f"--runs_table={numbers.name('mine')}", output="q"
    )

    outcome.refused_with("column one INT64 would be missing", "--runs_table")


_KEY = "projects/my-project/locations/eu/keyRings/ring/cryptoKeys/key"
_DAILY = {"timePartitioning": {"type": "DAY", "field": "day"}}
_RANGES = {
    "rangePartitioning": {"field": "id", "range": {"start": "0", "end": "25", "interval": "10"}}
}
_PARTITION = ("--write_mode=partition", "--passthrough_columns=day")
_MERGE = ("--write_mode=merge", "--passthrough_columns=day")
_ONLY_NEW = ("--write_mode=append", "--only_new", "--passthrough_columns=day")
_SAME = "--passthrough_columns=day"


@pytest.fixture
def dated(bench: Workbench) -> Workbench:
    """Table t: id, x, a day, and columns that are no keys; empty."""
    columns = {"id": "INTEGER", "x": "FLOAT", "day": "DATE", "fed": "FLOAT", "j": "JSON"}
    _create(bench, "t", [*columns.items(), ("ints", "INTEGER", "REPEATED")], {})
    return bench


def _create(
    bench: Workbench, name: str, columns: Sequence[tuple[str, ...]], properties: Mapping[str, Any]
) -> None:
    """A table with columns of (name, type, mode)."""
    table = bigquery.Table(f"{bench.cloud.project}.{bench.name(name)}")
    table.schema = [bigquery.SchemaField(*column) for column in columns]
    table._properties.update(properties)
    bench.client.create_table(table)


def _make_output(bench: Workbench, properties: Mapping[str, Any]) -> None:
    """Table p as a run with id and day makes it, with these properties."""
    columns = {"id": "INTEGER", "day": "DATE", "y": "FLOAT"}
    columns |= {"run_id": "STRING", "model_digest": "STRING"}
    _create(bench, "p", list(columns.items()), properties)


@pytest.mark.parametrize(
    ("properties", "arguments", "fragments"),
    [
        (
            _DAILY,
            [*_PARTITION, "--partition=202405"],
            ["--partition 202405 is not a partition of", "by DAY of column day: expected YYYYMMDD"],
        ),
        (_DAILY, [*_PARTITION, "--partition=20240532"], ["expected a date as YYYYMMDD"]),
        (
            _RANGES,
            [*_PARTITION, "--partition=5"],
            ["integer ranges of column id: expected the start of a range, 0 plus a multiple of 10"],
        ),
        (
            {},
            [*_PARTITION, "--partition=20240501"],
            ["is not partitioned; --write_mode partition needs one", "--output_partitioning"],
        ),
        (
            {"timePartitioning": {"type": "DAY"}},
            [*_PARTITION, "--partition=20240501"],
            ["is partitioned by DAY of arrival; --write_mode partition needs one"],
        ),
        (
            {**_DAILY, "requirePartitionFilter": True},
            _MERGE,
            ["only read with a filter on its partitions, but --write_mode merge", "ALTER TABLE"],
        ),
        (
            {**_DAILY, "requirePartitionFilter": True},
            _ONLY_NEW,
            ["only read with a filter on its partitions, but --only_new", "ALTER TABLE"],
        ),
        (
            _DAILY,
            [_SAME, "--output_partitioning=day:MONTH"],
            ["is partitioned by DAY of column day, which no run changes", "asks for day:MONTH"],
        ),
        ({}, [_SAME, "--output_partitioning=day"], ["exists and is not partitioned"]),
        (
            {"clustering": {"fields": ["id"]}},
            [_SAME, "--output_clustering=day,id"],
            ["exists and is clustered by id, which no run changes", "asks for day, id"],
        ),
        ({}, [_SAME, "--output_clustering=id"], ["exists and is not clustered"]),
        (
            {"encryptionConfiguration": {"kmsKeyName": f"{_KEY}2"}},
            [_SAME, f"--output_kms_key={_KEY}"],
            [f"is encrypted with {_KEY}2, which no run changes", "--output_kms_key asks for"],
        ),
        ({}, [_SAME, f"--output_kms_key={_KEY}"], ["is not encrypted with a key of Cloud KMS"]),
    ],
)
def test_tables_that_are_not_laid_out_for_it(
    dated: Workbench,
    saved: Saved,
    properties: Mapping[str, Any],
    arguments: Sequence[str],
    fragments: Sequence[str],
) -> None:
    _make_output(dated, properties)

    outcome = dated.score(saved(doubled), "--key_columns=id", *arguments)

    outcome.refused_with(*fragments)
    assert dated.tables() == {"t", "p"}


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (
            ["--output_partitioning=day"],
            ["names column 'day', which the output does not have", "--passthrough_columns"],
        ),
        (
            [_SAME, "--output_partitioning=day:HOUR"],
            ["'day', which is DATE; expected DATETIME or TIMESTAMP for partitions of a HOUR"],
        ),
        (
            ["--output_partitioning=y"],
            ["'y', which is FLOAT64; expected DATE, DATETIME or TIMESTAMP"],
        ),
        (["--output_clustering=y"], ["'y', which is FLOAT64; BigQuery clusters by"]),
        (
            ["--output_clustering=z"],
            ["'z', which the output does not have. Its columns are: id, y"],
        ),
        (
            ["--write_mode=partition", "--partition=2024"],
            ["is not partitioned", "give a new one --output_partitioning"],
        ),
    ],
)
def test_new_tables_that_cannot_be(
    dated: Workbench, saved: Saved, arguments: Sequence[str], fragments: Sequence[str]
) -> None:
    outcome = dated.score(saved(doubled), "--key_columns=id", *arguments)

    outcome.refused_with(*fragments)
    assert dated.tables() == {"t"}


@pytest.mark.parametrize(
    ("key", "kind"), [("x", "FLOAT64"), ("ints", "ARRAY<INT64>"), ("j", "JSON")]
)
@pytest.mark.parametrize(
    ("asking", "arguments"),
    [("--write_mode merge", _MERGE[:1]), ("--only_new", _ONLY_NEW[:2])],
)
def test_keys_that_cannot_be_compared(
    dated: Workbench, saved: Saved, key: str, kind: str, asking: str, arguments: Sequence[str]
) -> None:
    outcome = dated.score(
        saved(doubled), f"--key_columns=id,{key}", "--input_columns=x=fed", *arguments
    )

    outcome.refused_with(
        f"--key_columns names column '{key}', which is {kind}; {asking} needs keys"
    )


def test_a_view_as_output(dated: Workbench, saved: Saved) -> None:
    dated.sql("CREATE VIEW p AS SELECT 1 AS id, 0.5 AS y, 'r' AS run_id, 'd' AS model_digest")

    outcome = dated.score(saved(doubled), "--key_columns=id")

    outcome.refused_with(f"{dated.name('p')} is a VIEW, which no job can write to. Name a table.")


def test_required_columns_beside_restored_ones(dated: Workbench, saved: Saved) -> None:
    columns = {"j": "JSON", "y": "FLOAT", "run_id": "STRING", "model_digest": "STRING"}
    key = ("id", "INTEGER", "REQUIRED")
    _create(dated, "k", [key, ("x", "FLOAT"), ("j", "JSON")], {})
    _create(dated, "p", [key, *columns.items()], {})

    outcome = dated.score(
        saved(doubled),
        f"--input_table={dated.name('k')}",
        "--key_columns=id",
        "--passthrough_columns=j",
        "--write_mode=append",
    )

    outcome.refused_with(
        "has REQUIRED columns (id), which the query that restores j cannot write", "DROP NOT NULL"
    )


def test_a_source_that_wants_a_filter(dated: Workbench, saved: Saved) -> None:
    _make_output(dated, {**_DAILY, "requirePartitionFilter": True})

    outcome = dated.score(saved(doubled), f"--input_table={dated.name('p')}", output="q")

    outcome.refused_with("is only read with a filter on its partitions", "--row_restriction")


def test_columns_with_policy_tags_are_found() -> None:
    """The embedded BigQuery keeps no policy tags."""
    tags = bigquery.PolicyTagList(["projects/p/locations/eu/taxonomies/1/policyTags/2"])
    inner = [bigquery.SchemaField("a", "STRING", policy_tags=tags)]
    schema = [
        bigquery.SchemaField("id", "INTEGER"),
        bigquery.SchemaField("y", "FLOAT", policy_tags=tags),
        bigquery.SchemaField("s", "RECORD", fields=inner),
    ]
    assert tagged_columns(schema) == ["y", "s.a"]

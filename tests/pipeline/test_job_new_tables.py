"""What a new output table gets from the flags, and what an existing one keeps."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import saved_models
from google.cloud import bigquery
from workbench import Saved, Workbench

from pipeline import cli

KEY = "projects/my-project/locations/eu/keyRings/ring/cryptoKeys/key"
COLUMNS = ("--key_columns=id", "--passthrough_columns=day")
FLAGS = (
    "--output_partitioning=day",
    "--output_clustering=id,run_id",
    "--output_labels=team=ads,env=",
    "--output_expiration_days=30",
    "--output_description=Scores of every day.",
    f"--output_kms_key={KEY}",
)


@pytest.fixture
def doubled(saved: Saved) -> Path:
    """x -> y = 2 * x."""
    return saved(saved_models.doubled)


@pytest.fixture
def days(bench: Workbench) -> Workbench:
    """Table t: two rows of different days."""
    rows = {"id": [1, 2], "x": [1.0, 2.0], "day": [date(2024, 5, 1), date(2024, 5, 2)]}
    bench.load("t", pa.table(rows))
    return bench


def _resource(bench: Workbench) -> dict[str, Any]:
    resource: dict[str, Any] = bench.client.get_table(bench.name("p")).to_api_repr()
    return resource


@pytest.mark.parametrize("mode", ["replace", "append", "merge"])
def test_a_new_table_gets_what_the_flags_say(days: Workbench, doubled: Path, mode: str) -> None:
    before = datetime.now(UTC)

    outcome = days.score(doubled, *COLUMNS, *FLAGS, f"--write_mode={mode}")

    assert outcome.code == cli.OK, outcome.stderr
    assert {
        "output layout partitioned by DAY of column day, clustered by id, run_id",
        "output labels team=ads, env=",
        "output expires after 30 days",
        "description Scores of every day.",
        f"encrypted with {KEY}",
    } <= {" ".join(line.split()) for line in outcome.stdout.splitlines()}
    table = days.client.get_table(days.name("p"))
    assert (table.time_partitioning.type_, table.time_partitioning.field) == ("DAY", "day")
    assert table.clustering_fields == ["id", "run_id"]
    assert table.labels == {"team": "ads", "env": ""}
    assert table.description == "Scores of every day."
    # BigQuery keeps milliseconds.
    assert (
        before - timedelta(milliseconds=1) < table.expires - timedelta(days=30) < datetime.now(UTC)
    )
    assert [r["y"] for r in days.rows()] == [2.0, 4.0]
    for name in ("p", "p__rejects", "p__runs"):
        encryption = days.client.get_table(days.name(name)).encryption_configuration
        assert encryption is not None, name
        assert encryption.kms_key_name == KEY


def test_restored_columns_are_in_a_new_table_as_well(bench: Workbench, doubled: Path) -> None:
    table = bigquery.Table(f"{bench.cloud.project}.{bench.name('t')}")
    columns = {"id": "INTEGER", "x": "FLOAT", "j": "JSON"}
    table.schema = [bigquery.SchemaField(*column) for column in columns.items()]
    bench.client.create_table(table)
    bench.sql("INSERT INTO t (id, x, j) VALUES (1, 1.0, PARSE_JSON('[1]'))")

    outcome = bench.score(
        doubled, "--key_columns=id", "--passthrough_columns=j", "--output_labels=team=ads"
    )

    assert outcome.code == cli.OK, outcome.stderr
    table = bench.client.get_table(bench.name("p"))
    assert table.labels == {"team": "ads"}
    assert [f.field_type for f in table.schema][:2] == ["INTEGER", "JSON"]
    assert table.num_rows == 1


@pytest.mark.parametrize("mode", ["replace", "append", "merge"])
def test_an_existing_table_keeps_what_it_has(days: Workbench, doubled: Path, mode: str) -> None:
    first = days.score(doubled, *COLUMNS, *FLAGS)
    assert first.code == cli.OK, first.stderr
    before = _resource(days)

    outcome = days.score(
        doubled,
        *COLUMNS,
        f"--write_mode={mode}",
        "--output_partitioning=DAY:DAY",
        "--output_clustering=ID,run_id",
        "--output_labels=team=other",
        "--output_expiration_days=1",
        "--output_description=Another.",
    )

    assert outcome.code == cli.OK, outcome.stderr
    after = _resource(days)
    kept = ("timePartitioning", "clustering", "labels", "description", "expirationTime")
    assert {k: after[k] for k in (*kept, "encryptionConfiguration")} == {
        k: before[k] for k in (*kept, "encryptionConfiguration")
    }


def test_a_refused_run_makes_no_table(days: Workbench, doubled: Path) -> None:
    days.load("t", pa.table({"id": [1], "x": pa.array([None], pa.float64())}))

    outcome = days.score(doubled, "--key_columns=id", "--write_mode=merge")

    assert outcome.code == cli.REFUSED, outcome.stderr
    assert "p" not in days.tables()


def test_what_a_refused_run_leaves_is_encrypted_as_well(days: Workbench, doubled: Path) -> None:
    days.load("t", pa.table({"id": [1, 1], "x": [1.0, None]}))
    query = f"--input_query=SELECT id, x FROM `{days.name('t')}`"

    outcome = days.score(doubled, "--key_columns=id", query, f"--output_kms_key={KEY}")

    assert outcome.code == cli.REFUSED, outcome.stderr
    (run_table,) = [name for name in days.tables() if name.startswith("p__run_")]
    (load,) = _loads_into(days, run_table)
    assert load["destinationEncryptionConfiguration"] == {"kmsKeyName": KEY}
    encryption = days.client.get_table(days.name(run_table)).encryption_configuration
    assert encryption is not None
    assert encryption.kms_key_name == KEY


def _loads_into(bench: Workbench, table: str) -> list[dict[str, Any]]:
    """The configurations of the load jobs into a table."""
    loads = [
        job.to_api_repr()["configuration"]["load"]
        for job in bench.client.list_jobs()
        if job.job_type == "load"
    ]
    wanted = (bench.dataset, table)
    destinations = [
        (x["destinationTable"]["datasetId"], x["destinationTable"]["tableId"]) for x in loads
    ]
    return [x for x, found in zip(loads, destinations, strict=True) if found == wanted]

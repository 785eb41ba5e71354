"""What a run leaves behind: replaced, appended, refused, repeated."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
import saved_models
from google.cloud import bigquery
from workbench import Saved, Workbench

from pipeline import cli
from transforms.publishing_jobs import RUN_TABLE_DAYS


@pytest.fixture
def doubled(saved: Saved) -> Path:
    """x -> y = 2 * x."""
    return saved(saved_models.doubled)


def _load(bench: Workbench, first: int, last: int) -> None:
    """Makes table t with the ids from `first` to `last`, x = id."""
    ids = range(first, last + 1)
    bench.load("t", pa.table({"id": ids, "x": [float(i) for i in ids]}))


def _rows(*ids: int) -> list[dict[str, float]]:
    return [{"id": i, "y": 2.0 * i} for i in ids]


def test_a_second_run_replaces_the_first(bench: Workbench, doubled: Path) -> None:
    _load(bench, 1, 5)
    assert bench.score(doubled, "--key_columns=id").code == cli.OK
    _load(bench, 4, 6)

    outcome = bench.score(doubled, "--key_columns=id")

    assert outcome.code == cli.OK, outcome.stderr
    assert "(replaced)" in outcome.stdout
    assert bench.rows() == _rows(4, 5, 6)
    assert bench.arrow("p__runs")["state"].to_pylist().count("published") == 2
    assert bench.tables() == {"t", "p", "p__rejects", "p__runs"}


def test_append_adds_to_the_first(bench: Workbench, doubled: Path) -> None:
    _load(bench, 1, 2)
    assert bench.score(doubled, "--key_columns=id", "--write_mode=append").code == cli.OK
    _load(bench, 2, 3)

    outcome = bench.score(doubled, "--key_columns=id", "--write_mode=append")

    assert outcome.code == cli.OK, outcome.stderr
    assert bench.rows() == _rows(1, 2, 2, 3)


def test_replacing_may_add_columns(bench: Workbench, doubled: Path) -> None:
    _load(bench, 1, 2)
    assert bench.score(doubled, "--key_columns=id").code == cli.OK

    outcome = bench.score(doubled, "--key_columns=id", "--passthrough_columns=x")

    assert outcome.code == cli.OK, outcome.stderr
    assert bench.rows() == [{"id": 1, "x": 1.0, "y": 2.0}, {"id": 2, "x": 2.0, "y": 4.0}]


def test_partitions_and_clusters_of_the_output_table_stay(bench: Workbench, doubled: Path) -> None:
    columns = ("day", "DATE"), ("id", "INTEGER"), ("y", "FLOAT")
    names = (*columns, ("run_id", "STRING"), ("model_digest", "STRING"))
    table = bigquery.Table(
        f"{bench.cloud.project}.{bench.name('p')}", [bigquery.SchemaField(*c) for c in names]
    )
    table.time_partitioning = bigquery.TimePartitioning(field="day")
    table.clustering_fields = ["id"]
    bench.client.create_table(table)
    bench.sql("CREATE TABLE t AS SELECT DATE '2024-05-01' AS day, 1 AS id, 2.0 AS x")

    outcome = bench.score(doubled, "--key_columns=id", "--passthrough_columns=day")

    assert outcome.code == cli.OK, outcome.stderr
    assert bench.rows(without=["day"]) == [{"id": 1, "y": 4.0}]
    published = bench.client.get_table(bench.name("p"))
    assert published.time_partitioning.field == "day"
    assert published.clustering_fields == ["id"]


@pytest.fixture
def refused(bench: Workbench, doubled: Path) -> Workbench:
    """After a good run and one whose rejects are more than allowed; both as `doubled` scores."""
    _load(bench, 1, 3)
    assert bench.score(doubled, "--key_columns=id").code == cli.OK
    bench.load("t", pa.table({"id": range(10), "x": [None, None, *map(float, range(2, 10))]}))
    return bench


def test_a_refused_run_leaves_the_output_as_it_was(refused: Workbench, doubled: Path) -> None:
    before = refused.arrow("p")

    outcome = refused.score(doubled, "--key_columns=id", f"--run_id={refused.dataset}")

    assert outcome.code == cli.REFUSED, outcome.stderr
    assert refused.arrow("p").equals(before)
    assert [r["id"] for r in refused.rejects()] == [0, 1]


def test_a_refused_run_says_why_and_how_to_see_the_rejects(
    refused: Workbench, doubled: Path
) -> None:
    run_id = refused.dataset

    outcome = refused.score(doubled, "--key_columns=id", f"--run_id={run_id}")

    assert "Traceback" not in outcome.stderr
    message = outcome.stderr[outcome.stderr.index("bulkscore: ") :]
    table = f"{refused.cloud.project}.{refused.name('p')}"
    assert message == (
        f"bulkscore: Run {run_id} was not published: 2 of 10 rows were rejected (20.00%), which "
        "is more than --max_rejected_fraction 0.01 allows: NULL_VALUE 2.\n"
        f"{table} is as it was. To see the rejects:\n"
        f"  SELECT code, message, row FROM `{table}__rejects` WHERE run_id = '{run_id}'\n"
        "To publish it all the same, with a higher limit:\n"
        f"  bulkscore score --output_table={table} --runs_table={table}__runs "
        f"--resume={run_id} --max_rejected_fraction=FRACTION\n"
    )
    rows = list(refused.client.query(message.splitlines()[2]).result())
    assert [row["code"] for row in rows] == ["NULL_VALUE", "NULL_VALUE"]


def test_a_refused_run_is_recorded_and_its_rows_are_kept_for_a_while(
    refused: Workbench, doubled: Path
) -> None:
    run_id = refused.dataset

    outcome = refused.score(doubled, "--key_columns=id", f"--run_id={run_id}")

    assert outcome.code == cli.REFUSED, outcome.stderr
    assert refused.states(run_id) == ["scored", "refused"]
    (row,) = [r for r in refused.arrow("p__runs").to_pylist() if r["state"] == "refused"]
    assert "2 of 10 rows were rejected" in row["reason"]
    assert (row["rows_read"], row["rows_scored"], row["rows_rejected"]) == (10, 8, 2)
    rejects_table, run_table = refused.run_tables()
    assert refused.rows(run_table) == _rows(*range(2, 10))
    for table in (rejects_table, run_table):
        expires = refused.client.get_table(refused.name(table)).expires
        assert expires is not None
        left = expires - datetime.now(UTC)
        assert timedelta(days=RUN_TABLE_DAYS - 1) < left <= timedelta(days=RUN_TABLE_DAYS)


def test_a_refused_run_can_be_repeated_with_a_higher_limit(
    refused: Workbench, doubled: Path
) -> None:
    arguments = ("--key_columns=id", f"--run_id={refused.dataset}")
    assert refused.score(doubled, *arguments).code == cli.REFUSED

    outcome = refused.score(doubled, *arguments, "--max_rejected_fraction=0.2")

    assert outcome.code == cli.OK, outcome.stderr
    assert refused.rows() == _rows(*range(2, 10))


def test_only_rejects_are_refused_and_make_no_output_table(bench: Workbench, doubled: Path) -> None:
    bench.load("t", pa.table({"id": range(5), "x": pa.array([None] * 5, pa.float64())}))

    outcome = bench.score(doubled, "--key_columns=id")

    assert outcome.code == cli.REFUSED, outcome.stderr
    assert "p" not in bench.tables()
    assert [r["id"] for r in bench.rejects()] == [0, 1, 2, 3, 4]


def test_tables_for_rejects_and_runs_of_ones_own(bench: Workbench, doubled: Path) -> None:
    bench.load("t", pa.table({"id": range(10), "x": [None, *map(float, range(1, 10))]}))

    outcome = bench.score(
        doubled,
        "--key_columns=id",
        "--max_rejected_fraction=0.1",
        f"--rejects_table={bench.name('bad_rows')}",
        f"--runs_table={bench.name('all_runs')}",
    )

    assert outcome.code == cli.OK, outcome.stderr
    assert bench.tables() == {"t", "p", "bad_rows", "all_runs"}
    assert [r["id"] for r in bench.rejects("bad_rows")] == [0]
    assert bench.run_row("all_runs")["rows_rejected"] == 1

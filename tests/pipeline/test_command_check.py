"""`bulkscore check`: prints the plan, scores a sample, writes nothing."""

import pyarrow as pa
import pytest
from saved_models import doubled, mixed_inputs
from workbench import Saved, Workbench

from pipeline import cli
from transforms import clients


def test_the_plan_is_printed_and_nothing_is_written(bench: Workbench, saved: Saved) -> None:
    bench.sql(
        "CREATE TABLE t AS SELECT id, 1 AS count, 2 AS offset, 0.5 AS price, TRUE AS active, "
        "'n' AS name FROM UNNEST(GENERATE_ARRAY(1, 200)) AS id"
    )

    outcome = bench.check(
        saved(mixed_inputs),
        "--key_columns=id",
        "--run_id=trial",
        "--machine_type=n1-highcpu-2",
        "--deadline=2h",
    )

    assert outcome.code == cli.OK, outcome.stderr
    assert outcome.stderr == ""
    lines = {" ".join(line.split()) for line in outcome.stdout.splitlines()}
    table = f"bulkscore-local.{bench.name('p')}"
    assert {
        f"source bulkscore-local.{bench.name('t')}",
        "rows in source 200",
        "signature serving_default",
        "key columns id",
        f"output table {table} (new)",
        f"rejects table {table}__rejects",
        f"runs table {table}__runs",
        "published if at most 1.00% of rows are rejected",
        "run id trial",
        "count: int32[None] count INT64 must fit the dtype",
        "name: string[None] name STRING its UTF-8 bytes",
        "id INT64 the source, unchanged",
        "label STRING model output label: string[None]",
        "total FLOAT64 model output total: float64[None]",
        "model_digest STRING this run",
        "Checked with rows: 100 scored, none rejected.",
        "rows 200, by the metadata of the table",
    } <= lines
    assert "n1-highcpu-2: 2 vCPUs, 1.8 GB, TOO SMALL" in outcome.stdout
    assert "vCPU-hours" in outcome.stdout
    assert bench.tables() == {"t"}


def test_the_sample_tells_what_would_be_rejected(bench: Workbench, saved: Saved) -> None:
    bench.load("t", pa.table({"x": [1.0, None, 3.0]}))

    outcome = bench.check(saved(doubled))

    assert outcome.code == cli.OK, outcome.stderr
    assert "Checked with rows: 2 scored, NULL_VALUE 1 rejected." in outcome.stdout


def test_an_empty_table_and_a_query_give_no_sample(bench: Workbench, saved: Saved) -> None:
    bench.sql("CREATE TABLE t (x FLOAT64)")

    assert "Checked without rows: the source has none." in bench.check(saved(doubled)).stdout
    query = bench.check(saved(doubled), "--input_query=SELECT 1.0 AS x", "--deadline=2h")
    assert query.code == cli.OK, query.stderr
    assert "only running the query would give some" in query.stdout
    assert "Time and workers for 2 h cannot be told, as rows are unknown" in query.stdout


def test_export_checks_rows_without_the_storage_read_api(
    bench: Workbench, saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.load("t", pa.table({"x": [1.0, None, 3.0], "id": [1, 2, 3]}))
    # Port 9 is the discard service, which nobody runs.
    monkeypatch.setenv(clients.BIGQUERY_STORAGE_ENDPOINT, "127.0.0.1:9")

    outcome = bench.check(saved(doubled), "--key_columns=id", "--read_method=EXPORT")

    assert outcome.code == cli.OK, outcome.stderr
    assert "Checked with rows: 2 scored, NULL_VALUE 1 rejected." in outcome.stdout


def test_no_temporary_folder_is_needed(bench: Workbench, saved: Saved) -> None:
    bench.load("t", pa.table({"x": [1.0]}))

    outcome = bench.run_as_given(
        "check",
        f"--project={bench.cloud.project}",
        f"--input_table={bench.name('t')}",
        f"--output_table={bench.name('p')}",
        f"--model={saved(doubled)}",
    )

    assert outcome.code == cli.OK, outcome.stderr

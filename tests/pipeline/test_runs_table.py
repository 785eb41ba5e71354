"""What the runs table says of a run, in a table of today's columns and in an older one."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import saved_models
from google.cloud import bigquery
from workbench import Saved, Workbench

from pipeline import cli
from scoring.portable import loaded_field
from transforms.plain_values import from_text
from transforms.publication import Publication
from transforms.run_record import RUNS_FIELDS

_OLD_FIELDS = 16


@pytest.fixture
def doubled(saved: Saved) -> Path:
    """x -> y = 2 * x."""
    return saved(saved_models.doubled)


def _load(bench: Workbench) -> None:
    """Ten rows: one is rejected, one has an infinite output."""
    x = [None, np.inf, *map(float, range(2, 10))]
    bench.load("t", pa.table({"id": range(10), "x": x}))


def test_the_row_of_a_published_run(bench: Workbench, doubled: Path) -> None:
    _load(bench)
    before = datetime.now(UTC)

    outcome = bench.score(
        doubled,
        "--key_columns=id",
        "--max_rejected_fraction=0.1",
        "--run_id=nightly_1",
        "--max_batch_size=4",
        # Of two calls at once the first to end decides how the rest is cut.
        "--model_copies=1",
    )

    assert outcome.code == cli.OK, outcome.stderr
    row = bench.run_row()
    project = bench.cloud.project
    assert before <= row.pop("started_at") <= row.pop("finished_at") <= datetime.now(UTC)
    assert set(bench.arrow("p")["model_digest"].to_pylist()) == {row.pop("model_digest")}
    options = row.pop("options")
    assert options["max_rejected_fraction"] == "0.1"
    assert options["model"] == str(doubled)
    publication = from_text(Publication, row.pop("publication"))
    assert (publication.run_id, publication.attempt) == ("nightly_1", row["attempt"])
    output = f"{project}.{bench.name('p')}"
    assert row.pop("run_table") == f"{output}__run_nightly_1_{row.pop('attempt')}"
    assert row.pop("loaded_bytes") > 0
    for name in ("load_ms", "feed_ms", "call_ms", "outputs_ms", "longest_call_ms"):
        assert row.pop(name) >= 0
    for name in ("bulkscore_version", "beam_version", "tensorflow_version"):
        assert row.pop(name)
    # Batches of 4, 4 and 2 rows, of which the first loses the row that cannot be fed.
    assert row == {
        "run_id": "nightly_1",
        "state": "published",
        "reason": None,
        "source": f"{project}.{bench.name('t')}",
        "snapshot_time": None,
        "model": str(doubled),
        "signature": "serving_default",
        "output_table": output,
        "write_mode": "replace",
        "rows_read": 10,
        "rows_scored": 9,
        "rows_written": 9,
        "rows_rejected": 1,
        "rejected_by_code": [{"code": "NULL_VALUE", "rows": 1}],
        "nulls_defaulted": 0,
        "non_finite": 1,
        "calls": 3,
        "batch_sizes": [{"rows": 2, "calls": 1}, {"rows": 4, "calls": 2}],
    }


def test_a_row_a_state(bench: Workbench, doubled: Path) -> None:
    _load(bench)

    outcome = bench.score(
        doubled, "--key_columns=id", "--max_rejected_fraction=0.1", "--run_id=one"
    )

    assert outcome.code == cli.OK, outcome.stderr
    assert bench.states("one") == ["scored", "published"]
    changed = {"state", "finished_at"}
    scored, published = (
        {k: v for k, v in row.items() if k not in changed}
        for row in bench.arrow("p__runs").to_pylist()
    )
    assert scored == published


def test_an_older_table_gains_the_columns(bench: Workbench, doubled: Path) -> None:
    _load(bench)
    fields = [bigquery.SchemaField.from_api_repr(f.to_api()) for f in RUNS_FIELDS[:_OLD_FIELDS]]
    table = bigquery.Table(f"{bench.cloud.project}.{bench.name('p__runs')}", fields)
    bench.client.create_table(table)
    bench.sql("INSERT INTO p__runs (run_id, state) VALUES ('old', 'published')")

    outcome = bench.score(doubled, "--key_columns=id", "--max_rejected_fraction=0.1")

    assert outcome.code == cli.OK, outcome.stderr
    rows = bench.arrow("p__runs").to_pylist()
    assert [row["calls"] for row in rows if row["run_id"] == "old"] == [None]
    assert [row["calls"] for row in rows if row["state"] != "scored"].count(1) == 1
    names = [f.name for f in bench.client.get_table(bench.name("p__runs")).schema]
    assert set(names) == {f.name for f in RUNS_FIELDS}


def test_a_failed_run_is_recorded_with_the_reason(bench: Workbench, saved: Saved) -> None:
    _load(bench)
    model = bench.folder / "broken"
    shutil.copytree(saved(saved_models.weighted), model)
    for file in (model / "variables").iterdir():
        file.write_bytes(b"broken")

    outcome = bench.score(model, "--run_id=broken")

    assert outcome.code == cli.FAILED, outcome.stderr
    row = bench.run_row()
    assert (row["run_id"], row["state"], row["rows_read"]) == ("broken", "failed", None)
    assert row["reason"].startswith(f"The pipeline failed: Model {model}")
    assert row["reason"] in outcome.stderr
    assert "--resume" not in outcome.stderr
    assert "p" not in bench.tables()


def test_the_columns_of_the_table_can_be_loaded() -> None:
    assert all(loaded_field(field) == field for field in RUNS_FIELDS)
    assert all(field.mode != "REQUIRED" for field in RUNS_FIELDS)

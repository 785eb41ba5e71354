"""`score --resume`: a run that was scored is published without scoring it again."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
import saved_models
from google.cloud import bigquery
from workbench import Outcome, Saved, Workbench

from options.parse import parse
from pipeline import cli, job
from pipeline.errors import RunFailedError
from pipeline.plan import make_plan

_RUN = "first"


@pytest.fixture
def doubled(saved: Saved) -> Path:
    """x -> y = 2 * x."""
    return saved(saved_models.doubled)


@pytest.fixture
def refused(bench: Workbench, doubled: Path) -> Workbench:
    """After a run that was refused for one reject of four rows; the source is gone."""
    bench.load("t", pa.table({"id": range(4), "x": [None, 1.0, 2.0, 3.0]}))
    outcome = bench.score(doubled, "--key_columns=id", "--write_mode=append", f"--run_id={_RUN}")
    assert outcome.code == cli.REFUSED, outcome.stderr
    bench.sql("DROP TABLE t")
    return bench


def _resume(bench: Workbench, *arguments: str, run_id: str = _RUN) -> Outcome:
    return bench.run("score", f"--output_table={bench.name('p')}", f"--resume={run_id}", *arguments)


_ROWS = [{"id": i, "y": 2.0 * i} for i in (1, 2, 3)]


def test_a_refused_run_is_accepted_with_a_higher_limit(refused: Workbench) -> None:
    outcome = _resume(refused, "--max_rejected_fraction=0.3")

    assert outcome.code == cli.OK, outcome.stderr
    assert refused.rows() == _ROWS
    assert [r["id"] for r in refused.rejects()] == [0]
    assert refused.states(_RUN) == ["scored", "refused", "published"]
    rows = {r["state"]: r for r in refused.arrow("p__runs").to_pylist()}
    for name in ("rows_read", "calls", "model_digest", "started_at", "attempt", "batch_sizes"):
        assert rows["published"][name] == rows["scored"][name]
    assert rows["published"]["reason"] is None
    assert refused.tables() == {"p", "p__rejects", "p__runs"}
    assert outcome.stdout.splitlines()[0].split() == ["rows", "read", "4"]


def test_the_limit_still_holds(refused: Workbench) -> None:
    outcome = _resume(refused, "--max_rejected_fraction=0.2")

    assert outcome.code == cli.REFUSED, outcome.stderr
    assert "1 of 4 rows were rejected (25.00%)" in outcome.stderr
    assert "--max_rejected_fraction 0.2 allows" in outcome.stderr
    assert "p" not in refused.tables()
    assert len(refused.run_tables()) == 2


def test_published_already(refused: Workbench) -> None:
    assert _resume(refused, "--max_rejected_fraction=1").code == cli.OK

    outcome = _resume(refused, "--max_rejected_fraction=1")

    assert outcome.code == cli.OK, outcome.stderr
    assert f"Run {_RUN} has been published" in outcome.stdout
    assert refused.rows() == _ROWS


def test_a_run_table_that_has_expired(refused: Workbench) -> None:
    for table in refused.run_tables():
        refused.client.delete_table(refused.name(table))

    outcome = _resume(refused, "--max_rejected_fraction=1")

    outcome.refused_with(f"Run {_RUN} was scored, but its table", "is gone: score again")


def test_rows_that_are_missing_from_the_run_table(refused: Workbench) -> None:
    _, run_table = refused.run_tables()
    refused.sql(f"DELETE FROM {run_table} WHERE id = 1")

    outcome = _resume(refused, "--max_rejected_fraction=1")

    assert outcome.code == cli.REFUSED, outcome.stderr
    assert "3 rows were written, but the run table has 2" in outcome.stderr
    assert outcome.stderr.splitlines()[-1].strip().endswith(f".{run_table}")
    assert "--resume" not in outcome.stderr


def test_a_run_that_nobody_knows(refused: Workbench) -> None:
    _resume(refused, run_id="other").refused_with(
        "Run other cannot be resumed", "p__runs has no row of it", "--run_id=other"
    )


def test_a_run_that_failed_before_all_was_scored(refused: Workbench) -> None:
    refused.sql("DELETE FROM p__runs WHERE state != 'scored'")
    refused.sql("UPDATE p__runs SET state = 'failed' WHERE TRUE")

    _resume(refused).refused_with("it failed before all rows were scored")


@pytest.mark.parametrize(
    "changed",
    [
        """REPLACE(publication, '__run_', '__other_')""",
        """REPLACE(publication, '"name": "id"', '"name": "id` x"')""",
        """REPLACE(publication, 'p__rejects"', 'p"')""",
        """'{}'""",
        """CAST(NULL AS STRING)""",
    ],
)
def test_a_row_that_no_plan_wrote(refused: Workbench, changed: str) -> None:
    refused.sql(f"UPDATE p__runs SET publication = {changed} WHERE TRUE")

    outcome = _resume(refused, "--max_rejected_fraction=1")

    outcome.refused_with(f"Run {_RUN} cannot be resumed", "does not say how")


def test_flags_that_the_run_has_decided(refused: Workbench, doubled: Path) -> None:
    for flag in (f"--model={doubled}", "--input_table=a.t", "--write_mode=replace", "--run_id=x"):
        outcome = _resume(refused, flag)
        outcome.refused_with(f"{flag.partition('=')[0]} does not go with --resume")
    # A template passes what is not given as an empty text.
    assert _resume(refused, "--model=", "--max_rejected_fraction=1").code == cli.OK


def test_json_is_restored_when_a_run_is_resumed(bench: Workbench, doubled: Path) -> None:
    bench.load("texts", pa.table({"id": [1, 2], "x": [1.5, None], "note": ['{"a": 1}', None]}))
    dataset = bigquery.DatasetReference(bench.cloud.project, bench.dataset)
    config = bigquery.QueryJobConfig(default_dataset=dataset, destination=dataset.table("t"))
    typed = "SELECT * REPLACE (PARSE_JSON(note) AS note) FROM texts"
    bench.client.query(typed, config).result()
    keys = ("--key_columns=id", "--passthrough_columns=note")
    outcome = bench.score(doubled, *keys, f"--run_id={_RUN}")
    assert outcome.code == cli.REFUSED, outcome.stderr

    outcome = _resume(bench, "--max_rejected_fraction=0.5")

    assert outcome.code == cli.OK, outcome.stderr
    types = {f.name: f.field_type for f in bench.client.get_table(bench.name("p")).schema}
    assert types["note"] == "JSON"


def test_a_failure_after_scoring_names_the_command(bench: Workbench, doubled: Path) -> None:
    """Between the plan and publishing, a table of other columns takes the output's name."""
    bench.load("t", pa.table({"id": [1, 2, 3], "x": [1.0, 2.0, 3.0]}))
    parsed = parse(
        [
            "score",
            f"--input_table={bench.name('t')}",
            "--key_columns=id",
            f"--model={doubled}",
            f"--output_table={bench.name('p')}",
            "--write_mode=append",
            f"--run_id={_RUN}",
            f"--project={bench.cloud.project}",
        ]
    )
    options = job.pipeline_options(parsed.beam_args, temp_location=bench.cloud.temp_location)
    plan, model = make_plan(parsed.config, bench.client, bench.folder, datetime.now(UTC))
    bench.sql("CREATE TABLE p (other STRING)")

    with pytest.raises(RunFailedError) as failure:
        job.run(plan, model, options, bench.client)

    message = str(failure.value)
    assert "p__run_first" in message.splitlines()[0]
    assert "All rows had been scored by then" in message
    command = message.splitlines()[-1].split()
    assert command[:2] == ["bulkscore", "score"]
    assert bench.states(_RUN) == ["scored", "failed"]
    bench.sql("DROP TABLE p")
    assert bench.run(*command[1:]).code == cli.OK
    assert bench.rows() == _ROWS
    assert bench.states(_RUN) == ["scored", "failed", "published"]

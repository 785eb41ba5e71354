"""The same command with the same --run_id again: published once, whatever became of the first."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest
import saved_models
from apache_beam.io.filesystems import FileSystems
from apache_beam.portability.api import beam_runner_api_pb2
from google.cloud import bigquery
from workbench import Outcome, Saved, Workbench

from pipeline import cli
from transforms.clients import bigquery_client
from transforms.plain_values import from_text
from transforms.publication import Publication, job_prefix

_RUN = "again"


@pytest.fixture
def doubled(saved: Saved) -> Path:
    """x -> y = 2 * x."""
    return saved(saved_models.doubled)


@pytest.fixture
def loaded(bench: Workbench) -> Workbench:
    """With a source of four rows, of which one is rejected."""
    bench.load("t", pa.table({"id": range(4), "x": [None, 1.0, 2.0, 3.0]}))
    return bench


def _score(bench: Workbench, model: Path, *arguments: str) -> Outcome:
    return bench.score(
        model,
        "--key_columns=id",
        "--write_mode=append",
        f"--run_id={_RUN}",
        *(arguments or ("--max_rejected_fraction=0.5",)),
    )


_ROWS = [{"id": i, "y": 2.0 * i} for i in (1, 2, 3)]


def test_after_success_nothing_is_scored(loaded: Workbench, doubled: Path) -> None:
    assert _score(loaded, doubled).code == cli.OK

    outcome = _score(loaded, doubled)

    assert outcome.code == cli.OK, outcome.stderr
    table = f"{loaded.cloud.project}.{loaded.name('p')}"
    assert outcome.stdout == (f"Run {_RUN} has been published to {table} already: nothing to do.\n")
    assert loaded.rows() == _ROWS
    assert [r["id"] for r in loaded.rejects()] == [0]
    assert loaded.states(_RUN) == ["scored", "published"]
    assert loaded.tables() == {"t", "p", "p__rejects", "p__runs"}


def test_a_launch_after_success_leaves_a_job_with_nothing_to_do(
    loaded: Workbench, doubled: Path
) -> None:
    assert _score(loaded, doubled).code == cli.OK
    job_object = f"{loaded.cloud.temp_location}/{loaded.dataset}/job_object"

    outcome = _score(
        loaded,
        doubled,
        "--runner=DataflowRunner",
        "--region=europe-west1",
        f"--template_location={job_object}",
    )

    assert outcome.code == cli.OK, outcome.stderr
    assert outcome.stdout.endswith("already: nothing to do.\n")
    with FileSystems.open(job_object) as file:
        job = json.load(file)
    with FileSystems.open(job["environment"]["sdkPipelineOptions"]["options"]["pipelineUrl"]) as f:
        graph = beam_runner_api_pb2.Pipeline.FromString(f.read())
    steps = {t.unique_name for t in graph.components.transforms.values() if t.spec.urn}
    assert "NothingToDo" in steps
    assert not steps & {"ReadFromBigQuery", "Score", "Publish"}


def test_after_publishing_that_nobody_recorded(loaded: Workbench, doubled: Path) -> None:
    assert _score(loaded, doubled).code == cli.OK
    loaded.sql("DELETE FROM p__runs WHERE state = 'published'")

    outcome = _score(loaded, doubled)

    assert outcome.code == cli.OK, outcome.stderr
    assert outcome.stdout.splitlines()[1].split() == ["rows", "scored", "3"]
    assert loaded.rows() == _ROWS


def test_after_a_refusal_it_is_scored_and_decided_again(loaded: Workbench, doubled: Path) -> None:
    assert _score(loaded, doubled, "--max_rejected_fraction=0.1").code == cli.REFUSED

    outcome = _score(loaded, doubled)

    assert outcome.code == cli.OK, outcome.stderr
    assert loaded.rows() == _ROWS
    assert loaded.states(_RUN) == ["scored", "refused", "scored", "published"]
    # The rejects of a run id are added once.
    assert [r["id"] for r in loaded.rejects()] == [0]


def test_a_failure_after_a_refusal_is_not_taken_for_one(
    loaded: Workbench, doubled: Path, saved: Saved
) -> None:
    assert _score(loaded, doubled, "--max_rejected_fraction=0.1").code == cli.REFUSED
    model = loaded.folder / "broken"
    shutil.copytree(saved(saved_models.weighted), model)
    for file in (model / "variables").iterdir():
        file.write_bytes(b"broken")

    outcome = _score(loaded, model)

    assert outcome.code == cli.FAILED, outcome.stderr
    assert "was not published" not in outcome.stderr
    assert loaded.states(_RUN) == ["scored", "refused", "failed"]


def test_the_same_id_for_two_tables_is_two_runs(loaded: Workbench, doubled: Path) -> None:
    assert _score(loaded, doubled).code == cli.OK

    other = f"--output_table={loaded.name('q')}"
    outcome = _score(loaded, doubled, other, "--max_rejected_fraction=0.5")

    assert outcome.code == cli.OK, outcome.stderr
    assert loaded.rows("q") == _ROWS
    assert [r["id"] for r in loaded.rejects("q__rejects")] == [0]


def test_a_job_that_failed_uses_up_its_id_only(loaded: Workbench, doubled: Path) -> None:
    """As when the output table was of another shape for a moment."""
    assert _score(loaded, doubled, "--max_rejected_fraction=0.1").code == cli.REFUSED
    (row,) = [r for r in loaded.arrow("p__runs").to_pylist() if r["state"] == "refused"]
    publication = from_text(Publication, row["publication"])
    job_id = f"{job_prefix(_RUN, publication.output_table)}_publish"
    config = bigquery.CopyJobConfig(write_disposition="WRITE_APPEND")
    client = bigquery_client(loaded.cloud.project)
    with pytest.raises(Exception, match="p__nothing"):
        client.copy_table(
            f"{loaded.cloud.project}.{loaded.name('p__nothing')}",
            publication.output_table,
            job_id=job_id,
            job_config=config,
        ).result()
    assert client.get_job(job_id).error_result is not None

    outcome = _score(loaded, doubled)

    assert outcome.code == cli.OK, outcome.stderr
    assert client.get_job(f"{job_id}_2").error_result is None
    assert loaded.rows() == _ROWS

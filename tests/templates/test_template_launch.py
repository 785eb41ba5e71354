"""A launch of the template: a job for Dataflow comes out, or one sentence."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import small_run
import staged_graph
from apache_beam.io.filesystems import FileSystems
from apache_beam.portability.api import beam_runner_api_pb2
from google.cloud import bigquery
from launcher import HARNESS_THREADS, IMAGE, ROOT, Launch, launch
from small_run import DATASET

from pipeline import cli
from pipeline.local.servers import LocalCloud
from transforms.clients import bigquery_client

# What the launcher's machine has, n1-standard-1 with 3.75 GB, leaves room for more than this.
_MEMORY_BYTES = 1_500_000_000
# On two processors; a launch that waits for its machine for minutes should not wait long for us.
_CPU_S = 30.0


# A worker that dies can leave the runner waiting for ever.
_JOB_S = 150.0


@dataclass(frozen=True)
class Launched:
    """A launch that worked, with the job that it left and the tables that there were then."""

    launch: Launch
    job: dict[str, Any]
    graph: bytes
    tables: dict[str, bigquery.Table]
    cloud: LocalCloud


def _content(uri: str) -> bytes:
    with FileSystems.open(uri, compression_type="uncompressed") as file:
        return bytes(file.read())


@pytest.fixture(scope="module")
def parameters(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return small_run.prepare(cloud, tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="module")
def launched(cloud: LocalCloud, parameters: dict[str, str]) -> Launched:
    job_object = f"{cloud.temp_location}/template_launches/1/job_object"
    result = launch(cloud, parameters, job_object)
    assert result.code == cli.OK, result.stderr
    job = json.loads(_content(job_object))
    graph = _content(small_run.graph_location(job))
    client = bigquery_client(cloud.project)
    tables = {t.table_id: client.get_table(t.reference) for t in client.list_tables(DATASET)}
    client.close()
    return Launched(result, job, graph, tables, cloud)


def test_it_returns_without_waiting_and_says_so(launched: Launched) -> None:
    assert "launched; the run is recorded in the runs table when it ends" in launched.launch.stdout
    assert "Traceback" not in launched.launch.stderr


def test_the_job_runs_the_image_and_threads_of_the_launch(launched: Launched) -> None:
    job = launched.job
    assert (job["name"], job["type"]) == ("score-20250131", "JOB_TYPE_BATCH")
    (pool,) = job["environment"]["workerPools"]
    assert pool["workerHarnessContainerImage"] == IMAGE
    assert [i["containerImage"] for i in pool["sdkHarnessContainerImages"]] == [IMAGE]
    assert pool["numThreadsPerWorker"] == HARNESS_THREADS
    # No package is staged that workers would have to install.
    assert [
        p["name"] for p in pool["packages"] if p["name"].endswith((".gz", ".whl", ".zip"))
    ] == []


def test_the_staged_graph_is_whole(launched: Launched) -> None:
    assert hashlib.sha256(launched.graph).hexdigest() == _only(launched.job, "pipelineProtoHash")
    pipeline = beam_runner_api_pb2.Pipeline.FromString(launched.graph)
    components = pipeline.components
    steps = {t.unique_name for t in components.transforms.values()}
    assert {"ReadFromBigQuery", "Score", "WriteScored", "WriteRejects", "Publish"} <= steps
    payloads = [e.payload for e in components.environments.values()]
    docker = [beam_runner_api_pb2.DockerPayload.FromString(p).container_image for p in payloads]
    assert docker == [IMAGE]


def _only(node: Any, name: str) -> Any:
    """The one value of this name, wherever it is in a JSON value."""
    found = list(_values(node, name))
    assert len(found) == 1, found
    return found[0]


def _values(node: Any, name: str) -> Any:
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key == name)
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        yield from _values(child, name)


def test_workers_find_the_model_where_the_launch_has_put_it(launched: Launched) -> None:
    digest = launched.launch.stdout.partition("model digest")[2].split()[0]
    folder = f"{launched.cloud.temp_location}/models/{digest}/"
    staged = FileSystems.match([f"{folder}**"])[0].metadata_list
    assert f"{folder}saved_model.pb" in {file.path for file in staged}


def test_nothing_is_scored_at_launch(launched: Launched) -> None:
    tables = launched.tables
    made = sorted(name for name in tables if "launched" in name)
    assert [name.rpartition("_")[0] for name in made] == [
        "p__rejects_run_launched",
        "p__run_launched",
    ]
    assert all(tables[name].expires is not None and tables[name].num_rows == 0 for name in made)
    assert tables.keys() - set(made) == {"t"}


def test_processes_that_have_the_staged_graph_alone_score_and_publish(
    launched: Launched, tmp_path: Path
) -> None:
    graph = tmp_path / "pipeline.pb"
    graph.write_bytes(launched.graph)

    finished = subprocess.run(
        [sys.executable, str(Path(staged_graph.__file__)), str(graph), sys.executable],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=_JOB_S,
        check=False,
    )

    assert finished.returncode == 0, finished.stdout + finished.stderr
    small_run.demand_published(launched.cloud, tmp_path)


def test_it_fits_the_launchers_machine(launched: Launched) -> None:
    # Less would not be a launch, with TensorFlow and Beam in it.
    assert 200_000_000 < launched.launch.memory_bytes < _MEMORY_BYTES
    assert launched.launch.cpu_s < _CPU_S


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"output_table": ""}, "--output_table is missing."),
        ({"top_k": "many"}, "--top_k: got 'many', expected a whole number from 1 to 10000."),
        ({"write_mode": "merge", "key_columns": ""}, "--write_mode merge needs --key_columns"),
        ({"no_such": "1"}, "There is no option --no_such."),
        ({"input_table": f"{DATASET}.missing"}, f"bulkscore-local.{DATASET}.missing"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else None,
)
def test_bad_parameters_end_with_one_sentence(
    cloud: LocalCloud, parameters: dict[str, str], changes: dict[str, str], message: str
) -> None:
    job_object = f"{cloud.temp_location}/template_launches/{'_'.join(changes)}/job_object"

    result = launch(cloud, {**parameters, "run_id": "", **changes}, job_object)

    assert result.code == cli.USAGE, result.stderr
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith("bulkscore: ")
    assert result.stderr.count("bulkscore: ") == 1
    assert result.stdout == ""
    assert not FileSystems.exists(job_object)

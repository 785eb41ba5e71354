"""From a launch of the Flex Template to rows in BigQuery, with a line for each hop.

    python tests/dataflow/chain.py [--without_module scoring.outputs]

There are two ways into the local Dataflow: a launch of the template, and a graph that Beam's
DataflowRunner submits for `bulkscore score`. Both are gone to a good end and to a bad or an idle
one. Launcher and workers run in build/worker, which has what the image installs and nothing else.
Predictions are compared with plain TensorFlow, and the runs table is read. Exits with 0 only if all
of it is right.

With --without_module the package is installed without that module, and the chain has to break:
exits with 0 only if every way fails for want of it.

A program in another folder finds the modules with this folder, tests and the root of the repository
on its path.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # What the tests find by pytest's settings.
    sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems
from dataflow_service import WORKER_PYTHON, DataflowService, dataflow_service
from google.cloud import bigquery
from saved_models import EIGHT_NAMES, eight_floats
from worker_machine import ROOT, install_package

from options.template_metadata import container_spec, render
from pipeline import cli
from pipeline.local.servers import LocalCloud, embedded_cloud
from pipeline.local.tables import export_table, load_table
from scoring.runtime import tensorflow
from transforms.clients import bigquery_client
from transforms.model_files import upload_folder

REGION = "europe-west1"
_IMAGE = "europe-docker.pkg.dev/my-project/images/bulkscore:1"
_DATASET = "chain"
_ROWS = 1000
_NULL_ROW = 17
_POLL_S = 0.5
# The service gives up sooner.
_JOB_S = 500
_STARTED = time.monotonic()


class ChainBrokenError(Exception):
    """A hop has failed; the message says which and why."""


@dataclass(frozen=True)
class Task:
    """What is to be scored, in the words of a launch.

    Attributes:
      url: of the Dataflow service.
      template: `gs://` path of the container spec.
      parameters: of the launch; the output table is missing before it.
    """

    url: str
    project: str
    region: str
    template: str
    job_name: str
    temp_location: str
    staging_location: str
    parameters: dict[str, str]


"""Launches the template and returns the id of the job; it may wait for the job's end."""


def launch_by_rest(task: Task) -> str:
    """The launch as a plain request."""
    body = {
        "launchParameter": {
            "jobName": task.job_name,
            "containerSpecGcsPath": task.template,
            "parameters": task.parameters,
            "environment": {
                "tempLocation": task.temp_location,
                "stagingLocation": task.staging_location,
                "serviceAccountEmail": "scorer@my-project.iam.gserviceaccount.com",
                "maxWorkers": 2,
            },
        }
    }
    answer = _call(task, "POST", "flexTemplates:launch", body)
    return str(answer["job"]["id"])


def run_chain(python: Path) -> list[str | None]:
    """Goes all ways; returns for each what was wrong with it, None if nothing was."""
    with contextlib.ExitStack() as stack:
        cloud = stack.enter_context(embedded_cloud())
        say(f"BigQuery {cloud.bigquery_url}, Cloud Storage {cloud.storage_url}")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        client = stack.enter_context(contextlib.closing(bigquery_client(cloud.project)))
        expected = _load_inputs(cloud, client, folder)
        log = functools.partial(say, "  dataflow: ")
        service = stack.enter_context(dataflow_service(cloud, python, log))
        say(f"Dataflow {service.url}, whose machines run {python}")
        ways = Ways(cloud, service, client, folder, expected)
        return [
            _wrong("launched", ways.launch),
            _wrong("launched again", ways.launch),
            _wrong("submitted", ways.submit),
            _wrong("refused", ways.submit_what_is_refused),
        ]


def _wrong(name: str, way: Callable[[], None]) -> str | None:
    say(f"== {name}")
    try:
        way()
    except ChainBrokenError as e:
        say(f"FAILED: {e}")
        return str(e)
    return None


@dataclass(frozen=True)
class Ways:
    """The ways into Dataflow; each raises ChainBrokenError where it breaks."""

    cloud: LocalCloud
    service: DataflowService
    client: bigquery.Client
    folder: Path
    expected: dict[int, float]

    def launch(self) -> None:
        """A launch; done again, as a scheduler may, its job has nothing to do."""
        task = Task(
            url=self.service.url,
            project=self.cloud.project,
            region=REGION,
            template=_uri(self.cloud, "bulkscore.json"),
            job_name="score-20250131",
            temp_location=self.cloud.temp_location,
            staging_location=f"{self.cloud.temp_location}/staging",
            parameters={
                "input_table": f"{_DATASET}.t",
                "model": _uri(self.cloud, "model"),
                "key_columns": "id",
                "output_table": f"{_DATASET}.launched",
                "run_id": "launched",
            },
        )
        say(f"launch of {task.template} with {task.parameters}")
        job_id = launch_by_rest(task)
        state = _await_end(task, job_id)
        if state != "JOB_STATE_DONE":
            raise ChainBrokenError(f"the launched job ended in {state}: {_reason(task, job_id)}")
        self._check("launched")

    def submit(self) -> None:
        """`bulkscore score`, which waits for the job and tells its end."""
        finished = self._score("submitted")
        _demand(finished, code=cli.OK, stdout="published", stderr="")
        for line in finished.stdout.rpartition("\n\n")[2].splitlines():
            say(f"  score: {line}")
        self._check("submitted")

    def submit_what_is_refused(self) -> None:
        """The same with a limit that one reject is above: it fails, with the reason."""
        finished = self._score("refused", "--max_rejected_fraction=0")
        reason = "Run refused was not published: 1 of 1,000 rows were rejected"
        _demand(finished, code=cli.REFUSED, stdout="", stderr=reason)
        for line in finished.stderr.rpartition("bulkscore: ")[2].splitlines():
            say(f"  score: {line}")
        states = self._states("refused")
        if states != ["refused", "scored"]:
            raise ChainBrokenError(f"states of the run in refused__runs: {states}")

    def _score(self, table: str, *more: str) -> subprocess.CompletedProcess[str]:
        """Runs the command in this environment; the graph is executed in the other."""
        arguments = [
            "score",
            f"--input_table={_DATASET}.t",
            f"--model={_uri(self.cloud, 'model')}",
            "--key_columns=id",
            f"--output_table={_DATASET}.{table}",
            f"--run_id={table}",
            *more,
            "--runner=DataflowRunner",
            f"--dataflow_endpoint={self.service.url}",
            "--no_auth",
            f"--project={self.cloud.project}",
            f"--region={REGION}",
            f"--job_name=score-{table}",
            f"--temp_location={self.cloud.temp_location}",
            f"--sdk_container_image={_IMAGE}",
        ]
        say("bulkscore " + " ".join(arguments))
        return subprocess.run(
            [sys.executable, "-m", "pipeline", *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )

    def _check(self, table: str) -> None:
        """Compares what was published."""
        scored = {row["id"]: row["score"] for row in self._rows(table)}
        rejects = [(row["key"]["id"], row["code"]) for row in self._rows(f"{table}__rejects")]
        states = self._states(table)
        if scored != self.expected:
            raise ChainBrokenError(f"table {table} differs from plain TensorFlow")
        if rejects != [(_NULL_ROW, "NULL_VALUE")]:
            raise ChainBrokenError(f"rejects of {table}: {rejects}")
        if states != ["published", "scored"]:
            raise ChainBrokenError(f"states of the run in {table}__runs: {states}")
        say(f"table {table}: {len(scored)} rows as by plain TensorFlow, 1 reject, run published")

    def _states(self, table: str) -> list[str]:
        return sorted(row["state"] for row in self._rows(f"{table}__runs"))

    def _rows(self, table: str) -> list[dict[str, Any]]:
        file = export_table(self.client, f"{_DATASET}.{table}", self.folder)
        return list(pq.read_table(file).to_pylist())


def _demand(
    finished: subprocess.CompletedProcess[str], *, code: int, stdout: str, stderr: str
) -> None:
    found = (finished.returncode, stdout in finished.stdout, stderr in finished.stderr)
    if found != (code, True, True):
        raise ChainBrokenError(
            f"score ended with {finished.returncode}, expected {code}:\n{finished.stderr}"
        )


def _load_inputs(cloud: LocalCloud, client: bigquery.Client, folder: Path) -> dict[int, float]:
    """A table, a model and the template; returns the scores by plain TensorFlow."""
    tf = tensorflow()
    columns = {name: [i / 8 + k for i in range(_ROWS)] for k, name in enumerate(EIGHT_NAMES)}
    model = eight_floats(folder / "model")
    scores = tf.saved_model.load(str(model)).signatures["serving_default"](
        **{name: tf.constant(values, tf.float32) for name, values in columns.items()}
    )
    columns["f0"][_NULL_ROW] = None
    pq.write_table(pa.table({"id": range(_ROWS), **columns}), folder / "t.parquet")
    client.create_dataset(_DATASET)
    load_table(client, f"{_DATASET}.t", str(folder / "t.parquet"))
    upload_folder(model, _uri(cloud, "model"))
    with FileSystems.create(_uri(cloud, "bulkscore.json"), "application/json") as file:
        file.write(render(container_spec(_IMAGE)).encode())
    say(f"table {_DATASET}.t with {_ROWS} rows, a NULL in one; a model; the template")
    pairs = enumerate(scores["score"].numpy().tolist())
    return {row: score for row, score in pairs if row != _NULL_ROW}


def _uri(cloud: LocalCloud, name: str) -> str:
    return f"gs://{cloud.bucket}/{_DATASET}/{name}"


def _await_end(task: Task, job_id: str) -> str:
    ends = {"JOB_STATE_DONE", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED"}
    deadline = time.monotonic() + _JOB_S
    while (state := str(_call(task, "GET", f"jobs/{job_id}")["currentState"])) not in ends:
        if time.monotonic() > deadline:
            raise ChainBrokenError(f"after {_JOB_S} s the launched job is in {state} still")
        time.sleep(_POLL_S)
    return state


def _reason(task: Task, job_id: str) -> str:
    query = "minimumImportance=JOB_MESSAGE_ERROR"
    found = _call(task, "GET", f"jobs/{job_id}/messages?{query}").get("jobMessages", [])
    return "\n".join(message["messageText"] for message in found)


def _call(task: Task, verb: str, path: str, body: dict[str, Any] | None = None) -> Any:
    request = urllib.request.Request(
        f"{task.url}/v1b3/projects/{task.project}/locations/{task.region}/{path}",
        data=None if body is None else json.dumps(body).encode(),
        method=verb,
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def say(*text: str) -> None:
    """A line of the log, with the seconds since the start."""
    print(f"{time.monotonic() - _STARTED:6.1f} s  {''.join(text)}", flush=True)


def main() -> int:
    """Goes the chain and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--without_module", help="leave this module out; the chain has to fail")
    parser.add_argument("--worker", type=Path, default=WORKER_PYTHON, help="interpreter of workers")
    given = parser.parse_args()
    say(f"package: {install_package(given.worker, without_module=given.without_module)}")
    wrong = run_chain(given.worker)
    if not given.without_module:
        return 1 if any(wrong) else 0
    broken = all(text and given.without_module in text for text in wrong)
    say(
        f"without {given.without_module} every way fails, as it should"
        if broken
        else f"WRONG: without {given.without_module} a way holds, or fails for another reason"
    )
    return 0 if broken else 1


if __name__ == "__main__":
    sys.exit(main())

"""What becomes of a job: the launcher runs, then the graph that it has staged."""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from apache_beam.io.filesystems import FileSystems
from dataflow_jobs import Jobs
from google.cloud.dataflow_v1beta3 import types
from google.protobuf.json_format import ParseError
from launch_arguments import JobPlace, launch_arguments
from launch_requests import Launch
from worker_machine import ROOT, Ended, WorkerMachine

_ENTRY_FILE = ROOT / "templates" / "flex" / "main.py"
_RUN_GRAPH = ROOT / "tests" / "templates" / "staged_graph.py"
_LAUNCH_S = 180.0
# A worker that dies can leave the runner waiting for ever.
_GRAPH_S = 240.0
_State = types.JobState
_Importance = types.JobMessageImportance


class JobFailedError(Exception):
    """A job cannot go on; the message is what the user finds among the job's messages."""


@dataclass(frozen=True)
class Execution:
    """Carries out jobs on a machine that has what the image has.

    Attributes:
      staging_location: Cloud Storage folder of the service, for launches that name none.
    """

    jobs: Jobs
    machine: WorkerMachine
    staging_location: str

    def launch(self, job: types.Job, launch: Launch) -> None:
        """Runs a job that was launched from a template to its end."""
        try:
            job_object = self._run_launcher(job, launch)
            description = _description(job_object)
            self.jobs.move(job.id, _State.JOB_STATE_PENDING)
            self._run_graph(job, description)
        except JobFailedError as e:
            self.jobs.fail(job.id, str(e))

    def run(self, job: types.Job) -> None:
        """Runs a job that was submitted with its graph to its end."""
        try:
            self._run_graph(job, job)
        except JobFailedError as e:
            self.jobs.fail(job.id, str(e))

    def _run_launcher(self, job: types.Job, launch: Launch) -> str:
        """Runs the entry file; returns where it was told to leave the job."""
        environment = types.FlexTemplateRuntimeEnvironment(launch.environment)
        environment.temp_location = environment.temp_location or f"{self.staging_location}/tmp"
        environment.staging_location = environment.staging_location or self.staging_location
        job_object = f"{environment.staging_location}/template_launches/{job.id}/job_object"
        place = JobPlace(job.name, job.project_id, job.location, job_object)
        self._say(job, f"Launcher: image {launch.image}, {_ENTRY_FILE.relative_to(ROOT)}")
        ended = self.machine.run(
            job.id,
            [str(_ENTRY_FILE), *launch_arguments(launch.parameters, environment, place)],
            _LAUNCH_S,
        )
        for line in ended.stdout.splitlines():
            self.jobs.say(job.id, _Importance.JOB_MESSAGE_DETAILED, line)
        if ended.code != 0:
            self._say(job, f"Launcher: {_ending(ended, _LAUNCH_S)}")
            raise JobFailedError(ended.stderr.strip() or "Template launch failed.")
        if not FileSystems.exists(job_object):
            raise JobFailedError(
                f"Failed to read the job file : {job_object} with error message: Unable to open "
                f"template file: {job_object}."
            )
        self._say(job, f"Launcher: exit code 0, job description {job_object}")
        return job_object

    def _run_graph(self, job: types.Job, description: types.Job) -> None:
        graph = _staged_graph(description)
        self._say(job, f"Graph: {len(graph):,} bytes, hash as in the job; starting workers")
        if not self.jobs.move(job.id, _State.JOB_STATE_RUNNING):
            return
        with tempfile.NamedTemporaryFile(suffix=".pb") as file:
            Path(file.name).write_bytes(graph)
            arguments = [str(_RUN_GRAPH), file.name, str(self.machine.python)]
            ended = self.machine.run(job.id, arguments, _GRAPH_S)
        if not ended.stdout:
            raise JobFailedError(f"Workers: {_ending(ended, _GRAPH_S)}\n{ended.stderr[-2000:]}")
        report = json.loads(ended.stdout.splitlines()[-1])
        if report["error"]:
            raise JobFailedError(report["error"])
        counters = [_metric(*c, tentative) for c in report["counters"] for tentative in (1, 0)]
        self.jobs.count(job.id, counters)
        self.jobs.move(job.id, _State.JOB_STATE_DONE)

    def _say(self, job: types.Job, text: str) -> None:
        self.jobs.say(job.id, _Importance.JOB_MESSAGE_BASIC, text)


def _description(job_object: str) -> types.Job:
    """The job that a launcher has left.

    Raises:
      JobFailedError: it is none that Dataflow knows all fields of.
    """
    try:
        return types.Job.from_json(_content(job_object), ignore_unknown_fields=False)
    except ParseError as e:
        raise JobFailedError(f"Job file {job_object} is not a job: {e}") from e


def _staged_graph(job: types.Job) -> bytes:
    """The graph that a job names.

    Raises:
      JobFailedError: the job names none, or another one lies there now.
    """
    sent = json.loads(types.Job.to_json(job))["environment"]["sdkPipelineOptions"]
    try:
        uri, expected = sent["options"]["pipelineUrl"], sent["options"]["pipelineProtoHash"]
    except KeyError as e:
        raise JobFailedError(f"The job has no {e.args[0]}") from e
    graph = _content(uri)
    found = hashlib.sha256(graph).hexdigest()
    if found != expected:
        raise JobFailedError(f"{uri} has the hash {found}, but the job says {expected}")
    return graph


def _content(uri: str) -> bytes:
    with FileSystems.open(uri, compression_type="uncompressed") as file:
        return bytes(file.read())


def _metric(step: str, namespace: str, name: str, value: int, tentative: int) -> types.MetricUpdate:
    """A counter; each comes twice, as far as attempted, and committed."""
    context = {"step": step, "namespace": namespace, **({"tentative": "true"} if tentative else {})}
    return types.MetricUpdate(
        name=types.MetricStructuredName(origin="user", name=name, context=context),
        kind="Sum",
        cumulative=True,
        scalar=value,
    )


def _ending(ended: Ended, timeout_s: float) -> str:
    return f"no end after {timeout_s:.0f} s" if ended.code is None else f"exit code {ended.code}"

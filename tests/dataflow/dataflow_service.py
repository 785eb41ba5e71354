"""A Dataflow on this machine: its REST API (v1b3), and jobs that really run.

    python tests/dataflow/dataflow_service.py

starts it with an embedded BigQuery and Cloud Storage, prints the variables that point clients at
those, then the URL of the service, and serves until it is interrupted. A program that has the
embedded services already starts it so:

    with embedded_cloud() as cloud, dataflow_service(cloud, python) as service:
        …  # service.url

`python` is the interpreter of an environment like the image's, build/worker/bin/python, with the
package (`worker_machine.install_package`). Launcher and workers run in it, with no variable of this
process but those of the embedded services.

What is spoken is what Beam's DataflowRunner needs (``--dataflow_endpoint=URL --no_auth``; the host
has to be spelled localhost), and flexTemplates:launch as Airflow, gcloud and plain requests send
it. Requests are read by Dataflow's own types, and what those do not know is refused. Two things are
easier here than there: no credentials are asked for, and what a launcher prints is found among the
messages of its job, while the real one has it in Cloud Logging.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

if __name__ == "__main__":
    # What the tests find by pytest's settings.
    sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from dataflow_errors import RefusedError
from dataflow_execution import Execution
from dataflow_jobs import TERMINAL, Jobs
from google.cloud.dataflow_v1beta3 import types
from google.protobuf.json_format import ParseError
from launch_requests import checked_launch
from worker_machine import ROOT, WorkerMachine, install_package, worker_environment

from pipeline.local.servers import LocalCloud, embedded_cloud

WORKER_PYTHON = ROOT / "build" / "worker" / "bin" / "python"
_State = types.JobState
_PLACE = "/v1b3/projects/(?P<projectId>[^/]+)/locations/(?P<location>[^/]+)"
_JSON = {"use_integers_for_enums": False, "always_print_fields_with_no_presence": False}
# What every one of Google's APIs takes ("System parameters", Google Cloud APIs).
_SYSTEM_PARAMETERS = frozenset({"alt", "$alt", "fields", "key", "prettyPrint", "quotaUser"})


class Dataflow:
    """The methods of the API. All of them raise RefusedError for what they do not do."""

    def __init__(self, jobs: Jobs, execution: Execution) -> None:
        self.jobs = jobs
        self._execution = execution
        self._threads: list[threading.Thread] = []
        self._held: dict[str, threading.Event] = {}

    def hold(self, name: str) -> None:
        """Keeps jobs of this name queued until a further launch of the name is refused."""
        self._held[name] = threading.Event()

    def launch(self, request: Any) -> Any:
        """projects.locations.flexTemplates.launch"""
        launch = checked_launch(request)
        if request.validate_only:
            return types.LaunchFlexTemplateResponse()
        job = types.Job(
            name=launch.job_name,
            project_id=request.project_id,
            location=request.location,
            type_=types.JobType.JOB_TYPE_BATCH,
            labels=launch.environment.additional_user_labels,
        )
        held = self._held.get(job.name)
        try:
            job = self.jobs.create(job, _State.JOB_STATE_QUEUED)
        except RefusedError:
            if held is not None:
                held.set()
            raise

        def work() -> None:
            if held is not None:
                held.wait()
            self._execution.launch(job, launch)

        self._start(job, work)
        return types.LaunchFlexTemplateResponse(job=self.jobs.get(job.project_id, job.id))

    def create(self, request: Any) -> types.Job:
        """projects.locations.jobs.create"""
        job = types.Job(request.job)
        job.project_id, job.location = request.project_id, request.location
        created = self.jobs.create(job, _State.JOB_STATE_PENDING)
        if created is job:
            self._start(job, lambda: self._execution.run(job))
        return self.jobs.get(created.project_id, created.id)

    def get(self, request: Any) -> types.Job:
        """projects.locations.jobs.get"""
        return self.jobs.get(request.project_id, request.job_id)

    def list(self, request: Any) -> types.ListJobsResponse:
        """projects.locations.jobs.list, on one page"""
        wanted = {
            types.ListJobsRequest.Filter.TERMINATED: (True,),
            types.ListJobsRequest.Filter.ACTIVE: (False,),
        }.get(request.filter, (True, False))
        jobs = [
            job
            for job in self.jobs.all()
            if (job.project_id, job.location) == (request.project_id, request.location)
            if request.name in ("", job.name)
            if (job.current_state in TERMINAL) in wanted
        ]
        return types.ListJobsResponse(jobs=jobs)

    def update(self, request: Any) -> types.Job:
        """projects.locations.jobs.update: cancels"""
        job = self.jobs.get(request.project_id, request.job_id)
        if request.job.requested_state != _State.JOB_STATE_CANCELLED:
            raise RefusedError(400, "The only change of a batch job is JOB_STATE_CANCELLED.")
        if self.jobs.move(job.id, _State.JOB_STATE_CANCELLED):
            self._execution.machine.kill(job.id)
        return self.jobs.get(job.project_id, job.id)

    def messages(self, request: Any) -> types.ListJobMessagesResponse:
        """projects.locations.jobs.messages.list, on one page"""
        since = request.start_time if "start_time" in request else None
        least = request.minimum_importance
        messages = self.jobs.messages(request.project_id, request.job_id, least, since)
        return types.ListJobMessagesResponse(job_messages=messages)

    def metrics(self, request: Any) -> types.JobMetrics:
        """projects.locations.jobs.getMetrics"""
        return types.JobMetrics(metrics=self.jobs.metrics(request.project_id, request.job_id))

    def stop(self) -> None:
        """Cancels what still runs, and waits for its end."""
        for job in self.jobs.all():
            if self.jobs.move(job.id, _State.JOB_STATE_CANCELLED):
                self._execution.machine.kill(job.id)
        for held in self._held.values():
            held.set()
        for thread in self._threads:
            thread.join()

    def _start(self, job: types.Job, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            except BaseException:
                self.jobs.fail(job.id, f"Internal error: {traceback.format_exc()}")
                raise

        thread = threading.Thread(target=run, name=job.id)
        self._threads.append(thread)
        thread.start()


@dataclass(frozen=True)
class _Method:
    """One method of the API: where it is, what it takes, and in which field its body belongs."""

    verb: str
    path: re.Pattern[str]
    request: Any
    answer: Callable[[Dataflow, Any], Any]
    body: str | None = None


def _method(
    verb: str, path: str, request: Any, answer: Callable[..., Any], body: str | None = None
) -> _Method:
    return _Method(verb, re.compile(_PLACE + path), request, answer, body)


_JOB = "/jobs/(?P<jobId>[^/]+)"
# A body of None is a request without one, of "" one that is the request itself.
_METHODS = (
    _method(
        "POST", "/flexTemplates:launch", types.LaunchFlexTemplateRequest, Dataflow.launch, body=""
    ),
    _method("POST", "/jobs", types.CreateJobRequest, Dataflow.create, body="job"),
    _method("GET", "/jobs", types.ListJobsRequest, Dataflow.list),
    _method("GET", _JOB, types.GetJobRequest, Dataflow.get),
    _method("PUT", _JOB, types.UpdateJobRequest, Dataflow.update, body="job"),
    _method("GET", f"{_JOB}/messages", types.ListJobMessagesRequest, Dataflow.messages),
    _method("GET", f"{_JOB}/metrics", types.GetJobMetricsRequest, Dataflow.metrics),
)


def answered(dataflow: Dataflow, verb: str, target: str, body: bytes) -> str:
    """The JSON with which a request is answered.

    Args:
      target: path and query.

    Raises:
      RefusedError: with the status and the body of an error.
    """
    url = urlsplit(target)
    for method in _METHODS:
        found = method.path.fullmatch(url.path)
        if found and method.verb == verb:
            request = _request(method, found.groupdict(), url.query, body)
            answer = method.answer(dataflow, request)
            return str(type(answer).to_json(answer, **_JSON))
    raise RefusedError(404, f"There is no method {verb} {url.path}.")


def _request(method: _Method, place: Mapping[str, str], query: str, body: bytes) -> Any:
    """The request as a message of Dataflow's own type."""
    fields: dict[str, Any] = {
        name: value
        for name, value in parse_qsl(query, keep_blank_values=True)
        if name not in _SYSTEM_PARAMETERS
    }
    try:
        if method.body is not None:
            content = json.loads(body)
            fields.update({method.body: content} if method.body else content)
        text = json.dumps({**fields, **place})
        return method.request.from_json(text, ignore_unknown_fields=False)
    except (ParseError, ValueError, TypeError) as e:
        raise RefusedError(400, f"Invalid JSON payload received. {e}") from e


class _Handler(BaseHTTPRequestHandler):
    dataflow: ClassVar[Dataflow]
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            status, answer = 200, answered(self.dataflow, self.command, self.path, body)
        except RefusedError as e:
            status, answer = e.status, json.dumps(e.body())
        content = answer.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    # The names are the server's choice.
    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815

    def log_message(self, *arguments: object) -> None:
        """Says nothing: jobs have a log of their own."""


@dataclass(frozen=True)
class DataflowService:
    """A running service.

    Attributes:
      staging_location: its own folder on the embedded Cloud Storage.
      hold: keeps jobs of a name queued until a further launch of the name is refused.
    """

    url: str
    staging_location: str
    hold: Callable[[str], None]


@contextlib.contextmanager
def dataflow_service(
    cloud: LocalCloud,
    python: Path = WORKER_PYTHON,
    log: Callable[[str], None] = lambda line: print(f"dataflow: {line}", flush=True),
) -> Iterator[DataflowService]:
    """Serves on a free port for the block, inside `embedded_cloud`; then jobs are cancelled."""
    staging = f"gs://{cloud.bucket}/dataflow-staging"
    machine = WorkerMachine(python.absolute(), worker_environment(cloud))
    jobs = Jobs(log)
    dataflow = Dataflow(jobs, Execution(jobs, machine, staging))
    handler = type("Handler", (_Handler,), {"dataflow": dataflow})
    with ThreadingHTTPServer(("localhost", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            url = f"http://localhost:{server.server_port}"
            yield DataflowService(url, staging, dataflow.hold)
        finally:
            server.shutdown()
            thread.join()
            dataflow.stop()


def main() -> None:
    """Serves until it is interrupted."""
    print(f"package: {install_package(WORKER_PYTHON)}", flush=True)
    with embedded_cloud() as cloud, dataflow_service(cloud) as service:
        for name, value in worker_environment(cloud).items():
            if name.isupper() and name.endswith("_HOST"):
                print(f"export {name}={value}")
        print(f"serving Dataflow at {service.url}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()

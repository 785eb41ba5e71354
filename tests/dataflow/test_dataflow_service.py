"""The local Dataflow refuses what the real one refuses, and tells how jobs end."""

import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from apache_beam.io.filesystems import FileSystems
from dataflow_errors import RefusedError
from dataflow_jobs import TERMINAL, Jobs
from dataflow_service import DataflowService, dataflow_service
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import dataflow_v1beta3 as dataflow
from google.cloud.dataflow_v1beta3 import types

from options.template_metadata import container_spec, render
from pipeline.local.servers import LocalCloud

_REGION = "europe-west1"
_IMAGE = "europe-docker.pkg.dev/my-project/images/bulkscore:1"
_STATE = types.JobState
_JOB_S = 60.0

Call = Callable[..., tuple[int, Any]]


@pytest.fixture(scope="module")
def service(cloud: LocalCloud) -> Iterator[DataflowService]:
    _write(_template(cloud), render(container_spec(_IMAGE)))
    # The launches of these tests end before they need an environment like the image's.
    with dataflow_service(cloud, Path(sys.executable)) as running:
        yield running


@pytest.fixture(scope="module")
def call(cloud: LocalCloud, service: DataflowService) -> Call:
    """Makes a request and returns the status and the answer."""

    def call(verb: str, path: str, body: object = None) -> tuple[int, Any]:
        request = urllib.request.Request(
            f"{service.url}/v1b3/projects/{cloud.project}/locations/{_REGION}/{path}",
            data=None if body is None else json.dumps(body).encode(),
            method=verb,
        )
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as e:
            with e:
                return e.code, json.load(e)["error"]

    return call


def _template(cloud: LocalCloud, name: str = "bulkscore.json") -> str:
    return f"gs://{cloud.bucket}/dataflow_service/{name}"


def _write(uri: str, content: str) -> None:
    with FileSystems.create(uri, "application/octet-stream", "uncompressed") as file:
        file.write(content.encode())


def _launch(cloud: LocalCloud, job_name: str = "score", **parameters: str | None) -> dict[str, Any]:
    given = {
        "input_table": "d.t",
        "model": f"gs://{cloud.bucket}/model",
        "key_columns": "id",
        "output_table": "d.p",
        **parameters,
    }
    return {
        "launchParameter": {
            "jobName": job_name,
            "containerSpecGcsPath": _template(cloud),
            "parameters": {name: text for name, text in given.items() if text is not None},
            "environment": {"tempLocation": cloud.temp_location},
        }
    }


def _ended(call: Call, job_id: str) -> str:
    deadline = time.monotonic() + _JOB_S
    while True:
        state = call("GET", f"jobs/{job_id}")[1]["currentState"]
        if _STATE[state] in TERMINAL:
            return str(state)
        assert time.monotonic() < deadline, f"job {job_id} is in {state} still"
        time.sleep(0.05)


def test_a_launch_can_be_validated_alone(cloud: LocalCloud, call: Call) -> None:
    request = {**_launch(cloud, "only-validated"), "validateOnly": True}
    assert call("POST", "flexTemplates:launch", request) == (200, {})
    assert call("GET", "jobs?name=only-validated") == (200, {})


@pytest.mark.parametrize(
    ("parameters", "violation"),
    [
        ({"no_such": "1"}, "no_such: Unrecognized parameter"),
        ({"model": None}, "model: Missing required parameter"),
        ({"model": "/models/m"}, "model: Value '/models/m' does not match the regular expression"),
        ({"top_k": "many"}, "top_k: Value 'many' does not match the regular expression"),
        (
            {"write_mode": "overwrite"},
            "write_mode: Value 'overwrite' is not one of replace, append",
        ),
    ],
)
def test_parameters_are_those_of_the_template(
    cloud: LocalCloud, call: Call, parameters: dict[str, str | None], violation: str
) -> None:
    status, error = call("POST", "flexTemplates:launch", _launch(cloud, "bad", **parameters))

    assert (status, error["status"]) == (400, "INVALID_ARGUMENT")
    assert f"The template parameters are invalid. Details: {violation}" in error["message"]
    (detail,) = error["details"]
    assert detail["@type"].endswith("dataflow.v1beta3.InvalidTemplateParameters")
    assert [v["parameter"] for v in detail["parameterViolations"]] == list(parameters)
    assert call("GET", "jobs?name=bad") == (200, {})


def test_empty_optional_parameters_are_none_given(cloud: LocalCloud, call: Call) -> None:
    empty = dict.fromkeys(("top_k", "write_mode", "rejects_table", "only_new"), "")
    request = {**_launch(cloud, **empty), "validateOnly": True}
    assert call("POST", "flexTemplates:launch", request) == (200, {})


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"jobName": "Score_1"}, 400, "job name 'Score_1' must match the regular expression"),
        ({"jobname": "score"}, 400, 'no field named "jobname"'),
        ({"environment": {"maxWorkers": "many"}}, 400, "maxWorkers"),
        ({"environment": {"workers": 2}}, 400, 'no field named "workers"'),
        ({"update": True}, 400, "A batch job cannot be updated."),
        ({"containerSpecGcsPath": ""}, 400, "Either container_spec or container_spec_gcs_path"),
        ({"containerSpecGcsPath": "gs://bulkscore-local/none.json"}, 404, "Unable to open"),
    ],
)
def test_requests_are_read_strictly(
    cloud: LocalCloud, call: Call, changes: dict[str, object], status: int, message: str
) -> None:
    request = _launch(cloud)
    request["launchParameter"].update(changes)
    found, error = call("POST", "flexTemplates:launch", request)
    assert found == status
    assert message in error["message"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("image: x", "is not a container spec"),
        ('{"image": "x", "entrypoint": "y"}', 'no field named "entrypoint"'),
        ('{"image": "x"}', "names no image or no SDK language"),
    ],
)
def test_a_template_is_read_strictly(
    cloud: LocalCloud, call: Call, content: str, message: str
) -> None:
    request = _launch(cloud)
    path = request["launchParameter"]["containerSpecGcsPath"] = _template(cloud, "other.json")
    _write(path, content)
    status, error = call("POST", "flexTemplates:launch", request)
    assert status == 400
    assert message in error["message"]


def test_what_there_is_not(call: Call) -> None:
    assert call("GET", "jobs/none")[0] == 404
    assert call("GET", "jobs/none/messages")[0] == 404
    assert call("GET", "snapshots")[0] == 404
    assert call("DELETE", "jobs/none")[0] == 404
    status, error = call("GET", "jobs?state=active")
    assert status == 400
    assert 'no field named "state"' in error["message"]


def test_what_the_launcher_refuses_fails_the_job_with_its_sentence(
    cloud: LocalCloud, call: Call
) -> None:
    request = _launch(cloud, "refused", write_mode="merge", key_columns="")
    status, answer = call("POST", "flexTemplates:launch", request)
    assert status == 200
    job_id = answer["job"]["id"]

    assert _ended(call, job_id) == "JOB_STATE_FAILED"
    errors = call("GET", f"jobs/{job_id}/messages?minimumImportance=JOB_MESSAGE_ERROR")[1]
    (message,) = errors["jobMessages"]
    assert message["messageText"].startswith("bulkscore: --write_mode merge needs --key_columns")


def test_a_launch_can_be_cancelled(cloud: LocalCloud, call: Call) -> None:
    job_id = call("POST", "flexTemplates:launch", _launch(cloud, "cancelled"))[1]["job"]["id"]
    change = {"requestedState": "JOB_STATE_CANCELLED"}
    status, job = call("PUT", f"jobs/{job_id}", change)
    assert (status, job["currentState"]) == (200, "JOB_STATE_CANCELLED")
    # It has ended, and its name is free.
    assert call("PUT", f"jobs/{job_id}", change)[1]["currentState"] == "JOB_STATE_CANCELLED"
    assert call("PUT", f"jobs/{job_id}", {"requestedState": "JOB_STATE_DRAINING"})[0] == 400
    again = call("POST", "flexTemplates:launch", _launch(cloud, "cancelled"))[1]["job"]["id"]
    call("PUT", f"jobs/{again}", change)
    assert again != job_id


def test_a_held_job_is_queued_until_it_is_launched_again(
    cloud: LocalCloud, service: DataflowService, call: Call
) -> None:
    service.hold("held")
    held, other = (
        _launch(cloud, name, write_mode="merge", key_columns="") for name in ("held", "other")
    )
    job_id, other_id = (
        call("POST", "flexTemplates:launch", launch)[1]["job"]["id"] for launch in (held, other)
    )
    assert _ended(call, other_id) == "JOB_STATE_FAILED"
    assert call("GET", f"jobs/{job_id}")[1]["currentState"] == "JOB_STATE_QUEUED"

    assert call("POST", "flexTemplates:launch", held)[0] == 409

    assert _ended(call, job_id) == "JOB_STATE_FAILED"


def test_a_submitted_job_needs_the_graph_of_its_hash(
    cloud: LocalCloud, service: DataflowService
) -> None:
    """By Dataflow's own client, which sends and reads enums as numbers."""
    graph = _template(cloud, "pipeline.pb")
    _write(graph, "another graph")
    options = {"options": {"pipelineUrl": graph, "pipelineProtoHash": "0" * 64}}
    job = types.Job(name="submitted", environment={"sdk_pipeline_options": options})
    place = {"project_id": cloud.project, "location": _REGION}
    access = {
        "credentials": AnonymousCredentials(),
        "client_options": ClientOptions(api_endpoint=service.url),
        "transport": "rest",
    }
    with (
        dataflow.JobsV1Beta3Client(**access) as jobs,
        dataflow.MessagesV1Beta3Client(**access) as messages,
    ):
        created = jobs.create_job(dataflow.CreateJobRequest(job=job, **place))
        named = {"job_id": created.id, **place}
        while jobs.get_job(dataflow.GetJobRequest(**named)).current_state not in TERMINAL:
            time.sleep(0.05)
        listed = jobs.list_jobs(
            dataflow.ListJobsRequest(filter=types.ListJobsRequest.Filter.TERMINATED, **place)
        )
        (error,) = messages.list_job_messages(
            dataflow.ListJobMessagesRequest(minimum_importance=4, **named)
        )

    assert {j.id: j.current_state for j in listed}[created.id] == _STATE.JOB_STATE_FAILED
    assert error.message_text.startswith(f"{graph} has the hash ")
    assert error.message_text.endswith(f"but the job says {'0' * 64}")


def test_a_name_belongs_to_one_job_until_it_ends() -> None:
    jobs = Jobs(lambda _: None)

    def create(request_id: str) -> types.Job:
        job = types.Job(name="score", project_id="p", client_request_id=request_id)
        return jobs.create(job, _STATE.JOB_STATE_QUEUED)

    first = create("1")
    assert create("1").id == first.id
    with pytest.raises(RefusedError, match="There is already an active job named score") as refused:
        create("2")
    assert refused.value.status == 409
    jobs.fail(first.id, "a reason")
    assert create("2").id != first.id
    assert not jobs.move(first.id, _STATE.JOB_STATE_RUNNING)

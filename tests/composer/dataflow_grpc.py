"""The gRPC door of a Dataflow that has only its REST one: what a triggerer asks, and no more."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from collections.abc import Iterator
from concurrent import futures

import grpc
from google.cloud.dataflow_v1beta3.types import GetJobRequest, Job, JobState


@contextlib.contextmanager
def grpc_door(rest_url: str) -> Iterator[str]:
    """Serves GetJob, by the jobs of the REST API at `rest_url`; yields HOST:PORT."""

    def get_job(request: GetJobRequest, context: grpc.ServicerContext) -> Job:
        place = f"projects/{request.project_id}/locations/{request.location}"
        with urllib.request.urlopen(f"{rest_url}/v1b3/{place}/jobs/{request.job_id}") as answer:
            job = json.load(answer)
        print(f"gRPC GetJob {request.job_id}: {job['currentState']}")
        return Job(
            id=job["id"], name=job["name"], current_state=JobState[job["currentState"]].value
        )

    handler = grpc.unary_unary_rpc_method_handler(
        get_job,
        request_deserializer=GetJobRequest.deserialize,
        response_serializer=Job.serialize,
    )
    service = grpc.method_handlers_generic_handler(
        "google.dataflow.v1beta3.JobsV1Beta3", {"GetJob": handler}
    )
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(grace=None).wait()

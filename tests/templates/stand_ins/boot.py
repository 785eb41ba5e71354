#!/usr/bin/env python
"""Starts a worker as the program `boot` of Beam's image does, which is written in Go.

As there (sdks/python/container/boot.go): with --worker_pool it becomes a pool that starts this
program for each worker; a worker asks the runner how it is to run, makes a virtual environment on
top of the image's packages, and runs the SDK's worker in it.  It installs nothing: what a job of
this template stages holds no packages.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

_BOOT = "/opt/apache/beam/boot"
_POOL = "apache_beam.runners.worker.worker_pool_main"
_WORKER = "apache_beam.runners.worker.sdk_worker_main"
_VENVS = Path("/opt/apache/beam-venv")
_PROVISION_S = 60.0


def main() -> int:
    """Becomes a worker pool, or runs one worker and returns its exit code."""
    parser = argparse.ArgumentParser(prog="boot")
    parser.add_argument("--worker_pool", action="store_true")
    for name in ("id", "logging", "artifact", "provision", "control"):
        parser.add_argument("--id" if name == "id" else f"--{name}_endpoint", default="")
    arguments = parser.parse_args()
    if arguments.worker_pool:
        pool = [_POOL, "--service_port=50000", f"--container_executable={_BOOT}"]
        os.execvp("python", ["python", "-m", *pool])
    if not arguments.id:
        sys.exit("No id provided.")
    if not arguments.provision_endpoint:
        sys.exit("No provision endpoint provided.")
    environment = _environment(arguments.id, arguments.provision_endpoint, arguments)
    if not os.environ.get("RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT"):
        environment["PATH"] = f"{_new_venv(arguments.id)}/bin:{os.environ['PATH']}"
    print(f"boot: python -m {_WORKER} for {arguments.id}", file=sys.stderr, flush=True)
    return subprocess.run(["python", "-m", _WORKER], env=environment, check=False).returncode


def _environment(worker: str, endpoint: str, given: argparse.Namespace) -> dict[str, str]:
    """What the worker is told: endpoints and options of the job, as the runner gives them."""
    import grpc
    from apache_beam.portability.api import beam_provision_api_pb2, beam_provision_api_pb2_grpc
    from google.protobuf import json_format

    with grpc.insecure_channel(endpoint) as channel:
        service = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
        request = beam_provision_api_pb2.GetProvisionInfoRequest()
        answer = service.GetProvisionInfo(
            request, metadata=[("worker_id", worker)], timeout=_PROVISION_S, wait_for_ready=True
        )
    info = answer.info
    logging = info.logging_endpoint.url or given.logging_endpoint
    control = info.control_endpoint.url or given.control_endpoint
    return {
        **os.environ,
        "WORKER_ID": worker,
        "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options),
        "SEMI_PERSISTENT_DIRECTORY": "/tmp",
        "LOGGING_API_SERVICE_DESCRIPTOR": f'url: "{logging}"',
        "CONTROL_API_SERVICE_DESCRIPTOR": f'url: "{control}"',
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
    }


def _new_venv(worker: str) -> Path:
    folder = _VENVS / f"beam-venv-worker-{worker}"
    started = time.monotonic()
    subprocess.run(["python", "-m", "venv", "--system-site-packages", str(folder)], check=True)
    print(f"boot: made {folder} in {time.monotonic() - started:.1f} s", file=sys.stderr)
    return folder


if __name__ == "__main__":
    sys.exit(main())

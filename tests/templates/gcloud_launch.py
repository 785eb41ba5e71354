"""Compares what gcloud makes of the template and of a launch with what is said of them here.

    python tests/templates/gcloud_launch.py

It runs the installed gcloud against a server on this machine that answers as Dataflow does and
keeps the request.  No account is needed and nothing leaves the machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import yaml

_ROOT = Path(__file__).parents[2]
_METADATA = _ROOT / "templates" / "flex" / "metadata.json"
_IMAGE = "europe-west1-docker.pkg.dev/my-project/images/bulkscore:1"
_TEMPLATE = "gs://my-bucket/bulkscore.json"
_PARAMETERS = {"input_table": "shop.customers", "key_columns": "customer_id,region"}
# gcloud takes one of workerRegion and workerZone.
_ALTERNATIVES = ("workerRegion", "workerZone")
# What gcloud says of every launch.
_ALWAYS = {"enableStreamingEngine": False}


def main() -> int:
    """Prints what agrees; returns 1 if anything does not."""
    sys.path[:0] = [str(_ROOT)]
    from environment_table import settings

    from options.template_metadata import container_spec

    agrees = [_told("container spec", _built(), _without_workers(container_spec(_IMAGE)))]
    given = [setting for setting in settings() if setting.option]
    for left_out in _ALTERNATIVES:
        chosen = [setting for setting in given if setting.field != left_out]
        path, request = _launched([str(setting.option) for setting in chosen])
        expected = {
            "launchParameter": {
                "jobName": "churn-20250131",
                "containerSpecGcsPath": _TEMPLATE,
                "parameters": _PARAMETERS,
                "environment": {**_ALWAYS, **{s.field: s.example for s in chosen}},
            }
        }
        print("POST", path)
        agrees.append(_told(f"launch with {len(chosen)} settings", request, expected))
    return 0 if all(agrees) else 1


def _told(name: str, made: Any, expected: Any) -> bool:
    if made == expected:
        print(f"{name}: gcloud makes the same")
        return True
    print(f"{name}: gcloud makes\n{_text(made)}\nexpected\n{_text(expected)}")
    return False


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True)


def _without_workers(spec: dict[str, Any]) -> dict[str, Any]:
    """The template without the image of the workers, which gcloud has no option for."""
    return {**spec, "defaultEnvironment": {}}


def _built() -> Any:
    options = [f"--image={_IMAGE}", "--sdk-language=PYTHON", f"--metadata-file={_METADATA}"]
    return yaml.safe_load(yaml.safe_load(_gcloud({}, "build", _TEMPLATE, *options, "--print-only")))


def _launched(options: Sequence[str]) -> tuple[str, Any]:
    """Launches with these options, and returns the path and the body of the request."""
    parameters = ";".join(f"{name}={value}" for name, value in _PARAMETERS.items())
    with _dataflow() as (url, requests):
        _gcloud(
            {"CLOUDSDK_API_ENDPOINT_OVERRIDES_DATAFLOW": url},
            "run",
            "churn-20250131",
            "--project=my-project",
            "--region=europe-west1",
            f"--template-file-gcs-location={_TEMPLATE}",
            f"--parameters=^;^{parameters}",
            *options,
        )
        (request,) = requests
    return request


def _gcloud(changes: dict[str, str], *arguments: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "CLOUDSDK_CONFIG": folder,
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
            **changes,
        }
        return subprocess.run(
            ["gcloud", "dataflow", "flex-template", *arguments],
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout


@contextlib.contextmanager
def _dataflow() -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """A server that takes every launch: its URL, and the requests that have come."""
    requests: list[tuple[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append((self.path, body))
            answer = json.dumps({"job": {"id": "1", "name": body["launchParameter"]["jobName"]}})
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, *_: object) -> None:
            """Nothing is printed for a request."""

    with HTTPServer(("localhost", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://localhost:{server.server_port}/", requests
        finally:
            server.shutdown()
            thread.join()


if __name__ == "__main__":
    sys.exit(main())

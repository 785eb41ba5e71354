"""Tries both roles of the template's image: it makes jobs, and its workers run them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import small_run
import staged_graph
from apache_beam.io.filesystems import FileSystems
from buildah import Container
from image_contents import LAUNCHER, demand
from launcher import usual_arguments

from pipeline import cli
from pipeline.local.servers import LocalCloud, embedded_cloud

# Where Beam's worker pools listen, and how long importing Beam may take until then.
_POOL = ("localhost", 50000)
_START_S = 300.0
_POLL_S = 0.2
# A worker that dies can leave the runner waiting for ever.
_JOB_S = 900.0
# Prints how many modules there are. Those of local mode need packages that the image does not have.
_IMPORT_ALL = """
import importlib, pkgutil
names = [
    module.name
    for room in ("options", "pipeline", "scoring", "transforms")
    for module in pkgutil.walk_packages(importlib.import_module(room).__path__, room + ".")
    if not module.name.startswith(("pipeline.local.", "pipeline.__main__"))
]
for name in [*names, "tensorflow_text", "tfx_bsl.public.beam"]:
    importlib.import_module(name)
print(len(names))
"""


def try_roles(container: Container, entry_point: Sequence[str], scratch: Path) -> None:
    """Makes a job in the image, and runs it with workers in the image.

    Raises:
      ImageError: something did not end as it should.
    """
    _try_packages(container)
    before = dict(os.environ)
    with embedded_cloud() as cloud:
        # Inside, too, the embedded services take the place of Google Cloud's.
        settings = {n: v for n, v in os.environ.items() if before.get(n) != v}
        parameters = small_run.prepare(cloud, scratch)
        _try_bad_launch(container, settings, cloud, parameters)
        graph = scratch / "pipeline.pb"
        graph.write_bytes(_launched(container, settings, cloud, parameters))
        _run_with_workers(container, entry_point, settings, cloud, graph)
        small_run.demand_published(cloud, scratch)
    print("worker: all rows are scored and published, once")


def _try_packages(container: Container) -> None:
    for command in (["pip", "check"], ["python", "-c", _IMPORT_ALL]):
        result = container.run(command, {})
        demand(result.returncode == 0, f"{command[:2]}: {result.stdout}{result.stderr}")
        print(f"packages: {' '.join(command[:2])}: {result.stdout.strip()}")


def _try_bad_launch(
    container: Container, settings: Mapping[str, str], cloud: LocalCloud, given: Mapping[str, str]
) -> None:
    job_object = f"{cloud.temp_location}/bad/job_object"
    arguments = usual_arguments(cloud, {**given, "top_k": "many"}, job_object)
    result = container.run([LAUNCHER, *arguments], settings, cloud.folder)
    message = [line for line in result.stderr.splitlines() if line.startswith("bulkscore: ")]
    print(f"launch with a bad parameter: exit code {result.returncode}, {message}")
    demand(
        result.returncode == cli.USAGE and len(message) == 1 and "Traceback" not in result.stderr,
        f"expected exit code {cli.USAGE} and one sentence, got:\n{result.stderr}",
    )
    demand(not FileSystems.exists(job_object), f"{job_object} exists after a failed launch")


def _launched(
    container: Container, settings: Mapping[str, str], cloud: LocalCloud, given: Mapping[str, str]
) -> bytes:
    """Makes a job and returns its graph, as it was staged."""
    job_object = f"{cloud.temp_location}/good/job_object"
    arguments = usual_arguments(cloud, given, job_object)
    started = time.monotonic()
    result = container.run([LAUNCHER, *arguments], settings, cloud.folder)
    demand(
        result.returncode == cli.OK,
        f"launch: exit code {result.returncode}\n{result.stdout}{result.stderr}",
    )
    print(f"launch: exit code 0 after {time.monotonic() - started:.0f} s, it printed:")
    print("\n".join(f"  {line}" for line in result.stdout.splitlines()))
    graph = small_run.graph_location(json.loads(_content(job_object)))
    print(f"launch: made {job_object} and {graph}")
    return _content(graph)


def _content(uri: str) -> bytes:
    with FileSystems.open(uri, compression_type="uncompressed") as file:
        return bytes(file.read())


def _run_with_workers(
    container: Container,
    entry_point: Sequence[str],
    settings: Mapping[str, str],
    cloud: LocalCloud,
    graph: Path,
) -> None:
    log = graph.with_name("workers.log")
    command = [*entry_point, "--worker_pool"]
    with container.running(command, settings, cloud.folder, log):
        _await_pool(log)
        runner = [sys.executable, staged_graph.__file__, str(graph), "{}:{}".format(*_POOL)]
        ended = _ended(runner)
    written = log.read_text(encoding="utf-8", errors="replace")
    demand(ended is None, f"the job failed: {ended}\nThe pool in the image printed:\n{written}")
    print("worker: the pool in the image printed:")
    print("\n".join(f"  {line}" for line in written.splitlines()))


def _ended(runner: Sequence[str]) -> str | None:
    """Runs a job to its end; returns why it failed, None if it did not."""
    try:
        finished = subprocess.run(
            runner, capture_output=True, text=True, timeout=_JOB_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"it has not ended after {_JOB_S:.0f} s"
    return finished.stderr + finished.stdout if finished.returncode else None


def _await_pool(log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            socket.create_connection(_POOL, timeout=_START_S).close()
            return
        except ConnectionRefusedError:
            demand(
                time.monotonic() < deadline,
                f"no worker pool after {_START_S:.0f} s:\n{log.read_text(encoding='utf-8')}",
            )
            time.sleep(_POLL_S)

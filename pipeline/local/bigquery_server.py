"""The embedded BigQuery as a process: ``python -m pipeline.local.bigquery_server``.

Started by `pipeline.local.servers`, which hands over a pipe: one line of JSON with the ports goes
into it when both APIs listen.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from pipeline.local.guard import die_with_parent
from scoring.imports import Unimportable, lean_imports

_UNLIMITED_REQUEST_BYTES = 1024**3
WARMING_PROJECT = "warming-up"

# The first request that goes past all routes waits while FastAPI builds them, the first query while
# sqlglot is imported: together a tenth of a second.  Neither leaves anything behind.
_WARMING_REQUESTS = (
    ("GET", "/no/such/path", None),
    (
        "POST",
        f"/bigquery/v2/projects/{WARMING_PROJECT}/jobs",
        {"configuration": {"dryRun": True, "query": {"query": "SELECT 1", "useLegacySql": False}}},
    ),
)
_REMOVALS = 40
_REMOVAL_PAUSE_S = 0.05


def main(arguments: list[str]) -> None:
    """Serves until SIGTERM, which the kernel also sends when the parent ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--storage_root", type=Path, required=True)
    parser.add_argument("--storage_url", required=True)
    parser.add_argument("--parent_pid", type=int, required=True)
    parser.add_argument("--report_fd", type=int, required=True)
    options = parser.parse_args(arguments)
    die_with_parent(options.parent_pid, signal.SIGTERM)
    os.environ["STORAGE_EMULATOR_HOST"] = options.storage_url
    # Libraries import it where it is installed, 1.5 s for nothing; some do so long after the start.
    sys.meta_path.insert(0, Unimportable(["pandas"]))
    asyncio.run(_serve(options.folder, options.storage_root, options.report_fd))
    # Whoever started this process may be gone, and nobody else would remove the data.
    _remove(options.folder)


def _remove(folder: Path) -> None:
    """Removes the folder, again if the other server, which ends too, was still writing into it."""
    for _ in range(_REMOVALS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(_REMOVAL_PAUSE_S)


async def _serve(folder: Path, storage_root: Path, report_fd: int) -> None:
    with lean_imports():
        from bqemulator.config import LogLevel, Settings

        from pipeline.local.service.app import make_server

    data = folder / "bigquery"
    data.mkdir()
    settings = Settings(
        rest_port=0,
        grpc_port=0,
        data_dir=data,
        upload_staging_dir=data / "uploads",
        gcs_local_root=storage_root,
        write_api_max_request_bytes=_UNLIMITED_REQUEST_BYTES,
        upload_max_bytes=_UNLIMITED_REQUEST_BYTES,
        log_level=LogLevel.WARNING,
        metrics_enabled=False,
    )
    stop = asyncio.Event()
    server = make_server(settings)
    await server.start()
    # Only now: uvicorn takes the signal for itself while it starts.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    report = json.dumps({"rest_port": server.rest_port, "grpc_port": server.grpc_port})
    os.write(report_fd, report.encode() + b"\n")
    os.close(report_fd)
    await asyncio.to_thread(_warm_up, server.rest_port)
    await stop.wait()


def _warm_up(port: int) -> None:
    """Asks this server what nobody shall have to wait for; whatever it answers is right."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        for method, path, body in _WARMING_REQUESTS:
            headers = {"Content-Type": "application/json"} if body else {}
            connection.request(method, path, json.dumps(body) if body else None, headers)
            connection.getresponse().read()


if __name__ == "__main__":
    main(sys.argv[1:])

"""Puts the pieces together: bqemulator's server with our routes, engine and Storage Read API."""

from __future__ import annotations

import concurrent.futures
from typing import Any

import bqemulator.api.app
import bqemulator.server
import grpc
from bqemulator.api.dependencies import AppContext
from bqemulator.api.routes import upload
from bqemulator.config import Settings
from bqemulator.grpc_api.write_servicer import BigQueryWriteHandler
from fastapi import FastAPI

from pipeline.local.service import datasets, jobs, metadata, query_results, table_resources
from pipeline.local.service.engine import LocalEngine
from pipeline.local.service.read_sessions import Sessions
from pipeline.local.service.snapshots import LateSnapshots
from pipeline.local.service.storage_read import StorageReadHandler

_GRPC_THREADS = 32
_UNLIMITED = -1


def make_server(settings: Settings) -> bqemulator.server.EmulatorServer:
    """bqemulator's server with our differences; `settings.data_dir` is needed.

    EmulatorServer makes its parts by the names that its module knows; those are replaced.
    """
    replaced: Any = bqemulator.server
    replaced.DuckDBEngine = LocalEngine
    replaced.SnapshotManager = LateSnapshots
    replaced.create_app = _create_app
    replaced.build_grpc_server = _build_grpc_server
    uploads: Any = upload
    uploads._load_configuration_from_envelope = jobs.uploaded_configuration
    uploads._run_load = jobs.run_uploaded_load
    # What google-cloud-bigquery sends; the real service takes any type ("Upload media").
    uploads._PERMITTED_MEDIA_CONTENT_TYPES += ("*/*",)
    metadata.install()
    return bqemulator.server.EmulatorServer(settings)


def _create_app(context: AppContext) -> FastAPI:
    """bqemulator's application; where a path has two routes, ours comes first and wins."""
    app = bqemulator.api.app.create_app(context)
    ours = [datasets.router, jobs.router, query_results.router, table_resources.router]
    app.router.routes[:0] = [route for router in ours for route in router.routes]
    return app


class ThreadedGrpcServer:
    """A gRPC server on threads with the coroutines that EmulatorServer awaits.

    On threads, reads go on while a long query holds the event loop.
    """

    def __init__(self, server: Any) -> None:
        self._server = server

    async def start(self) -> None:
        self._server.start()

    async def stop(self, grace: float | None) -> None:
        self._server.stop(grace).wait()


def _build_grpc_server(context: AppContext) -> tuple[ThreadedGrpcServer, int]:
    folder = context.settings.data_dir
    if folder is None:
        raise ValueError("settings.data_dir is needed for the rows of read sessions")
    executor = concurrent.futures.ThreadPoolExecutor(_GRPC_THREADS, "grpc")
    server = grpc.server(
        executor,
        handlers=[StorageReadHandler(context, Sessions(folder)), BigQueryWriteHandler(context)],
        options=[
            ("grpc.max_send_message_length", _UNLIMITED),
            ("grpc.max_receive_message_length", _UNLIMITED),
        ],
    )
    port = server.add_insecure_port(f"{context.settings.grpc_host}:{context.settings.grpc_port}")
    return ThreadedGrpcServer(server), port

"""The embedded services with the proxies in front of them."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from fault_plan import FaultSwitch, Service
from google.cloud import bigquery
from grpc_proxy import grpc_proxy
from rest_proxy import rest_proxy

from pipeline.local import servers
from pipeline.local.servers import LocalCloud, embedded_cloud
from transforms import clients

_SERVER = "pipeline.local.bigquery_server"
_SMALL_PAGES = Path(__file__).with_name("small_pages_server.py")


@dataclass(frozen=True)
class FaultyCloud:
    """Running services that this process and its children reach through the proxies only.

    Attributes:
      switch: what goes wrong.
      client: goes straight to BigQuery, to prepare tables and to look at the results.
    """

    cloud: LocalCloud
    switch: FaultSwitch
    client: bigquery.Client


@contextlib.contextmanager
def faulty_cloud() -> Iterator[FaultyCloud]:
    """Runs the services and the proxies; for the block the environment names the proxies.

    Call it from the main thread, as `embedded_cloud`.
    """
    switch = FaultSwitch()
    with contextlib.ExitStack() as stack:
        with mock.patch.object(servers, "start_server", _with_small_pages(servers.start_server)):
            cloud = stack.enter_context(embedded_cloud())
        client = stack.enter_context(contextlib.closing(clients.bigquery_client(cloud.project)))
        bigquery_url = rest_proxy(Service.BIGQUERY, cloud.bigquery_url, switch)
        storage_url = rest_proxy(Service.STORAGE, cloud.storage_url, switch)
        read_endpoint = grpc_proxy(cloud.bigquery_storage_endpoint, switch)
        endpoints = {
            clients.BIGQUERY_URL: stack.enter_context(bigquery_url),
            clients.STORAGE_URL: stack.enter_context(storage_url),
            clients.BIGQUERY_STORAGE_ENDPOINT: stack.enter_context(read_endpoint),
        }
        stack.callback(clients.redirect_beam)
        stack.enter_context(mock.patch.dict(os.environ, endpoints))
        clients.redirect_beam()
        yield FaultyCloud(cloud, switch, client)


def _with_small_pages(start_server: Any) -> Any:
    """`start_server`, which starts the BigQuery server with small pages instead of the usual."""

    @functools.wraps(start_server)
    def start(name: str, command: list[str], *arguments: Any, **keywords: Any) -> Any:
        if _SERVER in command:
            module = command.index(_SERVER)
            command = [*command[: module - 1], str(_SMALL_PAGES), *command[module + 1 :]]
        return start_server(name, command, *arguments, **keywords)

    return start

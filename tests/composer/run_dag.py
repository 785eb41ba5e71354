"""Runs DAGs in an environment of Airflow, against local servers; knows nothing of bulkscore.

    python run_dag.py FOLDER RUN [RUN ...]

FOLDER has the files of the DAGs, and each RUN is JSON with the names `dag_id` and `conf`, a run's
parameters. The runs follow one another. The environment names the servers: DATAFLOW_URL that of
Dataflow, BIGQUERY_EMULATOR_HOST that of BigQuery. Standard output gets one line of JSON for each
run, with the states of its tasks and what they said when they failed; Airflow's own log is standard
error.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
from typing import Any

import grpc
from airflow.listeners import hookimpl
from airflow.listeners.listener import get_listener_manager
from airflow.models.dagbag import DagBag
from airflow.providers.google.cloud.hooks import dataflow
from dataflow_grpc import grpc_door


def redirect_dataflow(url: str, target: str) -> None:
    """Sends the hooks of Dataflow to local servers; they have no setting for that.

    Args:
      url: of the REST API, which workers use.
      target: HOST:PORT of the gRPC API, which triggerers use.
    """
    dataflow.build = functools.partial(dataflow.build, client_options={"api_endpoint": url})

    async def initialize_client(hook: Any, client_class: Any) -> Any:
        transport = client_class.get_transport_class("grpc_asyncio")
        return client_class(transport=transport(channel=grpc.aio.insecure_channel(target)))

    dataflow.AsyncDataflowHook.initialize_client = initialize_client


def loaded_dags(folder: str) -> dict[str, Any]:
    """The DAGs of a folder, by their ids; ends the program if one cannot be imported."""
    bag = DagBag(folder, include_examples=False)
    if bag.import_errors:
        sys.exit("\n".join(bag.import_errors.values()))
    return dict(bag.dags)


def main(folder: str, *runs: str) -> None:
    """Runs DAGs one after another."""
    url = os.environ["DATAFLOW_URL"]
    with contextlib.redirect_stdout(sys.stderr), grpc_door(url) as target:
        redirect_dataflow(url, target)
        dags = loaded_dags(folder)
        for wanted in map(json.loads, runs):
            report = one_run(dags[wanted["dag_id"]], wanted["conf"])
            print(json.dumps({**wanted, **report}), file=sys.__stdout__, flush=True)


class Failures:
    """A listener of Airflow that keeps what tasks said when they failed."""

    def __init__(self) -> None:
        self.said: list[str] = []

    @hookimpl
    def on_task_instance_failed(self, error: str | BaseException | None) -> None:
        """Keeps it."""
        self.said.append(str(error))


def one_run(dag: Any, conf: dict[str, str]) -> dict[str, Any]:
    """Runs a DAG once and says how it ended."""
    failures = Failures()
    listeners = get_listener_manager()
    listeners.add_listener(failures)
    run = dag.test(run_conf=conf)
    listeners.clear()
    tasks = {i.task_id: f"{i.state}, try {i.try_number}" for i in run.get_task_instances()}
    return {"state": run.state, "tasks": tasks, "errors": failures.said}


if __name__ == "__main__":
    main(*sys.argv[1:])

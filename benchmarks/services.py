"""The embedded services, started for one contestant and outside of what is measured."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import children
from benchmarks.task import INPUT, OUTPUT
from pipeline.local.servers import LocalCloud, embedded_cloud
from pipeline.local.tables import export_table, load_table
from transforms.clients import bigquery_client


@dataclass(frozen=True)
class Services:
    """Running servers that hold the input table; this process's environment points at them."""

    cloud: LocalCloud
    pids: tuple[int, ...]

    def export_output(self, folder: Path) -> None:
        """Writes the output table as a Parquet file of its name."""
        export_table(bigquery_client(self.cloud.project), OUTPUT, folder)


@contextmanager
def running_services(table: Path) -> Iterator[Services]:
    """Fresh servers, the Parquet files of the folder `table` loaded as the input table.

    Nothing of an earlier contestant is left: the emulator keeps a copy of each read session.
    """
    before = set(children(os.getpid()))
    with embedded_cloud() as cloud:
        pids = set(children(os.getpid())) - before
        client = bigquery_client(cloud.project)
        load_table(client, INPUT, str(table))
        client.create_dataset(OUTPUT.split(".")[0], exists_ok=True)
        yield Services(cloud, tuple(pids))

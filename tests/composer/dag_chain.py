"""From the DAG in Airflow 2.11 and 3.1 to a partition in BigQuery, with a line for each hop.

    python tests/composer/dag_chain.py [--airflow=3.1]

The DAG's file is edited as a user would, and run in an environment that has Airflow and nothing of
bulkscore. Its launches go to the local Dataflow of tests/dataflow, which runs the launcher and the
staged graph in build/worker. Airflow 2.11 waits in the worker, Airflow 3.1 in the triggerer. Exits
with 0 only if every run of the DAG ended as it should, with the reasons that it should give.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # What the tests find by pytest's settings.
    tests = Path(__file__).parents[1]
    sys.path[:0] = [str(tests.parent), str(tests), str(tests / "dataflow")]

import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems
from chain import ChainBrokenError, say
from dataflow_service import WORKER_PYTHON, DataflowService, dataflow_service
from edited_dag import DAG_FILE, ROOT, edited, launch_of
from google.cloud import bigquery
from saved_models import doubled
from worker_machine import install_package

from options.template_metadata import container_spec, render
from pipeline.local.servers import LocalCloud, embedded_cloud
from pipeline.local.tables import load_table
from transforms.clients import bigquery_client
from transforms.model_files import upload_folder

VERSIONS = ("2.11", "3.1")
REGION = "europe-west1"
_DATASET = "dag"
_IMAGE = "europe-docker.pkg.dev/my-project/images/bulkscore:1"
_ROWS = 100
_RUN_S = 900
# One row in a hundred may be rejected: so many are on the first day, and more on the second.
_GOOD_DAY, _BAD_DAY, _NEXT_DAY = "2025-01-31", "2025-02-01", "2025-02-02"
_NULLS = {_GOOD_DAY: 1, _BAD_DAY: 20}
_CONNECTION = {
    "conn_type": "google_cloud_platform",
    "extra": {"is_anonymous": True, "num_retries": 0},
}


@dataclass(frozen=True)
class Airflow:
    """An environment with a version of Airflow, and the folder that its DAGs are in."""

    version: str
    folder: Path

    @property
    def output(self) -> str:
        """Table that its DAGs write."""
        return f"{_DATASET}.{self.named('scores')}"

    def named(self, name: str) -> str:
        """A name of a table or a DAG that is this version's own."""
        return f"{name}_{self.version.replace('.', '_')}"

    @property
    def dags(self) -> Path:
        """Folder of the DAGs."""
        return self.folder / "dags"

    @property
    def _python(self) -> Path:
        return ROOT / "build" / f"airflow-{self.version}" / "bin" / "python"

    def run(self, service: DataflowService, *runs: dict[str, Any]) -> list[dict[str, Any]]:
        """Runs DAGs one after another and returns what became of each."""
        log = self.folder / "airflow.log"
        with log.open("w") as file:
            finished = subprocess.run(
                [self._python, Path(__file__).with_name("run_dag.py"), self.dags]
                + [json.dumps(run) for run in runs],
                env=self._environment(service.url),
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                timeout=_RUN_S,
                check=False,
            )
        if finished.returncode:
            raise ChainBrokenError(f"run_dag.py: {finished.returncode}\n{log.read_text()[-3000:]}")
        lines = finished.stdout.splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def prepare(self) -> None:
        """Makes the folders and a database, a copy of the one that was made the first time."""
        self.dags.mkdir(parents=True)
        database = self._python.parents[1] / "airflow.db"
        target = self.folder / "airflow.db"
        if not database.exists():
            say(f"Airflow {self.version}: making its database, once")
            subprocess.run(
                [self._python, "-m", "airflow", "db", "migrate"],
                env=self._environment(""),
                capture_output=True,
                check=True,
            )
            shutil.copy(target, database)
        shutil.copy(database, target)

    def _environment(self, dataflow_url: str) -> dict[str, str]:
        return {
            "PATH": os.defpath,
            "HOME": str(self.folder),
            "AIRFLOW_HOME": str(self.folder),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.folder}/airflow.db",
            "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": json.dumps(_CONNECTION),
            "BIGQUERY_EMULATOR_HOST": os.environ["BIGQUERY_EMULATOR_HOST"],
            "DATAFLOW_URL": dataflow_url,
            "NO_GCE_CHECK": "true",
            "NO_PROXY": "127.0.0.1,localhost",
        }


@dataclass(frozen=True)
class Bench:
    """The local services with an input table, a model and the template in them."""

    cloud: LocalCloud
    client: bigquery.Client
    service: DataflowService

    def uri(self, name: str) -> str:
        """Where a file of these tests is."""
        return f"gs://{self.cloud.bucket}/{_DATASET}/{name}"

    def add_dag(self, airflow: Airflow, dag: str, **changed: str) -> str:
        """Writes the DAG's file as a user edits it; returns its source.

        Args:
          changed: parameters of the template beside those of the scored table.
        """
        project = self.cloud.project
        source = edited(
            DAG_FILE.read_text(encoding="utf-8"),
            {
                "DAG_ID": airflow.named(dag),
                "RETRIES": 0,
                "PROJECT": project,
                "REGION": REGION,
                "INPUT_TABLE": f"{project}.{_DATASET}.t",
                "OUTPUT_TABLE": f"{project}.{airflow.output}",
                "PARAMETERS": {
                    "model": self.uri("model"),
                    "key_columns": "id",
                    "passthrough_columns": "day",
                    "max_rejected_fraction": "0.01",
                    **changed,
                },
                "TEMPLATE": self.uri("bulkscore.json"),
                "ENVIRONMENT": {
                    "tempLocation": self.cloud.temp_location,
                    "stagingLocation": f"{self.cloud.temp_location}/staging",
                },
                "DEFERRABLE": airflow.version != "2.11",
                "POLL_S": 1,
            },
        )
        (airflow.dags / f"{dag}.py").write_text(source, encoding="utf-8")
        return source

    def call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """What Dataflow's REST API answers."""
        request = urllib.request.Request(
            f"{self.service.url}/v1b3/projects/{self.cloud.project}/locations/{REGION}/{path}",
            data=None if body is None else json.dumps(body).encode(),
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def scored(self, airflow: Airflow) -> dict[str, int]:
        """How many rows of each day the output has, all of them right."""
        sql = f"SELECT day, COUNT(*) AS n, COUNTIF(y != 2 * id) AS wrong FROM {airflow.output}"
        rows = list(self.client.query(f"{sql} GROUP BY day").result())
        if any(row["wrong"] for row in rows):
            raise ChainBrokenError(f"{airflow.output} has wrong predictions")
        return {row["day"].isoformat(): row["n"] for row in rows}


def load_inputs(bench: Bench, folder: Path) -> None:
    """A table of two days, a model and the template."""
    ids, xs, days = [], [], []
    for day, nulls in _NULLS.items():
        ids += range(_ROWS)
        xs += [None if i < nulls else float(i) for i in range(_ROWS)]
        days += [day] * _ROWS
    rows = pa.table({"id": ids, "x": xs, "day": pa.array(days).cast(pa.date32())})
    pq.write_table(rows, folder / "t.parquet")
    bench.client.create_dataset(_DATASET)
    load_table(bench.client, f"{_DATASET}.t", str(folder / "t.parquet"))
    upload_folder(doubled(folder / "model"), bench.uri("model"))
    with FileSystems.create(bench.uri("bulkscore.json"), "application/json") as file:
        file.write(render(container_spec(_IMAGE)).encode())
    say(f"table {_DATASET}.t: {_ROWS} rows on each of {', '.join(_NULLS)}; a model; the template")


def try_dag(bench: Bench, airflow: Airflow) -> None:
    """Runs the DAG in each way that it can end.

    Raises:
      ChainBrokenError: one ended otherwise than it should.
    """
    airflow.prepare()
    source = bench.add_dag(airflow, "good")
    bench.add_dag(airflow, "wrong_form", top_k="many")
    bench.add_dag(airflow, "no_model", model=bench.uri("nothing"))
    launch = launch_of(source, _BAD_DAY, _NEXT_DAY)
    # The DAG has to find it while it runs, however long Airflow takes to come to that.
    bench.service.hold(launch["launchParameter"]["jobName"])
    launched = bench.call("flexTemplates:launch", launch)
    say(f"Airflow {airflow.version}: job {launched['job']['name']} is launched before its DAG runs")
    reports = airflow.run(
        bench.service,
        *(
            {"dag_id": airflow.named(dag), "conf": {"day": day}}
            for dag, day in (
                ("good", _BAD_DAY),
                ("good", _GOOD_DAY),
                ("good", _GOOD_DAY),
                ("wrong_form", _GOOD_DAY),
                ("no_model", _BAD_DAY),
            )
        ),
    )
    for report in reports:
        say(f"Airflow {airflow.version}: {report['dag_id']} {report['conf']}: {report['state']}")
        for line in "\n".join(report["errors"]).splitlines():
            say(f"    {line}")
    for problem in problems(reports):
        raise ChainBrokenError(f"Airflow {airflow.version}: {problem}")
    names = [job["name"] for job in reversed(bench.call("jobs")["jobs"])]
    own = [name for name in names if f"-{airflow.named('')[1:].replace('_', '-')}-" in name]
    if [name.partition("-")[0] for name in own] != ["good", "good", "no"]:
        raise ChainBrokenError(f"jobs of Airflow {airflow.version}: {', '.join(own)}")
    say(f"Airflow {airflow.version}: jobs {', '.join(own)}, each once")
    days = bench.scored(airflow)
    if days != {_GOOD_DAY: _ROWS - _NULLS[_GOOD_DAY]}:
        raise ChainBrokenError(f"rows of {airflow.output}: {days}")
    say(f"table {airflow.output}: {days}, each row as it should be")


def problems(reports: list[dict[str, Any]]) -> Iterator[str]:
    """What is wrong with how the runs ended."""
    expected = (
        ("failed", "20 of 100 rows were rejected", "20 NULL_VALUE, for example: "),
        ("success",),
        ("success",),
        ("failed", "Dataflow refused the launch: <HttpError 400", "top_k: Value 'many'"),
        ("failed", "there are no files in this folder"),
    )
    for report, (state, *fragments) in zip(reports, expected, strict=True):
        told = "\n".join(report["errors"])
        if report["state"] != state:
            yield f"{report} should be {state}"
        yield from (
            f"{fragment!r} is not in: {told}" for fragment in fragments if fragment not in told
        )


def main() -> int:
    """Tries the DAG and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--airflow", choices=VERSIONS, action="append", help="only this version")
    versions = parser.parse_args().airflow or VERSIONS
    say(f"package: {install_package(WORKER_PYTHON)}")
    with embedded_cloud() as cloud, tempfile.TemporaryDirectory() as name:
        client = bigquery_client(cloud.project)
        with dataflow_service(cloud, log=lambda line: say(f"  dataflow: {line}")) as service:
            bench = Bench(cloud, client, service)
            load_inputs(bench, Path(name))
            for version in versions:
                try_dag(bench, Airflow(version, Path(name) / version))
        client.close()
    say("the DAG ends as it should, in Airflow " + " and ".join(versions))
    return 0


if __name__ == "__main__":
    sys.exit(main())

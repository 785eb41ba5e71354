"""What tests of whole jobs share: a dataset of their own, its tables, the command line."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems
from google.cloud import bigquery
from saved_models import Builder

from pipeline import cli
from pipeline.local.servers import LocalCloud
from pipeline.local.tables import export_table, load_table

Row = dict[str, Any]
Saved = Callable[[Builder], Path]
# A row or a whole result is compared with these left out: each run has its own.
RUN_COLUMNS = ("run_id", "model_digest")


@dataclass(frozen=True)
class Outcome:
    """What a command gave back: its exit code and what it printed."""

    code: int
    stdout: str
    stderr: str

    def refused_with(self, *fragments: str) -> None:
        """Asserts one clear message for a user's mistake, with these fragments in it."""
        assert self.code == cli.USAGE, f"exit code {self.code}\n{self.stdout}\n{self.stderr}"
        assert "Traceback" not in self.stderr
        messages = [line for line in self.stderr.splitlines() if line.startswith("bulkscore: ")]
        assert len(messages) == 1, self.stderr
        # Nothing but the message, which may have several lines.
        assert self.stderr.startswith("bulkscore: "), self.stderr
        for fragment in fragments:
            assert fragment in self.stderr, f"{fragment!r} is not in:\n{self.stderr}"


@dataclass(frozen=True)
class Workbench:
    """One dataset of the embedded BigQuery and the commands that work on it.

    `captured` gives what was printed since it was last called: standard output and error.
    """

    cloud: LocalCloud
    client: bigquery.Client
    dataset: str
    folder: Path
    captured: Callable[[], tuple[str, str]]

    def name(self, table: str) -> str:
        """The table's name with its dataset."""
        return f"{self.dataset}.{table}"

    def sql(self, text: str) -> None:
        """Runs a statement in this dataset."""
        config = bigquery.QueryJobConfig(
            default_dataset=bigquery.DatasetReference(self.cloud.project, self.dataset)
        )
        self.client.query(text, job_config=config).result()

    def load(self, table: str, rows: pa.Table) -> None:
        """Makes a table with these rows."""
        path = self.folder / f"{table}.parquet"
        pq.write_table(rows, path)
        load_table(self.client, self.name(table), str(path))

    def run(self, command: str, *arguments: str) -> Outcome:
        """Runs a command in this process, for the embedded servers."""
        service = (f"--project={self.cloud.project}", f"--temp_location={self.cloud.temp_location}")
        return self.run_as_given(command, *arguments, *service)

    def run_as_given(self, *arguments: str) -> Outcome:
        """Runs a whole command line in this process."""
        self.captured()
        code = cli.main(arguments)
        return Outcome(code, *self.captured())

    def score(self, model: Path | str, *arguments: str, output: str = "p") -> Outcome:
        """Scores table `t` of the dataset, unless the arguments name another source."""
        return self.run("score", *self._usual(model, arguments, output))

    def check(self, model: Path | str, *arguments: str, output: str = "p") -> Outcome:
        """The same for the command `check`."""
        return self.run("check", *self._usual(model, arguments, output))

    def _usual(self, model: Path | str, arguments: Iterable[str], output: str) -> list[str]:
        given = [f"--model={model}", *arguments]
        if not any(a.startswith("--output_table") for a in given):
            given.append(f"--output_table={self.name(output)}")
        if not any(a.startswith(("--input_table", "--input_query")) for a in given):
            given.append(f"--input_table={self.name('t')}")
        return given

    def arrow(self, table: str) -> pa.Table:
        """All of a table, as the Storage Read API gives it."""
        return pq.read_table(export_table(self.client, self.name(table), self.folder))

    def rows(self, table: str = "p", *, by: str = "id", without: Iterable[str] = ()) -> list[Row]:
        """A table's rows in the order of column `by`, without the columns that each run changes."""
        left_out = {*RUN_COLUMNS, *without}
        rows = sorted(self.arrow(table).to_pylist(), key=lambda row: row[by])
        return [{k: v for k, v in row.items() if k not in left_out} for row in rows]

    def rejects(self, table: str = "p__rejects") -> list[Row]:
        """A rejects table's rows, by the key `id`: id, stage, code and message."""
        rows = self.arrow(table).to_pylist()
        return sorted(
            (
                {
                    "id": row["key"]["id"],
                    "stage": row["stage"],
                    "code": row["code"],
                    "message": row["message"],
                }
                for row in rows
            ),
            key=lambda row: row["id"],
        )

    def run_row(self, table: str = "p__runs") -> Row:
        """How the only run of a runs table ended, its options read."""
        (row,) = [row for row in self.arrow(table).to_pylist() if row["state"] != "scored"]
        return {**row, "options": json.loads(row["options"])}

    def states(self, run_id: str, table: str = "p__runs") -> list[str]:
        """The states of a run in a runs table, oldest first."""
        rows = [row for row in self.arrow(table).to_pylist() if row["run_id"] == run_id]
        return [row["state"] for row in sorted(rows, key=lambda row: row["finished_at"])]

    def run_tables(self) -> list[str]:
        """Names of the tables in which runs gather their rows, in order."""
        return sorted(name for name in self.tables() if "run_" in name)

    def tables(self) -> set[str]:
        """Names of the dataset's tables."""
        return {t.table_id for t in self.client.list_tables(self.dataset)}

    def upload(self, name: str, content: bytes) -> str:
        """Puts a file on the embedded Cloud Storage and returns its URI."""
        uri = f"gs://{self.cloud.bucket}/{self.dataset}/{name}"
        with FileSystems.create(uri, "application/octet-stream", "uncompressed") as file:
            file.write(content)
        return uri

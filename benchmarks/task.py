"""What a contestant is told and what it answers; both cross to its process as JSON files.

Also read inside the environments of the peers: nothing but the standard library is imported.
"""

import dataclasses
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

INPUT, OUTPUT = "shop.t", "shop.p"


@dataclass(frozen=True)
class Output:
    """An output of the signature, `[batch, n]` if repeated, else one value a row, and its column.

    Attributes:
      name: in the signature.
      column: of the output table.
      type: of the column, as the REST API of BigQuery calls it.
      repeated: whether the column is an ARRAY.
    """

    name: str
    column: str
    type: str = "FLOAT"
    repeated: bool = False


@dataclass(frozen=True)
class Scoring:
    """What is done with each row.

    Attributes:
      features: the column that feeds each input of the signature.
      outputs: what is written beside the key and the passthrough columns.
      key: INT64 column with 0 … rows - 1, each once.
      feed: how columns become tensors, a name in `benchmarks.feeds.FEEDS`.
      passthrough: columns that are copied to the output table.
      signature: the one that is called.
      batch_rows: rows of one call where the contestant is free to choose them.
      calls_at_once: threads that call the model where the contestant is free to use them.
    """

    features: dict[str, str]
    outputs: tuple[Output, ...]
    key: str = "id"
    feed: str = "numbers"
    passthrough: tuple[str, ...] = ()
    signature: str = "serving_default"
    batch_rows: int = 65_536
    calls_at_once: int = 1

    @property
    def columns(self) -> list[str]:
        """All columns that have to be read, each once."""
        return list(dict.fromkeys([self.key, *self.passthrough, *self.features.values()]))


@dataclass(frozen=True)
class Task:
    """Score table `INPUT` into table `OUTPUT`.

    The servers are found by the variables of the environment that the clients of Google Cloud
    read: BIGQUERY_EMULATOR_HOST, BIGQUERY_STORAGE_EMULATOR_HOST, STORAGE_EMULATOR_HOST.

    Attributes:
      table: the folder of Parquet files from which the input table was loaded.
      rows: of the input table.
      model: the SavedModel's folder.
      folder: an empty folder of the contestant's own.
      project: that holds the tables.
      bucket: of Cloud Storage, for temporary objects.
      flags: more arguments for `bulkscore score`.
    """

    scoring: Scoring
    table: str
    rows: int
    model: str
    folder: str
    project: str
    bucket: str
    flags: tuple[str, ...] = ()

    @property
    def temp_location(self) -> str:
        """A folder of the bucket."""
        return f"gs://{self.bucket}/temp"

    @property
    def report(self) -> Path:
        """The file for the answer."""
        return Path(self.folder) / "report.json"

    def write(self) -> Path:
        """Writes the task into its folder."""
        path = Path(self.folder) / "task.json"
        path.write_text(json.dumps(dataclasses.asdict(self), indent=2) + "\n")
        return path

    @classmethod
    def read(cls, path: Path) -> "Task":
        """The task that `write` has written."""
        document = json.loads(path.read_text())
        scoring = document.pop("scoring")
        scoring["outputs"] = tuple(Output(**o) for o in scoring["outputs"])
        scoring["passthrough"] = tuple(scoring["passthrough"])
        flags = tuple(document.pop("flags"))
        return cls(scoring=Scoring(**scoring), flags=flags, **document)


@dataclass(frozen=True)
class Report:
    """A contestant's answer.

    Attributes:
      job_s: from constructing the pipeline or opening the read session, TensorFlow imported
        already, until the results are in the table; with loading the model; for a
        contestant that is there to count that, with starting its cluster.
      rows: that were scored.
      parts: seconds of named parts, for those that measure them.
    """

    job_s: float
    rows: int
    parts: dict[str, float] = dataclasses.field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Report":
        """The report in a file."""
        return cls(**json.loads(path.read_text()))


def answer(program: Callable[[Task], Report]) -> None:
    """Runs a contestant's program on the task whose file is the process's last argument."""
    task = Task.read(Path(sys.argv[-1]))
    report = program(task)
    task.report.write_text(json.dumps(dataclasses.asdict(report)) + "\n")

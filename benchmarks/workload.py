"""A workload: what is scored by what; and its files, the same ones each time they are made."""

import hashlib
import inspect
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.task import Scoring

MakeRows = Callable[[int, int, int], pa.Table]
"""(first row, end row, rows of the whole table) -> those rows, always the same ones."""


@dataclass(frozen=True)
class Workload:
    """What is scored.

    Attributes:
      name: as it is chosen on the command line.
      title: what it is, for the tables.
      rows: how many, unless the command line says otherwise.
      scoring: what is done with each row.
      make_rows: makes a part of the table.
      make_model: saves the model into a folder that does not exist yet.
      flags: arguments for `bulkscore score` beyond source, model, key, passthrough and output.
      tolerance: largest difference between floats of two correct results; 0 for none.
      part_rows: rows of one Parquet file of the source.
      is_local: whether `bulkscore score --local` is measured whole, with its own servers.
    """

    name: str
    title: str
    rows: int
    scoring: Scoring
    make_rows: MakeRows
    make_model: Callable[[Path], None]
    flags: tuple[str, ...] = ()
    tolerance: float = 0.0
    part_rows: int = 1_000_000
    is_local: bool = False

    def with_rows(self, rows: int) -> "Workload":
        """The same of another size."""
        return replace(self, rows=rows)


@dataclass(frozen=True)
class Files:
    """The files of a workload: a folder of Parquet files, and a SavedModel.

    `expected` has the key and the outputs of every row, from TensorFlow alone.
    """

    table: Path
    model: Path
    expected: Path
    made: Path


def files_of(workload: Workload, folder: Path) -> Files:
    """Where the files of a workload are, made or not."""
    home = folder / "inputs" / f"{workload.name}-{workload.rows}"
    return Files(home / "table", home / "model", home / "expected.parquet", home / "made.json")


def make_files(workload: Workload, folder: Path) -> Files:
    """Writes the table and the model unless they are there already.

    Raises:
      ValueError: the workload has no rows.
    """
    if workload.rows < 1:
        raise ValueError(f"workload {workload.name}: expected at least one row")
    files = files_of(workload, folder)
    stamp = json.dumps({"scoring": asdict(workload.scoring), "makers": _makers_digest(workload)})
    if files.made.exists() and files.made.read_text() == stamp:
        return files
    shutil.rmtree(files.made.parent, ignore_errors=True)
    files.table.mkdir(parents=True)
    for number, first in enumerate(range(0, workload.rows, workload.part_rows)):
        end = min(first + workload.part_rows, workload.rows)
        part = workload.make_rows(first, end, workload.rows)
        pq.write_table(part, files.table / f"part-{number:05}.parquet")
    workload.make_model(files.model)
    files.made.write_text(stamp)
    return files


def _makers_digest(workload: Workload) -> str:
    """Of the module that makes the files: made by other code they are other files."""
    maker = workload.make_rows
    function = maker.func if isinstance(maker, partial) else maker
    source = Path(str(inspect.getsourcefile(function))).read_bytes()
    return hashlib.sha256(source).hexdigest()

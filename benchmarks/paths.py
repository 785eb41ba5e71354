"""The two ways to score the same table, each as a fresh process, measured over the same spans."""

import json
import re
import sys
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.inputs import KEY, Inputs
from benchmarks.processes import ProgramFailedError, Usage, run_watched
from benchmarks.stock import INPUT, OUTPUT

# As `bulkscore score` prints it, in steps of 0.1 s.
_PIPELINE_TIME = re.compile(r"^pipeline time +([\d.]+) s$", re.MULTILINE)


@dataclass(frozen=True)
class Measure:
    """One run.

    Attributes:
      rows: rows scored.
      pipeline_s: from constructing the pipeline until it is done: reading, loading the model,
        scoring, writing and, for bulkscore, checking the sums and publishing.
      usage: of the whole process, with starting Python and the services and loading the input.
    """

    rows: int
    pipeline_s: float
    usage: Usage

    @property
    def rows_per_s(self) -> float:
        """Rows per second of `pipeline_s`."""
        return self.rows / self.pipeline_s


@dataclass(frozen=True)
class RunRecord:
    """What bulkscore's own runs table says; the span covers planning, too."""

    rows_read: int
    rows_scored: int
    rows_rejected: int
    started_at: datetime
    finished_at: datetime


def ours_command(inputs: Inputs, output: Path) -> list[str]:
    """The command line that is measured."""
    return [
        str(Path(sys.executable).with_name("bulkscore")),
        "score",
        "--local",
        f"--local_tables={INPUT}={inputs.table}",
        f"--input_table={INPUT}",
        f"--model={inputs.model}",
        f"--key_columns={KEY}",
        f"--output_table={OUTPUT}",
        f"--local_output={output}",
    ]


def stock_command(inputs: Inputs, output: Path, report: Path) -> list[str]:
    """The command line that it is compared with."""
    return [
        sys.executable,
        "-m",
        "benchmarks.stock",
        f"--table={inputs.stock_table}",
        f"--model={inputs.model}",
        f"--local_output={output}",
        f"--report={report}",
    ]


def run_ours(inputs: Inputs, output: Path) -> Measure:
    """Scores the whole table with the command line of bulkscore.

    Raises:
      ProgramFailedError: it failed, or did not print its pipeline time.
    """
    log = _fresh_log(output)
    command = ours_command(inputs, output)
    usage = run_watched(command, log)
    printed = _PIPELINE_TIME.search(log.read_text())
    if printed is None:
        raise ProgramFailedError(f"{' '.join(command)}\nprinted no pipeline time; see {log}")
    return Measure(inputs.rows, float(printed[1]), usage)


def run_stock(inputs: Inputs, output: Path) -> Measure:
    """Scores the smaller table with Beam's stock transforms.

    Raises:
      ProgramFailedError: it failed.
    """
    log = _fresh_log(output)
    report = output / "report.json"
    usage = run_watched(stock_command(inputs, output, report), log)
    return Measure(inputs.stock_rows, float(json.loads(report.read_text())["pipeline_s"]), usage)


def run_record(output: Path) -> RunRecord:
    """The published run's row of the exported runs table."""
    path = output / f"{OUTPUT}__runs.parquet"
    columns = [field.name for field in fields(RunRecord)]
    published = pq.read_table(path, columns=columns, filters=[("state", "==", "published")])
    (row,) = published.to_pylist()
    return RunRecord(**row)


def _fresh_log(output: Path) -> Path:
    """The log of a run into the folder `output`, from which earlier results are removed."""
    output.mkdir(parents=True, exist_ok=True)
    for old in output.iterdir():
        old.unlink()
    return output / "log.txt"

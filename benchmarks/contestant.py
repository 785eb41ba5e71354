"""All contestants: what they are, how they are started, and with which settings."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contestants import ours
from benchmarks.contestants.bare import FOLDED
from benchmarks.peers.ray import COLD
from benchmarks.task import Report, Task
from benchmarks.workload import Workload

PEERS = Path("build/peers")


@dataclass(frozen=True)
class Contestant:
    """One way to score a table.

    Attributes:
      name: as it is chosen on the command line.
      title: for tables.
      settings: what was chosen for it where it leaves a choice.
      command: the command line for a task.
      report: its answer, from the task and what the program printed.
      fits: whether it can score a workload.
      needs_services: whether it works on the tables of the embedded services.
      has_result: whether it scores the rows at all.
      usual_rows: of larger tables it gets so many rows only, because it takes long.
      peer: its environment below PEERS, if it has one of its own.
      program: that has to be on the PATH.
    """

    name: str
    title: str
    settings: str
    command: Callable[[Task, Workload], list[str]]
    fits: Callable[[Workload], bool]
    report: Callable[[Task, str], Report] = lambda task, _: Report.read(task.report)
    needs_services: bool = True
    has_result: bool = True
    usual_rows: int | None = None
    peer: str | None = None
    program: str | None = None

    @property
    def missing(self) -> str | None:
        """What has to be installed before it can run, and how; None if nothing has."""
        if self.peer is not None and not (PEERS / self.peer / "installed").exists():
            return f"{self.title} has no environment in {PEERS / self.peer}: make bench-peers"
        if self.program is not None and shutil.which(self.program) is None:
            return f"{self.title} needs {self.program}, which is not on the PATH"
        return None


def _ours_command(task: Task, workload: Workload) -> list[str]:
    return ours.command(task, is_local=workload.is_local)


def _program(module: str, *arguments: str) -> Callable[[Task, Workload], list[str]]:
    """A module run by this interpreter."""
    return _run_by(Path(sys.executable), module, *arguments)


def _run_by(python: Path, module: str, *arguments: str) -> Callable[[Task, Workload], list[str]]:
    def command(task: Task, _: Workload) -> list[str]:
        return [str(python), "-m", f"benchmarks.{module}", *arguments, str(task.write())]

    return command


def _python(peer: str) -> Path:
    return PEERS / peer / "bin" / "python"


def _peer(name: str, *arguments: str) -> Callable[[Task, Workload], list[str]]:
    """The program of a peer, run by the interpreter of its own environment."""
    return _run_by(_python(name), f"peers.{name}.program", *arguments)


def _any(_: Workload) -> bool:
    return True


def _with_services(workload: Workload) -> bool:
    return not workload.is_local


def _for_peers(workload: Workload) -> bool:
    # Their environments have neither Pillow nor tfx-bsl, which the other feeds use.
    return not workload.is_local and workload.scoring.feed in ("numbers", "texts")


def _convolves(workload: Workload) -> bool:
    return workload.scoring.feed == "jpegs"


def _parses_examples(workload: Workload) -> bool:
    return workload.scoring.feed == "examples"


CONTESTANTS = {
    c.name: c
    for c in (
        Contestant(
            "ours",
            "bulkscore",
            "`bulkscore score` with its defaults",
            _ours_command,
            _any,
            report=lambda _, printed: ours.report(printed),
        ),
        Contestant(
            "script",
            "plain script",
            "reads ahead in a thread, uncompressed pages, uncompressed Parquet written meanwhile",
            _program("contestants.script"),
            _with_services,
        ),
        Contestant(
            "bare",
            "bare TensorFlow",
            "arrays in memory, numbers as float32 already; nothing read or written",
            _program("contestants.bare"),
            _with_services,
            needs_services=False,
        ),
        Contestant(
            "bare_folded",
            "bare, folded",
            "the same with the model's normalisations folded, as bulkscore folds them",
            _program("contestants.bare", FOLDED),
            _convolves,
            needs_services=False,
        ),
        Contestant(
            "stock_direct",
            "stock Beam, DIRECT_READ",
            "FnApiRunner, one worker, pages as Arrow, 10,000 rows a batch, JSON file loads",
            _program("contestants.stock", "DIRECT_READ"),
            _with_services,
            usual_rows=200_000,
        ),
        Contestant(
            "stock_export",
            "stock Beam, EXPORT",
            "FnApiRunner, one worker, Avro files, 10,000 rows a batch, JSON file loads",
            _program("contestants.stock", "EXPORT"),
            _with_services,
            usual_rows=200_000,
        ),
        Contestant(
            "tfx",
            "tfx-bsl's handler",
            "as stock Beam, DIRECT_READ; a tf.train.Example made of each row",
            _program("contestants.tfx"),
            _parses_examples,
            usual_rows=100_000,
        ),
        Contestant(
            "ray",
            "Ray Data",
            "cluster and TensorFlow up before; one fused task a block, Parquet, one load job",
            _peer("ray"),
            _for_peers,
            peer="ray",
        ),
        Contestant(
            "ray_cold",
            "Ray Data, cold",
            "the same; starting the cluster and TensorFlow in its workers is part of the job",
            _peer("ray", COLD),
            _for_peers,
            peer="ray",
        ),
        Contestant(
            "spark",
            "PySpark",
            "session and TensorFlow up before; reads local Parquet files, not BigQuery",
            _peer("spark"),
            _for_peers,
            peer="spark",
            program="java",
        ),
        Contestant(
            "startup",
            "start-up alone",
            "import of TensorFlow, load of the model, start of the servers, one after the other",
            _program("contestants.startup"),
            lambda workload: workload.is_local,
            needs_services=False,
            has_result=False,
        ),
    )
}

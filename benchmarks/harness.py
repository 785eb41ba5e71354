"""One contestant scores one workload: fresh servers, a fresh process, a checked result."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.contestant import CONTESTANTS, Contestant
from benchmarks.correctness import problems
from benchmarks.processes import Usage, run_watched
from benchmarks.services import running_services
from benchmarks.task import OUTPUT, Report, Task
from benchmarks.workload import Files, Workload, files_of, make_files
from pipeline.local.servers import BUCKET, PROJECT


@dataclass(frozen=True)
class Run:
    """What one contestant did with one workload.

    Attributes:
      workload: its name.
      contestant: its name.
      round: from 1 on.
      rows: of the input table.
      report: the contestant's own measures.
      usage: of its process and of the servers.
      problems: what is wrong with the result; empty if it is right.
    """

    workload: str
    contestant: str
    round: int
    rows: int
    report: Report
    usage: Usage
    problems: tuple[str, ...] = field(default=())

    @property
    def rows_per_s(self) -> float:
        """Rows per second of the job."""
        return self.rows / self.report.job_s

    @property
    def process_rows_per_s(self) -> float:
        """Rows per second from the start of the process to its end."""
        return self.rows / self.usage.wall_s


def prepare(workload: Workload, folder: Path) -> Files:
    """Makes the files of a workload, with what TensorFlow alone makes of them.

    Raises:
      ProgramFailedError: TensorFlow cannot score it.
    """
    files = make_files(workload, folder)
    if not files.expected.exists():
        task = _task(workload, files, _fresh(folder / "runs" / workload.name / "expected"))
        _watched(task, workload, CONTESTANTS["bare"], ())
        _result(task).replace(files.expected)
    return files


def run(workload: Workload, contestant: Contestant, number: int, folder: Path) -> Run:
    """Lets a contestant score a workload that was prepared; `number` is that of the round.

    Raises:
      ProgramFailedError: the contestant's program failed.
    """
    files = files_of(workload, folder)
    task = _task(workload, files, _fresh(folder / "runs" / workload.name / contestant.name))
    if contestant.needs_services and not workload.is_local:
        with running_services(files.table) as services:
            report, usage = _watched(task, workload, contestant, services.pids)
            services.export_output(Path(task.folder))
    else:
        report, usage = _watched(task, workload, contestant, ())
    wrong: list[str] = []
    if contestant.has_result:
        # TensorFlow alone computes outputs; there is no table that would carry other columns.
        carries = contestant.needs_services or workload.is_local
        wrong = problems(_result(task), files, workload, has_passthrough=carries)
    return Run(workload.name, contestant.name, number, workload.rows, report, usage, tuple(wrong))


def _watched(
    task: Task, workload: Workload, contestant: Contestant, servers: Sequence[int]
) -> tuple[Report, Usage]:
    log = Path(task.folder) / "log.txt"
    root = str(Path(__file__).parents[1])
    # The peers' interpreters know nothing of this project otherwise, nor do their workers.
    environment = {**os.environ, "PYTHONPATH": root}
    command = contestant.command(task, workload)
    usage = run_watched(command, log, servers=servers, environment=environment)
    return contestant.report(task, log.read_text(errors="replace")), usage


def _task(workload: Workload, files: Files, folder: Path) -> Task:
    return Task(
        scoring=workload.scoring,
        table=str(files.table.absolute()),
        rows=workload.rows,
        model=str(files.model.absolute()),
        folder=str(folder.absolute()),
        project=PROJECT,
        bucket=BUCKET,
        flags=workload.flags,
    )


def _result(task: Task) -> Path:
    return Path(task.folder) / f"{OUTPUT}.parquet"


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder

"""What a Dataflow job takes, as tables and sentences to read, each number with where it is from."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from tabulate import tabulate

from pipeline.estimate import (
    START_S,
    AskedWorkers,
    Fleet,
    ProcessMemory,
    Usage,
    Work,
    Worker,
    duration,
    fleet,
    most_workers,
    process_memory,
    recommended_worker,
    workers_for,
)
from pipeline.machine_types import known_machine
from pipeline.sizes import readable
from scoring.batch import MAX_BATCH_BYTES
from scoring.timing import Speed
from transforms.parquet_files import FILES_BYTES
from transforms.resources import ScoringResources
from transforms.source import Source

_SHOWN_WORKERS = (1, 10, 100, 1000)


@dataclass(frozen=True)
class Estimate:
    """What is known of a job before it is launched.

    Attributes:
      source_rows: of the whole source; None if only running its query would tell.
      scanned_bytes: what BigQuery says it scans; None if it was not asked or does not know.
      programs_bytes: size of a process with Beam and the clients of Google Cloud.
    """

    source: Source
    source_rows: int | None
    scanned_bytes: int | None
    usage: Usage
    programs_bytes: int
    resources: ScoringResources
    asked: AskedWorkers

    @property
    def memory(self) -> ProcessMemory:
        """What a worker process needs."""
        # One batch is scored and the next one read; the two pages at hand besides are not counted.
        held_bytes = 2 * MAX_BATCH_BYTES + FILES_BYTES
        return process_memory(self.usage, self.programs_bytes, held_bytes, self.asked.threads)

    @property
    def has_accelerator(self) -> bool:
        """Whether GPUs are to score."""
        return self.asked.has_accelerator or "accelerator" in dict(self.resources.hints)

    @property
    def work(self) -> Work | None:
        """What there is to score; None where its rows or their cost are not known."""
        rows, usage = self.source_rows, self.usage
        if not rows or usage.speed is None:
            return None
        return Work(rows, usage.call_rows, usage.speed.core_seconds_a_row)

    @property
    def asked_worker(self) -> Worker | None:
        """The worker of --machine_type; None if there is no such flag, or the type is unknown."""
        machine = known_machine(self.asked.machine_type or "")
        if machine is None:
            return None
        processes = 1 if self.asked.is_one_process else machine.vcpus
        return Worker(machine, processes, self.resources.model_copies)

    @property
    def recommended_worker(self) -> Worker | None:
        """The smallest worker with room; None if no machine known here has."""
        return recommended_worker(self.memory, self.resources.model_copies)

    @property
    def worker(self) -> Worker | None:
        """The worker that the numbers are for: the one asked for if it has room."""
        asked = self.asked_worker
        return asked if asked and asked.has_room(self.memory) else self.recommended_worker


def estimate_text(estimate: Estimate) -> str:
    """What a job on Dataflow reads, and what scoring takes: time of a row, memory, machine type."""
    facts = tabulate(_facts(estimate), tablefmt="plain", disable_numparse=True)
    return f"As a job on Dataflow\n\n{facts}"


def workers_text(estimate: Estimate, deadline: timedelta | None) -> str:
    """Workers, their time and hours: some numbers of them, or what the deadline takes.

    Raises:
      PlanError: no number of workers is done by the deadline.
    """
    deadline_s = deadline.total_seconds() if deadline else None
    work, worker = estimate.work, estimate.worker
    if work is None:
        why = "rows are unknown" if estimate.source_rows is None else "no row was scored"
        asked = f" for {duration(deadline_s)}" if deadline_s is not None else ""
        return (
            f"Time and workers{asked} cannot be told, as {why}: a table with some of the rows as "
            "--input_table gives the time of a row."
        )
    assumptions = "\n".join(_assumptions(estimate))
    if worker is None:
        return assumptions
    return f"{_fleets_table(estimate, work, worker, deadline_s)}\n\n{assumptions}"


def _facts(estimate: Estimate) -> list[tuple[str, str]]:
    usage, work = estimate.usage, estimate.work
    rows = [("rows", _rows_text(estimate)), ("bytes read", _bytes_text(estimate))]
    if work is not None:
        rows.append(("calls of the model", f"{work.calls:,}, of up to {work.call_rows:,} rows"))
    if usage.speed is not None:
        rows += _lines("time of a row", _time_lines(usage.speed))
    rows += _lines("memory of a process", _memory_lines(estimate))
    rows += _lines("machine type", _machine_lines(estimate))
    return rows


def _lines(label: str, lines: Iterable[str]) -> list[tuple[str, str]]:
    return [("" if i else label, line) for i, line in enumerate(lines)]


def _rows_text(estimate: Estimate) -> str:
    source, rows = estimate.source, estimate.source_rows
    if rows is None:
        return "unknown before the query has run"
    if source.row_restriction:
        return f"at most {rows:,}: what --row_restriction leaves of them is unknown"
    now = " as it is now" if source.snapshot_time else ""
    return f"{rows:,}, by the metadata of the table{now}"


def _bytes_text(estimate: Estimate) -> str:
    source, rows, scanned = estimate.source, estimate.source_rows, estimate.scanned_bytes
    if source.table is None:
        told = f"the query scans {readable(scanned)}, by a dry run" if scanned else "unknown"
        return f"{told}; the size of its result is known when it has run"
    if scanned is not None:
        return f"{readable(scanned)}, by a dry run of a SELECT of the columns read"
    if not rows or estimate.usage.speed is None:
        return "unknown"
    most = "at most " if source.row_restriction else ""
    return f"{most}{readable(rows * estimate.usage.row_bytes)}, by the rows of the sample"


def _time_lines(speed: Speed) -> Iterator[str]:
    yield f"{speed.core_seconds_a_row * 1e3:.3g} ms of one core"
    yield (
        f"{speed.rows:,} rows took {speed.seconds:.2f} s here and {speed.cpu_seconds:.2f} s of "
        "processor time; the longer counts"
    )


def _memory_lines(estimate: Estimate) -> Iterator[str]:
    memory, usage = estimate.memory, estimate.usage
    yield f"{readable(memory.total)}, of which"
    yield f"{readable(memory.programs)} Python, TensorFlow and Beam"
    yield f"{readable(memory.model)} the model"
    if usage.speed is None:
        yield "unknown: calls"
    elif usage.tried_rows < usage.call_rows:
        tried = f"judged by some of {usage.tried_rows:,}"
        yield f"at most {readable(memory.calls)} calls of {usage.call_rows:,} rows, {tried}"
    else:
        yield f"{readable(memory.calls)} calls of {usage.call_rows:,} rows"
    yield f"{readable(memory.held)} batches and files being written"


def _machine_lines(estimate: Estimate) -> Iterator[str]:
    name, asked, memory = estimate.asked.machine_type, estimate.asked_worker, estimate.memory
    if asked is not None:
        has_room = asked.has_room(memory)
        yield from _worker_lines(asked, memory, "has room" if has_room else "TOO SMALL")
        if has_room:
            return
    elif name is not None:
        yield f"{name} is not known here"
    best = estimate.recommended_worker
    if best is None:
        yield f"none known here has room for a process of {readable(memory.total)}"
    else:
        yield from _worker_lines(best, memory, "the smallest with room")


def _worker_lines(worker: Worker, memory: ProcessMemory, verdict: str) -> Iterator[str]:
    machine = worker.machine
    vcpus = "1 vCPU" if machine.vcpus == 1 else f"{machine.vcpus} vCPUs"
    yield f"{machine.name}: {vcpus}, {machine.memory_gb:,.4g} GB, {verdict}"
    processes = "1 process" if worker.processes == 1 else f"{worker.processes} processes"
    if worker.model_copies is not None:
        copies = "1 copy" if worker.model_copies == 1 else f"{worker.model_copies} copies"
        processes += f" and {copies} of the model"
    needs = f"{readable(worker.needed_bytes(memory))} for {processes} and the system"
    if worker.processes < machine.vcpus:
        needs += "; one only by --experiments=no_use_multiple_sdk_containers"
    yield needs


def _fleets_table(estimate: Estimate, work: Work, worker: Worker, deadline_s: float | None) -> str:
    limit = estimate.asked.max_num_workers
    most = most_workers(work, worker.machine, limit)
    counts = [n for n in _SHOWN_WORKERS if n <= most]
    if deadline_s is not None:
        counts = [workers_for(work, worker.machine, deadline_s, most)]
    elif limit is not None:
        counts = sorted({*counts, most})
    rows = [_fleet_row(fleet(work, worker.machine, n)) for n in counts]
    headers = (f"workers, {worker.machine.name}", "time", "vCPU-hours", "GB-hours")
    return tabulate(rows, headers=headers, disable_numparse=True, colalign=["right"] * 4)


def _fleet_row(fleet: Fleet) -> tuple[str, str, str, str]:
    return (
        f"{fleet.workers:,}",
        duration(fleet.seconds),
        f"{fleet.vcpu_hours:,.2f}",
        f"{fleet.gb_hours:,.2f}",
    )


def _assumptions(estimate: Estimate) -> Iterator[str]:
    yield (
        f"Assumed: {duration(START_S)} until the first row, which is a guess; a vCPU as fast as a "
        "core of this machine, and n of them"
    )
    yield (
        "n times as fast; one process a vCPU and 1 GB for the system, as Dataflow documents. "
        "Reading, writing and Beam's own"
    )
    yield "work are not counted: where a row takes microseconds they are the larger part."
    if estimate.has_accelerator:
        yield "GPUs are asked for, but the times are those of this machine."

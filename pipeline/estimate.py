"""What a Dataflow job takes: memory of a worker, workers for a deadline, hours of their resources.

Arithmetic alone, on what has been measured or is documented.  What is taken for granted:

- A vCPU scores as fast as one core of the machine that measured, and n vCPUs n times as fast.
- Scoring is the slow part: reading, writing and Beam's own work are not counted.
- The first row is scored `START_S` after the launch.  This is a guess that nothing here measures.
  Workers are counted, and paid for, from the launch on.
- A call's memory grows with its rows.
- Dataflow starts one process for each vCPU, with one thread, and every process loads the model; its
  own processes and the system take up to 1 GB of a worker ("Troubleshoot Dataflow out of memory
  errors").
- A job has at most 2,000 workers ("Quotas and limits" of Dataflow).
"""

import math
from dataclasses import dataclass

from pipeline.errors import PlanError
from pipeline.machine_types import MachineType, machine
from scoring.timing import Speed

START_S = 300.0
SYSTEM_BYTES = 10**9
MOST_WORKERS = 2000

_GB = 1e9
_HOUR_S = 3600.0
# Ordered by memory for each process, of which there is one a vCPU.  Dataflow's default for batch
# jobs is the first.
_SMALL = ("n1-standard-1", "n1-standard-4", "n2-standard-4", "n2-highmem-4")
# With one process on the whole machine, for what has no room on those.
_LARGE = tuple(f"n2-highmem-{vcpus}" for vcpus in (2, 4, 8, 16, 32, 48, 64, 80))


@dataclass(frozen=True)
class Usage:
    """What the process that tried the model took.

    Attributes:
      base_bytes: its size with Python and Arrow alone.
      idle_bytes: with TensorFlow, before it loaded the model.
      loaded_bytes: with the model.
      peak_bytes: at most, with calls of `tried_rows` rows.
      row_bytes: of a row as it is read.
      call_rows: rows that a call has in a job.
      speed: None if there were no rows to score; the three before it are 0 then.
    """

    base_bytes: int
    idle_bytes: int
    loaded_bytes: int
    peak_bytes: int
    row_bytes: float = 0.0
    tried_rows: int = 0
    call_rows: int = 0
    speed: Speed | None = None


@dataclass(frozen=True)
class ProcessMemory:
    """What one worker process needs, in bytes, by what it is needed for."""

    programs: int
    model: int
    calls: int
    held: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.programs + self.model + self.calls + self.held


@dataclass(frozen=True)
class Worker:
    """A machine and the processes on it that score.

    Attributes:
      model_copies: that the processes share; None if each has its own.
    """

    machine: MachineType
    processes: int
    model_copies: int | None = None

    def needed_bytes(self, memory: ProcessMemory) -> int:
        """What these processes and the system need.

        A shared copy is in a process of its own, where each of the others makes its calls.
        """
        if self.model_copies is None:
            return SYSTEM_BYTES + self.processes * memory.total
        ours = self.processes * (memory.programs + memory.calls + memory.held)
        copies = self.model_copies * (memory.programs + memory.model)
        return SYSTEM_BYTES + ours + copies

    def has_room(self, memory: ProcessMemory) -> bool:
        """Whether the machine has that much."""
        return self.needed_bytes(memory) <= self.machine.memory_bytes


@dataclass(frozen=True)
class AskedWorkers:
    """What the user has asked of Dataflow's workers.

    Attributes:
      is_one_process: one process a machine instead of one a vCPU.
      threads: of a process.
      has_accelerator: a GPU of some kind is asked for.
    """

    machine_type: str | None = None
    max_num_workers: int | None = None
    is_one_process: bool = False
    threads: int = 1
    has_accelerator: bool = False


@dataclass(frozen=True)
class Work:
    """What there is to score.

    Attributes:
      rows: at least 1.
      call_rows: rows of a call, which one process makes.
      row_seconds: what a row takes one vCPU.
    """

    rows: int
    call_rows: int
    row_seconds: float

    @property
    def calls(self) -> int:
        """Calls of the model, if all but one are full."""
        return math.ceil(self.rows / self.call_rows)

    @property
    def vcpu_seconds(self) -> float:
        """What all rows take one vCPU."""
        return self.rows * self.row_seconds


@dataclass(frozen=True)
class Fleet:
    """Workers of one kind, and what a job takes with them."""

    workers: int
    seconds: float
    vcpu_hours: float
    gb_hours: float


def process_memory(
    usage: Usage, programs_bytes: int, held_bytes: int, threads: int = 1
) -> ProcessMemory:
    """What a worker process needs.

    Args:
      programs_bytes: size of a process with Python, Arrow, Beam and the clients of Google Cloud.
      held_bytes: what a thread holds of batches and of files that are being written.
      threads: that score at the same time.
    """
    calls = usage.peak_bytes - usage.loaded_bytes
    if usage.tried_rows < usage.call_rows:
        calls = math.ceil(calls * usage.call_rows / usage.tried_rows)
    return ProcessMemory(
        programs=usage.idle_bytes + max(0, programs_bytes - usage.base_bytes),
        model=usage.loaded_bytes - usage.idle_bytes,
        calls=calls * threads,
        held=held_bytes * threads,
    )


def recommended_worker(memory: ProcessMemory, model_copies: int | None = None) -> Worker | None:
    """The smallest that has room for its processes; None if no machine known here has.

    Args:
      model_copies: that the processes of a machine share; None if each has its own.
    """
    small = (Worker(machine(name), machine(name).vcpus, model_copies) for name in _SMALL)
    large = (Worker(machine(name), 1) for name in _LARGE)
    return next((w for w in (*small, *large) if w.has_room(memory)), None)


def most_workers(work: Work, machine_type: MachineType, limit: int | None) -> int:
    """How many workers have something to do: each vCPU a call, and no more than are allowed."""
    busy = math.ceil(work.calls / machine_type.vcpus)
    return max(1, min(busy, MOST_WORKERS, limit or MOST_WORKERS))


def fleet(work: Work, machine_type: MachineType, workers: int) -> Fleet:
    """What the job takes with so many workers."""
    seconds = START_S + work.vcpu_seconds / (workers * machine_type.vcpus)
    hours = workers * seconds / _HOUR_S
    return Fleet(workers, seconds, hours * machine_type.vcpus, hours * machine_type.memory_gb)


def workers_for(work: Work, machine_type: MachineType, deadline_s: float, most: int) -> int:
    """The fewest workers that are done by the deadline.

    Args:
      most: workers that there may be.

    Raises:
      PlanError: not even those are; the message says the least that is possible.
    """
    least_s = fleet(work, machine_type, most).seconds
    if deadline_s < least_s:
        fewest = "1 worker" if most == 1 else f"{most:,} workers"
        raise PlanError(
            f"--deadline {duration(deadline_s)} is too short: with {fewest} of "
            f"{machine_type.name}, as many as can be used, the job takes {duration(least_s)}, "
            f"{duration(START_S)} of them to start. Give --deadline {minutes_flag(least_s)} or "
            "more, a larger --machine_type, or a higher --max_num_workers if you limit it."
        )
    if deadline_s <= START_S:
        # Nothing to compute that a number would show.
        return 1
    needed = work.vcpu_seconds / (machine_type.vcpus * (deadline_s - START_S))
    return min(most, max(1, math.ceil(needed)))


def duration(seconds: float) -> str:
    """The time in words: `4 s`, `12 min` or `3.4 h`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    unit_s, unit = (60.0, "min") if seconds < 2 * _HOUR_S else (_HOUR_S, "h")
    value = seconds / unit_s
    return f"{value:.2g} {unit}" if value < 10 else f"{value:,.0f} {unit}"


def minutes_flag(seconds: float) -> str:
    """A value of --deadline that is not shorter."""
    return f"{math.ceil(seconds / 60)}m"

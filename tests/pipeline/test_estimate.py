"""The arithmetic of the plan for Dataflow."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.errors import PlanError
from pipeline.estimate import (
    MOST_WORKERS,
    START_S,
    Fleet,
    ProcessMemory,
    Usage,
    Work,
    Worker,
    fleet,
    minutes_flag,
    most_workers,
    process_memory,
    recommended_worker,
    workers_for,
)
from pipeline.machine_types import MachineType, known_machine, machine
from scoring.timing import Speed

HOUR_S = 3600.0
GB = 10**9

works = st.builds(
    Work,
    rows=st.integers(1, 10**12),
    call_rows=st.integers(1, 2**14),
    row_seconds=st.floats(1e-9, 10.0),
)
machines = st.sampled_from(["n1-standard-1", "n2-standard-4", "n2-highmem-80"]).map(machine)
deadlines = st.floats(1.0, 30 * 24 * HOUR_S)


def test_a_job_by_hand() -> None:
    # 3.6 million rows of 10 ms are 10 vCPU-hours.
    work = Work(rows=3_600_000, call_rows=1000, row_seconds=0.01)
    four = machine("n1-standard-4")
    assert work.calls == 3600
    assert fleet(work, four, 1) == Fleet(1, START_S + 9000, 4 * 9300 / HOUR_S, 15 * 9300 / HOUR_S)
    # 55 minutes remain of an hour for 2.5 hours of one worker.
    assert workers_for(work, four, HOUR_S, most_workers(work, four, None)) == 3


@given(works, machines, deadlines, st.integers(1, MOST_WORKERS))
def test_the_workers_are_done_by_the_deadline_and_one_fewer_is_not(
    work: Work, kind: MachineType, deadline_s: float, limit: int
) -> None:
    most = most_workers(work, kind, limit)
    try:
        workers = workers_for(work, kind, deadline_s, most)
    except PlanError:
        assert fleet(work, kind, most).seconds > deadline_s
        return
    assert 1 <= workers <= most <= limit
    assert fleet(work, kind, workers).seconds <= deadline_s * (1 + 1e-9)
    if workers > 1:
        assert fleet(work, kind, workers - 1).seconds > deadline_s * (1 - 1e-9)


@given(works, machines, deadlines, deadlines)
def test_a_shorter_deadline_never_takes_fewer_workers(
    work: Work, kind: MachineType, one_s: float, other_s: float
) -> None:
    shorter_s, longer_s = sorted((one_s, other_s))
    most = most_workers(work, kind, None)
    assume(shorter_s >= fleet(work, kind, most).seconds)
    assert workers_for(work, kind, shorter_s, most) >= workers_for(work, kind, longer_s, most)


@given(works, machines, st.floats(0.001, START_S))
def test_no_deadline_is_shorter_than_the_start(
    work: Work, kind: MachineType, deadline_s: float
) -> None:
    assume(work.vcpu_seconds > 1.0)
    with pytest.raises(PlanError, match=r"the job takes .* to start"):
        workers_for(work, kind, deadline_s, MOST_WORKERS)


@given(works, machines, st.integers(1, MOST_WORKERS))
def test_the_deadline_that_the_message_offers_is_accepted(
    work: Work, kind: MachineType, limit: int
) -> None:
    most = most_workers(work, kind, limit)
    offered_s = 60.0 * int(minutes_flag(fleet(work, kind, most).seconds).removesuffix("m"))
    assert workers_for(work, kind, offered_s, most) <= most


def test_what_is_not_possible_is_said_in_one_sentence_with_a_cure() -> None:
    work = Work(rows=3_600_000, call_rows=1000, row_seconds=0.01)
    with pytest.raises(PlanError) as raised:
        workers_for(work, machine("n1-standard-4"), 3600.0, most=2)
    assert str(raised.value) == (
        "--deadline 60 min is too short: with 2 workers of n1-standard-4, as many as can be used, "
        "the job takes 80 min, 5 min of them to start. Give --deadline 80m or more, a larger "
        "--machine_type, or a higher --max_num_workers if you limit it."
    )


@pytest.mark.parametrize(
    ("rows", "name", "limit", "workers"),
    [
        (1, "n1-standard-1", None, 1),
        (10_000, "n1-standard-1", None, 10),
        (10_000, "n1-standard-4", None, 3),
        (10_000, "n1-standard-1", 4, 4),
        (10**9, "n1-standard-1", None, MOST_WORKERS),
    ],
)
def test_every_vcpu_has_a_call_to_make(
    rows: int, name: str, limit: int | None, workers: int
) -> None:
    assert most_workers(Work(rows, 1000, 1.0), machine(name), limit) == workers


def _usage(tried_rows: int) -> Usage:
    speed = Speed(rows=1000, call_rows=tried_rows, seconds=1.0, cpu_seconds=1.0)
    return Usage(
        base_bytes=80,
        idle_bytes=700,
        loaded_bytes=900,
        peak_bytes=1000,
        row_bytes=8.0,
        tried_rows=tried_rows,
        call_rows=1024,
        speed=speed,
    )


def _process(total_gb: float) -> ProcessMemory:
    """A process of so many GB, a quarter of it for each purpose."""
    part = int(total_gb * GB / 4)
    return ProcessMemory(part, part, part, part)


def test_the_memory_of_a_process_is_that_of_its_parts() -> None:
    # Python and Arrow are in both of the sizes that have been measured.
    assert process_memory(_usage(1024), 200, 32) == ProcessMemory(
        programs=700 + 200 - 80, model=200, calls=100, held=32
    )
    # A call of four times the rows takes four times the memory; so do four threads.
    assert process_memory(_usage(256), 200, 32).calls == 400
    assert process_memory(_usage(1024), 200, 32, threads=4).calls == 400


@pytest.mark.parametrize(
    ("process_gb", "name", "processes"),
    [
        (1.0, "n1-standard-1", 1),
        (3.0, "n1-standard-1", 1),
        (3.7, "n1-standard-4", 4),
        (4.0, "n2-standard-4", 4),
        (8.3, "n2-highmem-4", 4),
        (8.5, "n2-highmem-2", 1),
        (600.0, "n2-highmem-80", 1),
    ],
)
def test_the_smallest_worker_with_room(process_gb: float, name: str, processes: int) -> None:
    assert recommended_worker(_process(process_gb)) == Worker(machine(name), processes)


@given(st.floats(0, 2000))
def test_a_recommended_worker_has_room_for_its_processes(process_gb: float) -> None:
    worker = recommended_worker(_process(process_gb))
    if worker is None:
        assert process_gb > 640
    else:
        needed = worker.processes * _process(process_gb).total + GB
        assert needed <= worker.machine.memory_gb * 2**30


def test_processes_that_share_the_model_need_it_once() -> None:
    memory = ProcessMemory(programs=1 * GB, model=4 * GB, calls=1 * GB, held=0)
    four = machine("n2-standard-4")
    assert Worker(four, 4).needed_bytes(memory) == 25 * GB
    # It is in a process of its own, and four processes call it.
    assert Worker(four, 4, model_copies=1).needed_bytes(memory) == 14 * GB
    assert recommended_worker(memory, model_copies=1) == Worker(machine("n1-standard-4"), 4, 1)


def test_machine_types_by_name() -> None:
    assert known_machine("n1-standard-2") == MachineType("n1-standard-2", 2, 7.5)
    assert known_machine("n2-highmem-8") == MachineType("n2-highmem-8", 8, 64.0)
    assert known_machine("custom-4-5120") == MachineType("custom-4-5120", 4, 5.0)
    assert known_machine("n2d-custom-2-24576-ext") == MachineType("n2d-custom-2-24576-ext", 2, 24.0)
    for name in ("", "n1-standard-3", "n9-mega-4", "e2-medium", "n1-standard", "custom-4", "4"):
        assert known_machine(name) is None, name

"""`bulkscore check` outlives the model: it dies, or never returns, in a process of its own."""

import os
import select
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from misbehaving_models import (
    LAST_WORDS,
    aborting,
    aborting_alone,
    aborting_start,
    endless,
    exiting,
)
from saved_models import Builder
from workbench import Saved, Workbench

from options.parse import parse
from pipeline import cli
from pipeline.plan import Plan, make_plan
from pipeline.sample import score_sample
from pipeline.trial import trial_process
from scoring.errors import ModelError

_ROOT = Path(__file__).parents[2]
_END_S = 60.0


@pytest.mark.parametrize(
    ("builder", "when"),
    [
        (aborting, "while it was being called with 3 rows"),
        (aborting_alone, "while it was being called with single rows"),
        (aborting_start, "while it was being loaded"),
    ],
)
def test_a_model_that_crashes_the_process(
    bench: Workbench, saved: Saved, builder: Builder, when: str
) -> None:
    bench.load("t", pa.table({"x": [1.0, 2.0, 3.0]}))
    model = saved(builder)

    outcome = bench.check(model)

    outcome.refused_with(
        f"bulkscore: Model {model} crashed the process with signal SIGABRT (6) {when}. "
        f"Its last words: Abort_op intentional failure; {LAST_WORDS}. One of its ops breaks the "
        "TensorFlow that is installed here; export it again without it.\n"
    )
    assert outcome.stderr.count("\n") == 1
    assert bench.tables() == {"t"}


def test_a_model_that_ends_the_process_in_good_order(bench: Workbench, saved: Saved) -> None:
    bench.load("t", pa.table({"x": [1.0]}))
    model = saved(exiting)

    outcome = bench.check(model)

    outcome.refused_with(
        f"bulkscore: Model {model} ended the process with exit code 0 while it was being called "
        "with 1 row.\n"
    )


def test_without_rows_the_model_is_loaded(bench: Workbench, saved: Saved) -> None:
    outcome = bench.check(saved(aborting_start), "--input_query=SELECT 1.0 AS x")

    outcome.refused_with("crashed the process with signal SIGABRT (6) while it was being loaded.")


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """A pipe in the file system, by which a model tells that it is called."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


@pytest.fixture
def endless_call(bench: Workbench, saved: Saved, fifo: Path) -> list[str]:
    """Arguments of a check with a model that never returns."""
    bench.load("t", pa.table({"fifo": [str(fifo)]}))
    return [
        "check",
        f"--model={saved(endless)}",
        f"--input_table={bench.name('t')}",
        f"--output_table={bench.name('p')}",
        f"--project={bench.cloud.project}",
    ]


def _plan(bench: Workbench, arguments: list[str]) -> Plan:
    config = parse(arguments).config
    plan, _ = make_plan(config, bench.client, bench.folder, datetime.now(UTC))
    return plan


@pytest.mark.parametrize(
    ("deadly", "death"),
    [
        (
            signal.SIGSEGV,
            "crashed the process with signal SIGSEGV (11) while it was being called with 1 row. "
            "One of its ops breaks the TensorFlow that is installed here; export it again without "
            "it.",
        ),
        (
            signal.SIGKILL,
            "got the process killed with signal SIGKILL (9) while it was being called with 1 row. "
            "The system does that to a process that takes more memory than there is.",
        ),
    ],
)
def test_the_signal_is_named(
    bench: Workbench, endless_call: list[str], fifo: Path, deadly: signal.Signals, death: str
) -> None:
    plan = _plan(bench, endless_call)
    with trial_process() as trial, ThreadPoolExecutor() as threads:
        checked = threads.submit(score_sample, plan, trial)
        assert _next_words(fifo) == b"called"
        os.kill(trial.pid, deadly)

        with pytest.raises(ModelError) as raised:
            checked.result(_END_S)
    assert str(raised.value) == f"Model {plan.model_handle} {death}"


def test_ctrl_c_ends_a_call_that_never_returns(
    bench: Workbench, endless_call: list[str], fifo: Path
) -> None:
    def interrupt() -> list[int]:
        assert _next_words(fifo) == b"called"
        pids = _trial_processes(os.getpid())
        os.kill(os.getpid(), signal.SIGINT)
        return pids

    with ThreadPoolExecutor() as threads:
        interrupted = threads.submit(interrupt)
        outcome = bench.run_as_given(*endless_call)
    assert outcome.code == cli.INTERRUPTED
    assert outcome.stderr == "bulkscore: interrupted\n"
    assert len(interrupted.result()) == 1
    assert _trial_processes(os.getpid()) == []


def test_the_process_ends_with_the_command_however_that_ends(
    endless_call: list[str], fifo: Path
) -> None:
    command = [sys.executable, "-m", "pipeline", *endless_call]
    # The environment already names the embedded servers.
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.DEVNULL) as checking:
        assert _next_words(fifo) == b"called"
        (pid,) = _trial_processes(checking.pid)
        trial = os.pidfd_open(pid)
        checking.kill()
    try:
        ended, _, _ = select.select([trial], [], [], _END_S)
    finally:
        os.close(trial)
    assert ended == [trial]


def _next_words(fifo: Path) -> bytes:
    """What is written to the pipe, once something is."""
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        readable, _, _ = select.select([reader], [], [], _END_S)
        assert readable, "nobody wrote"
        return os.read(reader, select.PIPE_BUF)
    finally:
        os.close(reader)


def _trial_processes(parent: int) -> list[int]:
    """The processes in which this one tries models out."""
    children = Path(f"/proc/{parent}/task").glob("*/children")
    pids = [int(pid) for path in children for pid in path.read_text().split()]
    return [p for p in pids if b"pipeline.trial_program" in Path(f"/proc/{p}/cmdline").read_bytes()]

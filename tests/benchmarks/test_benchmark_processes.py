"""What is measured of a program: memory and CPU time of it, its children and its servers."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.processes import ProgramFailedError, _Tree, run_watched

MIB = 2**20
CHILD = "import sys; held = bytearray(150 * 2**20); print('up', flush=True); sys.stdin.read()"
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], stdin=-1, stdout=-1)
child.stdout.readline()
print("up", flush=True)
sys.stdin.read()
"""
PROGRAM = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], stdin=-1, stdout=-1)
child.stdout.readline()
held = bytearray(60 * 2**20)
until = time.process_time() + 0.3
while time.process_time() < until:
    pass
"""


def test_memory_and_cpu_of_a_program_with_its_children(tmp_path: Path) -> None:
    usage = run_watched([sys.executable, "-c", PROGRAM], tmp_path / "log.txt")

    assert 210 * MIB < usage.peak_bytes < 300 * MIB
    assert 0.3 < usage.cpu_s <= 2 * usage.wall_s
    assert (usage.servers_cpu_s, usage.servers_peak_bytes) == (0, 0)


def test_memory_of_a_process_counts_when_it_is_no_longer_new() -> None:
    """One that has just been forked to start a program is a copy of its parent."""
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=-1, stdout=-1) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        tree = _Tree(parent.pid)
        tree.look()
        assert tree.peak_bytes < 100 * MIB
        tree.look()
        assert tree.peak_bytes > 150 * MIB
        tree.kill()


def test_servers_are_measured_apart(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", CHILD], stdin=-1, stdout=-1) as server:
        assert server.stdout is not None
        server.stdout.readline()
        usage = run_watched([sys.executable, "-c", ""], tmp_path / "log.txt", servers=[server.pid])
        server.communicate()

    assert 150 * MIB < usage.servers_peak_bytes < 210 * MIB
    assert usage.peak_bytes < 100 * MIB


LEAVES_A_CHILD = """
import os, subprocess, sys, time
sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
child = subprocess.Popen(sleeper, start_new_session=True)
print(child.pid, flush=True)
until = time.process_time() + 0.3
while time.process_time() < until:
    pass
os._exit(0)
"""


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    run_watched([sys.executable, "-c", LEAVES_A_CHILD], tmp_path / "log.txt")

    stat = Path(f"/proc/{(tmp_path / 'log.txt').read_text().strip()}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_failed_program_shows_its_last_lines(tmp_path: Path) -> None:
    with pytest.raises(ProgramFailedError, match=r"ended with exit code 3:\n  out of paper"):
        run_watched(
            [sys.executable, "-c", "print('out of paper'); raise SystemExit(3)"],
            tmp_path / "log.txt",
        )


def test_program_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with pytest.raises(ProgramFailedError, match=r"exit code -9 \(killed: out of memory or time"):
        run_watched(
            [sys.executable, "-c", "import time; time.sleep(600)"],
            tmp_path / "log.txt",
            limit_s=0.05,
        )

"""Runs a program and watches the memory and CPU time of it and of everything that it starts.

Linux only: everything comes from /proc (man 5 proc).
"""

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_POLL_S = 0.02
# A tree of many threads takes long to walk; what it costs must not be seen in the results.
_WALK_SHARE = 0.02
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# Fields of /proc/PID/stat, counted from the one after the program's name.
_UTIME, _STIME, _STARTTIME = 11, 12, 19
# Columns of /proc/PID/statm.
_RESIDENT, _SHARED = 1, 2
_LOG_LINES = 20
_END_TIMEOUT_S = 10.0


class ProgramFailedError(Exception):
    """A program of the benchmark ended with an error; the message has its last lines."""


@dataclass(frozen=True)
class Usage:
    """What one run of a program took, with all processes that it started.

    Attributes:
      wall_s: from its start to its end.
      cpu_s: user and system time.
      peak_bytes: largest resident memory at a time; memory that processes share counts once.
      servers_cpu_s: user and system time of the servers during the run.
      servers_peak_bytes: sum of the servers' own largest resident memories since their start.
    """

    wall_s: float
    cpu_s: float
    peak_bytes: int
    servers_cpu_s: float
    servers_peak_bytes: int


def run_watched(
    command: Sequence[str],
    log: Path,
    *,
    servers: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
    limit_s: float = 7200.0,
) -> Usage:
    """Runs a program to its end; what it prints goes to the file `log`.

    Processes that it leaves behind are killed.

    Args:
      command: the program and its arguments.
      log: a file.
      servers: process ids of servers that work for it and that it has not started.
      environment: the program's; by default this process's.
      limit_s: a program that runs longer is killed.

    Raises:
      ProgramFailedError: its exit code is not 0, or it ran too long.
    """
    servers_before_s = sum(_cpu_s(server) for server in servers)
    started = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
        )
    tree = _Tree(process.pid)
    try:
        _watch(tree, started + limit_s)
        wall_s = time.perf_counter() - started
    finally:
        tree.kill()
        code = process.wait()
    if code != 0:
        raise ProgramFailedError(_failure(command, code, log))
    return Usage(
        wall_s,
        sum(tree.cpu_s.values()),
        tree.peak_bytes,
        sum(_cpu_s(server) for server in servers) - servers_before_s,
        sum(_peak_bytes(server) for server in servers),
    )


def children(pid: int) -> Iterator[int]:
    """The processes that the threads of a process have started and that have not ended."""
    for thread in _listed(f"/proc/{pid}/task"):
        for child in _read(f"/proc/{pid}/task/{thread}/children").split():
            yield int(child)


@dataclass
class _Tree:
    """A process and its descendants, each known by its id and the time of its start.

    A process that its parent has left behind stays in the tree.
    """

    root: int
    peak_bytes: int = 0
    cpu_s: dict[tuple[int, int], float] = field(default_factory=dict)
    _known: dict[int, int] = field(default_factory=dict)

    def look(self) -> None:
        """Takes notice of new processes, and of everyone's memory and CPU time.

        Memory only counts of those that are not new: for a moment a process that starts a program
        is a copy of its parent, whose memory would count twice.
        """
        earlier = {self.root, *self._known}
        self._find_new()
        private_bytes, shared_bytes = 0, 0
        for pid, start in list(self._known.items()):
            stat = _stat(pid)
            if not stat or int(stat[_STARTTIME]) != start:
                del self._known[pid]
                continue
            self.cpu_s[pid, start] = (int(stat[_UTIME]) + int(stat[_STIME])) / _TICKS_PER_S
            memory = [int(n) * _PAGE_BYTES for n in _read(f"/proc/{pid}/statm").split()]
            if memory and pid in earlier:
                private_bytes += memory[_RESIDENT] - memory[_SHARED]
                shared_bytes = max(shared_bytes, memory[_SHARED])
        # The kernel's own record of the first process misses no moment.
        alone = _peak_bytes(self.root)
        self.peak_bytes = max(self.peak_bytes, private_bytes + shared_bytes, alone)

    def kill(self) -> None:
        """Ends what still runs, and waits for its end."""
        self._find_new()
        for pid, start in self._known.items():
            with contextlib.suppress(ProcessLookupError), _process(pid) as process:
                stat = _stat(pid)
                if stat and int(stat[_STARTTIME]) == start:
                    signal.pidfd_send_signal(process, signal.SIGKILL)
                    select.select([process], [], [], _END_TIMEOUT_S)

    def _find_new(self) -> None:
        pending = [self.root, *self._known]
        seen: set[int] = set()
        while pending:
            pid = pending.pop()
            if pid in seen:
                continue
            seen.add(pid)
            stat = _stat(pid)
            if stat:
                self._known.setdefault(pid, int(stat[_STARTTIME]))
                pending += children(pid)


def _watch(tree: _Tree, deadline: float) -> None:
    """Waits for the end of the tree's first process, or until the deadline."""
    flags = os.WEXITED | os.WNOWAIT | os.WNOHANG
    while os.waitid(os.P_PID, tree.root, flags) is None and time.perf_counter() < deadline:
        began = time.thread_time()
        tree.look()
        time.sleep(max(_POLL_S, (time.thread_time() - began) / _WALK_SHARE))
    # It is still listed, with its final times, until it is waited for.
    tree.look()


def _failure(command: Sequence[str], code: int, log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
    text = "\n  ".join(lines)
    killed = " (killed: out of memory or time)" if code == -signal.SIGKILL else ""
    return f"{' '.join(command)}\nended with exit code {code}{killed}:\n  {text}"


def _peak_bytes(pid: int) -> int:
    for line in _read(f"/proc/{pid}/status").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _cpu_s(pid: int) -> float:
    stat = _stat(pid)
    return (int(stat[_UTIME]) + int(stat[_STIME])) / _TICKS_PER_S if stat else 0.0


def _stat(pid: int) -> list[str]:
    return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()


@contextlib.contextmanager
def _process(pid: int) -> Iterator[int]:
    """A file descriptor for the process, which no later one of the same id gets."""
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _listed(path: str) -> list[str]:
    try:
        return os.listdir(path)  # noqa: PTH208
    except (FileNotFoundError, ProcessLookupError):
        return []


def _read(path: str) -> str:
    """The text of a file of /proc; empty when its process has ended."""
    try:
        return Path(path).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""

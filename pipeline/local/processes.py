"""A server as a child process: its log, its end, and the user's view of its failure."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.local import guard
from pipeline.local.errors import LocalError

_LOG_LINES = 12
# The kernel takes more than 10 s to take back the 14 GB of a server with 100 million rows.
_STOP_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class ServerProcess:
    """A running server. `log` receives what it prints."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def log_text(self) -> str:
        return self.log.read_text(errors="replace")

    def failure(self, what: str) -> LocalError:
        """The error to raise when the server does not come up."""
        lines = self.log_text().splitlines()[-_LOG_LINES:]
        code = self.process.poll()
        state = "still runs" if code is None else f"ended with exit status {code}"
        log = "\n  ".join(lines) or "(empty)"
        return LocalError(f"the embedded {self.name} {what}; it {state}. Its last lines:\n  {log}")

    def stop(self) -> None:
        """Ends the server at once: nothing that it holds is kept."""
        self.process.kill()
        self.process.wait(_STOP_TIMEOUT_S)


def start_server(
    name: str,
    command: Sequence[str],
    log: Path,
    environment: dict[str, str],
    *,
    guarded: bool,
    pass_fds: Sequence[int] = (),
) -> ServerProcess:
    """Starts `command` outside this terminal's process group.

    Ctrl-C reaches the whole foreground group; the servers must outlive it until the pipeline has
    ended. `guarded` runs the program through `guard` (our own server calls it itself).
    """
    prefix = [sys.executable, "-I", "-S", guard.__file__, str(os.getpid())] if guarded else []
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*prefix, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            pass_fds=pass_fds,
            start_new_session=True,
        )
    return ServerProcess(name, process, log)

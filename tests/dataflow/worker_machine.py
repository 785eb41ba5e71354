"""The stand-in for the machines that Dataflow starts: an environment like the image's.

`make build/worker/installed` fills a virtual environment from the image's lock; what is installed
into it here is the package, from the files that the Dockerfile copies and by its command. Its
processes get no variable of this one but those that name the embedded services.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.local.servers import LocalCloud
from transforms import clients

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "templates" / "flex" / "Dockerfile"
_PACKAGE_FOLDER = "/tmp/bulkscore"
_UV = Path(sys.executable).with_name("uv")


@dataclass(frozen=True)
class Ended:
    """How a program ended; `code` is None when it ran out of time, negative when it was killed."""

    code: int | None
    stdout: str
    stderr: str


@dataclass
class WorkerMachine:
    """Runs programs of one environment.

    Attributes:
      python: its interpreter.
      environment: all variables that its programs get.
    """

    python: Path
    environment: Mapping[str, str]
    _running: dict[str, subprocess.Popen[str]] = field(default_factory=dict)
    _killed: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, job_id: str, arguments: Sequence[str], timeout_s: float) -> Ended:
        """Runs a Python program for a job, in a group of processes of its own."""
        with self._lock:
            if job_id in self._killed:
                return Ended(-signal.SIGKILL, "", "")
            process = self._running[job_id] = self._started(arguments)
        try:
            output = process.communicate(timeout=timeout_s)
            return Ended(process.returncode, *output)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return Ended(None, *process.communicate())
        finally:
            with self._lock:
                del self._running[job_id]

    def kill(self, job_id: str) -> None:
        """Ends what runs for a job, workers too; nothing is run for it any more."""
        with self._lock:
            self._killed.add(job_id)
            if job_id in self._running:
                os.killpg(self._running[job_id].pid, signal.SIGKILL)

    def _started(self, arguments: Sequence[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(self.python), *arguments],
            cwd="/",
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )


def worker_environment(cloud: LocalCloud) -> dict[str, str]:
    """The variables of a machine in the same network as the embedded services."""
    redirection = (
        clients.BIGQUERY_URL,
        clients.BIGQUERY_STORAGE_ENDPOINT,
        clients.STORAGE_URL,
        # What the metadata server of a Google machine says.
        "GOOGLE_CLOUD_PROJECT",
        "PIPELINE_OPTIONS_FILE",
        "NO_GCE_CHECK",
        "NO_PROXY",
        "no_proxy",
    )
    folder = cloud.folder / "worker"
    folder.mkdir(exist_ok=True)
    return {
        "PATH": os.defpath,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        **{name: os.environ[name] for name in redirection},
    }


def package_sources() -> list[str]:
    """What the Dockerfile copies into the folder from which it installs the package."""
    copies = re.findall(r"^COPY (?!--)(.+) (\S+)$", DOCKERFILE.read_text(), flags=re.MULTILINE)
    return [
        source
        for sources, target in copies
        if target.startswith(_PACKAGE_FOLDER)
        for source in sources.split()
    ]


def install_package(python: Path, *, without_module: str | None = None) -> str:
    """Installs the package as the Dockerfile does and returns what `pip check` says.

    Args:
      python: the interpreter of an environment that has the packages of the lock.
      without_module: a module to leave out, such as "scoring.outputs".

    Raises:
      subprocess.CalledProcessError: it cannot be installed, or packages contradict each other.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for source in package_sources():
            if (ROOT / source).is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / source, folder / source, ignore=ignored)
            else:
                shutil.copy(ROOT / source, folder / source)
        if without_module:
            (folder / without_module.replace(".", "/")).with_suffix(".py").unlink()
        _uv(python, "install", "-q", "--no-deps", "--no-build-isolation", "--reinstall", name)
    return _uv(python, "check")


def _uv(python: Path, command: str, *arguments: str) -> str:
    finished = subprocess.run(
        [str(_UV), "pip", command, f"--python={python}", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    return finished.stdout.strip().splitlines()[-1] if finished.stdout else ""

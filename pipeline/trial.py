"""A model tried out in a process of its own, which it may bring down.

The process runs `pipeline.trial_program`.  It is sent a Request and an Arrow stream of rows, and
answers in JSON, never in pickles: who loads a model cannot be sure what speaks there.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

import pipeline
from pipeline.estimate import Usage
from scoring.errors import ColumnError, FetchError, ModelError
from scoring.signature import Signature
from scoring.spec import ScoringSpec
from scoring.timing import Speed

_PROGRAM = "pipeline.trial_program"
_ERRORS = {kind.__name__: kind for kind in (ModelError, ColumnError, FetchError)}

_LAST_BYTES = 2**14
_LAST_LINES = 3
_MAX_LINE_CHARS = 300
# Where a line of TensorFlow's log comes from, "F0000 00:00:17.5 42 file.cc:7] " say.
_LOG_PREFIX = re.compile(r"[IWEF]\d{4} [\d:.]+ +\d+ [\w./]+:\d+\] ")
# Lines without a message: chatter of the start, stacks and what introduces them.
_NOISE = re.compile(r"\s|[IW]\d{4} |WARNING: All log messages|\*\*\* Check failure|Traceback |$")

_CAUSES = {
    "SIGKILL": "The system does that to a process that takes more memory than there is",
    "SIGILL": "This processor lacks instructions that one of its ops was compiled for",
}
_CAUSE = "One of its ops breaks the TensorFlow that is installed here; export it again without it"


@dataclass(frozen=True)
class Request:
    """What is tried.

    Attributes:
      folder, tags, signature: the model, as LoadedModel takes them.
      spec: how its rows are scored; None to call it once with a row of zeros.
      xla: whether XLA compiles it.
    """

    folder: str
    tags: tuple[str, ...]
    signature: Signature
    spec: ScoringSpec | None
    xla: bool = False


@dataclass(frozen=True)
class TrialReport:
    """What became of the rows.

    Attributes:
      rejected: rows by reject code, the most frequent first.
      first_reject: code and message of one, if there are any.
      warnings: sentences on how the model behaves.
    """

    scored: int
    rejected: dict[str, int]
    first_reject: str | None
    warnings: list[str]


@contextmanager
def trial_process() -> Iterator["TrialProcess"]:
    """Starts the process, which gets ready meanwhile; it ends with the block at the latest."""
    with tempfile.TemporaryFile() as log:
        ours, theirs = Pipe()
        with ours:
            with theirs:
                process = _start(theirs.fileno(), log)
            try:
                yield TrialProcess(process, ours, log)
            finally:
                process.kill()
                process.wait()


class TrialProcess:
    """The running process; it serves one request."""

    def __init__(self, process: subprocess.Popen[bytes], link: Connection, log: IO[bytes]) -> None:
        self._process = process
        self._link = link
        self._log = log

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def score(
        self, request: Request, rows: pa.RecordBatch, model_name: str
    ) -> tuple[TrialReport, Usage]:
        """Loads the model there and scores the rows, however long that takes.

        Args:
          model_name: the model, as messages call it.

        Raises:
          ModelError: it cannot be loaded or called, or the process ended over it.
          ColumnError: the columns do not fit the model.
          FetchError: an object that the rows name did not come.
        """
        answer = self._answer(request, _as_stream(rows), model_name)
        return TrialReport(**answer["report"]), _usage_of(answer["usage"])

    def call(
        self,
        folder: str,
        tags: tuple[str, ...],
        signature: Signature,
        model_name: str,
        *,
        xla: bool = False,
    ) -> None:
        """Loads the model there and calls it once, with a row of zeros and empty strings.

        Raises:
          ModelError: as for `score`.  That it refuses such a row says nothing.
        """
        self._answer(Request(folder, tags, signature, None, xla), _NO_ROWS, model_name)

    def _answer(self, request: Request, rows: memoryview, model_name: str) -> dict[str, Any]:
        doing = "before the model was loaded"
        try:
            self._link.send(request)
            self._link.send_bytes(rows)
            while True:
                answer: dict[str, Any] = json.loads(self._link.recv_bytes())
                if "report" in answer:
                    return answer
                if "error" in answer:
                    raise _ERRORS.get(answer["error"], ModelError)(answer["message"])
                doing = f"while it was {answer['doing']}"
        except (EOFError, ConnectionError):
            raise ModelError(self._obituary(model_name, doing)) from None

    def _obituary(self, model_name: str, doing: str) -> str:
        code = self._process.wait()
        words = self._last_words()
        said = f" Its last words: {words}." if words else ""
        if code >= 0:
            return f"Model {model_name} ended the process with exit code {code} {doing}.{said}"
        name = _signal_name(-code)
        verb = "got the process killed" if name == "SIGKILL" else "crashed the process"
        cause = _CAUSES.get(name, _CAUSE)
        return f"Model {model_name} {verb} with signal {name} ({-code}) {doing}.{said} {cause}."

    def _last_words(self) -> str:
        """The last lines that the process printed, without what is no message."""
        length = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, length - _LAST_BYTES))
        lines = self._log.read().decode(errors="replace").splitlines()
        telling = [_LOG_PREFIX.sub("", line).strip() for line in lines if not _NOISE.match(line)]
        return " / ".join(line[:_MAX_LINE_CHARS] for line in telling[-_LAST_LINES:]).rstrip(".")


def _usage_of(sent: Mapping[str, Any]) -> Usage:
    """The value that was sent as JSON."""
    speed = sent["speed"]
    return Usage(**{**sent, "speed": Speed(**speed) if speed else None})


def _start(link: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Starts the program outside this terminal's process group: Ctrl-C is for this process."""
    # Our own interpreter and module; the only argument is a number.
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-P", "-m", _PROGRAM, str(link)],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=_environment(),
        pass_fds=[link],
        start_new_session=True,
    )


def _environment() -> dict[str, str]:
    """This process's environment, with our packages to be found as they are here."""
    root = str(Path(pipeline.__file__).parents[1])
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([root, inherited] if inherited else [root])
    return {**os.environ, "PYTHONPATH": path}


def _as_stream(rows: pa.RecordBatch) -> memoryview:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_batch(rows)
    return memoryview(sink.getvalue())


_NO_ROWS = _as_stream(pa.RecordBatch.from_pylist([], schema=pa.schema([])))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        # A real-time signal.
        return "SIGRT"

"""The jobs of the local Dataflow: their states, messages and counters."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from dataflow_errors import RefusedError
from google.cloud.dataflow_v1beta3 import types

TERMINAL = frozenset(
    {
        types.JobState.JOB_STATE_DONE,
        types.JobState.JOB_STATE_FAILED,
        types.JobState.JOB_STATE_CANCELLED,
    }
)
_Importance = types.JobMessageImportance
# By weight, which their numbers are not.
_IMPORTANCES = (
    _Importance.JOB_MESSAGE_DEBUG,
    _Importance.JOB_MESSAGE_DETAILED,
    _Importance.JOB_MESSAGE_BASIC,
    _Importance.JOB_MESSAGE_WARNING,
    _Importance.JOB_MESSAGE_ERROR,
)


@dataclass
class _Record:
    job: types.Job
    messages: list[types.JobMessage] = field(default_factory=list)
    metrics: list[types.MetricUpdate] = field(default_factory=list)


class Jobs:
    """All jobs since the start, for several threads at once.

    `log` is told of every state and of every message of weight, as one line.
    """

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._lock = threading.RLock()
        self._records: dict[str, _Record] = {}

    def create(self, job: types.Job, state: types.JobState) -> types.Job:
        """Registers a job, with an id of its own; the same request twice is one job.

        Raises:
          RefusedError: another job of this name has not ended.
        """
        with self._lock:
            for other in (record.job for record in self._records.values()):
                if job.client_request_id and other.client_request_id == job.client_request_id:
                    return other
                if other.name == job.name and other.current_state not in TERMINAL:
                    raise RefusedError(
                        409,
                        f"({_error_id()}): There is already an active job named {job.name}. If "
                        "you want to submit a second job, try again by setting a different name.",
                    )
            now = datetime.now(UTC)
            job.id = f"{now:%Y-%m-%d_%H_%M_%S}-{secrets.randbelow(10**19)}"
            job.create_time = job.start_time = now
            self._records[job.id] = _Record(job)
            self.move(job.id, state)
        return job

    def get(self, project: str, job_id: str) -> types.Job:
        """The job as it is now.

        Raises:
          RefusedError: there is none of this id in this project.
        """
        with self._lock:
            return types.Job(self._record(project, job_id).job)

    def all(self) -> list[types.Job]:
        """Every job as it is now, newest first."""
        with self._lock:
            return [types.Job(record.job) for record in reversed(self._records.values())]

    def messages(
        self, project: str, job_id: str, least: types.JobMessageImportance, since: datetime | None
    ) -> list[types.JobMessage]:
        """What a job has said, oldest first."""
        rank = _IMPORTANCES.index(least) if least in _IMPORTANCES else 0
        with self._lock:
            return [
                message
                for message in self._record(project, job_id).messages
                if _IMPORTANCES.index(message.message_importance) >= rank
                if since is None or message.time >= since
            ]

    def metrics(self, project: str, job_id: str) -> list[types.MetricUpdate]:
        """The counters of a job; none before it ends."""
        with self._lock:
            return list(self._record(project, job_id).metrics)

    def count(self, job_id: str, metrics: Sequence[types.MetricUpdate]) -> None:
        """Sets the counters of a job."""
        with self._lock:
            self._records[job_id].metrics[:] = metrics

    def move(self, job_id: str, state: types.JobState) -> bool:
        """Takes a job into another state, unless it has ended; says whether it did."""
        with self._lock:
            job = self._records[job_id].job
            if job.current_state in TERMINAL:
                return False
            job.current_state = state
            job.current_state_time = datetime.now(UTC)
            self._log(f"job {job.name} ({job.id}): {state.name}")
            return True

    def say(self, job_id: str, importance: types.JobMessageImportance, text: str) -> None:
        """Adds a message to those of a job."""
        with self._lock:
            record = self._records[job_id]
            message = types.JobMessage(
                id=str(len(record.messages)),
                time=datetime.now(UTC),
                message_text=text,
                message_importance=importance,
            )
            record.messages.append(message)
            if importance != _Importance.JOB_MESSAGE_DETAILED:
                self._log(f"job {record.job.name}: {text.strip().splitlines()[-1]}")

    def fail(self, job_id: str, reason: str) -> None:
        """Ends a job, unless it has ended, with the reason as its last error."""
        with self._lock:
            if self._records[job_id].job.current_state not in TERMINAL:
                self.say(job_id, _Importance.JOB_MESSAGE_ERROR, reason)
                self.move(job_id, types.JobState.JOB_STATE_FAILED)

    def _record(self, project: str, job_id: str) -> _Record:
        record = self._records.get(job_id)
        if record is None or record.job.project_id != project:
            raise RefusedError(
                404, f"({_error_id()}): Information about job {job_id} could not be found."
            )
        return record


def _error_id() -> str:
    return secrets.token_hex(8)

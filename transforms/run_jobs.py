"""Jobs of BigQuery that are done once for a run, whoever asks and however often."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

from google.api_core.exceptions import GoogleAPICallError, NotFound
from google.cloud import bigquery

from transforms.clients import job_once

# Reasons of a failed job that is worth another one ("Error messages" in BigQuery's documentation).
_PASSING_REASONS = frozenset(
    {"backendError", "internalError", "rateLimitExceeded", "jobRateLimitExceeded"}
)
_MAX_TRIES = 5
_FIRST_DELAY_S = 1.0


@dataclass(frozen=True)
class RunJobs:
    """The jobs of one run, each with an id that begins with `prefix`.

    An id is used up when its job fails: then the next number takes its place, so that of all jobs
    of a step only the last can have succeeded.
    """

    client: bigquery.Client
    prefix: str
    location: str

    def succeeded(self, step: str) -> Any | None:
        """The job of this step that has succeeded, waiting for one that runs; None if none has.

        Raises:
          GoogleAPICallError: the jobs cannot be asked.
        """
        for number in count(1):
            try:
                job = self.client.get_job(self._id(step, number), location=self.location)
            except NotFound:
                return None
            if _error(job) is None:
                return job
        raise AssertionError("count() ends")

    def run(self, step: str, start: Callable[[str], Any]) -> Any:
        """The job of this step that has succeeded: one that is found, or else is started here.

        Args:
          start: starts a job of the id it is given.

        Raises:
          GoogleAPICallError: the job that was started here failed, or could not be started.
        """
        tries = 0
        for number in count(1):
            job_id = self._id(step, number)
            started: list[Any] = []
            try:
                job = job_once(
                    self.client, job_id, self.location, partial(_start, start, job_id, started)
                )
            except NotFound:
                # Whoever did the same meanwhile has deleted what it was to be made of.
                if (found := self.succeeded(step)) is not None:
                    return found
                raise
            error = _error(job)
            if error is None:
                return job
            if started:
                tries += 1
                if tries == _MAX_TRIES or not _passes(job):
                    raise error
                # With jitter, so that runs that failed together do not come back together.
                time.sleep(_FIRST_DELAY_S * 2**tries * random.uniform(0.5, 1))  # noqa: S311
        raise AssertionError("count() ends")

    def _id(self, step: str, number: int) -> str:
        return f"{self.prefix}_{step}" + (f"_{number}" if number > 1 else "")


def _start(start: Callable[[str], Any], job_id: str, started: list[Any]) -> Any:
    job = start(job_id)
    started.append(job)
    return job


def _error(job: Any) -> GoogleAPICallError | None:
    """Waits for the job; its own failure is returned, what keeps it from being asked raised."""
    try:
        job.result()
    except GoogleAPICallError as e:
        if job.error_result is None:
            raise
        return e
    return None


def _passes(job: Any) -> bool:
    return (job.error_result or {}).get("reason") in _PASSING_REASONS

"""A pipeline that failed: what is recorded of it, and what the user is told."""

import re
from datetime import UTC, datetime

from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery
from requests.exceptions import RequestException

from pipeline.errors import RunFailedError, RunNotPublishedError
from pipeline.runs import latest, refusal_text, resume_command, rows_of
from transforms.publication import Publication
from transforms.publishing_jobs import record, run_jobs
from transforms.run_record import FAILED, PUBLISHED, REFUSED, SCORED, in_state, planned_row

# Beam's last line on an error is its message, perhaps in quotes and with the step's name.
_STEP = re.compile(r""" \[while running '.*'\](?=["']?$)""")
_BIGQUERY_ERRORS = (GoogleAPIError, GoogleAuthError, RequestException)


def reason_of(error: Exception) -> str:
    """Why Beam says that the pipeline failed, in one line without a full stop."""
    lines = (_unquoted(_STEP.sub("", line.strip())) for line in reversed(str(error).splitlines()))
    # The errors of gRPC end in a line with a bracket alone.
    telling = (line for line in lines if any(c.isalnum() for c in line))
    return next(telling, repr(error)).removesuffix(".")


def _unquoted(line: str) -> str:
    """Without quotes around it, one of which may stand in another line; those within stay."""
    for quote in ("'", '"'):
        if line.count(quote) == 1 or line.strip(quote).count(quote) == 0:
            line = line.strip(quote)
    return line


def failed_run(client: bigquery.Client, publication: Publication, reason: str) -> Exception:
    """The error to end with, by the run's own record, which tells a refusal from a failure.

    A failure is recorded; where that is not possible the error says so.

    Args:
      reason: why the pipeline failed, as a sentence without its full stop.
    """
    try:
        rows = rows_of(client, publication)
        refused = latest(rows, REFUSED, attempt=publication.attempt)
        if refused is not None:
            sentence = f"Run {publication.run_id} was not published: {refused['reason']}"
            return RunNotPublishedError(refusal_text(publication, sentence))
        if latest(rows, PUBLISHED):
            return RunFailedError(
                f"{reason}.\nBefore that, run {publication.run_id} was published to "
                f"{publication.output_table}: there is nothing to repeat."
            )
        row = in_state(planned_row(publication), FAILED, datetime.now(UTC), reason)
        jobs = run_jobs(client, publication.run_id, publication.output_table)
        record(jobs, publication, row)
    except _BIGQUERY_ERRORS as e:
        return RunFailedError(f"{reason}.\nNor could {publication.runs_table} be told: {e}")
    if latest(rows, SCORED, attempt=publication.attempt):
        return RunFailedError(
            f"{reason}.\nAll rows had been scored by then. To publish them without scoring again:\n"
            f"  {resume_command(publication)}"
        )
    return RunFailedError(f"{reason}.")

"""What the runs table says of a run, and what is said to the user of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from pipeline.services import PATIENT_RETRY, PATIENT_TIMEOUT_S
from transforms.accounts import REJECT_LIMIT
from transforms.publication import Publication
from transforms.publishing_jobs import RUN_TABLE_DAYS

RunRow = Mapping[str, Any]


def run_rows(
    client: bigquery.Client, runs_table: str, run_id: str, output_table: str
) -> Sequence[RunRow]:
    """All rows of a run, oldest first; none if no run has been recorded in this table yet.

    Raises:
      GoogleAPIError: the table cannot be asked.
    """
    # The table's name was validated when it was parsed, and cannot hold a backquote.
    sql = (
        f"SELECT * FROM `{runs_table}` "  # noqa: S608
        "WHERE run_id = @run_id AND output_table = @output_table ORDER BY finished_at"
    )
    parameters = [
        bigquery.ScalarQueryParameter("run_id", "STRING", run_id),
        bigquery.ScalarQueryParameter("output_table", "STRING", output_table),
    ]
    config = bigquery.QueryJobConfig(query_parameters=parameters)
    try:
        job = client.query(sql, config, retry=PATIENT_RETRY, timeout=PATIENT_TIMEOUT_S)
        rows = job.result(retry=PATIENT_RETRY)
        return [dict(row) for row in rows]
    except NotFound:
        return []


def rows_of(client: bigquery.Client, publication: Publication) -> Sequence[RunRow]:
    """The rows of the run that a plan decided, of all its attempts."""
    return run_rows(client, publication.runs_table, publication.run_id, publication.output_table)


def latest(rows: Sequence[RunRow], *states: str, attempt: str | None = None) -> RunRow | None:
    """The latest row in one of these states, of one attempt if it is given."""
    of_attempt = [r for r in rows if attempt is None or r.get("attempt") == attempt]
    return next((r for r in reversed(of_attempt) if r["state"] in states), None)


def refusal_text(publication: Publication, sentence: str) -> str:
    """What a refused run leaves, and how to go on.

    Args:
      sentence: that it was refused, and why.
    """
    heading = f"{sentence}.\n{publication.output_table} is as it was."
    if REJECT_LIMIT not in sentence:
        return (
            f"{heading} The rows of the run are kept for {RUN_TABLE_DAYS} days in\n"
            f"  {publication.run_table}"
        )
    return (
        f"{heading} To see the rejects:\n"
        f"  {_rejects_query(publication)}\n"
        "To publish it all the same, with a higher limit:\n"
        f"  {resume_command(publication)} {REJECT_LIMIT}=FRACTION"
    )


def resume_command(publication: Publication) -> str:
    """The command that publishes a scored run, for a person to copy."""
    return (
        f"bulkscore score --output_table={publication.output_table} "
        f"--runs_table={publication.runs_table} --resume={publication.run_id}"
    )


def _rejects_query(publication: Publication) -> str:
    return (
        f"SELECT code, message, row FROM `{publication.rejects_table}` "  # noqa: S608
        f"WHERE run_id = '{publication.run_id}'"
    )

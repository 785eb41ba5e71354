"""The end of a run that is loaded and counted: it is published or refused, and recorded."""

from functools import partial

from google.cloud import bigquery

from transforms.accounts import RunCounts, refusal
from transforms.publication import Publication
from transforms.publish_modes import insert_publishing_job, mode_refusal
from transforms.publishing_jobs import (
    PUBLISH,
    append_rejects,
    delete_run_tables,
    find_table,
    keep_for_a_while,
    make_rejects_table,
    record,
    run_jobs,
)
from transforms.run_jobs import RunJobs
from transforms.run_record import PUBLISHED, REFUSED, Row, counts_of, in_state
from transforms.score import CLOCK


class RunRefusedError(Exception):
    """The run was not published; the message says why."""


class RunTableGoneError(Exception):
    """The run was scored but not published, and its rows are no longer there."""


def complete_run(client: bigquery.Client, publication: Publication, scored: Row) -> Row:
    """Publishes a run, or refuses it; done again, it finds what has been done.

    Args:
      scored: the run's row in the runs table in state `scored`, which is recorded first.

    Returns:
      The row in state `published`.

    Raises:
      RunRefusedError: it was refused; that is recorded, and the run table stays.
      RunTableGoneError: there is nothing to publish.
      GoogleAPICallError: a job failed.
    """
    run_table = find_table(client, publication.run_table)
    jobs = run_jobs(client, publication.run_id, publication.output_table, run_table)
    if run_table is None:
        # Only what was published is deleted, unless it has expired.
        if jobs.succeeded(PUBLISH) is None:
            raise RunTableGoneError(
                f"Run {publication.run_id} was scored, but its table {publication.run_table} is "
                "gone: score again"
            )
    else:
        counts = counts_of(scored)
        record(jobs, publication, scored)
        _keep_rejects(jobs, publication, counts)
        reason = _reason(client, publication, counts, int(run_table.num_rows))
        # Another attempt of the same run may have published it meanwhile.
        if reason is not None and jobs.succeeded(PUBLISH) is None:
            record(jobs, publication, in_state(scored, REFUSED, CLOCK.now(), reason))
            keep_for_a_while(client, run_table, CLOCK.now())
            raise RunRefusedError(f"Run {publication.run_id} was not published: {reason}")
        if reason is None:
            jobs.run(PUBLISH, partial(_publish, jobs, publication))
    published = in_state(scored, PUBLISHED, CLOCK.now())
    record(jobs, publication, published)
    delete_run_tables(client, publication)
    return published


def _keep_rejects(jobs: RunJobs, publication: Publication, counts: RunCounts) -> None:
    if counts.rows_rejected:
        append_rejects(jobs, publication)
    else:
        make_rejects_table(jobs.client, publication)


def _reason(
    client: bigquery.Client, publication: Publication, counts: RunCounts, loaded_rows: int
) -> str | None:
    """Why the run must not be published, None if it may."""
    rejects = find_table(client, publication.rejects_run_table) if counts.rows_rejected else None
    loaded_rejects = int(rejects.num_rows) if rejects is not None else 0
    return refusal(
        counts, loaded_rows, loaded_rejects, publication.max_rejected_fraction
    ) or mode_refusal(client, publication)


def _publish(jobs: RunJobs, publication: Publication, job_id: str) -> object:
    return insert_publishing_job(jobs.client, publication, job_id, jobs.location)

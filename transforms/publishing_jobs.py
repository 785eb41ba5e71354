"""The tables of a run, and the jobs that move its rejects and record it."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from scoring.schema import Field
from transforms.publication import Publication, job_prefix
from transforms.run_jobs import RunJobs
from transforms.run_record import FAILED, REFUSED, RUNS_FIELDS, SCORED, Row
from transforms.write import LoadJob

# A run table that was not published is kept this long, for inspection and to be resumed.
RUN_TABLE_DAYS = 7

PUBLISH = "publish"
REJECTS = "rejects"
# States that each attempt can reach.
_BY_ATTEMPT = frozenset({SCORED, REFUSED, FAILED})


def run_jobs(
    client: bigquery.Client, run_id: str, output_table: str, table: bigquery.Table | None = None
) -> RunJobs:
    """The jobs of a run, which are where its tables are.

    Args:
      output_table: `project.dataset.table`.
      table: one of the run's tables; without it the data set of the output table is asked.

    Raises:
      GoogleAPICallError: the data set cannot be looked at.
    """
    place = table or client.get_dataset(output_table.rpartition(".")[0])
    return RunJobs(client, job_prefix(run_id, output_table), str(place.location))


def make_run_tables(client: bigquery.Client, publication: Publication, now: datetime) -> None:
    """Makes the empty tables that a run is loaded into; after RUN_TABLE_DAYS they are gone.

    Raises:
      GoogleAPICallError: they cannot be made.
    """
    expires = now + timedelta(days=RUN_TABLE_DAYS)
    run_table = _table(publication, publication.run_table, publication.run_table_fields)
    run_table._properties.update(publication.run_table_layout)
    rejects = _table(publication, publication.rejects_run_table, publication.reject_fields)
    rejects._properties.update(publication.rejects_run_table_layout)
    for table in (run_table, rejects):
        table.expires = expires
        client.create_table(table, exists_ok=True)


def keep_for_a_while(client: bigquery.Client, table: bigquery.Table, now: datetime) -> None:
    """Gives a table that would stay for ever the end that `make_run_tables` gives."""
    if table.expires is None:
        # Without an etag, so that the call can be repeated when its answer is lost.
        kept = bigquery.Table(table.reference)
        kept.expires = now + timedelta(days=RUN_TABLE_DAYS)
        client.update_table(kept, ["expires"])


def delete_run_tables(client: bigquery.Client, publication: Publication) -> None:
    """Deletes what has been published; the table that `find_table` looks for goes first."""
    client.delete_table(publication.run_table, not_found_ok=True)
    client.delete_table(publication.rejects_run_table, not_found_ok=True)


def find_table(client: bigquery.Client, name: str) -> bigquery.Table | None:
    """The table as it is now, None if there is none."""
    try:
        return client.get_table(name)
    except NotFound:
        return None


def append_rejects(jobs: RunJobs, publication: Publication) -> None:
    """Adds the run's rejects to the rejects table, once for a run id, by one atomic job."""
    config = bigquery.CopyJobConfig(
        write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
        destination_encryption_configuration=_encryption(publication),
    )
    start = partial(
        _copy,
        jobs,
        publication.rejects_run_table,
        publication.rejects_table,
        config,
    )
    jobs.run(REJECTS, start)


def make_rejects_table(client: bigquery.Client, publication: Publication) -> None:
    """Makes the rejects table of a run that has no rejects, if there is none yet."""
    table = _table(publication, publication.rejects_table, publication.reject_fields)
    client.create_table(table, exists_ok=True)


def record(jobs: RunJobs, publication: Publication, row: Row) -> None:
    """Adds a row to the runs table, once for each state of the run or of its attempt.

    Raises:
      GoogleAPICallError: it could not be added.
    """
    config = bigquery.LoadJobConfig(
        schema=[bigquery.SchemaField.from_api_repr(f.to_api()) for f in RUNS_FIELDS],
        write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
        # The table may come from a version that had fewer columns.
        schema_update_options=[bigquery.SchemaUpdateOption.ALLOW_FIELD_ADDITION],
        destination_encryption_configuration=_encryption(publication),
    )
    state = row["state"]
    step = f"{state}_{publication.attempt}" if state in _BY_ATTEMPT else state
    jobs.run(step, partial(_load, jobs, row, publication.runs_table, config))


def load_columns(jobs: Iterable[LoadJob]) -> Mapping[str, int]:
    """What the runs table says of load jobs."""
    done = list(jobs)
    return {
        "load_ms": sum(job.load_ms for job in done),
        "loaded_bytes": sum(job.loaded_bytes for job in done),
    }


def _copy(
    jobs: RunJobs, source: str, destination: str, config: bigquery.CopyJobConfig, job_id: str
) -> Any:
    return jobs.client.copy_table(
        source, destination, job_id=job_id, location=jobs.location, job_config=config
    )


def _load(jobs: RunJobs, row: Row, table: str, config: bigquery.LoadJobConfig, job_id: str) -> Any:
    return jobs.client.load_table_from_json(
        [dict(row)], table, job_id=job_id, location=jobs.location, job_config=config
    )


def _table(publication: Publication, name: str, fields: Iterable[Field]) -> bigquery.Table:
    schema = [bigquery.SchemaField.from_api_repr(f.to_api()) for f in fields]
    table = bigquery.Table(name, schema)
    table.encryption_configuration = _encryption(publication)
    return table


def _encryption(publication: Publication) -> bigquery.EncryptionConfiguration | None:
    key = publication.output_properties.kms_key
    return bigquery.EncryptionConfiguration(key) if key else None

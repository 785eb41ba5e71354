"""Publishing a run that was scored before."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from google.api_core.exceptions import GoogleAPICallError
from google.cloud import bigquery

from options.config import Config
from options.names import TableName, check_column
from options.resumption import Resumption
from pipeline import report, table_names
from pipeline.errors import PlanError, RunFailedError, RunNotPublishedError
from pipeline.job import job_project, pipeline_options
from pipeline.runs import RunRow, latest, refusal_text, run_rows
from pipeline.services import explained, said
from scoring.schema import Field
from transforms.clients import bigquery_client
from transforms.completion import RunRefusedError, RunTableGoneError, complete_run
from transforms.plain_values import from_text
from transforms.publication import Publication
from transforms.publishing_jobs import PUBLISH, run_jobs
from transforms.run_record import PUBLISHED, REFUSED, RUNS_FIELDS, SCORED, Row, in_state


def resume_run(request: Resumption, beam_args: Sequence[str]) -> None:
    """Publishes the run that `request` names, without scoring.

    Raises:
      UsageError, PlanError: there is nothing to publish.
      RunNotPublishedError: it is refused still.
    """
    options = pipeline_options(beam_args)
    client = bigquery_client(job_project(options, request.output_table.project))
    request = request.with_default_project(client.project)
    runs_table = request.runs_table or table_names.runs_table(request.output_table)
    rows = _asked_rows(client, runs_table, request.resume, request.output_table)
    if latest(rows, PUBLISHED):
        print(_published_text(request.resume, request.output_table), flush=True)
        return
    scored = latest(rows, SCORED, REFUSED)
    if scored is None:
        found = "says that it failed before all rows were scored" if rows else "has no row of it"
        raise PlanError(
            f"Run {request.resume} cannot be resumed: {runs_table} {found}. Score again with "
            f"--run_id={request.resume}, or check --output_table and --runs_table."
        )
    publication = replace(
        _publication(scored, request.output_table),
        max_rejected_fraction=request.max_rejected_fraction,
        runs_table=str(runs_table),
    )
    _complete(client, publication, scored)


def published_before(client: bigquery.Client, config: Config) -> str | None:
    """That the run which `config` names has been published before, if it has, in a sentence.

    A run that was stopped between publishing and recording it is recorded now.

    Args:
      config: its tables have their project.

    Raises:
      PlanError: BigQuery cannot be asked.
    """
    if config.run_id is None:
        return None
    runs_table = config.runs_table or table_names.runs_table(config.output_table)
    rows = _asked_rows(client, runs_table, config.run_id, config.output_table)
    text = _published_text(config.run_id, config.output_table)
    if latest(rows, PUBLISHED):
        return text
    scored = latest(rows, SCORED, REFUSED)
    if scored is None:
        return None
    with explained(f"looking for what run {config.run_id} has done", missing=""):
        jobs = run_jobs(client, config.run_id, str(config.output_table))
        if jobs.succeeded(PUBLISH) is None:
            return None
    _complete(client, _publication(scored, config.output_table), scored)
    return text


def _asked_rows(
    client: bigquery.Client, runs_table: TableName, run_id: str, output_table: TableName
) -> Sequence[RunRow]:
    with explained(f"reading table {runs_table}", missing=""):
        return run_rows(client, str(runs_table), run_id, str(output_table))


def _publication(row: RunRow, output: TableName) -> Publication:
    """How the run's row says that it is published.

    Raises:
      PlanError: no plan for this output table wrote it: whoever may write to the runs table can
        have changed it.
    """
    run_id, attempt = row["run_id"], str(row.get("attempt"))
    try:
        publication = from_text(Publication, row.get("publication") or "null")
        _check_names(publication, output, run_id, attempt)
    except ValueError as e:
        raise PlanError(
            f"Run {run_id} cannot be resumed: its row in the runs table does not say how ({e}). "
            f"Score again with --run_id={run_id}."
        ) from e
    return publication


def _check_names(publication: Publication, output: TableName, run_id: str, attempt: str) -> None:
    """Checks every name that tables are chosen by or that gets into SQL.

    Raises:
      ValueError: one is not what it has to be.
    """
    expected = (
        run_id,
        str(output),
        str(table_names.run_table(output, run_id, attempt)),
        str(table_names.rejects_run_table(output, run_id, attempt)),
    )
    found = (
        publication.run_id,
        publication.output_table,
        publication.run_table,
        publication.rejects_run_table,
    )
    if found != expected:
        raise ValueError(f"it names {', '.join(found)}, expected {', '.join(expected)}")
    if str(TableName.parse(publication.rejects_table)) in expected:
        raise ValueError(f"its rejects go to {publication.rejects_table}")
    for name in (*publication.key_columns, *_all_names(publication.output_fields)):
        check_column(name)


def _all_names(fields: Iterable[Field]) -> Iterator[str]:
    for field in fields:
        yield field.name
        yield from _all_names(field.fields)


def _complete(client: bigquery.Client, publication: Publication, row: RunRow) -> None:
    """Publishes the run whose row in the runs table this is, and says so."""
    scored = in_state(_as_loaded(row), SCORED, row["finished_at"])
    try:
        published = complete_run(client, publication, scored)
    except RunRefusedError as e:
        raise RunNotPublishedError(refusal_text(publication, str(e))) from e
    except RunTableGoneError as e:
        raise PlanError(f"{e} with --run_id={publication.run_id}.") from e
    except GoogleAPICallError as e:
        raise RunFailedError(
            f"Publishing run {publication.run_id} failed: {said(e)}. Try the same command again."
        ) from e
    print(report.counts_text(published), flush=True)


def _as_loaded(row: RunRow) -> Row:
    """A row that was read as load jobs take it."""
    values = {field.name: row.get(field.name) for field in RUNS_FIELDS}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in values.items()
        if value is not None
    }


def _published_text(run_id: str, output: TableName) -> str:
    return f"Run {run_id} has been published to {output} already: nothing to do."

"""Query jobs with a destination table.

bqemulator ignores `destinationTable` and `writeDisposition`. The real service writes the result as
one atomic update ("Writing query results", JobConfigurationQuery in "REST Resource: jobs").
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from bqemulator.api.dependencies import AppContext
from bqemulator.api.routes import jobs as routes
from bqemulator.catalog.models import JobMeta
from bqemulator.domain.errors import DomainError, InvalidQueryError, ValidationError
from bqemulator.jobs import executor
from bqemulator.row_access.identity import CallerIdentity

from pipeline.local.service import dml
from pipeline.local.service.destinations import open_destination, transaction
from pipeline.local.service.failures import error_result
from pipeline.local.service.layouts import LAYOUT
from pipeline.local.service.schema import Field, duckdb_columns, quoted
from pipeline.local.service.tables import TableName
from pipeline.local.service.text_types import TextQuery, text_query

_DESTINATION = ("destinationTable", "writeDisposition", "createDisposition", *LAYOUT)
_RESULT = "query_result"
_READS = ("SELECT", "")


async def run_query(
    context: AppContext,
    caller: CallerIdentity,
    project: str,
    job_id: str,
    configuration: dict[str, Any],
) -> dict[str, Any]:
    """Runs a query job and answers with its resource.

    Raises:
        DomainError: the request is not valid; there is no job then.
    """
    query = configuration["query"]
    destination = query.get("destinationTable")
    if destination and executor.classify_statement_type(query.get("query", "")) not in _READS:
        raise InvalidQueryError("Cannot set destination table in jobs with DML or DDL statements")
    texts = text_query(query.get("query", ""))
    dml.STATISTICS.set(None)
    plain = {key: value for key, value in query.items() if key not in _DESTINATION}
    if destination:
        plain["query"] = texts.sql
    meta: Any = await routes._handle_query_job(
        project,
        job_id,
        {**configuration, "query": plain},
        dry_run=False,
        ctx=context,
        caller=caller,
        now=context.clock.now(),
    )
    if destination and meta.error_result is None:
        meta = await _write(context, project, query, meta, texts)
    anonymous = (meta.configuration.get("query") or {}).get("destinationTable")
    changed = dml.STATISTICS.get()
    if changed is not None and meta.error_result is None:
        meta.statistics["query"]["dmlStats"] = changed
    complete = {**query, "destinationTable": destination or anonymous}
    full = {**configuration, "jobType": "QUERY", "query": complete}
    meta = meta.model_copy(update={"configuration": full})
    context.catalog.upsert_job(meta)
    return routes._build_job_response(project, job_id, meta, full)


async def _write(
    context: AppContext, project: str, query: dict[str, Any], meta: JobMeta, texts: TextQuery
) -> JobMeta:
    """The job's entry after its result was written, or was not."""
    try:
        async with context.engine.write_lock():
            await asyncio.to_thread(_write_result, context, project, query, meta.job_id, texts)
    except DomainError as error:
        return meta.model_copy(update={"error_result": error_result(error)})
    return meta


def _write_result(
    context: AppContext, project: str, query: dict[str, Any], job_id: str, texts: TextQuery
) -> None:
    """Writes a finished query's rows to its destination, all or none.

    Raises:
        DomainError: the destination cannot take them and is as it was.
    """
    destination = open_destination(context, query, project, "WRITE_EMPTY")
    found = texts.typed(executor.JOB_SCHEMAS[job_id])
    fields = destination.kept or found
    _check_known(destination.name, found, fields)
    connection = context.engine.connection
    connection.register(_RESULT, executor.JOB_RESULTS[job_id])
    names = ", ".join(quoted(field["name"]) for field in found)
    try:
        with transaction(connection, f"Writing the result to {destination.name}"):
            destination.prepare(connection, fields)
            destination.insert(connection, fields, f"({names}) SELECT {names} FROM {_RESULT}")
    finally:
        connection.unregister(_RESULT)
    destination.register(context, connection, fields)


def _check_known(name: TableName, fields: Sequence[Field], kept: Sequence[Field]) -> None:
    known = {column.lower(): kind for column, kind in duckdb_columns(kept)}
    for column, kind in duckdb_columns(fields):
        if column.lower() not in known:
            raise ValidationError(f"Invalid schema update. Cannot add fields (field: {column})")
        if known[column.lower()] != kind:
            raise ValidationError(
                f"Provided Schema does not match Table {name}. Field {column} has changed type"
            )

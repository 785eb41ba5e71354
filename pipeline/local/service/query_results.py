"""jobs.getQueryResults: waits for a job that runs, and says how a failed one failed.

bqemulator answers 404 in both cases: a client that sent its query, lost the answer and asks again
would take the job for missing. The real service: "Method: jobs.getQueryResults" (`timeoutMs`,
`jobComplete`, `numDmlAffectedRows`).
"""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

from bqemulator.api.dependencies import AppContext, get_context
from bqemulator.api.routes import jobs as routes
from bqemulator.catalog.models import JobMeta
from bqemulator.domain import errors
from fastapi import APIRouter, Depends, Query

router = APIRouter(prefix="/bigquery/v2")

_POLL_S = 0.02
_DEFAULT_TIMEOUT_MS = 10_000
_LONGEST_TIMEOUT_S = 20.0
_PAGE = 10_000

_FAILURES: dict[str, type[errors.DomainError]] = {
    "notFound": errors.NotFoundError,
    "duplicate": errors.AlreadyExistsError,
    "accessDenied": errors.PermissionDeniedError,
    "notImplemented": errors.UnsupportedFeatureError,
    "invalid": errors.ValidationError,
    "internalError": errors.InternalError,
}


@router.get("/projects/{project}/queries/{job_id}")
async def get_query_results(
    project: str,
    job_id: str,
    context: Annotated[AppContext, Depends(get_context)],
    timeout_ms: Annotated[int, Query(alias="timeoutMs")] = _DEFAULT_TIMEOUT_MS,
    limit: Annotated[int, Query(alias="maxResults")] = _PAGE,
    start: Annotated[int, Query(alias="startIndex")] = 0,
    token: Annotated[str | None, Query(alias="pageToken")] = None,
) -> dict[str, Any]:
    """A page of the rows, or `jobComplete` false when the time is up.

    Raises:
        DomainError: the job failed, or there is no such job.
    """
    job = context.catalog.get_job(project, job_id)
    ends = time.monotonic() + min(timeout_ms / 1000, _LONGEST_TIMEOUT_S)
    while job is not None and job.state != "DONE" and time.monotonic() < ends:
        await asyncio.sleep(_POLL_S)
        job = context.catalog.get_job(project, job_id)
    if job is None:
        raise errors.NotFoundError(f"Not found: Job {project}:{job_id}")
    reference = {"projectId": project, "jobId": job_id, "location": "US"}
    if job.state != "DONE":
        kind = "bigquery#getQueryResultsResponse"
        return {"kind": kind, "jobReference": reference, "jobComplete": False}
    _raise_failure(job)
    page = routes.get_query_results(project, job_id, context, limit, start, token)
    affected = (job.statistics.get("query") or {}).get("numDmlAffectedRows")
    return page | {"jobReference": reference} | _given("numDmlAffectedRows", affected)


def _raise_failure(job: JobMeta) -> None:
    if job.error_result is not None:
        kind = _FAILURES.get(job.error_result["reason"], errors.InvalidQueryError)
        raise kind(job.error_result["message"])


def _given(key: str, value: str | None) -> dict[str, str]:
    return {} if value is None else {key: value}

"""jobs.insert: one job an id, load, copy and extract jobs of our own, the rest bqemulator's.

The real service: "REST Resource: jobs" and "Running jobs programmatically": an id is used once; a
job runs on after the answer, whose state may be RUNNING.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

from bqemulator.api.dependencies import AppContext, get_caller, get_context
from bqemulator.api.routes import jobs as routes
from bqemulator.api.routes.upload import (
    _load_configuration_from_envelope as upload_configuration,
)
from bqemulator.catalog.models import JobMeta, JobType
from bqemulator.domain.errors import AlreadyExistsError, DomainError, ValidationError
from bqemulator.row_access.identity import CallerIdentity
from fastapi import APIRouter, Depends, Request

from pipeline.local.service.copies import execute_copy, is_plain_copy
from pipeline.local.service.dry_runs import SCRIPT_STATISTICS, check_columns, is_script
from pipeline.local.service.extract import execute_extract
from pipeline.local.service.failures import error_result
from pipeline.local.service.load import execute_load
from pipeline.local.service.query import run_query

Configuration = dict[str, Any]
Executor = Callable[[AppContext, str, Configuration], dict[str, Any]]
"""(context, project, the job's own part of the configuration) → statistics; raises DomainError."""

_EXECUTORS: dict[str, Executor] = {
    "load": execute_load,
    "copy": execute_copy,
    "extract": execute_extract,
}
_TYPES: dict[str, JobType] = {
    "load": "LOAD",
    "copy": "COPY",
    "extract": "EXTRACT",
    "query": "QUERY",
}

# Where the id of an uploaded job travels from its envelope to its run.
_UPLOADED_ID = "uploadedJobId"

_ANSWER_AFTER_S = 20.0
"""A job that takes longer is answered as RUNNING; clients give up on a call after 60 s."""

_JOB_ID = re.compile("[A-Za-z0-9_-]{1,1024}")

router = APIRouter(prefix="/bigquery/v2")


@dataclass(frozen=True)
class Job:
    """A job to run. `kind` is the key of its part of the configuration."""

    project: str
    job_id: str
    kind: str
    configuration: Configuration

    def meta(self, context: AppContext, **outcome: Any) -> JobMeta:
        """The job's entry in the catalog; DONE, unless `outcome` says otherwise."""
        now = context.clock.now()
        values: dict[str, Any] = {
            "project_id": self.project,
            "job_id": self.job_id,
            "job_type": _TYPES[self.kind],
            "configuration": self.configuration,
            "state": "DONE",
            "creation_time": now,
            "start_time": now,
            "end_time": now,
            "etag": uuid.uuid4().hex,
        }
        return JobMeta(**(values | outcome))


@dataclass(frozen=True)
class RunningJobs:
    """Keeps the tasks of jobs that outlast their insert call."""

    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self, context: AppContext, job: Job) -> None:
        """Starts the job and waits for it, but not for long."""
        task = asyncio.create_task(_run(context, job))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        await asyncio.wait({task}, timeout=_ANSWER_AFTER_S)
        if task.done():
            task.result()


_RUNNING = RunningJobs()


@router.post("/projects/{project}/jobs")
async def insert_job(
    project: str,
    request: Request,
    context: Annotated[AppContext, Depends(get_context)],
    caller: Annotated[CallerIdentity, Depends(get_caller)],
) -> dict[str, Any]:
    """Runs a job under the id that the client chose.

    Raises:
        AlreadyExistsError: there is a job of that id (409 duplicate), running or done: a client
            that repeats a lost call must not have its rows twice.
        ValidationError: no job can have that id.
    """
    body = await request.json()
    configuration = body.get("configuration") or {}
    job_id = (body.get("jobReference") or {}).get("jobId") or f"job_{uuid.uuid4().hex}"
    _check_id(job_id)
    if configuration.get("dryRun"):
        return await _dry_run(
            Job(project, job_id, "query", configuration), request, context, caller
        )
    if context.catalog.get_job(project, job_id) is not None:
        raise AlreadyExistsError(f"Already Exists: Job {project}:US.{job_id}")
    if "query" in configuration:
        return await _insert_query(context, caller, Job(project, job_id, "query", configuration))
    kind = next((kind for kind in _EXECUTORS if kind in configuration), None)
    if kind is None or not is_plain_copy(configuration):
        return await routes.insert_job(project, request, context, caller)
    job = Job(project, job_id, kind, configuration)
    context.catalog.upsert_job(job.meta(context, state="RUNNING", end_time=None))
    await _RUNNING.run(context, job)
    return routes.get_job(project, job_id, context)


def _check_id(job_id: str) -> None:
    """
    Raises:
        ValidationError: no job can have that id ("REST Resource: jobs", JobReference.jobId).
    """
    if not _JOB_ID.fullmatch(job_id):
        raise ValidationError(
            f"Invalid job ID {job_id!r}: expected 1 to 1024 letters, digits, underscores or dashes"
        )


async def _dry_run(
    job: Job, request: Request, context: AppContext, caller: CallerIdentity
) -> dict[str, Any]:
    """bqemulator's dry run, which must change nothing and leave no job."""
    query = job.configuration.get("query")
    if query and is_script(query.get("query", "")):
        meta = job.meta(context, statistics=SCRIPT_STATISTICS)
        return routes._build_job_response(job.project, job.job_id, meta, job.configuration)
    answer: dict[str, Any] = await routes.insert_job(job.project, request, context, caller)
    job_id = answer["jobReference"]["jobId"]
    if context.catalog.get_job(job.project, job_id) is not None:
        context.catalog.delete_job(job.project, job_id)
    if query:
        check_columns(query.get("query", ""))
    return answer


async def _insert_query(context: AppContext, caller: CallerIdentity, job: Job) -> dict[str, Any]:
    """Runs a query job; its id is taken from the start, but not by a request that is refused."""
    context.catalog.upsert_job(job.meta(context, state="RUNNING", end_time=None))
    try:
        return await run_query(context, caller, job.project, job.job_id, job.configuration)
    except DomainError:
        context.catalog.delete_job(job.project, job.job_id)
        raise
    except BaseException as error:
        # The statement may have been executed: it must not be when the client tries again.
        context.catalog.upsert_job(job.meta(context, error_result=_internal(error)))
        raise


async def _run(context: AppContext, job: Job) -> None:
    """Runs the job in a thread, so that the server goes on answering, and records its end."""
    execute = _EXECUTORS[job.kind]
    try:
        async with context.engine.write_lock():
            part = job.configuration[job.kind]
            statistics = await asyncio.to_thread(execute, context, job.project, part)
        meta = job.meta(context, statistics=statistics)
    except DomainError as error:
        meta = job.meta(context, error_result=error_result(error))
    except Exception as error:
        # A job that never ends would keep its client waiting for ever.
        context.catalog.upsert_job(job.meta(context, error_result=_internal(error)))
        raise
    context.catalog.upsert_job(meta)


def _internal(error: BaseException) -> dict[str, str]:
    return {"reason": "internalError", "message": f"{type(error).__name__}: {error}"}


def uploaded_configuration(envelope: dict[str, Any]) -> Configuration:
    """A load job's configuration out of an uploaded Job resource, with the id that it names.

    Stands in for bqemulator's function, which drops the id; the real service takes a
    jobReference from uploads as from any jobs.insert ("REST Resource: jobs").
    """
    configuration = upload_configuration(envelope)
    return {**configuration, _UPLOADED_ID: (envelope.get("jobReference") or {}).get("jobId")}


async def run_uploaded_load(
    *, project_id: str, configuration: Configuration, media_path: str, ctx: AppContext
) -> tuple[str, JobMeta]:
    """Runs a load job whose file came with the call: stands in for bqemulator's function.

    Raises:
        AlreadyExistsError: there is a job of that id.
    """
    named = {k: v for k, v in configuration.items() if k != _UPLOADED_ID}
    job_id = configuration.get(_UPLOADED_ID) or f"job_{uuid.uuid4().hex}"
    _check_id(job_id)
    if ctx.catalog.get_job(project_id, job_id) is not None:
        raise AlreadyExistsError(f"Already Exists: Job {project_id}:US.{job_id}")
    load = {**named["load"], "sourceUris": [f"file://{media_path}"]}
    await _run(ctx, Job(project_id, job_id, "load", {**named, "load": load}))
    finished = ctx.catalog.get_job(project_id, job_id)
    if finished is None:
        raise LookupError(f"job {job_id} was deleted while it ran")
    return job_id, finished

"""Running a plan with a Beam runner and telling what became of it."""

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import apache_beam as beam

# Beam would import it within the job, whose time would count it.
import apache_beam.runners.portability.fn_api_runner
from apache_beam.options.pipeline_options import (
    GoogleCloudOptions,
    PipelineOptions,
    StandardOptions,
)
from apache_beam.runners.runner import PipelineState
from google.cloud import bigquery

from pipeline.beam_shortcuts import ParsedOptions, take_shortcuts
from pipeline.errors import PlanError
from pipeline.failures import failed_run, reason_of
from pipeline.graph import build, build_idle
from pipeline.interrupts import keyboard_interrupts
from pipeline.machines import LOCAL_RUNNER, is_local, machines_of
from pipeline.memory import share_heaps
from pipeline.model import FoundModel, stage_model
from pipeline.plan import Plan, with_model_at
from pipeline.services import explained
from scoring import metrics
from transforms.publication import Publication
from transforms.publishing_jobs import make_run_tables
from transforms.score import SavedModelHandler
from transforms.table_source import reading

_LOCAL_RUNNERS = frozenset({"DirectRunner", "FnApiRunner", LOCAL_RUNNER})


@dataclass(frozen=True)
class Result:
    """What a finished run reported: its counters, by the names in scoring.metrics."""

    counters: Mapping[str, int]


def pipeline_options(
    beam_args: Sequence[str], *, temp_location: str | None = None
) -> PipelineOptions:
    """Beam's options for a run, with our defaults where the user said nothing.

    Raises:
      PlanError: a value is not one that Beam takes.
    """
    try:
        options = ParsedOptions(list(beam_args))
        options.get_all_options()
    except SystemExit as e:
        # argparse has printed which one it is.
        raise PlanError("A Beam option has a value that Beam does not take.") from e
    standard = options.view_as(StandardOptions)
    if standard.runner is None or standard.runner in _LOCAL_RUNNERS:
        standard.runner = LOCAL_RUNNER
    cloud = options.view_as(GoogleCloudOptions)
    cloud.temp_location = cloud.temp_location or temp_location
    return options


def run(
    plan: Plan, model: FoundModel, options: PipelineOptions, client: bigquery.Client
) -> Result | None:
    """Runs the plan to its end, or launches it if a template is being made.

    Returns:
      The result, or None for a template launch: nothing has been scored then.

    Raises:
      PlanError: there is no place for temporary files, or Beam refuses its options.
      RunNotPublishedError: the sums, the reject limit or the write mode forbade publishing.
      RunFailedError: the pipeline failed.
      KeyboardInterrupt: Ctrl-C, as ever.
    """
    cloud = options.view_as(GoogleCloudOptions)
    _check_temp_location(cloud.temp_location)
    if not is_local(options):
        plan = with_model_at(plan, stage_model(model, cloud.temp_location))
    elif all(spec.dtype != "string" for spec in plan.model.signature.inputs):
        share_heaps()
    take_shortcuts()
    is_alone = machines_of(options).are_one_thread_here
    with contextlib.ExitStack() as begun:
        pipeline = begun.enter_context(_new_pipeline(options))
        if is_alone:
            handler = SavedModelHandler(plan.spec, plan.model, plan.workers.resources)
            begun.enter_context(handler.loading())
        build(pipeline, plan)
        _make_run_tables(client, plan.publication)
        if is_alone:
            # Not before: a query is paid for.
            begun.enter_context(reading(plan.source))
        return _run(pipeline, plan.publication, client)


def _run(
    pipeline: beam.Pipeline, publication: Publication, client: bigquery.Client
) -> Result | None:
    try:
        with keyboard_interrupts():
            running = pipeline.run()
            if pipeline.options.view_as(GoogleCloudOptions).template_location:
                return None
            state = running.wait_until_finish()
    except Exception as e:
        raise failed_run(client, publication, f"The pipeline failed: {reason_of(e)}") from e
    if state != PipelineState.DONE:
        reason = f"The job ended in state {state}; its log has the reason"
        raise failed_run(client, publication, reason)
    return Result(_counters(running))


def launch_idle(options: PipelineOptions, message: str) -> None:
    """Launches a job that does nothing but log `message`, if a template is being made.

    Dataflow expects a job of each launch, and takes a launch without one for a failure.

    Raises:
      PlanError: there is no place for temporary files, or Beam refuses its options.
    """
    cloud = options.view_as(GoogleCloudOptions)
    if not cloud.template_location:
        return
    _check_temp_location(cloud.temp_location)
    with _new_pipeline(options) as pipeline:
        build_idle(pipeline, message)
        pipeline.run()


def job_project(options: PipelineOptions, *others: str | None) -> str:
    """The project of the job: --project, else the first of the others that there is.

    Raises:
      PlanError: there is none.
    """
    given = (options.view_as(GoogleCloudOptions).project, *others)
    project = next((p for p in given if p), None)
    if project is None:
        raise PlanError("No project is given. Add --project PROJECT_ID, the project of the job.")
    return str(project)


def _check_temp_location(given: str | None) -> None:
    if not (given or "").startswith("gs://"):
        raise PlanError(
            f"--temp_location is {given or 'missing'}, expected a gs:// folder: "
            "predictions pass through files there. Add --temp_location gs://BUCKET/FOLDER"
        )


@contextlib.contextmanager
def _new_pipeline(options: PipelineOptions) -> Iterator[beam.Pipeline]:
    """An empty pipeline, of which nothing is left on this machine after the block."""
    try:
        pipeline = beam.Pipeline(options=options)
    except ValueError as e:
        raise PlanError(f"Beam refuses its options: {e}") from e
    try:
        yield pipeline
    finally:
        # Beam removes it when it has run the pipeline.
        shutil.rmtree(pipeline.local_tempdir, ignore_errors=True)


def _make_run_tables(client: bigquery.Client, publication: Publication) -> None:
    with explained(
        f"making table {publication.run_table}",
        missing=f"The dataset of {publication.output_table} is gone. Create it again.",
    ):
        make_run_tables(client, publication, datetime.now(UTC))


def _counters(running: beam.runners.runner.PipelineResult) -> dict[str, int]:
    query = beam.metrics.MetricsFilter().with_namespace(metrics.NAMESPACE)
    return {c.key.metric.name: c.result for c in running.metrics().query(query)["counters"]}

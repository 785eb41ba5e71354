"""What each command does with what was parsed."""

import logging
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from google.cloud import bigquery

from options.config import Config
from options.flag import Command
from pipeline import job, report
from pipeline.errors import PlanError
from pipeline.estimate_report import Estimate, estimate_text, workers_text
from pipeline.machines import Machines, asked_workers, machines_of
from pipeline.memory import peak_memory_bytes
from pipeline.model import FoundModel
from pipeline.plan import Plan, make_plan
from pipeline.resume import published_before
from pipeline.runs import latest, rows_of
from pipeline.sample import score_sample, try_compiling
from pipeline.source import scanned_bytes
from pipeline.trial import trial_process
from transforms.clients import bigquery_client
from transforms.completion import RunRefusedError
from transforms.run_record import PUBLISHED

if TYPE_CHECKING:
    from pipeline.local.servers import LocalCloud

# What Beam warns of in every run with RunInference or with worker processes.
_CHATTER = ("Resource module is not available", "No semi_persistent_directory found")

# Errors whose message is the last thing said, so that Beam's traceback of them adds nothing.
_TOLD_AT_THE_END = (RunRefusedError.__name__, KeyboardInterrupt.__name__, "scoring.errors.")


def execute(
    command: Command,
    config: Config,
    beam_args: Sequence[str],
    await_cloud: Callable[[], "LocalCloud"] | None = None,
) -> None:
    """Runs `score` or `check`.

    Args:
      await_cloud: waits for the embedded services that have been started; None without --local.

    Raises:
      PlanError, ScoringError, LocalError, UsageError, RunFailedError, RunNotPublishedError.
    """
    _configure_logging()
    # Before there are any data.
    programs_bytes = peak_memory_bytes()
    if config.local_output:
        _make_folder(Path(config.local_output))
    options = _options(config, beam_args, await_cloud)
    with tempfile.TemporaryDirectory() as workspace:
        project = job.job_project(options, config.billing_project, config.output_table.project)
        client = bigquery_client(project)
        if command == "check":
            _check(config, client, Path(workspace), options, programs_bytes)
            return
        config = config.with_default_project(client.project)
        if done := published_before(client, config):
            print(done, flush=True)
            job.launch_idle(options, done)
            return
        machines = machines_of(options)
        plan, model = _proven_plan(config, client, Path(workspace), machines)
        print(report.plan_text(plan), flush=True)
        started = time.perf_counter()
        result = job.run(plan, model, options, client)
        elapsed_s = time.perf_counter() - started
        if result is None:
            print("\nlaunched; the run is recorded in the runs table when it ends")
            return
        run = latest(rows_of(client, plan.publication), PUBLISHED)
        if run is None:
            raise PlanError(
                f"Run {plan.publication.run_id} left no record in {plan.publication.runs_table}."
            )
        print("\n" + report.result_text(run, result.counters, elapsed_s), flush=True)
        if config.local_output:
            _export(config.local_output, plan)


def _check(
    config: Config,
    client: bigquery.Client,
    workspace: Path,
    options: PipelineOptions,
    programs_bytes: int,
) -> None:
    machines = machines_of(options)
    # The process first: it gets ready, which takes seconds, while the plan is made.
    with trial_process() as trial:
        plan, _ = make_plan(config, client, workspace, datetime.now(UTC), machines)
        print(report.plan_text(plan), flush=True)
        sample = score_sample(plan, trial)
    print("\n" + report.sample_text(plan, sample), flush=True)
    estimate = Estimate(
        source=plan.source,
        source_rows=plan.source_rows,
        # The embedded BigQuery would run the query, and count nothing.
        scanned_bytes=None if config.local else scanned_bytes(client, plan.source),
        usage=sample.usage,
        programs_bytes=programs_bytes,
        resources=plan.workers.resources,
        asked=asked_workers(options),
    )
    print("\n" + estimate_text(estimate), flush=True)
    print("\n" + workers_text(estimate, config.deadline))


def _proven_plan(
    config: Config, client: bigquery.Client, workspace: Path, machines: Machines
) -> tuple[Plan, FoundModel]:
    """The plan of a run, whose model XLA can compile if it is asked to."""
    if not config.xla:
        return make_plan(config, client, workspace, datetime.now(UTC), machines)
    with trial_process() as trial:
        plan, model = make_plan(config, client, workspace, datetime.now(UTC), machines)
        try_compiling(plan, trial)
    return plan, model


def _options(
    config: Config, beam_args: Sequence[str], await_cloud: Callable[[], "LocalCloud"] | None
) -> PipelineOptions:
    """The options for Beam; with --local for the embedded services, which get the tables."""
    if await_cloud is None:
        return job.pipeline_options(beam_args)
    # Only local mode needs the packages of the extra `local`.
    from pipeline.local.tables import load_table

    cloud = await_cloud()
    client = bigquery_client(cloud.project)
    for name, path in config.local_tables:
        rows = load_table(client, f"{name.dataset}.{name.table}", path)
        _say(f"loaded {rows:,} rows of {path} as table {name}")
    for dataset in _result_datasets(config):
        client.create_dataset(dataset, exists_ok=True)
    options = job.pipeline_options(beam_args, temp_location=cloud.temp_location)
    options.view_as(GoogleCloudOptions).project = cloud.project
    return options


def _result_datasets(config: Config) -> set[str]:
    tables = (config.output_table, config.rejects_table, config.runs_table)
    return {t.dataset for t in tables if t is not None}


def _make_folder(folder: Path) -> None:
    """Makes the folder for the results, before anything is computed that would go there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as e:
        raise PlanError(
            f"Nothing can be written to the folder {folder}: {e.strerror}. Give --local_output "
            "another one."
        ) from e


def _export(folder: str, plan: Plan) -> None:
    """Writes the result tables as Parquet files."""
    from pipeline.local.tables import export_table

    publication = plan.publication
    client = bigquery_client(publication.project)
    for table in (publication.output_table, publication.rejects_table, publication.runs_table):
        _, dataset, name = table.rsplit(".", 2)
        print(f"written: {export_table(client, f'{dataset}.{name}', Path(folder))}")


def _say(text: str) -> None:
    print(f"bulkscore: {text}", file=sys.stderr, flush=True)


def _configure_logging() -> None:
    """Progress of our own packages on standard error; of the libraries, warnings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    handler.addFilter(_is_telling)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for package in ("pipeline", "scoring", "transforms"):
        logging.getLogger(package).setLevel(logging.INFO)


def _is_telling(record: logging.LogRecord) -> bool:
    """False for Beam's chatter, and for its traceback of what is told at the end anyway."""
    text = f"{record.getMessage()} {record.exc_info[0] if record.exc_info else ''}"
    return not any(said in text for said in (*_CHATTER, *_TOLD_AT_THE_END))

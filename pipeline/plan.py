"""The plan: everything that is known before a worker starts, as one frozen value."""

import json
import secrets
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from google.cloud import bigquery

from options.config import Config
from pipeline import table_names
from pipeline.destination import Destination, check_appendable, check_destination
from pipeline.machines import THIS_PROCESS, Machines
from pipeline.model import FoundModel, find_model
from pipeline.source import SourceInfo, describe_source, needed_columns, new_rows
from pipeline.spec import scoring_spec
from pipeline.versions import software_versions
from pipeline.workers import Workers, plan_workers
from scoring.compiled import check_compilable
from scoring.signature import Signature
from scoring.spec import ScoringSpec
from transforms.publication import OutputProperties, Publication
from transforms.run_record import RUNS_FIELDS
from transforms.score import ModelSource
from transforms.source import Source


@dataclass(frozen=True)
class Plan:
    """One run, decided.  Only this value crosses to the workers.

    Attributes:
      source: what is read.
      model: where workers find the model.
      spec: how a batch is scored.
      workers: how the work is spread.
      publication: where the results go, and under which condition.
      model_handle: the model as the user named it.
      source_rows: rows of the whole source, where known.
      output_exists: whether the output table exists already.
    """

    source: Source
    model: ModelSource
    spec: ScoringSpec
    workers: Workers
    publication: Publication
    model_handle: str
    source_rows: int | None
    output_exists: bool


def make_plan(
    config: Config,
    client: bigquery.Client,
    workspace: Path,
    now: datetime,
    machines: Machines = THIS_PROCESS,
) -> tuple[Plan, FoundModel]:
    """Decides the run that `config` asks for, reading but not writing anything.

    Args:
      config: its tables without a project are taken to be in the client's.
      workspace: folder for downloads; it must outlive the run.
      now: time of the start, in UTC.
      machines: those that will score.

    Raises:
      PlanError, scoring.errors.ScoringError, options.errors.UsageError: it cannot work.
    """
    config = config.with_default_project(client.project)
    info = describe_source(client, config)
    model = find_model(config, workspace)
    run_id = config.run_id or f"{now:%Y%m%dT%H%M%S}_{secrets.token_hex(3)}"
    attempt = secrets.token_hex(3)
    spec = scoring_spec(config, info, model, run_id)
    signature = _called_signature(model, spec)
    output = check_destination(client, config, spec.output_fields, spec.key)
    publication = _publication(config, client, spec, model, output, attempt, now)
    if config.only_new and output.exists:
        info = new_rows(client, config, info, spec)
    plan = Plan(
        source=_source(config, info, spec, publication),
        model=ModelSource(str(model.folder), model.digest, model.info.tags, signature),
        spec=spec,
        workers=plan_workers(config, spec, model.size_bytes, machines),
        publication=publication,
        model_handle=config.model,
        source_rows=info.rows,
        output_exists=output.exists,
    )
    return plan, model


def with_model_at(plan: Plan, uri: str) -> Plan:
    """The same plan with the model read from `uri`."""
    return replace(plan, model=replace(plan.model, uri=uri))


def _called_signature(model: FoundModel, spec: ScoringSpec) -> Signature:
    """The part of the model's signature that is called: outputs that nobody wants are left out.

    Raises:
      ModelError: XLA is to compile it and cannot.
    """
    called = replace(model.signature, outputs=tuple(b.tensor for b in spec.outputs))
    if spec.xla:
        # Shapes that --input_shapes states are what it is compiled for.
        called = replace(called, inputs=tuple(b.tensor for b in spec.inputs))
        check_compilable(model.signature, called)
    return called


def _publication(
    config: Config,
    client: bigquery.Client,
    spec: ScoringSpec,
    model: FoundModel,
    output: Destination,
    attempt: str,
    now: datetime,
) -> Publication:
    """Where the results go, all of it able to take them."""
    rejects_table = config.rejects_table or table_names.rejects_table(config.output_table)
    runs_table = config.runs_table or table_names.runs_table(config.output_table)
    rejects_layout = check_appendable(client, rejects_table, spec.rejects.fields, "--rejects_table")
    check_appendable(client, runs_table, RUNS_FIELDS, "--runs_table", may_gain_columns=True)
    own = (config.output_table, spec.run_id, attempt)
    properties = _output_properties(config, output)
    return Publication(
        run_id=spec.run_id,
        attempt=attempt,
        project=client.project,
        run_table=str(table_names.run_table(*own)),
        rejects_run_table=str(table_names.rejects_run_table(*own)),
        output_table=str(config.output_table),
        rejects_table=str(rejects_table),
        runs_table=str(runs_table),
        write_mode=config.write_mode,
        partition=config.partition,
        key_columns=tuple(c.name for c in spec.key),
        max_rejected_fraction=config.max_rejected_fraction,
        output_fields=output.fields,
        reject_fields=spec.rejects.fields,
        rejects_layout=rejects_layout,
        layout=output.layout,
        started_at=now,
        summary=_summary(config, model),
        output_properties=properties,
        # A merge and a partition need a table to go to; the properties no job would give it.
        makes_output=not output.exists
        and (config.write_mode in ("merge", "partition") or properties != OutputProperties()),
    )


def _output_properties(config: Config, output: Destination) -> OutputProperties:
    return OutputProperties(
        labels=config.output_labels,
        description=config.output_description,
        expiration_days=config.output_expiration_days,
        kms_key=output.kms_key,
    )


def _source(
    config: Config,
    info: SourceInfo,
    spec: ScoringSpec,
    publication: Publication,
) -> Source:
    needed = needed_columns(spec)
    table = config.input_table if info.query is None else None
    return Source(
        table=str(table) if table else None,
        query=info.query,
        columns=tuple(c for c in info.columns if c.name in needed),
        billing_project=config.billing_project or publication.project,
        # Of this attempt: the result of another's may have expired, or its query failed.
        query_job_id=f"bulkscore_{spec.run_id}_{publication.attempt}_query",
        row_restriction=config.row_restriction if table else None,
        snapshot_time=config.snapshot_time if table else None,
        method=config.read_method,
        query_location=info.location,
        kms_key=publication.output_properties.kms_key,
        batch_rows=spec.batch_rows,
    )


def _summary(config: Config, model: FoundModel) -> tuple[tuple[str, str | None], ...]:
    """What the runs table says of a run that has not started."""
    options = {
        name: str(value) for name, value in vars(config).items() if value not in (None, (), False)
    }
    return (
        ("source", str(config.input_table or config.input_query)),
        ("model", config.model),
        ("model_digest", model.digest),
        ("signature", model.signature.name),
        ("options", json.dumps(options, sort_keys=True)),
        ("snapshot_time", config.snapshot_time.isoformat() if config.snapshot_time else None),
        *((f"{name}_version", found) for name, found in software_versions()),
    )

"""The pipeline, on one page."""

import logging

import apache_beam as beam

from pipeline.plan import Plan
from transforms.accounts import RunCounts
from transforms.publish import Publish
from transforms.read import ReadFromBigQuery
from transforms.redistribute import Redistribute
from transforms.score import Score
from transforms.write import WriteToBigQuery

_LOGGER = logging.getLogger(__name__)


def build(root: beam.Pipeline, plan: Plan) -> beam.PCollection[RunCounts]:
    """Adds the whole job to `root`; emits the counts of the published run.

      ReadFromBigQuery ─► Score ─► written ──► WriteScored  (run table) ─────┐
                            └────► rejected ─► WriteRejects (its rejects) ───┴─► Publish

    Where scoring is the slow part, Redistribute comes before it.  Rows are counted as they are
    read, so that what it would lose or repeat is seen.

    Publish checks read = scored + rejected, that all of what was written is there, and the reject
    limit; it adds the rejects to those of other runs, publishes the run table by one atomic job
    and records the run.  Refused, it fails the pipeline.
    """
    publication = plan.publication
    rows = root | "ReadFromBigQuery" >> ReadFromBigQuery(plan.source)
    dealt = rows | "Redistribute" >> Redistribute() if plan.workers.redistributes else rows
    score = Score(plan.spec, plan.model, plan.workers.resources)
    outcome = dealt | "Score" >> score.with_resource_hints(**dict(plan.workers.resources.hints))
    written = outcome.written | "WriteScored" >> WriteToBigQuery(
        publication.run_table,
        publication.run_table_fields,
        project=publication.project,
        job_prefix=publication.load_job_prefix("scored"),
        kms_key=publication.output_properties.kms_key,
    )
    rejected = outcome.rejected | "WriteRejects" >> WriteToBigQuery(
        publication.rejects_run_table,
        publication.reject_fields,
        project=publication.project,
        job_prefix=publication.load_job_prefix("rejects"),
        kms_key=publication.output_properties.kms_key,
    )
    return root | "Publish" >> Publish(publication, rows, outcome, written, rejected)


def build_idle(root: beam.Pipeline, message: str) -> None:
    """Adds a job that has nothing to do and says why, in the log of its worker."""
    _ = root | "Why" >> beam.Create([message]) | "NothingToDo" >> beam.Map(_say)


def _say(message: str) -> None:
    _LOGGER.info("%s", message)

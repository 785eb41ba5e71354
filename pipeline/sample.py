"""A few rows scored to prove a plan before anything is started, in a process of their own."""

from dataclasses import dataclass

import pyarrow as pa

from pipeline.errors import PlanError
from pipeline.estimate import Usage
from pipeline.plan import Plan
from pipeline.services import explained
from pipeline.trial import Request, TrialProcess
from transforms.read import first_rows

SAMPLE_ROWS = 100
_NO_ROWS = pa.record_batch({})


@dataclass(frozen=True)
class Sample:
    """What became of the sample's rows.

    Attributes:
      rejected: rows by reject code.
      warnings: sentences on how the model behaves.
      usage: what scoring takes.
    """

    scored: int
    rejected: dict[str, int]
    warnings: tuple[str, ...]
    usage: Usage


def score_sample(plan: Plan, trial: TrialProcess) -> Sample:
    """Loads the model in the trial's process and scores the first rows of the source table there.

    Returns:
      What became of them; of none for a query, which would have to be run and paid for.

    Raises:
      PlanError: the table cannot be read, or not one of its rows can be scored.
      ModelError: the model cannot be loaded or called, or its process ends over it.
    """
    rows = _sample_rows(plan)
    model = plan.model
    request = Request(model.uri, model.tags, model.signature, plan.spec, plan.spec.xla)
    report, usage = trial.score(request, _NO_ROWS if rows is None else rows, plan.model_handle)
    if rows is not None and not report.scored:
        raise PlanError(
            f"Not one of the first {rows.num_rows} rows can be scored. "
            f"The first: {report.first_reject}."
        )
    return Sample(report.scored, report.rejected, tuple(report.warnings), usage)


def try_compiling(plan: Plan, trial: TrialProcess) -> None:
    """Has XLA compile the model in the trial's process: no other way tells whether it can.

    Raises:
      ModelError: it cannot, or the model cannot be loaded or called.
    """
    model = plan.model
    trial.call(model.uri, model.tags, model.signature, plan.model_handle, xla=True)


def _sample_rows(plan: Plan) -> pa.RecordBatch | None:
    if plan.source.table is None:
        return None
    with explained(
        f"reading rows of {plan.source.table}",
        missing=f"There is no table {plan.source.table} any more.",
        cure="Check --row_restriction and --snapshot_time.",
    ):
        return first_rows(plan.source, SAMPLE_ROWS)

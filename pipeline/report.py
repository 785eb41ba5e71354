"""Plans and results as tables to read."""

from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

from pipeline.plan import Plan
from pipeline.sample import Sample
from pipeline.table_layout import layout_text
from pipeline.workers import Workers
from scoring import metrics

_STAGES = (
    ("waiting for pages of the source", metrics.READ_US),
    ("waiting for objects", metrics.FETCH_US),
    ("columns to tensors", metrics.FEED_US),
    ("calling the model", metrics.CALL_US),
    ("tensors to columns", metrics.OUTPUTS_US),
    ("writing files", metrics.WRITE_US),
)


def plan_text(plan: Plan) -> str:
    """The plan as tables: the run, the inputs, the outputs, the workers."""
    tables = (_run_table(plan), _inputs_table(plan), _outputs_table(plan))
    return "\n\n".join((*tables, workers_text(plan.workers)))


def workers_text(workers: Workers) -> str:
    """What was decided about the workers, each choice with its reason."""
    rows = [(choice.subject, choice.value, choice.reason) for choice in workers.choices]
    return tabulate(rows, headers=("workers", "choice", "because"), disable_numparse=True)


def sample_text(plan: Plan, sample: Sample) -> str:
    """What the check of a few rows showed: a sentence, and one for each warning."""
    if plan.source.table is None:
        return "Checked without rows: only running the query would give some."
    if sample.scored + sum(sample.rejected.values()) == 0:
        return "Checked without rows: the source has none."
    rejected = ", ".join(f"{code} {rows}" for code, rows in sample.rejected.items())
    checked = f"Checked with rows: {sample.scored} scored, {rejected or 'none'} rejected."
    return "\n".join([checked, *(f"Warning: {warning}" for warning in sample.warnings)])


def _run_table(plan: Plan) -> str:
    source, publication = plan.source, plan.publication
    rows = [
        ("source", source.table or source.query),
        ("rows in source", f"{plan.source_rows:,}" if plan.source_rows is not None else "unknown"),
        ("only rows where", source.row_restriction),
        ("as of", source.snapshot_time),
        ("columns read", ", ".join(c.name for c in source.columns)),
        ("read method", source.method),
        ("model", plan.model_handle),
        ("model digest", plan.model.digest),
        ("signature", plan.model.signature.name),
        ("rows a call", plan.spec.fixed_batch_rows or f"up to {plan.spec.max_batch_rows:,}"),
        ("compiled by", "XLA" if plan.spec.xla else None),
        ("key columns", ", ".join(c.name for c in plan.spec.key) or "none"),
        ("output table", f"{publication.output_table} ({_fate(plan)})"),
        ("output layout", layout_text(publication.output_layout)),
        *_properties(plan),
        ("rejects table", publication.rejects_table),
        ("runs table", publication.runs_table),
        ("published by", _publishing(plan)),
        ("published if", f"at most {publication.max_rejected_fraction:.2%} of rows are rejected"),
        ("run id", publication.run_id),
    ]
    return tabulate([(k, v) for k, v in rows if v is not None], tablefmt="plain")


def _properties(plan: Plan) -> list[tuple[str, str | None]]:
    """What else the output table gets, or has if it exists."""
    properties = plan.publication.output_properties
    key = ("encrypted with", properties.kms_key)
    if plan.output_exists:
        return [key]
    days = properties.expiration_days
    labels = ", ".join(f"{name}={value}" for name, value in properties.labels)
    return [
        ("output labels", labels or None),
        ("output expires", f"after {days} days" if days is not None else None),
        ("description", properties.description),
        key,
    ]


def _fate(plan: Plan) -> str:
    """What becomes of the output table."""
    publication = plan.publication
    if not plan.output_exists:
        return "new"
    match publication.write_mode:
        case "append":
            return "appended to"
        case "partition":
            return f"partition {publication.partition} replaced"
        case "merge":
            return f"merged into by {', '.join(publication.key_columns)}"
        case _:
            return "replaced"


def _publishing(plan: Plan) -> str:
    publication = plan.publication
    if publication.is_copied:
        return "a copy job"
    is_merge = publication.write_mode == "merge"
    job = "a MERGE statement" if is_merge else "a query job over the run's rows"
    if publication.publishing_query is not None:
        job += ", which restores JSON and GEOGRAPHY columns"
    return job


def _inputs_table(plan: Plan) -> str:
    rows = []
    for binding in plan.spec.inputs:
        names = ", ".join(c.name for c in binding.columns)
        types = ", ".join(dict.fromkeys(c.sql_type for c in binding.columns))
        rows.append((str(binding.tensor), names, types, binding.rule))
    return tabulate(rows, headers=("model input", "column", "type", "each value"))


def _outputs_table(plan: Plan) -> str:
    bindings = {f.name: b for b in plan.spec.outputs for f in b.fields}
    rows = []
    for field in plan.publication.output_fields:
        binding = bindings.get(field.name)
        origin = f"model output {binding.tensor}" if binding else _origin(plan, field.name)
        rows.append((field.name, field.sql_type, origin))
    return tabulate(rows, headers=("output column", "type", "from"))


def _origin(plan: Plan, name: str) -> str:
    if any(c.name == name for c in plan.spec.carried):
        return "the source, unchanged"
    return "this run"


def result_text(run: Mapping[str, Any], counters: Mapping[str, int], elapsed_s: float) -> str:
    """Rows and times of a published run.

    Args:
      run: its row in the runs table.
      counters: its counters; empty when the runner has none.
      elapsed_s: seconds from start to end of the pipeline.
    """
    objects = counters.get(metrics.OBJECTS_FETCHED, 0)
    megabytes = counters.get(metrics.OBJECT_BYTES, 0) / 1e6
    rows = [
        *_count_rows(run),
        *([("objects fetched", f"{objects:,}, {megabytes:,.1f} MB")] if objects else []),
        ("pipeline time", f"{elapsed_s:.2f} s"),
        ("rows per second", f"{run['rows_read'] / elapsed_s:,.0f}"),
        *(
            (f"time {label}", f"{counters[name] / 1e6:.2f} s")
            for label, name in _STAGES
            if name in counters
        ),
        ("published", run["output_table"]),
    ]
    return _two_columns(rows)


def counts_text(run: Mapping[str, Any]) -> str:
    """Rows of a published run, from its row in the runs table."""
    return _two_columns([*_count_rows(run), ("published", run["output_table"])])


def _two_columns(rows: Sequence[tuple[str, str]]) -> str:
    return tabulate(rows, tablefmt="plain", disable_numparse=True, colalign=("left", "right"))


def _count_rows(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    # Of a row of the output table there is more to say where a row of the source becomes several.
    written = run["rows_written"] if run["rows_written"] != run["rows_scored"] else 0
    return [
        ("rows read", f"{run['rows_read']:,}"),
        ("rows scored", f"{run['rows_scored']:,}"),
        *([("rows written", f"{written:,}")] if written else []),
        ("rows rejected", f"{run['rows_rejected']:,}"),
        *(
            (label, f"{run[name]:,} rows")
            for label, name in (
                ("NULLs defaulted", "nulls_defaulted"),
                ("NaN or infinite outputs", "non_finite"),
            )
            if run[name]
        ),
        *((f"rejected as {c['code']}", f"{c['rows']:,}") for c in run["rejected_by_code"]),
    ]

"""The names of the pipeline's steps: Dataflow's page shows them, and updates rely on them."""

from datetime import UTC, datetime

import apache_beam as beam
import pyarrow as pa
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor
from saved_models import doubled
from workbench import Saved, Workbench

from options.parse import parse
from pipeline.graph import build
from pipeline.plan import make_plan

# Ours: the steps of the page, and what is directly below them.  Beam's are further down.
_STEPS = [
    "ReadFromBigQuery",
    "ReadFromBigQuery/Read",
    "ReadFromBigQuery/Pages",
    "Score",
    "Score/RunInference",
    "Score/Separate",
    "Score/Calls",
    "WriteScored",
    "WriteScored/WriteParquet",
    "WriteScored/AllFiles",
    "WriteScored/LoadFiles",
    "WriteRejects",
    "WriteRejects/WriteParquet",
    "WriteRejects/AllFiles",
    "WriteRejects/LoadFiles",
    "Publish",
    "Publish/Read",
    "Publish/Scored",
    "Publish/Written",
    "Publish/Rejected",
    "Publish/Tallies",
    "Publish/CountRows",
    "Publish/SumCalls",
    "Publish/Once",
    "Publish/PublishOrRefuse",
]


class _Labels(PipelineVisitor):  # type: ignore[misc]
    """Collects the names of the steps down to the second level, in the graph's order."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def enter_composite_transform(self, transform_node: AppliedPTransform) -> None:
        self.visit_transform(transform_node)

    def visit_transform(self, transform_node: AppliedPTransform) -> None:
        label = transform_node.full_label
        if label and label.count("/") <= 1:
            self.found.append(label)


def test_the_steps_keep_their_names(bench: Workbench, saved: Saved) -> None:
    bench.load("t", pa.table({"x": [1.0]}))
    parsed = parse(
        [
            "score",
            f"--input_table={bench.name('t')}",
            f"--model={saved(doubled)}",
            f"--output_table={bench.name('p')}",
        ]
    )
    plan, _ = make_plan(parsed.config, bench.client, bench.folder, datetime.now(UTC))
    pipeline = beam.Pipeline(argv=["--temp_location=gs://bucket/tmp"])
    build(pipeline, plan)
    labels = _Labels()

    pipeline.visit(labels)

    assert labels.found == _STEPS

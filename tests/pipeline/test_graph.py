"""The shape of the graph, held by a golden file.

Dataflow's page shows the names of the steps.  How steps are fused into stages, by Beam's own code,
decides what is encoded and who waits for whom; what lies between reading and writing is run for
every page of rows.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from saved_models import doubled
from workbench import Saved, Workbench

from options.parse import parse
from pipeline.graph import build
from pipeline.plan import Plan, make_plan
from pipeline.workers import Workers
from transforms.resources import ScoringResources

_GOLDEN = Path(__file__).parents[1] / "golden" / "graph.json"
_HINTS = {
    "min_ram": "16GB",
    "cpu_count": "4",
    "accelerator": "type:nvidia-l4;count:1;install-nvidia-driver",
}
_HINTS_IN_THE_GRAPH = {
    common_urns.resource_hints.MIN_RAM_BYTES.urn: b"16000000000",
    common_urns.resource_hints.CPU_COUNT.urn: b"4",
    common_urns.resource_hints.ACCELERATOR.urn: _HINTS["accelerator"].encode(),
}


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


@pytest.fixture
def plan(bench: Workbench, saved: Saved) -> Plan:
    bench.load("t", pa.table({"x": [1.0]}))
    parsed = parse(
        [
            "score",
            f"--input_table={bench.name('t')}",
            f"--model={saved(doubled)}",
            f"--output_table={bench.name('p')}",
        ]
    )
    return make_plan(parsed.config, bench.client, bench.folder, datetime.now(UTC))[0]


def _graph(plan: Plan, *, redistributes: bool, **hints: str) -> beam.Pipeline:
    resources = ScoringResources(hints=tuple(hints.items()))
    pipeline = beam.Pipeline(argv=["--temp_location=gs://bucket/tmp"])
    build(pipeline, replace(plan, workers=Workers(redistributes, resources, ())))
    return pipeline


def _shape(pipeline: beam.Pipeline) -> dict[str, Any]:
    """The steps, and what a runner makes of them."""
    labels = _Labels()
    pipeline.visit(labels)
    graph = pipeline.to_runner_api()
    _, stages = FnApiRunner().create_stages(graph)
    return {
        "steps": labels.found,
        "fused stages": len(stages),
        "shuffles": sorted(
            step.unique_name
            for step in _leaves(graph)
            if step.spec.urn == common_urns.primitives.GROUP_BY_KEY.urn
        ),
        "from reading to writing": _path(graph),
    }


def _leaves(graph: beam_runner_api_pb2.Pipeline) -> Iterator[beam_runner_api_pb2.PTransform]:
    """The steps that are not made of others."""
    return (step for step in graph.components.transforms.values() if not step.subtransforms)


def _path(graph: beam_runner_api_pb2.Pipeline) -> list[str]:
    """The steps that rows pass on their way to the files, in order."""
    maker = {output: step for step in _leaves(graph) for output in step.outputs.values()}
    (writer,) = (s for s in _leaves(graph) if s.unique_name.startswith("WriteScored/WriteParquet"))
    path = [writer]
    while path[-1].inputs:
        (rows,) = path[-1].inputs.values()
        path.append(maker[rows])
    return [step.unique_name for step in reversed(path)]


def test_the_graph_has_the_shape_of_the_golden_file(plan: Plan, tmp_path: Path) -> None:
    shapes = {
        "read and scored together": _shape(_graph(plan, redistributes=False)),
        "dealt out anew": _shape(_graph(plan, redistributes=True)),
        "scored by machines of its own": _shape(_graph(plan, redistributes=False, **_HINTS)),
    }
    found = tmp_path / "graph.json"
    found.write_text(json.dumps(shapes, indent=2) + "\n", encoding="utf-8")
    assert json.loads(_GOLDEN.read_text(encoding="utf-8")) == shapes, (
        f"if this is meant: cp {found} {_GOLDEN}"
    )


def test_a_batch_is_read_while_another_is_scored(plan: Plan) -> None:
    assert plan.source.batch_rows == plan.spec.batch_rows > 1


def test_the_scoring_step_alone_carries_the_hints(plan: Plan) -> None:
    graph = _graph(plan, redistributes=True, **_HINTS).to_runner_api()
    environments = graph.components.environments
    hinted = set()
    for step in _leaves(graph):
        hints = dict(environments[step.environment_id].resource_hints)
        assert hints in ({}, _HINTS_IN_THE_GRAPH), step.unique_name
        if hints:
            hinted.add(step.unique_name)
    scoring = {s.unique_name for s in _leaves(graph) if s.unique_name.startswith("Score/")}
    assert hinted == scoring
    assert any(name.endswith("BeamML_RunInference") for name in hinted)
    assert not any(e.resource_hints for e in _environments(_graph(plan, redistributes=True)))


def _environments(pipeline: beam.Pipeline) -> Iterator[beam_runner_api_pb2.Environment]:
    return iter(pipeline.to_runner_api().components.environments.values())

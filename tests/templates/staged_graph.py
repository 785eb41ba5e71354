"""Runs a staged graph as Dataflow does: workers are processes that have it and nothing else.

    python staged_graph.py PIPELINE.PB PYTHON
    python staged_graph.py PIPELINE.PB HOST:PORT

Workers run with the interpreter PYTHON, which must have the package installed or on its path; or
the worker pool at HOST:PORT starts them.
One line of JSON goes to standard output: `state`, `error` (null for a job that is done) and
`counters`, a list of [id of the step, namespace, name, value].
"""

import json
import sys
import traceback
from pathlib import Path
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import common_urns, python_urns
from apache_beam.portability.api import beam_runner_api_pb2, endpoints_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineState


def run(graph: bytes, workers: str) -> dict[str, Any]:
    """Runs the graph and returns how it ended."""
    urn, payload = _environment(workers)
    pipeline = beam_runner_api_pb2.Pipeline.FromString(graph)
    steps = {t.unique_name: i for i, t in pipeline.components.transforms.items()}
    for environment in pipeline.components.environments.values():
        environment.urn = urn
        environment.payload = payload
    try:
        result = FnApiRunner().run_via_runner_api(pipeline, PipelineOptions([]))
        state = str(result.wait_until_finish())
    except Exception:
        # What a worker raised comes as a RuntimeError with the worker's traceback for a message.
        return {
            "state": str(PipelineState.FAILED),
            "error": traceback.format_exc(chain=False),
            "counters": [],
        }
    counters = [
        [steps.get(c.key.step, c.key.step), c.key.metric.namespace, c.key.metric.name, c.committed]
        for c in result.metrics().query()["counters"]
    ]
    error = None if state == PipelineState.DONE else f"The job ended in state {state}"
    return {"state": state, "error": error, "counters": counters}


def _environment(workers: str) -> tuple[str, bytes]:
    if ":" not in workers:
        command = f"{workers} -m apache_beam.runners.worker.sdk_worker_main"
        return python_urns.SUBPROCESS_SDK, command.encode()
    pool = beam_runner_api_pb2.ExternalPayload(
        endpoint=endpoints_pb2.ApiServiceDescriptor(url=workers)
    )
    return common_urns.environments.EXTERNAL.urn, pool.SerializeToString()


if __name__ == "__main__":
    ended = run(Path(sys.argv[1]).read_bytes(), sys.argv[2])
    print(json.dumps(ended))
    sys.exit(ended["state"] != PipelineState.DONE)

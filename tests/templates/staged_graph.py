"""Runs a staged graph as Dataflow does: workers are processes that have it and nothing else.

    python staged_graph.py PIPELINE.PB PYTHON

Workers run with the interpreter PYTHON, which must have the package installed or on its path.
"""

import sys
from pathlib import Path

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineState


def run(graph: bytes, python: str) -> str:
    """Runs the graph and returns the state in which it ended."""
    pipeline = beam_runner_api_pb2.Pipeline.FromString(graph)
    for environment in pipeline.components.environments.values():
        environment.urn = python_urns.SUBPROCESS_SDK
        environment.payload = f"{python} -m apache_beam.runners.worker.sdk_worker_main".encode()
    result = FnApiRunner().run_via_runner_api(pipeline, PipelineOptions([]))
    return str(result.wait_until_finish())


if __name__ == "__main__":
    state = run(Path(sys.argv[1]).read_bytes(), sys.argv[2])
    sys.exit(None if state == PipelineState.DONE else state)

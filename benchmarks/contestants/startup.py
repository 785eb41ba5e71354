"""What no small job can do without: `python -m benchmarks.contestants.startup TASK`.

Seconds of importing TensorFlow, loading the model and starting the embedded servers, one after the
other and their sum.  Importing Beam, which bulkscore needs as well, is not counted.
"""

import importlib
import time
from collections.abc import Callable
from contextlib import ExitStack

from benchmarks.task import Report, Task, answer
from pipeline.local.servers import embedded_cloud
from scoring.runtime import tensorflow


def score(task: Task) -> Report:
    """Starts everything and scores nothing."""
    # As scripts do: bulkscore leaves out what comes along and scores nothing.
    parts = {"import TensorFlow": _seconds(lambda: importlib.import_module("tensorflow"))}
    parts["load the model"] = _seconds(lambda: tensorflow().saved_model.load(task.model))
    # Starting the servers would import it meanwhile.
    importlib.import_module("apache_beam.io.gcp.bigquery")
    with ExitStack() as stack:
        parts["start the servers"] = _seconds(lambda: stack.enter_context(embedded_cloud()))
    return Report(sum(parts.values()), 0, parts)


def _seconds(step: Callable[[], object]) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


if __name__ == "__main__":
    answer(score)

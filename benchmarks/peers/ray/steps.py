"""What Ray's workers do; they import this module, as they could not a program's own functions."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.scorer import Scorer
from benchmarks.task import Task
from scoring.runtime import tensorflow


def import_tensorflow(batch: Any) -> Any:
    """Gets a worker ready; the batch goes through."""
    _settle()
    return batch


def score_table(table: pa.Table, task: Task) -> Iterator[pa.Table]:
    """Scores a block with the model that this worker has loaded for the task."""
    for batch in table.combine_chunks().to_batches():
        for part in _scorer(task.folder).score_in_calls(batch):
            yield pa.Table.from_batches([part])


@cache
def _scorer(folder: str) -> Scorer:
    _settle()
    return Scorer(Task.read(Path(folder) / "task.json"))


@cache
def _settle() -> None:
    # Two processes share the cores.
    tensorflow().config.threading.set_intra_op_parallelism_threads(1)

"""The model of a task, called on columns; Arrow on both sides for those who want it."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.feeds import FEEDS, Array, Columns
from benchmarks.task import Task
from scoring.folding import folded
from scoring.graph_file import read_graph
from scoring.runtime import tensorflow
from scoring.signature import choose_signature, read_saved_model


class Scorer:
    """A loaded SavedModel and what to feed it."""

    def __init__(self, task: Task, *, is_folded: bool = False) -> None:
        """Loads the model; its normalisations are folded where bulkscore does that."""
        self._scoring = task.scoring
        self._model = tensorflow().saved_model.load(task.model)
        self._call = self._model.signatures[task.scoring.signature]
        self._specs = self._call.structured_input_signature[1]
        if is_folded:
            folder = Path(task.model)
            signature = choose_signature(read_saved_model(folder), task.scoring.signature)
            graph_def = read_graph(folder).graph_def
            self._call = folded(self._call, signature, graph_def) or self._call
        self._feed = FEEDS[task.scoring.feed]

    def __call__(self, columns: Columns) -> dict[str, Array]:
        """The arrays of the output columns."""
        feed = self._feed(self._scoring.features, columns, self._specs)
        outputs = self._call(**feed)
        return {
            o.column: outputs[o.name].numpy() if o.repeated else outputs[o.name].numpy().reshape(-1)
            for o in self._scoring.outputs
        }

    def score(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Key, passthrough columns and outputs of a batch's rows."""
        scoring = self._scoring
        outputs = self(arrays(batch, scoring.features.values()))
        kept = [scoring.key, *scoring.passthrough]
        columns = [batch.column(name) for name in kept] + [arrow(v) for v in outputs.values()]
        return pa.RecordBatch.from_arrays(columns, [*kept, *outputs])

    def score_in_calls(self, batch: pa.RecordBatch) -> Iterable[pa.RecordBatch]:
        """The same in calls of at most `batch_rows` rows, `calls_at_once` of them at a time."""
        step = self._scoring.batch_rows
        parts = [batch.slice(start, step) for start in range(0, batch.num_rows, step)]
        if self._scoring.calls_at_once == 1:
            yield from map(self.score, parts)
        else:
            with ThreadPoolExecutor(self._scoring.calls_at_once) as threads:
                yield from threads.map(self.score, parts)


def arrays(batch: Any, names: Iterable[str]) -> dict[str, Array]:
    """Columns of an Arrow batch or table; without copies where Arrow allows it."""
    return {name: _array(batch.column(name)) for name in dict.fromkeys(names)}


def _array(column: Any) -> Array:
    if pa.types.is_string(column.type):
        # Object arrays of bytes: TensorFlow would encode each str again.
        column = column.cast(pa.binary())
    values: Array = column.to_numpy(zero_copy_only=False)
    return values


def arrow(values: Array) -> pa.Array:
    """An output `[n]` or `[n, k]` as a column or a column of lists."""
    if values.ndim == 1:
        return pa.array(values)
    rows, width = values.shape
    offsets = np.arange(0, rows * width + 1, width, dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array(values.reshape(-1)))

"""Beam's stock transforms: `python -m benchmarks.contestants.stock METHOD TASK`.

`beam.io.ReadFromBigQuery` -> RunInference -> `beam.io.WriteToBigQuery`, with the same runner as
`bulkscore score` on one machine.  Where a setting is free, it is the fastest that was found:
batch size, `use_native_datetime`, one worker.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.ml.inference.base import ModelHandler, RunInference
from apache_beam.options.pipeline_options import GoogleCloudOptions

from benchmarks.connections import bigquery_client
from benchmarks.scorer import Scorer
from benchmarks.task import INPUT, OUTPUT, Report, Task, answer
from pipeline.job import pipeline_options
from scoring.runtime import tensorflow

# 1,000 and 100,000 rows a batch take as long.  Two worker processes instead of one take five
# times as long for 200,000 rows.
BATCH_ROWS = 10_000

Row = dict[str, Any]


class RowHandler(ModelHandler[Row, Row, Scorer]):
    """Scores dictionaries with a SavedModel; Beam's own handlers load none under Keras 3."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self._task = task

    def load_model(self) -> Scorer:
        """Loads the SavedModel."""
        return Scorer(self._task)

    def run_inference(
        self, batch: Sequence[Row], model: Scorer, inference_args: dict[str, Any] | None = None
    ) -> Iterator[Row]:
        """Scores one batch, an array for each input."""
        scoring = self._task.scoring
        columns = {name: _column(name, batch) for name in set(scoring.features.values())}
        outputs = {name: values.tolist() for name, values in model(columns).items()}
        kept = (scoring.key, *scoring.passthrough)
        for row, values in zip(batch, zip(*outputs.values(), strict=True), strict=True):
            yield {name: row[name] for name in kept} | dict(zip(outputs, values, strict=True))

    def batch_elements_kwargs(self) -> dict[str, Any]:
        """Batches of a fixed size."""
        rows = min(BATCH_ROWS, self._task.scoring.batch_rows)
        return {"min_batch_size": rows, "max_batch_size": rows}


def _column(name: str, batch: Sequence[Row]) -> np.ndarray:
    is_text = isinstance(batch[0][name], str | bytes)
    return np.array([row[name] for row in batch], dtype=object if is_text else None)


def score(task: Task, method: str) -> Report:
    """Scores the input table into the output table."""
    # bulkscore has imported it before its pipeline starts, too.
    tensorflow()
    options = pipeline_options([], temp_location=task.temp_location)
    options.view_as(GoogleCloudOptions).project = task.project
    schema = output_schema(task)
    started = time.perf_counter()
    root = beam.Pipeline(options=options)
    build(root, task, method, schema)
    root.run().wait_until_finish()
    return Report(time.perf_counter() - started, task.rows)


def build(root: beam.Pipeline, task: Task, method: str, schema: dict[str, Any]) -> None:
    """Adds the stock path to `root`."""
    rows = read(root, task, method)
    scored = rows | "RunInference" >> RunInference(RowHandler(task))
    write(scored, task, schema)


def read(root: beam.Pipeline, task: Task, method: str) -> beam.PCollection[Row]:
    """The input table as dictionaries."""
    return root | "ReadFromBigQuery" >> beam.io.ReadFromBigQuery(
        method=method,
        table=f"{task.project}:{INPUT}",
        # Arrow on the wire instead of the default Avro: the whole run takes half as long.
        use_native_datetime=method == beam.io.ReadFromBigQuery.Method.DIRECT_READ,
        gcs_location=task.temp_location,
    )


def write(scored: beam.PCollection[Row], task: Task, schema: dict[str, Any]) -> None:
    """Writes dictionaries to the output table by file loads, Beam's default for batch jobs."""
    _ = scored | "WriteToBigQuery" >> beam.io.WriteToBigQuery(
        f"{task.project}:{OUTPUT}",
        schema=schema,
        write_disposition=beam.io.BigQueryDisposition.WRITE_TRUNCATE,
    )


def output_schema(task: Task) -> dict[str, Any]:
    """The output table's: copied columns as in the source, then the outputs."""
    source = {
        f.name: f.to_api_repr() for f in bigquery_client(task.project).get_table(INPUT).schema
    }
    copied = [source[name] for name in (task.scoring.key, *task.scoring.passthrough)]
    made = [
        {"name": o.column, "type": o.type, "mode": "REPEATED" if o.repeated else "NULLABLE"}
        for o in task.scoring.outputs
    ]
    return {"fields": [*copied, *made]}


if __name__ == "__main__":
    answer(lambda task: score(task, sys.argv[1]))

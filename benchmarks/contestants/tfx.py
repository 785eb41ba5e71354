"""tfx-bsl's handler between Beam's stock transforms: `python -m benchmarks.contestants.tfx TASK`.

`beam.io.ReadFromBigQuery` -> tf.train.Example -> RunInference of tfx-bsl's `CreateModelHandler` ->
`beam.io.WriteToBigQuery`, for models that take Examples; it works for no others but those with one
input of strings.
"""

import time
from typing import Any

import apache_beam as beam
import tensorflow as tf
from apache_beam.ml.inference.base import KeyedModelHandler, RunInference
from apache_beam.options.pipeline_options import GoogleCloudOptions
from tfx_bsl.public.beam.run_inference import CreateModelHandler
from tfx_bsl.public.proto import model_spec_pb2

from benchmarks.contestants.stock import Row, output_schema, read, write
from benchmarks.task import Report, Scoring, Task, answer
from pipeline.job import pipeline_options


def score(task: Task) -> Report:
    """Scores the input table into the output table."""
    options = pipeline_options([], temp_location=task.temp_location)
    options.view_as(GoogleCloudOptions).project = task.project
    schema = output_schema(task)
    started = time.perf_counter()
    root = beam.Pipeline(options=options)
    rows = read(root, task, beam.io.ReadFromBigQuery.Method.DIRECT_READ)
    spec = model_spec_pb2.InferenceSpecType(
        saved_model_spec=model_spec_pb2.SavedModelSpec(
            model_path=task.model, signature_name=[task.scoring.signature]
        )
    )
    scored = (
        rows
        | "Examples" >> beam.Map(_keyed_example, task.scoring)
        | "RunInference" >> RunInference(KeyedModelHandler(CreateModelHandler(spec)))
        | "Rows" >> beam.Map(_row, task.scoring)
    )
    write(scored, task, schema)
    root.run().wait_until_finish()
    return Report(time.perf_counter() - started, task.rows)


def _keyed_example(row: Row, scoring: Scoring) -> tuple[tuple[Any, ...], tf.train.Example]:
    """What is copied of a row, and its Example."""
    example = tf.train.Example()
    for name, column in scoring.features.items():
        feature, value = example.features.feature[name], row[column]
        match value:
            case float():
                feature.float_list.value.append(value)
            case int():
                feature.int64_list.value.append(value)
            case str():
                feature.bytes_list.value.append(value.encode())
    return tuple(row[name] for name in _kept(scoring)), example


def _row(scored: tuple[tuple[Any, ...], Any], scoring: Scoring) -> Row:
    """The row of the output table for a PredictionLog."""
    kept, log = scored
    outputs = log.predict_log.response.outputs
    row = dict(zip(_kept(scoring), kept, strict=True))
    for output in scoring.outputs:
        values = tf.make_ndarray(outputs[output.name]).reshape(-1).tolist()
        row[output.column] = values if output.repeated else values[0]
    return row


def _kept(scoring: Scoring) -> tuple[str, ...]:
    return (scoring.key, *scoring.passthrough)


if __name__ == "__main__":
    answer(score)

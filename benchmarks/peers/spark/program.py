"""Spark: `python -m benchmarks.peers.spark.program TASK`, in the environment of this folder.

`predict_batch_udf` over Parquet, written as Parquet, then one load job.  It reads the local Parquet
files from which the input table was loaded: the faster source, as Spark's connector of BigQuery
does not speak to the embedded one.  The session runs, and its Python workers have imported
TensorFlow, before the measured span begins.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.ml.functions import predict_batch_udf
from pyspark.sql import SparkSession, types
from pyspark.sql import functions as sql

from benchmarks.connections import bigquery_client, load_parquet, upload_parquet
from benchmarks.scorer import Scorer
from benchmarks.task import Report, Task, answer
from scoring.runtime import tensorflow

_TYPES = {
    "FLOAT": types.FloatType,
    "INTEGER": types.LongType,
    "STRING": types.StringType,
    "BYTES": types.BinaryType,
}


def score(task: Task) -> Report:
    """Scores the source's Parquet files into the output table."""
    workers = os.cpu_count() or 1
    # Spark takes the python3 of the path.
    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = (
        SparkSession.builder.master(f"local[{workers}]")
        .config("spark.driver.memory", "6g")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", task.scoring.batch_rows)
        .config("spark.sql.parquet.compression.codec", "none")
        .config("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )
    try:
        warm = session.range(0, workers, 1, workers)
        warm.mapInArrow(_import_tensorflow, warm.schema).collect()
        started = time.perf_counter()
        _run(session, task)
        return Report(time.perf_counter() - started, task.rows)
    finally:
        session.stop()


def _run(session: Any, task: Task) -> None:
    scoring = task.scoring
    results = Path(task.folder) / "results"
    predict = predict_batch_udf(
        lambda: _predictor(task),
        return_type=types.StructType([_field(o) for o in scoring.outputs]),
        batch_size=scoring.batch_rows,
    )
    columns = [sql.col(name) for name in dict.fromkeys(scoring.features.values())]
    rows = session.read.parquet(task.table)
    scored = rows.select(scoring.key, *scoring.passthrough, predict(*columns).alias("scored"))
    scored.select(scoring.key, *scoring.passthrough, "scored.*").write.parquet(str(results))
    with ThreadPoolExecutor() as threads:
        uris = list(threads.map(lambda path: upload_parquet(task, path), results.glob("*.parquet")))
    load_parquet(bigquery_client(task.project), uris)


def _predictor(task: Task) -> Callable[..., dict[str, Any]]:
    """What scores the arrays of a batch, one for each feature column."""
    scorer = Scorer(task)
    names = list(dict.fromkeys(task.scoring.features.values()))

    def predict(*arrays: Any) -> dict[str, Any]:
        return scorer(dict(zip(names, arrays, strict=True)))

    # Spark gives as many arrays as it sees parameters.
    parameters = [Parameter(f"array_{i}", Parameter.POSITIONAL_ONLY) for i in range(len(names))]
    predict.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return predict


def _field(output: Any) -> Any:
    kind = _TYPES[output.type]()
    return types.StructField(output.column, types.ArrayType(kind) if output.repeated else kind)


def _import_tensorflow(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    # Two processes share the cores.
    tensorflow().config.threading.set_intra_op_parallelism_threads(1)
    yield from batches


if __name__ == "__main__":
    answer(score)

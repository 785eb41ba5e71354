"""TensorFlow alone on arrays in memory, the limit: `python -m benchmarks.contestants.bare TASK`.

The measured span has loading the model and calling it on every row, `batch_rows` rows a call and
`calls_at_once` of them at a time, with decoding or encoding where the workload has it; reading the
source and converting numbers to float32 come before, writing the results to a Parquet file comes
after.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.feeds import Array, Columns, prepared
from benchmarks.scorer import Scorer, arrays, arrow
from benchmarks.task import OUTPUT, Report, Task, answer
from scoring.runtime import tensorflow


def score(task: Task) -> Report:
    """Scores all rows, into a file in the task's folder that is called like the output table."""
    features = list(task.scoring.features.values())
    source = pq.read_table(task.table, columns=[task.scoring.key, *features])
    columns = prepared(arrays(source, features))
    tensorflow()
    started = time.perf_counter()
    results = _all(Scorer(task), columns, task)
    job_s = time.perf_counter() - started
    table = {task.scoring.key: source.column(task.scoring.key)} | results
    pq.write_table(pa.table(table), Path(task.folder) / f"{OUTPUT}.parquet")
    return Report(job_s, task.rows)


def _all(scorer: Scorer, columns: Columns, task: Task) -> dict[str, pa.Array]:
    step = task.scoring.batch_rows

    def called(start: int) -> dict[str, Array]:
        return scorer({name: values[start : start + step] for name, values in columns.items()})

    with ThreadPoolExecutor(task.scoring.calls_at_once) as threads:
        parts = list(threads.map(called, range(0, task.rows, step)))
    return {name: arrow(np.concatenate([part[name] for part in parts])) for name in parts[0]}


if __name__ == "__main__":
    answer(score)

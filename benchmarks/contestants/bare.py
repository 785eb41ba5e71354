"""TensorFlow alone on arrays in memory: `python -m benchmarks.contestants.bare [FOLDED] TASK`.

The measured span has loading the model and calling it on every row, `batch_rows` rows a call and
`calls_at_once` of them at a time, with decoding or encoding where the workload has it.  Not
measured: reading the source, a file at a time, converting numbers to float32, and writing the
results to a Parquet file.  With FOLDED the model's normalisations are folded, as by bulkscore.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.feeds import Array, Columns, prepared
from benchmarks.scorer import Scorer, arrays, arrow
from benchmarks.task import OUTPUT, Report, Scoring, Task, answer
from scoring.runtime import settle_devices

FOLDED = "--folded"


def score(task: Task, *, is_folded: bool = False) -> Report:
    """Scores all rows, into a file in the task's folder that is called like the output table."""
    settle_devices(None, task.scoring.calls_at_once)
    started = time.perf_counter()
    scorer = Scorer(task, is_folded=is_folded)
    job_s = time.perf_counter() - started
    features = list(task.scoring.features.values())
    with ExitStack() as stack:
        writer: pq.ParquetWriter | None = None
        for path in sorted(Path(task.table).iterdir()):
            source = pq.read_table(path, columns=[task.scoring.key, *features])
            columns = prepared(arrays(source, features))
            started = time.perf_counter()
            results = _all(scorer, columns, task.scoring)
            job_s += time.perf_counter() - started
            table = pa.table({task.scoring.key: source.column(task.scoring.key)} | results)
            if writer is None:
                output = Path(task.folder) / f"{OUTPUT}.parquet"
                writer = stack.enter_context(pq.ParquetWriter(output, table.schema))
            writer.write_table(table)
    return Report(job_s, task.rows)


def _all(scorer: Scorer, columns: Columns, scoring: Scoring) -> dict[str, pa.Array]:
    step = scoring.batch_rows
    rows = len(next(iter(columns.values())))

    def called(start: int) -> dict[str, Array]:
        return scorer({name: values[start : start + step] for name, values in columns.items()})

    with ThreadPoolExecutor(scoring.calls_at_once) as threads:
        parts = list(threads.map(called, range(0, rows, step)))
    return {name: arrow(np.concatenate([part[name] for part in parts])) for name in parts[0]}


if __name__ == "__main__":
    answer(lambda task: score(task, is_folded=FOLDED in sys.argv))

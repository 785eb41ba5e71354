"""Ray Data: `python -m benchmarks.peers.ray.program [COLD] TASK`, in this folder's environment.

`read_bigquery` -> `map_batches` -> `write_parquet`, then one load job; `write_bigquery` makes a
load job for each block and waits between them.  Functions instead of actors, so that reading,
scoring and writing become one task without a copy in the object store; Arrow tables as batches;
the cluster runs, and its workers have imported TensorFlow, before the measured span begins. With
COLD it begins with the cluster's start, as for a script that is run once.
"""

import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ray
from ray.data._internal.datasource import bigquery_datasource

from benchmarks.connections import (
    bigquery_client,
    load_parquet,
    read_client,
    upload_parquet,
)
from benchmarks.peers.ray import COLD
from benchmarks.peers.ray.steps import import_tensorflow, score_table
from benchmarks.task import INPUT, Report, Task, answer

# A block is read whole before it is scored.
_BLOCK_ROWS = 250_000


def score(task: Task, *, is_cold: bool) -> Report:
    """Scores the input table into the output table."""
    workers = os.cpu_count() or 1
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:
        started = time.perf_counter()
        ray.init(num_cpus=workers, include_dashboard=False, _temp_dir=folder)
        try:
            parts = {"start the cluster": time.perf_counter() - started}
            if not is_cold:
                imports = time.perf_counter()
                warm = ray.data.range(workers, override_num_blocks=workers)
                warm.map_batches(import_tensorflow).materialize()
                started = time.perf_counter()
                parts["import TensorFlow in workers"] = started - imports
            _run(task, blocks=max(workers, -(-task.rows // _BLOCK_ROWS)))
            return Report(time.perf_counter() - started, task.rows, parts)
        finally:
            ray.shutdown()


def _run(task: Task, blocks: int) -> None:
    # Its clients know no endpoints but Google's; workers get these with the reading task.
    bigquery_datasource._create_read_client = read_client
    bigquery_datasource._create_client = bigquery_client
    rows = ray.data.read_bigquery(task.project, dataset=INPUT, override_num_blocks=blocks)
    results = Path(task.folder) / "results"
    rows.map_batches(
        score_table, fn_args=(task,), batch_format="pyarrow", batch_size=None, zero_copy_batch=True
    ).write_parquet(str(results), compression="none", use_dictionary=False, write_statistics=False)
    with ThreadPoolExecutor() as threads:
        uris = list(threads.map(lambda path: upload_parquet(task, path), results.glob("*.parquet")))
    load_parquet(bigquery_client(task.project), uris)


if __name__ == "__main__":
    answer(lambda task: score(task, is_cold=COLD in sys.argv))

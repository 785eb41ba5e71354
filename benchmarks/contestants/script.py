"""The plain script of an expert with one machine: `python -m benchmarks.contestants.script TASK`.

BigQuery Storage Read, TensorFlow, Parquet files in Cloud Storage, one load job.  One thread reads
ahead while the model runs on a page, one writes what has been scored.  No retries, no rejects, no
accounts, nothing atomic.
"""

import queue
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from google.cloud.bigquery_storage_v1 import types

from benchmarks.connections import (
    bigquery_client,
    bucket_of,
    load_parquet,
    object_name,
    read_client,
)
from benchmarks.scorer import Scorer
from benchmarks.task import INPUT, Report, Task, answer
from scoring.runtime import settle_devices

_PAGES_AHEAD = 4
# Of results in memory, before they become a file.
_FILE_BYTES = 256 * 2**20


def score(task: Task) -> Report:
    """Scores the input table into the output table."""
    settle_devices(None, task.scoring.calls_at_once)
    started = time.perf_counter()
    with ThreadPoolExecutor(2) as threads:
        pages = _ahead(_pages(task), threads)
        scorer = Scorer(task)
        scored = (part for page in pages for part in scorer.score_in_calls(page))
        rows, uris = _write(scored, task, threads)
    load_parquet(bigquery_client(task.project), uris)
    return Report(time.perf_counter() - started, rows)


def _pages(task: Task) -> Iterator[pa.RecordBatch]:
    """The table's rows as the service sends them."""
    dataset, table = INPUT.split(".")
    wanted: Any = types.ReadSession(
        table=f"projects/{task.project}/datasets/{dataset}/tables/{table}",
        data_format=types.DataFormat.ARROW,
    )
    wanted.read_options.selected_fields = task.scoring.columns
    client = read_client()
    session = client.create_read_session(
        parent=f"projects/{task.project}", read_session=wanted, max_stream_count=1
    )
    schema = pa.ipc.read_schema(pa.py_buffer(session.arrow_schema.serialized_schema))
    for stream in session.streams:
        for message in client.read_rows(stream.name):
            page = message.arrow_record_batch.serialized_record_batch
            yield pa.ipc.read_record_batch(pa.py_buffer(page), schema)


def _ahead(
    pages: Iterator[pa.RecordBatch], threads: ThreadPoolExecutor
) -> Iterator[pa.RecordBatch]:
    """The same, read by a thread of its own up to some pages ahead."""
    read: queue.Queue[pa.RecordBatch | None] = queue.Queue(_PAGES_AHEAD)

    def fill() -> None:
        try:
            for page in pages:
                read.put(page)
        finally:
            read.put(None)

    reading = threads.submit(fill)
    # Started at once, so that the first pages come while the model is loaded.
    return _drained(read, reading)


def _drained(read: "queue.Queue[pa.RecordBatch | None]", reading: Any) -> Iterator[pa.RecordBatch]:
    while (page := read.get()) is not None:
        yield page
    reading.result()


def _write(
    batches: Iterable[pa.RecordBatch], task: Task, threads: ThreadPoolExecutor
) -> tuple[int, list[str]]:
    """Writes Parquet objects while the next batches are scored; the rows and the objects."""
    bucket = bucket_of(task)
    rows, size, gathered = 0, 0, list[pa.RecordBatch]()
    writes: list[Future[str]] = []
    for batch in batches:
        rows, size = rows + batch.num_rows, size + batch.nbytes
        gathered.append(batch)
        if size >= _FILE_BYTES:
            # One at a time bounds the memory.
            wait(writes)
            writes.append(threads.submit(_upload, bucket, gathered))
            size, gathered = 0, []
    if gathered:
        writes.append(threads.submit(_upload, bucket, gathered))
    return rows, [write.result() for write in writes]


def _upload(bucket: Any, batches: list[pa.RecordBatch]) -> str:
    """Writes one Parquet object; dictionaries and statistics would only cost time."""
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink, batches[0].schema, compression="none", use_dictionary=False, write_statistics=False
    ) as writer:
        writer.write_table(pa.Table.from_batches(batches))
    file = sink.getvalue()
    blob = bucket.blob(object_name())
    blob.upload_from_file(pa.BufferReader(file), size=file.size)
    return f"gs://{bucket.name}/{blob.name}"


if __name__ == "__main__":
    answer(score)

"""Parquet files for load jobs, made from bundles of record batches."""

import math
import time
import uuid
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, cast

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import Metrics
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue
from google.api_core import exceptions
from google.cloud.storage.exceptions import InvalidResponse

from scoring import metrics

_MIME_TYPE = "application/octet-stream"

# Of Arrow data: a row group of this size compresses well. A file has one, so that all but the
# last files of a bundle are complete, and uploaded, while the bundle is still being scored.
PARQUET_FILE_BYTES = 16 * 2**20

# The first files of a bundle are smaller, each twice as large as the one before: otherwise the
# uploads of a short bundle would begin when it ends. Below this a file costs more than it hides.
_LEAST_FILE_BYTES = 4 * 2**20

# A full pipe needs a second upload while the first one's end is being confirmed; more would only
# cost their memory.
_FILES_AT_ONCE = 2

FILES_BYTES = (_FILES_AT_ONCE + 1) * PARQUET_FILE_BYTES
"""Of Arrow data that a writer holds: a file is gathered while others are written."""

FileSize = tuple[str, int]
"""Path of a file and its bytes."""


class WriteParquet(beam.DoFn):
    """Writes the record batches of a bundle into new files in `folder`; emits their FileSizes."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def setup(self) -> None:
        self._write_us = Metrics.counter(metrics.NAMESPACE, metrics.WRITE_US)
        self._file_bytes = Metrics.counter(metrics.NAMESPACE, metrics.FILE_BYTES)

    def start_bundle(self) -> None:
        self._files = ParquetFiles(self._folder)

    def process(self, batch: pa.RecordBatch) -> None:
        started = time.perf_counter()
        self._files.write(batch)
        self._write_us.inc(int((time.perf_counter() - started) * 1e6))

    def finish_bundle(self) -> Iterator[WindowedValue]:
        started = time.perf_counter()
        files = self._files.close()
        self._write_us.inc(int((time.perf_counter() - started) * 1e6))
        for path, size in files:
            self._file_bytes.inc(size)
            yield GlobalWindows.windowed_value((path, size))


class ParquetFiles:
    """Record batches of one schema, written into as many new files of a folder as they fill.

    Threads encode and upload files while the batches of the next one are gathered.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._pending: list[pa.RecordBatch] = []
        self._pending_bytes = 0
        self._file_bytes = _LEAST_FILE_BYTES
        self._files: list[FileSize] = []
        self._threads = ThreadPoolExecutor(_FILES_AT_ONCE, "parquet")
        self._writing: deque[Future[FileSize]] = deque()

    def write(self, batch: pa.RecordBatch) -> None:
        """Adds a batch.

        Raises:
          Exception: a file before it could not be written.
        """
        self._pending.append(batch)
        self._pending_bytes += batch.nbytes
        if self._pending_bytes >= self._file_bytes:
            self._start_file(pa.Table.from_batches(self._pending))
            self._pending, self._pending_bytes = [], 0
            self._file_bytes = min(2 * self._file_bytes, PARQUET_FILE_BYTES)

    def close(self) -> list[FileSize]:
        """Finishes the last files and returns all of them.

        Raises:
          Exception: a file could not be written.
        """
        with self._threads:
            for rows in self._last_files():
                self._start_file(rows)
            while self._writing:
                self._finish_file()
        return self._files

    def _last_files(self) -> list[pa.Table]:
        """What is left: for as many files as are written at once, if it is much."""
        if not self._pending:
            return []
        rows = pa.Table.from_batches(self._pending)
        parts = _FILES_AT_ONCE if self._pending_bytes >= _FILES_AT_ONCE * _LEAST_FILE_BYTES else 1
        part_rows = max(1, math.ceil(rows.num_rows / parts))
        return [rows.slice(start, part_rows) for start in range(0, rows.num_rows, part_rows)]

    def _start_file(self, rows: pa.Table) -> None:
        if len(self._writing) == _FILES_AT_ONCE:
            self._finish_file()
        self._writing.append(self._threads.submit(_write_file, self._folder, rows))

    def _finish_file(self) -> None:
        """Waits for the oldest of the files that are being written."""
        self._files.append(self._writing.popleft().result())


def _write_file(folder: str, rows: pa.Table) -> FileSize:
    # A bundle that is done again must not touch the files that may be loaded already.
    path = FileSystems.join(folder, f"{uuid.uuid4().hex}.parquet")
    with _reason_of_the_service(), FileSystems.create(path, _MIME_TYPE, "uncompressed") as sink:
        with pq.ParquetWriter(
            sink,
            rows.schema,
            # Dictionaries pay for columns that are constant in the batch already, and cost
            # time for numbers, which hardly repeat.
            use_dictionary=[f.name for f in rows.schema if pa.types.is_dictionary(f.type)],
            write_statistics=False,
            coerce_timestamps="us",
        ) as writer:
            writer.write_table(rows, row_group_size=max(1, rows.num_rows))
        size = int(sink.tell())
    return path, size


@contextmanager
def _reason_of_the_service() -> Iterator[None]:
    """Says why Cloud Storage refused an upload: its client's error has the status alone."""
    try:
        yield
    except InvalidResponse as e:
        raise cast(Any, exceptions).from_http_response(e.response) from e

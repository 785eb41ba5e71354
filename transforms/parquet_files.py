"""Parquet files for load jobs, one from each bundle of record batches."""

import time
import uuid
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

# Row groups of this size compress well and are read in parallel; the writer holds two.
ROW_GROUP_BYTES = 16 * 2**20

FileSize = tuple[str, int]
"""Path of a file and its bytes."""


class WriteParquet(beam.DoFn):
    """Writes the record batches of a bundle into one new file in `folder`; emits its FileSize."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def setup(self) -> None:
        self._write_us = Metrics.counter(metrics.NAMESPACE, metrics.WRITE_US)
        self._file_bytes = Metrics.counter(metrics.NAMESPACE, metrics.FILE_BYTES)

    def start_bundle(self) -> None:
        self._file: ParquetFile | None = None

    def process(self, batch: pa.RecordBatch) -> None:
        started = time.perf_counter()
        if self._file is None:
            # A bundle that is done again must not touch the file that may be loaded already.
            path = FileSystems.join(self._folder, f"{uuid.uuid4().hex}.parquet")
            self._file = ParquetFile(path, batch.schema)
        self._file.write(batch)
        self._write_us.inc(int((time.perf_counter() - started) * 1e6))

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._file is None:
            return
        started = time.perf_counter()
        size = self._file.close()
        self._write_us.inc(int((time.perf_counter() - started) * 1e6))
        self._file_bytes.inc(size)
        yield GlobalWindows.windowed_value((self._file.path, size))


class ParquetFile:
    """A Parquet file being written, batches gathered into row groups.

    A thread encodes and uploads a row group while the next one is gathered.
    """

    def __init__(self, path: str, schema: pa.Schema) -> None:
        self.path = path
        self._sink = FileSystems.create(path, "application/octet-stream", "uncompressed")
        self._writer = pq.ParquetWriter(
            self._sink,
            schema,
            # Dictionaries pay for columns that are constant in the batch already, and cost
            # time for numbers, which hardly repeat.
            use_dictionary=[f.name for f in schema if pa.types.is_dictionary(f.type)],
            write_statistics=False,
            coerce_timestamps="us",
        )
        self._pending: list[pa.RecordBatch] = []
        self._pending_bytes = 0
        self._thread = ThreadPoolExecutor(1, "parquet")
        self._writing: Future[None] | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        """Adds a batch.

        Raises:
          Exception: a row group before it could not be written.
        """
        self._pending.append(batch)
        self._pending_bytes += batch.nbytes
        if self._pending_bytes >= ROW_GROUP_BYTES:
            self._flush()

    def close(self) -> int:
        """Finishes the file and returns its size in bytes.

        Raises:
          Exception: it could not be written.
        """
        with self._thread:
            self._flush()
            self._wait()
        with _reason_of_the_service():
            self._writer.close()
            size = int(self._sink.tell())
            self._sink.close()
        return size

    def _flush(self) -> None:
        self._wait()
        if self._pending:
            self._writing = self._thread.submit(self._write_group, self._pending)
        self._pending = []
        self._pending_bytes = 0

    def _wait(self) -> None:
        """Until no row group is being written."""
        if self._writing is not None:
            self._writing.result()
            self._writing = None

    def _write_group(self, batches: list[pa.RecordBatch]) -> None:
        rows = pa.Table.from_batches(batches)
        with _reason_of_the_service():
            self._writer.write_table(rows, row_group_size=max(1, rows.num_rows))


@contextmanager
def _reason_of_the_service() -> Iterator[None]:
    """Says why Cloud Storage refused an upload: its client's error has the status alone."""
    try:
        yield
    except InvalidResponse as e:
        raise cast(Any, exceptions).from_http_response(e.response) from e

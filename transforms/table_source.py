"""The rows of a table or of a query's result: the streams of one session of the Storage Read API.

Where one thread reads everything, it begins before the pipeline asks for it.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
from apache_beam.io.gcp import bigquery as beam_bigquery
from apache_beam.io.iobase import SourceBundle
from apache_beam.metrics import Metrics
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import types

from scoring import metrics
from transforms.batching import size_in_rows
from transforms.clients import bigquery_client, bigquery_read_client, job_once, reads_locally
from transforms.read_ahead import ReadAhead
from transforms.read_rows import ReadRowsMessage
from transforms.source import DIRECT_READ, Source
from transforms.streams import OPEN_RETRY, OPEN_TIMEOUT_S, stream_messages


class TableSource(beam_bigquery._CustomBigQueryStorageSource):
    """The whole table or result; splits into the streams of one read session."""

    def __init__(self, source: Source) -> None:
        super().__init__(
            method=DIRECT_READ,
            project=source.billing_project,
            use_standard_sql=True,
            use_native_datetime=True,
            **source.beam_name,
        )
        self._source = source

    def estimate_size(self) -> int | None:
        """Bytes of the table before any restriction; unknown for a query before it ran.

        Nor asked for when reading has begun: then there is nothing to decide by it.
        """
        if self._source.table is None or self._source.query_job_id in _opening:
            return None
        return int(self._client().get_table(self._source.table).num_bytes or 0)

    def split(
        self, desired_bundle_size: int, start_position: Any = None, stop_position: Any = None
    ) -> Iterator[SourceBundle]:
        """Opens the read session, if that has not begun, and yields a source for each stream."""
        opening = _opening.pop(self._source.query_job_id, None)
        streams = self._opened(desired_bundle_size) if opening is None else opening.result()
        for stream in streams:
            yield SourceBundle(1.0, stream, None, None)

    def _opened(self, bundle_bytes: int) -> list["_StreamSource"]:
        table = self._client().get_table(_table_of(self._source))
        wanted = int(table.num_bytes or 0) // bundle_bytes if bundle_bytes else 0
        least = int(self.MIN_SPLIT_COUNT)
        if reads_locally():
            # Each stream costs a call; of one machine only its processors need one each.
            least = len(os.sched_getaffinity(0))
        count = max(least, min(wanted, int(self.MAX_SPLIT_COUNT)))
        return _stream_sources(self._source, table.reference, count)

    def _client(self) -> bigquery.Client:
        return bigquery_client(self._source.billing_project)


class _StreamSource(beam_bigquery._CustomBigQueryStorageStreamSource):
    """One stream of a read session, as record batches."""

    def __init__(self, stream: str, serialized_schema: bytes, source: Source) -> None:
        super().__init__(stream, use_native_datetime=True)
        self._serialized_schema = serialized_schema
        self._is_filtered = bool(source.row_restriction)
        self._batch_rows = source.batch_rows

    def split(
        self, desired_bundle_size: int, start_position: Any = None, stop_position: Any = None
    ) -> Iterator[SourceBundle]:
        """A stream is not split further: the service balances the streams itself."""
        yield SourceBundle(1.0, self, None, None)

    def begin(self) -> None:
        """Begins to read, for the `read_arrow` of any copy of this source in this process."""
        _begun[self.read_stream_name] = self._reading()

    def give_up(self) -> None:
        """Nobody will read what has begun; no matter if somebody has."""
        reading = _begun.pop(self.read_stream_name, None)
        if reading is not None:
            reading.pages.close()

    def read_arrow(self) -> Iterator[pa.RecordBatch]:
        """The stream's pages."""
        read_us = Metrics.counter(metrics.NAMESPACE, metrics.READ_US)
        started = time.perf_counter()
        reading = _begun.pop(self.read_stream_name, None) or self._reading()
        for batch in reading.pages:
            read_us.inc(int((time.perf_counter() - started) * 1e6))
            while reading.throttled_s:
                # Beam's counter belongs to this thread.
                self.retry_delay_callback(reading.throttled_s.popleft())
            yield batch
            started = time.perf_counter()

    def _reading(self) -> "_Reading":
        throttled_s: deque[float] = deque()
        messages = stream_messages(
            self.read_stream_name, is_filtered=self._is_filtered, on_throttle=throttled_s.append
        )
        pages = ReadAhead(
            batches_of(messages, self._serialized_schema),
            size=partial(size_in_rows, full_batch_rows=self._batch_rows),
            enough=self._batch_rows,
        )
        return _Reading(pages, throttled_s)


@dataclass(frozen=True)
class _Reading:
    """A stream that a thread reads.

    Attributes:
      throttled_s: seconds of the pauses that the service has asked for and nobody has counted.
    """

    pages: ReadAhead[pa.RecordBatch]
    throttled_s: deque[float]


# By the names of their streams.
_begun: dict[str, _Reading] = {}

# The streams of sources that are being opened, by the ids of their queries' jobs.
_opening: dict[str, Future[list[_StreamSource]]] = {}


@contextmanager
def reading(source: Source) -> Iterator[None]:
    """A block during which the source is read ahead, for the pipeline of this process.

    A thread opens the read session and another reads the first pages; with a single stream, as
    nobody else reads, and each costs a call.  What nobody has read at the end is given up.
    """
    if source.method != DIRECT_READ:
        yield
        return
    opening: Future[list[_StreamSource]] = Future()
    _opening[source.query_job_id] = opening
    # A daemon: nobody waits at exit for a service that does not answer.
    threading.Thread(target=_open, args=(source, opening), daemon=True).start()
    try:
        yield
    finally:
        _opening.pop(source.query_job_id, None)
        opening.add_done_callback(_give_up)


def _open(source: Source, opening: Future[list[_StreamSource]]) -> None:
    try:
        streams = _stream_sources(source, _table_of(source), 1)
        for stream in streams:
            stream.begin()
    except BaseException as error:
        opening.set_exception(error)
    else:
        opening.set_result(streams)


def _give_up(opening: Future[list[_StreamSource]]) -> None:
    if opening.exception() is None:
        for stream in opening.result():
            stream.give_up()


def _table_of(source: Source) -> bigquery.TableReference:
    """The table that is read: the source's own, or the result of its query, which is run."""
    if source.table is None:
        return _query_result(source)
    return bigquery.TableReference.from_string(source.table)


def _query_result(source: Source) -> bigquery.TableReference:
    """Runs the query, or finds the job that ran it, and returns its anonymous table."""
    client = bigquery_client(source.billing_project)
    config = bigquery.QueryJobConfig()
    if source.kms_key is not None:
        key = bigquery.EncryptionConfiguration(source.kms_key)
        config.destination_encryption_configuration = key
    # Without job_retry=None a failed query would be tried again under the same id.
    start = partial(
        client.query,
        str(source.query),
        config,
        job_id=source.query_job_id,
        location=source.query_location,
        job_retry=None,
    )
    job = job_once(client, source.query_job_id, source.query_location, start)
    job.result()
    table: bigquery.TableReference = job.destination
    return table


def _stream_sources(
    source: Source, table: bigquery.TableReference, count: int
) -> list[_StreamSource]:
    """Opens a read session with at most so many streams."""
    session = open_session(source, table, count)
    schema = session.arrow_schema.serialized_schema
    return [_StreamSource(stream.name, schema, source) for stream in session.streams]


def open_session(source: Source, table: bigquery.TableReference, streams: int) -> Any:
    """A new read session of the table, with at most so many streams.

    Raises:
      GoogleAPICallError: there is no such table, or it cannot be read.
    """
    session: Any = types.ReadSession(
        table=f"projects/{table.project}/datasets/{table.dataset_id}/tables/{table.table_id}",
        data_format=types.DataFormat.ARROW,
    )
    options = session.read_options
    options.selected_fields = [c.name for c in source.columns]
    options.row_restriction = source.row_restriction or ""
    if not reads_locally():
        # On loopback, packing costs more than it saves.
        options.arrow_serialization_options.buffer_compression = (
            types.ArrowSerializationOptions.CompressionCodec.LZ4_FRAME
        )
    if source.snapshot_time is not None:
        session.table_modifiers.snapshot_time = source.snapshot_time
    return bigquery_read_client().create_read_session(
        parent=f"projects/{source.billing_project}",
        read_session=session,
        max_stream_count=streams,
        retry=OPEN_RETRY,
        timeout=OPEN_TIMEOUT_S,
    )


def batches_of(
    messages: Iterable[ReadRowsMessage], serialized_schema: bytes
) -> Generator[pa.RecordBatch, None, None]:
    """The rows of a stream's messages as record batches; none is empty."""
    schema = pa.ipc.read_schema(pa.py_buffer(serialized_schema))
    for message in messages:
        if message.row_count:
            yield pa.ipc.read_record_batch(message.page, schema)

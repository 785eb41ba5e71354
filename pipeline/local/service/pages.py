"""A read session's rows on disk: written once in the wire format, sent from there as they are.

The rows of a session must not change while it is read ("Use the BigQuery Storage Read API",
snapshot isolation). A copy in memory would cost 100 MB per million rows for as long as the server
lives; a file costs page cache, and each page is a serialized Arrow message that goes to the wire
without being touched again. The first pages can be read while the last are being written.
"""

from __future__ import annotations

import bisect
import os
import threading
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

PAGE_BYTES = 8 * 1024 * 1024
"""Largest page, unless one row alone is larger. The real service's limit is 100 MB a response."""

PAGE_ROWS = 65_536


class RowsDifferError(Exception):
    """A second look at the rows of a session found more or fewer."""


@dataclass(frozen=True)
class Page:
    """`rows` rows of the session from `first_row` on, as bytes [start, end) of its file."""

    first_row: int
    rows: int
    start: int
    end: int


@dataclass(frozen=True)
class Slice:
    """Part of a page that goes into one response."""

    first_row: int
    rows: int
    message: bytes | pa.Buffer


class Pages:
    """All rows of a session in order, some of which may still be on their way to the file.

    One thread writes, any number read: whoever asks for a page that is not there yet waits for it.
    The file has no name and lives as long as they do: nothing is left to clean up.
    """

    def __init__(self, path: Path, schema: pa.Schema, compression: str | None, rows: int) -> None:
        """Makes the file, whose name is gone at return.

        Args:
          compression: the codec of the buffers in the pages.
          rows: how many `write` will bring.
        """
        self.schema = schema
        self.rows = rows
        self._compression = compression
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode=0o600)
        weakref.finalize(self, os.close, self._file)
        path.unlink()
        self._pages: list[Page] = []
        self._failure: Exception | None = None
        self._changed = threading.Condition()

    def write(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Writes all rows; what goes wrong is raised where the rows are read."""
        try:
            self._write(batches)
        except Exception as error:
            with self._changed:
                self._failure = error
                self._changed.notify_all()

    def estimated_bytes(self) -> int:
        """About what all pages take; waits for the first one."""
        if not self.rows:
            return 0
        first = self._page(0)
        return (first.end - first.start) * self.rows // first.rows

    def slices(self, first_row: int, end_row: int) -> Iterator[Slice]:
        """The rows [first_row, end_row): whole pages as they lie, at the ends what is wanted.

        Raises:
            duckdb.Error: the rows could not be read.
            RowsDifferError: they are others than were counted.
            OSError: they could not be written.
        """
        if first_row >= end_row:
            return
        index = self._index_of(first_row)
        begin = first_row
        while begin < end_row:
            page = self._page(index)
            rows = min(end_row, page.first_row + page.rows) - begin
            if rows == page.rows:
                yield Slice(begin, rows, self._message(page))
            else:
                part = self._batch(page).slice(begin - page.first_row, rows)
                yield Slice(begin, rows, serialized(part, self._compression))
            index, begin = index + 1, begin + rows

    def _write(self, batches: Iterable[pa.RecordBatch]) -> None:
        first_row, start = 0, 0
        for batch in batches:
            for part in _parts(batch, self._compression):
                end = start + _write_all(self._file, part.message)
                with self._changed:
                    self._pages.append(Page(first_row, part.rows, start, end))
                    self._changed.notify_all()
                first_row, start = first_row + part.rows, end
        if first_row != self.rows:
            raise RowsDifferError(
                f"{first_row} rows came of {self.rows} that were counted; the restriction has to "
                "say the same of a row each time"
            )

    def _page(self, index: int) -> Page:
        with self._changed:
            self._changed.wait_for(lambda: self._failure or len(self._pages) > index)
            if len(self._pages) > index:
                return self._pages[index]
            raise self._failure or AssertionError("waited for nothing")

    def _index_of(self, row: int) -> int:
        """The page that has the row."""
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._failure
                    or (self._pages and self._pages[-1].first_row + self._pages[-1].rows > row)
                )
            )
            starts = [page.first_row for page in self._pages]
        return max(bisect.bisect_right(starts, row) - 1, 0)

    def _batch(self, page: Page) -> pa.RecordBatch:
        return pa.ipc.read_record_batch(pa.py_buffer(self._message(page)), self.schema)

    def _message(self, page: Page) -> bytes:
        return os.pread(self._file, page.end - page.start, page.start)


def _write_all(file: int, message: bytes | pa.Buffer) -> int:
    """Writes a message whole, which one call need not do, and returns its bytes."""
    left = memoryview(message)
    while left:
        left = left[os.write(file, left) :]
    return memoryview(message).nbytes


def _parts(batch: pa.RecordBatch, compression: str | None) -> Iterator[Slice]:
    """`batch` in messages of at most PAGE_BYTES; a single row is never divided."""
    pending = [batch] if batch.num_rows else []
    while pending:
        part = pending.pop()
        if part.num_rows > 1 and (part.nbytes > PAGE_BYTES or part.num_rows > PAGE_ROWS):
            half = part.num_rows // 2
            pending += [part.slice(half), part.slice(0, half)]
        else:
            yield Slice(0, part.num_rows, serialized(part, compression))


def serialized(batch: pa.RecordBatch, compression: str | None) -> pa.Buffer:
    """`batch` as one Arrow IPC message without schema, buffers compressed as asked."""
    if compression is None:
        return batch.serialize()
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
        message_end = sink.tell()
    # A stream opens with the schema's message, which is the same for every batch of a session.
    return sink.getvalue()[batch.schema.serialize().size : message_end]

"""Columns of URIs: the objects that they name, fetched ahead of the rows that need them.

Who scores brings the function that fetches one object; it is called in many threads at once.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import Self
from weakref import WeakSet, WeakValueDictionary

import numpy as np
import pyarrow as pa

from scoring.conversions import shown
from scoring.rejects import FEED, Fault
from scoring.schema import Field

MAX_OBJECT_BYTES = 64 * 2**20
"""A larger object is rejected.  As a JPEG it would be far beyond the pixels that are decoded."""

FETCH_THREADS = 32
"""Objects under way at once in a process.  A thread waits for the service most of the time: tens of
milliseconds for a small object, so that 32 of them fetch several hundred a second."""

# What comes at once: enough to score while the same number is on its way.
_CHUNK_ROWS = 64
_CHUNK_BYTES = 16 * 2**20
# What is held ahead, as far as the mean of the objects so far tells.  Before the first has come
# nothing does; eight of the largest are 512 MiB.
_AHEAD_OBJECTS = 64
_AHEAD_BYTES = 256 * 2**20
_FIRST_OBJECTS = 8

# Names of buckets begin and end so ("Bucket naming"); an object's may hold anything.
_URI = re.compile(r"gs://([A-Za-z0-9](?:[^/\s]*[A-Za-z0-9])?)/(.+)", re.DOTALL)

Fetch = Callable[[str], bytes]
"""The bytes of the object at a URI `gs://bucket/object`.

Raises:
  ObjectError: it cannot be had, now or later.
  FetchError: it did not come now, but may come later.
"""

_Cell = bytes | None
_Pending = Future[bytes] | None


class ObjectError(Exception):
    """Why the object at a URI can never feed a row, as the end of a sentence.

    Attributes:
      code: the reject code.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class ObjectField(Field):
    """The objects at a column's URIs as a column of BYTES with that column's name.

    Attributes:
      uri: the column of URIs: a STRING, not an ARRAY of them.
    """

    uri: Field = field(kw_only=True)

    @classmethod
    def at(cls, uri: Field) -> Self:
        """The objects that a column names."""
        return cls(name=uri.name, type="BYTES", uri=uri)

    @property
    def top(self) -> Field:
        """The column of the table that holds the URIs."""
        return self.uri.top

    @property
    def place(self) -> str:
        """Where a batch holds the objects: no column of BigQuery can have such a name."""
        return f"{self.name}@objects"

    def values(self, batch: pa.RecordBatch) -> pa.Array:
        """The objects in a batch of fetched rows."""
        return batch[self.place]

    @property
    def sql_type(self) -> str:
        """The type of the URIs, and that they are some."""
        return f"{self.uri.sql_type} of URIs"


def described(column: Field, rule: str) -> str:
    """What happens to each value of a column, given what happens once its object is there."""
    return (
        f"the bytes of the object at the URI, {rule}" if isinstance(column, ObjectField) else rule
    )


def split_uri(uri: str) -> tuple[str, str]:
    """The bucket and the object's name.

    Raises:
      ObjectError: it is not the URI of an object.
    """
    match = _URI.fullmatch(uri)
    if match is None:
        raise ObjectError("URI_NOT_VALID", "expected an object's URI, gs://BUCKET/OBJECT")
    return match[1], match[2]


@dataclass(frozen=True)
class FetchedRows:
    """Consecutive rows of a batch whose objects have come.

    Attributes:
      batch: all of these rows, as they were.
      rows: those without a fault, the objects in further columns; a NULL has a NULL object.
      faults: one for each of the others, by its position in `batch`.
      objects, object_bytes: what came for them and had not come for rows before.
      seconds: how long they were waited for.
    """

    batch: pa.RecordBatch
    rows: pa.RecordBatch
    faults: list[Fault]
    objects: int
    object_bytes: int
    seconds: float


class ObjectReader:
    """Fetches what the URIs of record batches name, in threads, in bounded memory."""

    def __init__(
        self,
        columns: Sequence[ObjectField],
        fetch: Fetch,
        seconds: Callable[[], float],
        fixed_batch_rows: int | None = None,
    ) -> None:
        """Fetches nothing yet.

        Args:
          seconds: a clock.
          fixed_batch_rows: the rows of a call, if their number is fixed: they come in multiples.
        """
        self._columns = columns
        self._fetch = fetch
        self._seconds = seconds
        fixed = fixed_batch_rows or 1
        self._chunk_rows = max(1, _CHUNK_ROWS // fixed) * fixed
        self._objects = 0
        self._bytes = 0

    def fetched(self, batch: pa.RecordBatch) -> Iterator[FetchedRows]:
        """The rows of a batch, in order, with their objects; the next ones are on their way.

        Raises:
          FetchError: from `fetch`.
        """
        if not batch.num_rows:
            return
        uris = [column.uri.values(batch).to_pylist() for column in self._columns]
        ahead = _Ahead(zip(*uris, strict=True), self._fetch)
        start = 0
        try:
            while start < batch.num_rows:
                started = self._seconds()
                objects, bytes_ = self._objects, self._bytes
                cells = self._next_rows(ahead)
                part = batch.slice(start, len(cells))
                rows, faults = self._with_objects(part, cells)
                yield FetchedRows(
                    part,
                    rows,
                    faults,
                    self._objects - objects,
                    self._bytes - bytes_,
                    self._seconds() - started,
                )
                start += len(cells)
        finally:
            ahead.cancel()

    def _next_rows(self, ahead: "_Ahead") -> list[list[_Cell | ObjectError]]:
        """What the next rows get: at least one, up to the number or the bytes of a chunk."""
        rows: list[list[_Cell | ObjectError]] = []
        size = 0
        while len(rows) < self._chunk_rows and size < _CHUNK_BYTES:
            ahead.fill(self._rows_ahead)
            pending = ahead.pop()
            if pending is None:
                break
            row = [_outcome(p) for p in pending]
            for cell, is_new in zip(row, ahead.new(pending), strict=True):
                if isinstance(cell, bytes):
                    size += len(cell)
                    self._objects += is_new
                    self._bytes += len(cell) * is_new
            rows.append(row)
        ahead.fill(self._rows_ahead)
        return rows

    @property
    def _rows_ahead(self) -> int:
        """How many rows' objects may be on their way or wait to be used."""
        objects = _FIRST_OBJECTS
        if self._objects:
            mean = max(1, self._bytes // self._objects)
            objects = min(_AHEAD_OBJECTS, _AHEAD_BYTES // mean)
        return max(1, objects // len(self._columns))

    def _with_objects(
        self, batch: pa.RecordBatch, cells: Sequence[Sequence[_Cell | ObjectError]]
    ) -> tuple[pa.RecordBatch, list[Fault]]:
        faults: list[Fault] = []
        good: list[int] = []
        for row, outcomes in enumerate(cells):
            for column, outcome in zip(self._columns, outcomes, strict=True):
                if isinstance(outcome, ObjectError):
                    uri = shown(column.uri.values(batch)[row].as_py())
                    message = f"column {column.name!r} holds {uri}: {outcome}"
                    faults.append(Fault(row, FEED, outcome.code, message))
                    break
            else:
                good.append(row)
        rows = batch.take(pa.array(np.array(good, np.int64))) if faults else batch
        for k, column in enumerate(self._columns):
            objects = pa.array([cells[row][k] for row in good], pa.binary())
            rows = rows.append_column(column.place, objects)
        return rows, faults


class _Ahead:
    """The objects of rows that are on their way or have come, in the order of the rows.

    A URI that several of these rows name is fetched once.
    """

    def __init__(self, rows: Iterator[tuple[str | None, ...]], fetch: Fetch) -> None:
        self._rows = rows
        self._fetch = fetch
        self._pending: deque[list[_Pending]] = deque()
        self._by_uri: WeakValueDictionary[str, Future[bytes]] = WeakValueDictionary()
        self._seen: WeakSet[Future[bytes]] = WeakSet()

    def fill(self, rows: int) -> None:
        """Begins to fetch until so many rows are pending or there are no more."""
        while len(self._pending) < rows:
            uris = next(self._rows, None)
            if uris is None:
                return
            self._pending.append([None if uri is None else self._begun(uri) for uri in uris])

    def pop(self) -> list[_Pending] | None:
        """The next row's objects, None after the last row."""
        return self._pending.popleft() if self._pending else None

    def new(self, pending: Iterable[_Pending]) -> list[bool]:
        """Which of a row's objects no row has had before."""
        found = []
        for future in pending:
            found.append(future is not None and future not in self._seen)
            if future is not None:
                self._seen.add(future)
        return found

    def cancel(self) -> None:
        """Fetches nothing more."""
        for future in (f for row in self._pending for f in row if f is not None):
            future.cancel()

    def _begun(self, uri: str) -> Future[bytes]:
        future = self._by_uri.get(uri)
        if future is None:
            future = _threads().submit(_object_at, uri, self._fetch)
            self._by_uri[uri] = future
        return future


def _object_at(uri: str, fetch: Fetch) -> bytes:
    split_uri(uri)
    return fetch(uri)


def _outcome(pending: _Pending) -> _Cell | ObjectError:
    """The object, None for a NULL, or why there is none."""
    try:
        return None if pending is None else pending.result()
    except ObjectError as e:
        return e


@cache
def _threads() -> ThreadPoolExecutor:
    """The process's threads for objects, which wait more than they work."""
    return ThreadPoolExecutor(FETCH_THREADS, thread_name_prefix="objects")

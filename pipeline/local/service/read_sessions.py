"""Read sessions: which rows, in which order, cut into which streams."""

from __future__ import annotations

import itertools
import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
from bqemulator.streaming.avro_serializer import arrow_schema_to_avro_json

from pipeline.local.service.geography import sent
from pipeline.local.service.pages import PAGE_BYTES, PAGE_ROWS, Pages
from pipeline.local.service.schema import (
    Field,
    arrow_schema,
    is_required,
)

LIFETIME = timedelta(hours=6)
"""Sessions expire 6 hours after creation ("Use the BigQuery Storage Read API")."""

MAX_STREAMS = 1000
_STREAM_BYTES = 4 * PAGE_BYTES
# Of which the width of a row is taken: a batch of more rows than a page has would be made as a
# whole before the first page is there.
_SAMPLE_ROWS = 100


@dataclass(frozen=True)
class Stream:
    """Rows [first_row, end_row) of a session."""

    name: str
    first_row: int
    end_row: int


@dataclass(frozen=True)
class Session:
    """The rows that were there when the session was made, and its streams so far.

    `avro_schema` is set when the rows travel as Avro instead of Arrow.
    """

    name: str
    pages: Pages
    expires: datetime
    streams: list[Stream]
    avro_schema: str | None


@dataclass(frozen=True)
class Selection:
    """What a session reads: `source` is SQL for a table, `restriction` SQL for a condition."""

    source: str
    fields: Sequence[Field]
    restriction: str | None

    def sql(self) -> str:
        """Selects the rows."""
        return self._select(", ".join(sent(field) for field in self.fields))

    def count_sql(self) -> str:
        """Counts them."""
        return self._select("COUNT(*)")

    def sample_sql(self) -> str:
        """Selects some rows of the source, whatever the restriction: it may leave hardly any."""
        return f"{replace(self, restriction=None).sql()} LIMIT {_SAMPLE_ROWS}"

    def _select(self, columns: str) -> str:
        where = f" WHERE {self.restriction}" if self.restriction else ""
        return f"SELECT {columns} FROM {self.source}{where}"


@dataclass(frozen=True)
class Terms:
    """How the rows travel. `max_streams` is a bound; 0 leaves their number to the server."""

    is_avro: bool
    compression: str | None
    max_streams: int


@dataclass(frozen=True)
class Sessions:
    """The sessions of a server. Safe to use from several threads."""

    folder: Path
    _sessions: dict[str, Session] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def create(
        self,
        connection: duckdb.DuckDBPyConnection,
        project: str,
        selection: Selection,
        terms: Terms,
    ) -> Session:
        """Begins to read the selected rows, and keeps them for 6 hours.

        Args:
            connection: of the session's own; it is closed when all rows have been written.

        Raises:
            duckdb.Error: the selection is not valid.
        """
        name = f"projects/{project}/locations/us/sessions/{uuid.uuid4().hex}"
        schema = arrow_schema(selection.fields)
        # All that the transaction reads is as it was at its first statement.
        connection.begin()
        counted = connection.execute(selection.count_sql()).fetchone()
        rows = int(counted[0]) if counted else 0
        path = self.folder / f"session-{uuid.uuid4().hex}"
        pages = Pages(path, schema, terms.compression, rows)
        sample = connection.execute(selection.sample_sql()).to_arrow_table()
        writing = (connection, selection.sql(), page_rows(sample), pages)
        threading.Thread(target=write_rows, args=writing, daemon=True).start()
        now = datetime.now(UTC)
        avro = _avro_schema(selection) if terms.is_avro else None
        streams = _streams(name, pages, terms.max_streams)
        session = Session(name, pages, now + LIFETIME, streams, avro)
        with self._lock:
            for old in [key for key, value in self._sessions.items() if value.expires < now]:
                del self._sessions[old]
            self._sessions[name] = session
        return session

    def find(self, stream_name: str) -> tuple[Session, Stream] | None:
        """The stream of that name and its session."""
        session = self._sessions.get(stream_name.partition("/streams/")[0])
        if session is None:
            return None
        with self._lock:
            streams = [stream for stream in session.streams if stream.name == stream_name]
        return (session, streams[0]) if streams else None

    def split(self, session: Session, stream: Stream, fraction: float) -> tuple[Stream, ...]:
        """Two streams that together are `stream`, or none when it cannot be divided there."""
        middle = stream.first_row + round((stream.end_row - stream.first_row) * fraction)
        if not stream.first_row < middle < stream.end_row:
            return ()
        token = uuid.uuid4().hex[:8]
        name = f"{session.name}/streams/{token}"
        halves = (
            Stream(f"{name}-0", stream.first_row, middle),
            Stream(f"{name}-1", middle, stream.end_row),
        )
        with self._lock:
            session.streams.extend(halves)
        return halves


def write_rows(
    connection: duckdb.DuckDBPyConnection, sql: str, batch_rows: int, pages: Pages
) -> None:
    """Writes the rows of a query; closes its connection however that ends."""
    with connection:
        pages.write(_batches(connection, sql, batch_rows, pages.schema))


def page_rows(sample: pa.Table) -> int:
    """How many rows like those of the sample fill a page."""
    row_bytes = sample.nbytes // max(sample.num_rows, 1)
    return int(max(1, min(PAGE_ROWS, PAGE_BYTES // max(row_bytes, 1))))


def _batches(
    connection: duckdb.DuckDBPyConnection, sql: str, batch_rows: int, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    reader = connection.execute(sql).to_arrow_reader(batch_rows)
    matches = reader.schema.equals(schema)
    for batch in reader:
        yield batch if matches else batch.cast(schema)


def _avro_schema(selection: Selection) -> str:
    required = frozenset(field["name"] for field in selection.fields if is_required(field))
    schema = arrow_schema(selection.fields)
    return arrow_schema_to_avro_json(schema, required_field_names=required)


def _streams(session_name: str, pages: Pages, max_streams: int) -> list[Stream]:
    """About equally many rows a stream, whole pages where they are many; none without rows."""
    if not pages.rows:
        return []
    by_size = max(1, pages.estimated_bytes() // _STREAM_BYTES)
    most = max(pages.estimated_bytes() // PAGE_BYTES, pages.rows // PAGE_ROWS, 1)
    count = min(max_streams or by_size, most, pages.rows, MAX_STREAMS)
    whole = PAGE_ROWS if count <= pages.rows // PAGE_ROWS else 1
    starts = [i * pages.rows // count // whole * whole for i in range(count)]
    return [
        Stream(f"{session_name}/streams/{number}", first, end)
        for number, (first, end) in enumerate(itertools.pairwise([*starts, pages.rows]))
    ]

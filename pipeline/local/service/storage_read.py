"""The BigQuery Storage Read API: CreateReadSession, ReadRows and SplitReadStream.

Replaces bqemulator's handler, which ignores `offset` (a resumed read repeats rows), fails on rows
wider than about 175 bytes, ignores compression and returns every row when `row_restriction` cannot
be parsed. What the real service does: "Use the BigQuery Storage Read API" and the reference of
package google.cloud.bigquery.storage.v1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import grpc
import pyarrow as pa
from bqemulator.api.dependencies import AppContext
from bqemulator.domain.errors import DomainError
from bqemulator.streaming.avro_serializer import serialize_arrow_table_to_avro_rows
from google.cloud.bigquery_storage_v1 import types

from pipeline.local.service.pages import RowsDifferError, Slice
from pipeline.local.service.read_sessions import Session, Sessions, Stream, Terms
from pipeline.local.service.selection import select

_SERVICE = "/google.cloud.bigquery.storage.v1.BigQueryRead"
_CODECS = {0: None, 1: "lz4", 2: "zstd"}
_INVALID = grpc.StatusCode.INVALID_ARGUMENT

# Fields of ReadRowsResponse, and the first one of either's message, which has the rows
# (google/cloud/bigquery/storage/v1/storage.proto, arrow.proto and avro.proto).
_AVRO_ROWS, _ARROW_RECORD_BATCH = 3, 4
_SERIALIZED_ROWS = 1


@dataclass(frozen=True)
class StorageReadHandler(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Routes the three calls; requests and responses travel as serialized messages."""

    context: AppContext
    sessions: Sessions

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """The handler of a call; None for one that is not of this service."""
        method = handler_call_details.method
        if method == f"{_SERVICE}/CreateReadSession":
            return grpc.unary_unary_rpc_method_handler(self._create_read_session)
        if method == f"{_SERVICE}/ReadRows":
            return grpc.unary_stream_rpc_method_handler(self._read_rows)
        if method == f"{_SERVICE}/SplitReadStream":
            return grpc.unary_unary_rpc_method_handler(self._split_read_stream)
        return None

    def _create_read_session(self, data: bytes, call: grpc.ServicerContext) -> bytes:
        request = types.CreateReadSessionRequest.deserialize(data)
        wanted = request.read_session
        is_avro = wanted.data_format == types.DataFormat.AVRO
        if not is_avro and wanted.data_format != types.DataFormat.ARROW:
            call.abort(_INVALID, "request failed: data_format must be ARROW or AVRO")
        options = wanted.read_options.arrow_serialization_options
        codec = None if is_avro else _CODECS[int(options.buffer_compression)]
        terms = Terms(is_avro, codec, request.max_stream_count)
        connection = self.context.engine.connection.cursor()
        try:
            selection = select(self.context, connection, wanted)
            project = request.parent.removeprefix("projects/")
            session = self.sessions.create(connection, project, selection, terms)
        except DomainError as error:
            connection.close()
            call.abort(grpc.StatusCode[error.grpc_status_name], error.message)
        except duckdb.Error as error:
            connection.close()
            call.abort(_INVALID, f"request failed: Query error: {error}")
        return bytes(types.ReadSession.serialize(_description(session, wanted)))

    def _read_rows(self, data: bytes, call: grpc.ServicerContext) -> Iterator[bytes]:
        """Sends the stream's rows from `offset` on: a client resumes there after a lost call."""
        request = types.ReadRowsRequest.deserialize(data)
        session, stream = self._find(request.read_stream, call)
        rows = stream.end_row - stream.first_row
        if not 0 <= request.offset <= rows:
            call.abort(
                grpc.StatusCode.OUT_OF_RANGE,
                f"offset {request.offset} is outside of {stream.name}, which has {rows} rows",
            )
        schema_sent = False
        try:
            for part in session.pages.slices(stream.first_row + request.offset, stream.end_row):
                response = _response(session, stream, part)
                if not schema_sent:
                    _add_schema(response, session)
                    schema_sent = True
                yield b"".join(_parts(response, session, part))
        except (duckdb.Error, RowsDifferError) as error:
            call.abort(_INVALID, f"request failed: Query error: {error}")
        except OSError as error:
            # Not UNKNOWN, which clients take for something that passes.
            call.abort(grpc.StatusCode.DATA_LOSS, f"rows could not be kept: {error}")

    def _split_read_stream(self, data: bytes, call: grpc.ServicerContext) -> bytes:
        """Two streams for one; both names are empty when the stream cannot be divided."""
        request = types.SplitReadStreamRequest.deserialize(data)
        session, stream = self._find(request.name, call)
        halves = self.sessions.split(session, stream, request.fraction or 0.5)
        response = types.SplitReadStreamResponse()
        if halves:
            response.primary_stream.name = halves[0].name
            response.remainder_stream.name = halves[1].name
        return bytes(types.SplitReadStreamResponse.serialize(response))

    def _find(self, stream_name: str, call: grpc.ServicerContext) -> tuple[Session, Stream]:
        found = self.sessions.find(stream_name)
        if found is None:
            call.abort(grpc.StatusCode.NOT_FOUND, f"Not found: Stream {stream_name}")
            raise AssertionError("abort returns only by raising")
        return found


def _description(session: Session, wanted: types.ReadSession) -> types.ReadSession:
    """The answer to CreateReadSession: what was asked for, and what there is to read."""
    answer = types.ReadSession(
        name=session.name,
        table=wanted.table,
        data_format=wanted.data_format,
        read_options=wanted.read_options,
        table_modifiers=wanted.table_modifiers,
        expire_time=session.expires,
        streams=[types.ReadStream(name=stream.name) for stream in session.streams],
        estimated_total_bytes_scanned=session.pages.estimated_bytes(),
        estimated_row_count=session.pages.rows,
    )
    _add_schema(types.ReadSession.pb(answer), session)
    return answer


def _add_schema(message: Any, session: Session) -> None:
    if session.avro_schema is None:
        schema = session.pages.schema.serialize()
        message.arrow_schema.serialized_schema = schema.to_pybytes()
    else:
        message.avro_schema.schema = session.avro_schema


def _response(session: Session, stream: Stream, part: Slice) -> Any:
    """A ReadRowsResponse without its rows, in protobuf's own classes."""
    response = types.ReadRowsResponse.pb(types.ReadRowsResponse())
    response.row_count = part.rows
    progress = response.stats.progress
    rows = stream.end_row - stream.first_row
    progress.at_response_start = (part.first_row - stream.first_row) / rows
    progress.at_response_end = (part.first_row - stream.first_row + part.rows) / rows
    return response


def _parts(response: Any, session: Session, part: Slice) -> Iterator[bytes | pa.Buffer]:
    """The response with its rows, serialized, in parts: a message with a page would copy it twice.

    Fields may come in any order ("Encoding" of Protocol Buffers).
    """
    if session.avro_schema is None:
        field, rows = _ARROW_RECORD_BATCH, part.message
    else:
        batch = pa.ipc.read_record_batch(pa.py_buffer(part.message), session.pages.schema)
        table = pa.Table.from_batches([batch])
        field, rows = _AVRO_ROWS, serialize_arrow_table_to_avro_rows(table, session.avro_schema)
    size = memoryview(rows).nbytes
    inner = _key(_SERIALIZED_ROWS) + _varint(size)
    yield response.SerializeToString()
    yield _key(field) + _varint(len(inner) + size) + inner
    yield rows


def _key(field: int) -> bytes:
    """What stands before a message or bytes: the number of the field and that a length follows."""
    return _varint(field << 3 | 2)


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; all but the last have the eighth bit set."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)

"""ReadRows with messages whose rows are copied once.

The message classes of google-cloud-bigquery-storage copy a page twice on top of what gRPC
does; without them reading takes half of the CPU time.  What is parsed here is described in
"Encoding" of Protocol Buffers and in `google/cloud/bigquery/storage/v1/storage.proto`.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pyarrow as pa
from google.api_core import gapic_v1
from google.cloud.bigquery_storage_v1 import BigQueryReadClient, types
from google.cloud.bigquery_storage_v1.services.big_query_read.transports.base import (
    DEFAULT_CLIENT_INFO,
)

_METHOD = "/google.cloud.bigquery.storage.v1.BigQueryRead/ReadRows"

# Where they are in a ReadRowsResponse: a field's number, then those of fields within it.
_PAGE = (4, 1)  # arrow_record_batch.serialized_record_batch
_ROW_COUNT = (6,)  # row_count
_PROGRESS = (2, 2, 2)  # stats.progress.at_response_end

# Ways to encode a field's value.
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class ReadRowsMessage:
    """What there is to know of a ReadRowsResponse.

    Attributes:
      page: the rows, an Arrow record batch as an encapsulated message; empty if there are none.
      row_count: rows of the page.
      progress: fraction of the stream's rows that the server has sent with this message, 0 if it
        does not say.
    """

    page: pa.Buffer
    row_count: int
    progress: float

    @classmethod
    def parse(cls, message: bytes) -> "ReadRowsMessage":
        """The message in the bytes of a ReadRowsResponse.

        Raises:
          ValueError, IndexError, struct.error: it is none.
        """
        view = memoryview(message)
        (progress,) = struct.unpack("<d", _found(view, _PROGRESS, bytes(8)))
        return cls(_aligned(_found(view, _PAGE, view[:0])), _found(view, _ROW_COUNT, 0), progress)


def read_rows(client: BigQueryReadClient, stream: str, offset: int, timeout_s: float) -> Any:
    """Calls ReadRows; an iterator of ReadRowsMessages, which can be cancelled.

    Args:
      offset: of the stream's rows, the first one wanted.

    Raises:
      GoogleAPICallError: as the client's own method, without any retry; also while iterating.
    """
    method = client.transport.grpc_channel.unary_stream(
        _METHOD,
        request_serializer=types.ReadRowsRequest.serialize,
        response_deserializer=ReadRowsMessage.parse,
    )
    api = cast(Any, gapic_v1)
    call = api.method.wrap_method(method, client_info=DEFAULT_CLIENT_INFO)
    request = types.ReadRowsRequest(read_stream=stream, offset=offset)
    routing = api.routing_header.to_grpc_metadata((("read_stream", stream),))
    return call(request, timeout=timeout_s, metadata=(routing,))


def _aligned(page: memoryview) -> pa.Buffer:
    """A copy where Arrow's buffers lie as they should: the page begins anywhere in its message."""
    copy = pa.allocate_buffer(len(page))
    np.frombuffer(copy, np.uint8)[:] = np.frombuffer(page, np.uint8)
    return copy


def _found(message: memoryview, path: Sequence[int], default: Any) -> Any:
    """The value of a field; of several the last one counts."""
    value = default
    for number, part in _fields(message):
        if number == path[0]:
            value = part if len(path) == 1 else _found(part, path[1:], value)
    return value


def _fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """Number and value of each field: an integer, or a part of the message."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, encoding = key >> 3, key & 7
        if encoding == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if encoding == _BYTES:
            size, at = _varint(message, at)
        elif encoding in (_FIXED64, _FIXED32):
            size = 8 if encoding == _FIXED64 else 4
        else:
            raise ValueError(f"field {number} is encoded as {encoding}, expected 0, 1, 2 or 5")
        if at + size > len(message):
            raise ValueError(f"field {number} ends after {len(message) - at} of {size} bytes")
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The integer that begins at a position, and the position after it."""
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7

"""Messages of ReadRows are read as protobuf's own classes read them."""

import struct
from typing import Any

import pyarrow as pa
import pytest
from google.cloud.bigquery_storage_v1 import types
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from transforms.read_rows import ReadRowsMessage

_RESPONSE: Any = types.ReadRowsResponse.pb()
_ROWS = st.integers(0, 2**63 - 1)

_responses = st.builds(
    _RESPONSE,
    row_count=_ROWS,
    arrow_record_batch=st.none()
    | st.builds(
        types.ArrowRecordBatch.pb(),
        serialized_record_batch=st.binary(max_size=300),
        row_count=_ROWS,
    ),
    stats=st.none()
    | st.builds(
        types.StreamStats.pb(),
        progress=st.none()
        | st.builds(
            types.StreamStats.Progress.pb(),
            at_response_start=st.floats(0, 1),
            at_response_end=st.floats(0, 1),
        ),
    ),
    throttle_state=st.none()
    | st.builds(types.ThrottleState.pb(), throttle_percent=st.integers(0, 100)),
    arrow_schema=st.none()
    | st.builds(types.ArrowSchema.pb(), serialized_schema=st.binary(max_size=20)),
    uncompressed_byte_size=st.none() | _ROWS,
)
# Fields that a later version of the service may add, in each of the encodings.
_unknown = st.sampled_from(
    [b"", b"\xf8\x06\x96\x01", b"\xf9\x06" + bytes(8), b"\xfa\x06\x03abc", b"\xfd\x06" + bytes(4)]
)


def _as_protobuf_says(message: bytes) -> tuple[bytes, int, float]:
    response = _RESPONSE.FromString(message)
    return (
        response.arrow_record_batch.serialized_record_batch,
        response.row_count,
        response.stats.progress.at_response_end,
    )


@given(st.lists(_responses, min_size=1, max_size=2), _unknown)
def test_a_message_is_what_protobuf_says(responses: list[Any], unknown: bytes) -> None:
    # One after the other they are one message, in which the later fields count.
    message = unknown.join(response.SerializeToString() for response in responses) + unknown
    parsed = ReadRowsMessage.parse(message)
    found = (parsed.page.to_pybytes(), parsed.row_count, parsed.progress)
    assert found == _as_protobuf_says(message)


@given(_responses)
def test_a_page_lies_as_arrow_wants_it(response: Any) -> None:
    page = ReadRowsMessage.parse(response.SerializeToString()).page
    assert page.address % 8 == 0


@given(_responses.filter(lambda response: response.ByteSize()), st.data())
def test_what_protobuf_refuses_is_refused(response: Any, data: st.DataObject) -> None:
    message = response.SerializeToString()
    cut = message[: data.draw(st.integers(0, len(message) - 1))]
    try:
        expected = _as_protobuf_says(cut)
    except DecodeError:
        with pytest.raises((ValueError, IndexError, struct.error)):
            ReadRowsMessage.parse(cut)
    else:
        parsed = ReadRowsMessage.parse(cut)
        assert (parsed.page.to_pybytes(), parsed.row_count, parsed.progress) == expected


def test_the_rows_of_a_page_are_read() -> None:
    rows = pa.record_batch({"id": [1, 2, 3], "name": ["a", None, "c"]})
    response = types.ReadRowsResponse(
        arrow_record_batch=types.ArrowRecordBatch(
            serialized_record_batch=rows.serialize().to_pybytes()
        ),
        row_count=3,
    )
    message = ReadRowsMessage.parse(types.ReadRowsResponse.serialize(response))
    assert pa.ipc.read_record_batch(message.page, rows.schema).equals(rows)

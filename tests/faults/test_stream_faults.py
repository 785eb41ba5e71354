"""Streams that break, end early, stall or are refused: each row once, or an error."""

from __future__ import annotations

import hurry
import pytest
from fault_plan import FOREVER, Fault, Kind, Point, Service
from faulty_cloud import FaultyCloud
from google.api_core.exceptions import PermissionDenied, ServiceUnavailable

from scoring.schema import Field
from transforms import streams
from transforms.source import Source
from transforms.table_source import batches_of, open_session

_ROWS = 95


@pytest.fixture(scope="module")
def source(faulty: FaultyCloud) -> Source:
    """A table with ten pages and the rows 1 to 95."""
    client = faulty.client
    client.create_dataset("streams")
    client.query(
        f"CREATE TABLE streams.t AS SELECT id FROM UNNEST(GENERATE_ARRAY(1, {_ROWS})) AS id"
    ).result()
    table = f"{client.project}.streams.t"
    return Source(table, None, (Field("id", "INTEGER"),), client.project, "no_query")


def _read(faulty: FaultyCloud, source: Source, fault: Fault | None) -> list[int]:
    """The ids of all rows, read as one stream."""
    client = faulty.client
    faulty.switch.arm(None)
    session = open_session(source, client.get_table(str(source.table)), 1)
    (stream,) = session.streams
    faulty.switch.arm(fault)
    with hurry.hurried_sleeps(), hurry.hurried_timeouts():
        messages = streams.stream_messages(stream.name, is_filtered=False)
        pages = list(batches_of(messages, session.arrow_schema.serialized_schema))
    return [row for page in pages for row in page["id"].to_pylist()]


def _stream(messages: int, nth: int = 1) -> Point:
    return Point("stream", Service.READ, "ReadRows", nth=nth, messages=messages)


@pytest.mark.parametrize("messages", [0, 1, 5])
@pytest.mark.parametrize(
    "kind",
    [
        Kind.STATUS_429,
        Kind.STATUS_500,
        Kind.STATUS_502,
        Kind.STATUS_503,
        Kind.STATUS_504,
        Kind.RESET,
        Kind.CUT,
        Kind.ENDS_EARLY,
    ],
    ids=str,
)
def test_every_row_comes_once(
    faulty: FaultyCloud, source: Source, kind: Kind, messages: int
) -> None:
    assert _read(faulty, source, Fault(kind, _stream(messages))) == list(range(1, _ROWS + 1))
    assert faulty.switch.happened == 1


def test_a_stream_may_break_after_every_message(faulty: FaultyCloud, source: Source) -> None:
    fault = Fault(Kind.STATUS_503, _stream(messages=1), times=FOREVER)

    assert _read(faulty, source, fault) == list(range(1, _ROWS + 1))
    assert faulty.switch.happened > 5


def test_a_stream_that_stalls_is_opened_again(faulty: FaultyCloud, source: Source) -> None:
    assert _read(faulty, source, Fault(Kind.HANG, _stream(2))) == list(range(1, _ROWS + 1))
    assert faulty.switch.unanswered == 0


def test_without_any_row_patience_ends(faulty: FaultyCloud, source: Source) -> None:
    fault = Fault(Kind.OUTAGE, _stream(messages=0), times=FOREVER)

    with pytest.raises(ServiceUnavailable, match="currently unavailable"):
        _read(faulty, source, fault)

    # Full jitter up to 1, 2, 4 ... 60 s, until 600 s have passed.
    assert 10 < faulty.switch.happened < 100


def test_what_is_permanent_fails_at_once(faulty: FaultyCloud, source: Source) -> None:
    fault = Fault(Kind.DENIED, _stream(messages=3), times=FOREVER)

    with pytest.raises(PermissionDenied, match="Permission denied by the test"):
        _read(faulty, source, fault)

    assert faulty.switch.happened == 1


@pytest.mark.parametrize(
    ("rows", "progress", "is_filtered", "doubtful"),
    [
        (0, 0.0, False, True),
        (0, 0.0, True, True),
        (100, 1.0, False, False),
        (100, 0.0, False, False),  # the server says nothing
        (100, 100 / 101, False, True),  # one row is missing
        (100, 0.5, True, False),
        (2_000_000_000, 2_000_000_000 / 2_000_000_001, False, True),
        (2_000_000_000, 1.0, False, False),
    ],
)
def test_when_an_end_is_doubted(
    rows: int, progress: float, is_filtered: bool, doubtful: bool
) -> None:
    assert streams._is_doubtful(rows, progress, is_filtered=is_filtered) == doubtful

"""One stream of a read session, read to its end whatever happens on the way.

google-cloud-bigquery-storage 2.43 resumes a stream after UNAVAILABLE, UNKNOWN and a reset alone, at
once and without limit, and lets a call last a day.
"""

import logging
import time
from collections.abc import Callable, Iterator

from google.api_core import retry
from google.api_core.exceptions import (
    Aborted,
    BadGateway,
    GatewayTimeout,
    GoogleAPICallError,
    InternalServerError,
    OutOfRange,
    ServiceUnavailable,
    TooManyRequests,
    Unknown,
)
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]

from transforms.clients import bigquery_read_client
from transforms.read_rows import ReadRowsMessage, read_rows

_LOGGER = logging.getLogger(__name__)

TRANSIENT = (
    Aborted,
    BadGateway,
    GatewayTimeout,  # also gRPC's DEADLINE_EXCEEDED
    InternalServerError,  # also a stream reset by the server
    ServiceUnavailable,  # also a lost connection
    TooManyRequests,  # also gRPC's RESOURCE_EXHAUSTED
    Unknown,  # also a connection that ended without a status
)
"""Errors after which the same call may succeed ("Error handling", google.rpc.Code; what gRPC makes
of transport errors: python-bigquery-storage issue 262)."""

CALL_TIMEOUT_S = 600.0
"""A call of ReadRows that has lasted so long is made anew at the row it has come to: nothing else
ends one whose server has gone silent. Ten minutes is the client's own limit for the other calls."""

PATIENCE_S = 600.0
"""Without a single row for so long a stream fails; the limit of DEFAULT_RETRY for BigQuery."""

_FIRST_DELAY_S = 1.0
_LONGEST_DELAY_S = 60.0

OPEN_RETRY = retry.Retry(
    predicate=retry.if_exception_type(*TRANSIENT),
    initial=_FIRST_DELAY_S,
    maximum=_LONGEST_DELAY_S,
    timeout=PATIENCE_S,
)
"""For CreateReadSession: a second session costs nothing, so that any transient error allows it."""

OPEN_TIMEOUT_S = 300.0


def stream_messages(
    stream: str, *, is_filtered: bool, on_throttle: Callable[[float], None] | None = None
) -> Iterator[ReadRowsMessage]:
    """The messages of a stream, each row once.

    After a transient error the stream is opened again at the row after the last one that came, with
    exponential back-off and jitter, until no row has come for PATIENCE_S.

    A lost connection is always an error in gRPC. Should a server nevertheless end a stream early
    as if it were complete, its report of progress shows it: a stream that says so, or that has no
    rows at all, is asked once more before its end is believed. With a row restriction, progress
    counts rows that are not sent, and only the empty stream is doubted.

    Args:
      is_filtered: whether the session has a row restriction.
      on_throttle: told the seconds that will be slept because the service asked to slow down.

    Raises:
      GoogleAPICallError: permanent, or the last of the transient ones.
    """
    client = bigquery_read_client()
    offset = 0
    doubted_offset = None
    backoff = _Backoff(on_throttle)
    while True:
        progress = 0.0
        call = None
        try:
            call = read_rows(client, stream, offset, CALL_TIMEOUT_S)
            for message in call:
                offset += message.row_count
                progress = message.progress
                backoff = _Backoff(on_throttle)
                yield message
        except TRANSIENT as error:
            backoff.sleep_after(error)
            continue
        except OutOfRange:
            if offset != doubted_offset:
                raise
        finally:
            if call is not None:
                call.cancel()
        if offset == doubted_offset or not _is_doubtful(offset, progress, is_filtered=is_filtered):
            return
        doubted_offset = offset
        _LOGGER.info("Stream %s ended after %d rows; asking whether there are more", stream, offset)


def _is_doubtful(rows: int, progress: float, *, is_filtered: bool) -> bool:
    """Whether a stream that ended without an error may have more rows.

    Args:
      progress: fraction of the stream's rows that the server had sent, 0 if it did not say.
    """
    if rows == 0:
        return True
    # One row more would make the fraction rows / (rows + 1); half a row is room for rounding.
    return not is_filtered and 0.0 < progress < rows / (rows + 0.5)


class _Backoff:
    """The pauses since the last row came."""

    def __init__(self, on_throttle: Callable[[float], None] | None) -> None:
        self._delays = retry.exponential_sleep_generator(_FIRST_DELAY_S, _LONGEST_DELAY_S)
        self._deadline: float | None = None
        self._on_throttle = on_throttle

    def sleep_after(self, error: GoogleAPICallError) -> None:
        """Waits before the next attempt; raises `error` when there shall be none."""
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = now + PATIENCE_S
        delay = max(next(self._delays), _requested_delay(error))
        if now + delay > self._deadline:
            raise error
        _LOGGER.warning("Reading goes on in %.1f s after: %s", delay, error)
        if self._on_throttle is not None and isinstance(error, TooManyRequests):
            self._on_throttle(delay)
        time.sleep(delay)


def _requested_delay(error: GoogleAPICallError) -> float:
    """Seconds that the service asks to wait."""
    asked = [d.retry_delay for d in error.details if isinstance(d, RetryInfo)]
    return max((d.seconds + d.nanos / 1e9 for d in asked), default=0.0)

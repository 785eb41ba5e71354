"""Time passes faster for whoever waits: sleeps are cut, but count in full against deadlines.

What a client does when a service fails for ten minutes can be seen in a second: the thread that
sleeps finds its clock advanced by what it asked for, so that retries end where they would.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any
from unittest import mock

import httplib2
import requests.adapters

from transforms import streams, table_source

SLEEP_FACTOR = 200.0
TIMEOUT_FACTOR = 80.0
_LONGEST_SLEEP_S = 0.05


@contextlib.contextmanager
def hurried_sleeps() -> Iterator[None]:
    """For the block, `time.sleep` returns early and `time.monotonic` includes what it left out."""
    ahead = threading.local()
    real_sleep, real_monotonic = time.sleep, time.monotonic

    def sleep(seconds: float) -> None:
        slept = min(seconds / SLEEP_FACTOR, _LONGEST_SLEEP_S)
        real_sleep(slept)
        ahead.seconds = getattr(ahead, "seconds", 0.0) + seconds - slept

    def monotonic() -> float:
        return real_monotonic() + float(getattr(ahead, "seconds", 0.0))

    with mock.patch.object(time, "sleep", sleep), mock.patch.object(time, "monotonic", monotonic):
        yield


@contextlib.contextmanager
def hurried_timeouts() -> Iterator[None]:
    """For the block, clients wait for an answer only a fraction of their timeouts.

    No timeout stays none.
    """
    send = requests.adapters.HTTPAdapter.send
    connection = httplib2.HTTPConnectionWithTimeout.__init__

    def hurried_send(self: Any, request: Any, *, timeout: Any = None, **keywords: Any) -> Any:
        return send(self, request, timeout=_fraction(timeout), **keywords)

    def hurried_connection(
        self: Any, host: str, port: Any = None, timeout: Any = None, **k: Any
    ) -> None:
        connection(self, host, port, _fraction(timeout), **k)

    with contextlib.ExitStack() as stack:
        for patch in (
            mock.patch.object(requests.adapters.HTTPAdapter, "send", hurried_send),
            mock.patch.object(httplib2.HTTPConnectionWithTimeout, "__init__", hurried_connection),
            mock.patch.object(streams, "CALL_TIMEOUT_S", streams.CALL_TIMEOUT_S / TIMEOUT_FACTOR),
            mock.patch.object(
                table_source, "OPEN_TIMEOUT_S", table_source.OPEN_TIMEOUT_S / TIMEOUT_FACTOR
            ),
        ):
            stack.enter_context(patch)
        yield


def _fraction(timeout: Any) -> Any:
    match timeout:
        case tuple():
            return tuple(_fraction(part) for part in timeout)
        case None:
            return None
        case _:
            return timeout / TIMEOUT_FACTOR

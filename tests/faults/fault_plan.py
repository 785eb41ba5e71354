"""Which call of a job fails, and how: the part of the proxy that knows no protocol."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

FOREVER = 1_000_000_000


class Service(StrEnum):
    """The three interfaces that a job talks to."""

    BIGQUERY = "BigQuery"
    STORAGE = "Cloud Storage"
    READ = "Storage Read"


class Kind(StrEnum):
    """What happens to a call.

    On the Storage Read API a status is the gRPC code that stands for it, and a lost connection is
    the code that gRPC clients make of one.
    """

    DELAY = "delay"
    STATUS_429 = "429"
    RATE_403 = "403, rate limit"  # how BigQuery says 429 of most calls
    STATUS_500 = "500"
    STATUS_502 = "502"
    STATUS_503 = "503"
    STATUS_504 = "504"
    DROP = "drop"  # closed before the request reached the server
    RESET = "reset"  # the same with a TCP reset
    LOST = "lost answer"  # applied, then closed
    APPLIED_503 = "applied, 503"  # applied, but answered as if not
    CUT = "cut"  # the answer ends in the middle
    ENDS_EARLY = "ends early"  # a gRPC stream ends in the middle as if it were complete
    HANG = "hang"  # applied, never answered
    OUTAGE = "503 for ever"
    DENIED = "403"
    KILL_BEFORE = "kill before"  # the job is killed before the request reaches the server
    KILL_AFTER = "kill after"  # the job is killed when the request has been applied


@dataclass(frozen=True)
class Point:
    """A place in the job: the `nth` call that matches.

    Attributes:
      method: HTTP method, or the name of a gRPC method.
      path: pattern for a part of the path with its query; not for gRPC.
      body: pattern for a part of the request's body; not for gRPC.
      messages: how many messages a gRPC stream delivers before it fails.
    """

    name: str
    service: Service
    method: str
    path: str = ""
    body: str = ""
    nth: int = 1
    messages: int = 0

    def __str__(self) -> str:
        return self.name

    def matches(self, service: Service, method: str, path: str, body: bytes) -> bool:
        """Whether a call is one of those that this point counts."""
        return (
            service == self.service
            and method == self.method
            and re.search(self.path, path) is not None
            and re.search(self.body.encode(), body) is not None
        )


@dataclass(frozen=True)
class Fault:
    """What goes wrong, where, and in how many matching calls from the nth on."""

    kind: Kind
    point: Point
    times: int = 1


@dataclass
class FaultSwitch:
    """What the proxies ask about every call; holds the fault of the moment and counts.

    Safe to use from several threads.

    Attributes:
      happened: calls that were made to fail since the fault was armed.
      unanswered: calls that were let hang and that the client did not give up in time.
      victim: kills the job.
    """

    happened: int = 0
    unanswered: int = 0
    victim: Callable[[], None] | None = None
    _fault: Fault | None = None
    _matching: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def arm(self, fault: Fault | None, victim: Callable[[], None] | None = None) -> None:
        """Sets the fault, None for none, and starts to count anew."""
        with self._lock:
            self._fault = fault
            self._matching = self.happened = self.unanswered = 0
            self.victim = victim

    def strike(self, service: Service, method: str, path: str, body: bytes) -> Fault | None:
        """The fault that this call meets, if any."""
        with self._lock:
            fault = self._fault
            if fault is None or not fault.point.matches(service, method, path, body):
                return None
            self._matching += 1
            if not 0 <= self._matching - fault.point.nth < fault.times:
                return None
            self.happened += 1
            return fault

    def give_up(self) -> None:
        """Counts a call that hung longer than any client should wait."""
        with self._lock:
            self.unanswered += 1

    def kill(self) -> None:
        """Kills the job."""
        if self.victim is None:
            raise ValueError("a fault that kills needs a victim")
        self.victim()

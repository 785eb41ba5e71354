"""`python -m pipeline.trial_program FD`: loads a model and scores rows for `pipeline.trial`.

It says what it is about to do before it does it, so that its end tells what brought it about.
"""

import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from typing import Any

import pyarrow as pa

from pipeline.trial import Request, TrialReport
from scoring.batch import Clock, Scorer, ScoringSpec
from scoring.errors import ScoringError
from scoring.grouping import grouping_warnings
from scoring.objects import Fetch
from scoring.runtime import tensorflow
from scoring.savedmodel import LoadedModel, call_with_zeros

_CLOCK = Clock(seconds=time.perf_counter, now=lambda: datetime.now(UTC))


def main(link: Connection) -> None:
    """Serves one request."""
    # Takes seconds, in which the other side reads the rows.
    tensorflow()
    request: Request = link.recv()
    with pa.ipc.open_stream(link.recv_bytes()) as stream:
        (rows,) = stream
    threading.Thread(target=_end_with_the_other_side, args=[link], daemon=True).start()

    def say(**answer: Any) -> None:
        link.send_bytes(json.dumps(answer).encode())

    try:
        report = _try(request, rows, lambda doing: say(doing=doing))
    except ScoringError as e:
        say(error=type(e).__name__, message=str(e))
    else:
        say(report=asdict(report))


def _try(request: Request, rows: pa.RecordBatch, announce: Callable[[str], None]) -> TrialReport:
    announce("being loaded")
    model = LoadedModel(request.folder, request.tags, request.signature)
    if request.spec is None:
        announce("being called with a row of zeros")
        call_with_zeros(model)
        return TrialReport(scored=0, rejected={}, first_reject=None, warnings=[])
    announce(f"being called with {_counted(rows.num_rows)}")
    fetch = _fetch(request.spec)
    outcomes = list(Scorer(request.spec, model, _CLOCK, fetch).score(rows))
    rejects = [r for o in outcomes if o.rejected is not None for r in o.rejected.to_pylist()]
    announce("being called with single rows")
    warnings = grouping_warnings(request.spec, model, _CLOCK, rows, fetch)
    return TrialReport(
        scored=rows.num_rows - len(rejects),
        rejected=dict(Counter(r["code"] for r in rejects).most_common()),
        first_reject=f"{rejects[0]['code']}, {rejects[0]['message']}" if rejects else None,
        warnings=list(warnings),
    )


def _fetch(spec: ScoringSpec) -> Fetch | None:
    """How objects are fetched here, if the rows name some."""
    if not spec.objects:
        return None
    # Few models need the client of Cloud Storage, and it takes long to import.
    from transforms.objects import object_fetcher

    return object_fetcher()


def _counted(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows} rows"


def _end_with_the_other_side(link: Connection) -> None:
    """Ends this process, whatever the model is at, when nobody waits for it any more."""
    try:
        link.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)


if __name__ == "__main__":
    main(Connection(int(sys.argv[1])))

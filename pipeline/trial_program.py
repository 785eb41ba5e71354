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
from dataclasses import asdict, replace
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from typing import Any

import pyarrow as pa

from pipeline.estimate import Usage
from pipeline.memory import peak_memory_bytes
from pipeline.trial import Request, TrialReport
from scoring.batch import CALLS_AT_ONCE, Clock, Scorer
from scoring.errors import ScoringError
from scoring.grouping import grouping_warnings
from scoring.imports import settle_arrow, use_jemalloc
from scoring.objects import Fetch
from scoring.runtime import settle_devices, tensorflow
from scoring.savedmodel import LoadedModel, call_with_zeros
from scoring.spec import ScoringSpec
from scoring.timing import measured_speed, settle_calls

_CLOCK = Clock(seconds=time.perf_counter, now=lambda: datetime.now(UTC))


def main(link: Connection) -> None:
    """Serves one request."""
    # As workers do.
    settle_arrow()
    use_jemalloc()
    base_bytes = peak_memory_bytes()
    # Takes seconds, in which the other side reads the rows.
    tensorflow()
    request: Request = link.recv()
    with pa.ipc.open_stream(link.recv_bytes()) as stream:
        (rows,) = stream
    threading.Thread(target=_end_with_the_other_side, args=[link], daemon=True).start()

    def say(**answer: Any) -> None:
        link.send_bytes(json.dumps(answer).encode())

    try:
        report, usage = _try(request, rows, base_bytes, lambda doing: say(doing=doing))
    except ScoringError as e:
        say(error=type(e).__name__, message=str(e))
    else:
        say(report=asdict(report), usage=asdict(usage))


def _try(
    request: Request, rows: pa.RecordBatch, base_bytes: int, announce: Callable[[str], None]
) -> tuple[TrialReport, Usage]:
    idle_bytes = peak_memory_bytes()
    announce("being loaded")
    settle_devices(threads=None, calls_at_once=CALLS_AT_ONCE)
    model = LoadedModel(request.folder, request.tags, request.signature, xla=request.xla)
    loaded_bytes = peak_memory_bytes()
    usage = Usage(base_bytes, idle_bytes, loaded_bytes, peak_bytes=loaded_bytes)
    if request.spec is None:
        announce("being called with a row of zeros")
        call_with_zeros(model)
        return TrialReport(scored=0, rejected={}, first_reject=None, warnings=[]), usage
    announce(f"being called with {_counted(rows.num_rows)}")
    fetch = _fetch(request.spec)
    scorer = Scorer(request.spec, model, _CLOCK, fetch)
    started = _CLOCK.seconds()
    outcomes = list(scorer.score(rows))
    first_seconds = _CLOCK.seconds() - started
    rejects = [r for o in outcomes if o.rejected is not None for r in o.rejected.to_pylist()]
    announce("being called with single rows")
    warnings = grouping_warnings(request.spec, model, _CLOCK, rows, fetch)
    report = TrialReport(
        scored=rows.num_rows - len(rejects),
        rejected=dict(Counter(r["code"] for r in rejects).most_common()),
        first_reject=f"{rejects[0]['code']}, {rejects[0]['message']}" if rejects else None,
        warnings=list(warnings),
    )
    if not report.scored:
        return report, usage
    announce("being timed")
    return report, _timed(usage, request.spec, model, rows, first_seconds)


def _timed(
    usage: Usage,
    spec: ScoringSpec,
    model: LoadedModel,
    rows: pa.RecordBatch,
    first_seconds: float,
) -> Usage:
    """`usage` with what scoring these rows takes, whose first time took so long."""
    scorer = Scorer(spec, model, _CLOCK, _fetch(spec), calls_at_once=CALLS_AT_ONCE)
    if spec.xla:
        settle_calls(scorer, rows)
    speed = measured_speed(
        scorer,
        rows,
        first_seconds,
        least_rows=spec.fixed_batch_rows or 1,
        wall=_CLOCK.seconds,
        cpu=time.process_time,
    )
    call_rows = scorer.call_rows(rows)
    return replace(
        usage,
        peak_bytes=peak_memory_bytes(),
        row_bytes=rows.nbytes / rows.num_rows,
        tried_rows=speed.call_rows,
        call_rows=call_rows,
        speed=speed,
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

"""Every kind of fault at every point of a job, one run each, and the table of what came of it."""

from __future__ import annotations

import itertools
import string
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import get_args

from job_points import KINDS, MODE_POINTS, POINTS, applies
from killed_jobs import KILLS
from tabulate import tabulate
from whole_job import GOOD, MODES, Finding, Outcome, Trial

from options.destination_flags import WriteMode

_SHORT = {
    Outcome.PUBLISHED: "P",
    Outcome.REFUSED: "R",
    Outcome.FAILED: "F",
    Outcome.PUBLISHED_FAILED: "PF",
}
_LEGEND = (
    "P  published, exit code 0\n"
    "R  refused, exit code 3, the output table as it was\n"
    "F  failed, the output table as it was; the same command again published, or was refused\n"
    "PF published, then failed; the same command again succeeded and changed nothing"
)

Results = dict[Trial, Finding]


def trials() -> list[Trial]:
    """All of them; where the write mode cannot matter, modes take turns."""
    modes = get_args(WriteMode)
    unknown = set(modes) - set(MODES)
    if unknown:
        raise LookupError(f"whole_job.MODES does not say what is expected of {sorted(unknown)}")
    turns = itertools.cycle(modes)
    return [
        Trial(kind, point, mode)
        for point in POINTS
        for kind in KINDS
        if applies(kind, point)
        for mode in MODE_POINTS.get(point) or (next(turns),)
    ]


def kill_trials() -> list[Trial]:
    """The places where the job is killed, with the write modes in turn."""
    modes = itertools.cycle(get_args(WriteMode))
    return [Trial(kind, point, next(modes)) for kind, point in KILLS]


def run_trials(run: Callable[[Trial], Finding], chosen: Sequence[Trial]) -> Results:
    """Runs them one after the other, saying how far it is and what goes wrong."""
    results: Results = {}
    for number, trial in enumerate(chosen, 1):
        started = time.perf_counter()
        finding = results[trial] = run(trial)
        elapsed_s = time.perf_counter() - started
        print(f"{number}/{len(chosen)} {trial}: {finding.outcome} {elapsed_s:.1f} s", flush=True)
        if finding.outcome not in GOOD:
            print(f"    exit code {finding.code}; {finding.detail}", flush=True)
    return results


def table(results: Results) -> str:
    """Kinds of faults down, points across, in each cell the outcomes and how many."""
    points = [p for p in POINTS if any(t.point == p for t in results)]
    letters = dict(zip(string.ascii_uppercase, points, strict=False))
    rows = [
        [str(kind), *(_cell(results, kind, point) for point in points)]
        for kind in KINDS
        if any(t.kind == kind for t in results)
    ]
    legend = "\n".join(f"{letter}  {point.name}" for letter, point in letters.items())
    return "\n\n".join((tabulate(rows, ["", *letters]), legend, _LEGEND))


def kill_table(results: Results) -> str:
    """A line for each place where the job was killed."""
    rows = [(str(t.kind), t.point.name, t.mode, str(f.outcome)) for t, f in results.items()]
    return tabulate(rows, ["", "call", "write mode", "run again"])


def _cell(results: Results, kind: object, point: object) -> str:
    found = Counter(
        finding.outcome
        for trial, finding in results.items()
        if trial.kind == kind and trial.point == point
    )
    return " ".join(f"{n} {_SHORT.get(outcome, outcome)}" for outcome, n in sorted(found.items()))


def summary(outcomes: Iterable[Outcome]) -> str:
    """The line at the end."""
    found = Counter(outcomes)
    line = (
        f"{found.total()} runs: {found[Outcome.LOST]} lost, {found[Outcome.DUPLICATED]} "
        f"duplicated, {found[Outcome.HALF]} half-published"
    )
    others = sorted(set(found) - GOOD - {Outcome.LOST, Outcome.DUPLICATED, Outcome.HALF})
    return line + "".join(f", {found[o]} {o.lower()}" for o in others)

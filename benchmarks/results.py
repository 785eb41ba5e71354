"""Runs as text and JSON: medians and extremes, and ratios between runs of the same round."""

import json
import os
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from operator import attrgetter
from pathlib import Path
from typing import Any

from tabulate import tabulate

from benchmarks.contestant import CONTESTANTS
from benchmarks.harness import Run
from benchmarks.workloads import WORKLOADS

Measure = Callable[[Run], float]

_MB = 10**6
_PACKAGES = ("apache-beam", "tensorflow", "pyarrow", "bqemulator", "duckdb")
_JOB_SPEED: Measure = attrgetter("rows_per_s")
_PROCESS_SPEED: Measure = attrgetter("process_rows_per_s")
_TIMES: tuple[tuple[str, str, Measure], ...] = (
    ("job s", ",.2f", attrgetter("report.job_s")),
    ("rows/s", ",.0f", _JOB_SPEED),
    ("process s", ",.1f", attrgetter("usage.wall_s")),
)
# Of bulkscore by the contestant.
_RATIOS: tuple[tuple[str, Measure], ...] = (
    ("ours ÷", _JOB_SPEED),
    ("ours ÷ process", _PROCESS_SPEED),
)
_RESOURCES: tuple[tuple[str, str, Measure], ...] = (
    ("CPU s", ",.1f", attrgetter("usage.cpu_s")),
    ("peak MB", ",.0f", lambda run: run.usage.peak_bytes / _MB),
    ("servers CPU s", ",.1f", attrgetter("usage.servers_cpu_s")),
    ("servers MB", ",.0f", lambda run: run.usage.servers_peak_bytes / _MB),
)
_HEADERS = (
    "",
    "rows",
    *(header for header, _, _ in _TIMES),
    *(header for header, _ in _RATIOS),
    *(header for header, _, _ in _RESOURCES),
)
EXPLANATION = """\
job: from constructing the pipeline or opening the read session until the results are in the table,
with loading the model, TensorFlow imported already. process: all of it, with starting Python,
without the servers. CPU and peak memory are those of the process and its children.
ours ÷: rows/s of bulkscore's job divided by this one's, in the same round; process: by the time of
the whole processes, which for some have a cluster or a session to start.
Median of all rounds (min … max)."""


@dataclass(frozen=True)
class Failure:
    """A contestant that did not end well."""

    workload: str
    contestant: str
    round: int
    message: str


def ratios(runs: Sequence[Run], contestant: str, speed: Measure = _JOB_SPEED) -> list[float]:
    """How many times as fast bulkscore was, in each round with both."""
    ours = {run.round: speed(run) for run in runs if run.contestant == "ours"}
    return [
        ours[run.round] / speed(run)
        for run in runs
        if run.contestant == contestant and run.round in ours
    ]


def text(runs: Sequence[Run]) -> str:
    """A table for each workload, in the order in which they were run."""
    names = dict.fromkeys(run.workload for run in runs)
    tables = [_workload_text(name, [r for r in runs if r.workload == name]) for name in names]
    return "\n\n".join([*tables, EXPLANATION])


def _workload_text(name: str, runs: Sequence[Run]) -> str:
    lines = []
    for contestant in dict.fromkeys(run.contestant for run in runs):
        mine = [run for run in runs if run.contestant == contestant]
        compared = [spread(ratios(runs, contestant, speed), ".2f") for _, speed in _RATIOS]
        figures = [*_spreads(_TIMES, mine), *compared, *_spreads(_RESOURCES, mine)]
        lines.append((CONTESTANTS[contestant].title, f"{mine[0].rows:,}", *figures))
    table = tabulate(
        lines,
        headers=_HEADERS,
        disable_numparse=True,
        colalign=("left", *["right"] * (len(_HEADERS) - 1)),
    )
    return f"{name}: {WORKLOADS[name].title}\n{table}"


def _spreads(measures: Sequence[tuple[str, str, Measure]], runs: Sequence[Run]) -> list[str]:
    return [spread([value(run) for run in runs], form) for _, form, value in measures]


def _titles(runs: Sequence[Run]) -> dict[str, str]:
    """Names of workloads and of contestants to what they are called; no two are the same."""
    titles = {}
    for run in runs:
        titles[run.workload] = WORKLOADS[run.workload].title
        titles[run.contestant] = CONTESTANTS[run.contestant].title
    return titles


def spread(values: Sequence[float], form: str) -> str:
    """Median (min … max), or the only value; a dash for none."""
    if not values:
        return "–"
    median, low, high = statistics.median(values), min(values), max(values)
    if low == high:
        return f"{median:{form}}"
    return f"{median:{form}} ({low:{form}} … {high:{form}})"


def write_json(path: Path, runs: Sequence[Run], failures: Sequence[Failure]) -> None:
    """Writes everything that was measured, with the machine and the versions."""
    used = dict.fromkeys(run.contestant for run in runs)
    document: dict[str, Any] = {
        "machine": {"cpus": os.cpu_count(), "platform": platform.platform()},
        "versions": {"python": platform.python_version()} | {p: version(p) for p in _PACKAGES},
        "titles": _titles(runs),
        "settings": {name: CONTESTANTS[name].settings for name in used},
        "runs": [asdict(run) | {"rows_per_s": run.rows_per_s} for run in runs],
        "failures": [asdict(failure) for failure in failures],
    }
    path.write_text(json.dumps(document, indent=2) + "\n")

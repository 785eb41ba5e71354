"""Runs as text and JSON: medians and extremes, and ratios between runs of the same round."""

import json
import os
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tabulate import tabulate

from benchmarks.contestant import CONTESTANTS
from benchmarks.harness import Run
from benchmarks.workloads import WORKLOADS

_MB = 10**6
_PACKAGES = ("apache-beam", "tensorflow", "pyarrow", "bqemulator", "duckdb")
_MEASURES: tuple[tuple[str, str, Callable[[Run], float]], ...] = (
    ("job s", ",.2f", lambda run: run.report.job_s),
    ("rows/s", ",.0f", lambda run: run.rows_per_s),
    ("process s", ",.1f", lambda run: run.usage.wall_s),
    ("CPU s", ",.1f", lambda run: run.usage.cpu_s),
    ("peak MB", ",.0f", lambda run: run.usage.peak_bytes / _MB),
    ("servers CPU s", ",.1f", lambda run: run.usage.servers_cpu_s),
    ("servers MB", ",.0f", lambda run: run.usage.servers_peak_bytes / _MB),
)
EXPLANATION = """\
job: from constructing the pipeline or opening the read session until the results are in the table,
with loading the model, TensorFlow imported already. process: all of it, with starting Python,
without the servers. CPU and peak memory are those of the process and its children.
ours ÷: rows/s of bulkscore's job divided by this one's, in the same round.
Median of all rounds (min … max)."""


@dataclass(frozen=True)
class Failure:
    """A contestant that did not end well."""

    workload: str
    contestant: str
    round: int
    message: str


def ratios(runs: Sequence[Run], contestant: str) -> list[float]:
    """How many times as many rows per second bulkscore scored, in each round with both."""
    ours = {run.round: run.rows_per_s for run in runs if run.contestant == "ours"}
    return [
        ours[run.round] / run.rows_per_s
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
        spreads = [spread([value(run) for run in mine], form) for _, form, value in _MEASURES]
        compared = spread(ratios(runs, contestant), ".2f")
        rows = f"{mine[0].rows:,}"
        lines.append((CONTESTANTS[contestant].title, rows, *spreads[:2], compared, *spreads[2:]))
    headers = [header for header, _, _ in _MEASURES]
    table = tabulate(
        lines,
        headers=("", "rows", *headers[:2], "ours ÷", *headers[2:]),
        disable_numparse=True,
        colalign=("left", *["right"] * (len(headers) + 2)),
    )
    return f"{name}: {WORKLOADS[name].title}\n{table}"


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

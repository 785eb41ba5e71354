"""Ten times the rows: `python -m benchmarks.scale`.

bulkscore scores a table of eight floats and one ten times as large, in turn.  Time should grow by
the same factor and memory not at all; both factors are reported, not judged.  Exits 1 if a result
is wrong, 2 if this machine cannot hold the larger table.
"""

import argparse
import shutil
import signal
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.__main__ import FOLDER, run_rounds, say, verdict
from benchmarks.contestant import CONTESTANTS
from benchmarks.harness import Run, prepare
from benchmarks.results import text, write_json
from benchmarks.workloads import WORKLOADS

_FACTOR = 10
# The embedded BigQuery bounds the size.  In memory it holds the input table, 99 bytes a row by
# DuckDB's own account of 1 million rows, and the run table and the output table, 22 bytes each.
_MEMORY_BYTES_PER_ROW = 99 + 2 * 22
# On disk are the source and a copy of it in the read session, nine columns of 8 bytes each, and the
# two columns of the result in Cloud Storage, as exported, and as expected.
_DISK_BYTES_PER_ROW = 2 * 72 + 3 * 16
_GB = 10**9


def main(arguments: Sequence[str] | None = None) -> int:
    """Scores both tables and prints how much longer and larger the second run was."""
    parser = _parser()
    given = parser.parse_args(arguments)
    shortage = _shortage(given.rows * _FACTOR, given.folder)
    if shortage is not None:
        parser.error(shortage)
    sizes = [WORKLOADS["a8"].with_rows(rows) for rows in (given.rows, given.rows * _FACTOR)]
    for workload in sizes:
        say(f"preparing {workload.rows:,} rows")
        prepare(workload, given.folder)
    pairs = [(workload, CONTESTANTS[given.contestant]) for workload in sizes]
    runs, failures = run_rounds(pairs, given.rounds, given.folder)
    for rows in dict.fromkeys(run.rows for run in runs):
        print(text([run for run in runs if run.rows == rows]) + "\n")
    if not failures:
        print(growth(runs))
    write_json(given.folder / "scale.json", runs, failures)
    return verdict(runs, failures)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000, help="of the smaller table")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each size, in turn")
    parser.add_argument("--contestant", choices=("ours", "script"), default="ours")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where all files go")
    return parser


def growth(runs: Sequence[Run]) -> str:
    """The factors between the medians of the two sizes among the runs."""
    small, large = ([r for r in runs if r.rows == rows] for rows in sorted({r.rows for r in runs}))

    def factor(values: list[float], base: list[float]) -> str:
        return f"{statistics.median(values) / statistics.median(base):.2f}"

    seconds = factor([r.report.job_s for r in large], [r.report.job_s for r in small])
    peak = factor([r.usage.peak_bytes for r in large], [r.usage.peak_bytes for r in small])
    return f"rows × {large[0].rows // small[0].rows}: job seconds × {seconds}, peak memory × {peak}"


def _shortage(rows: int, folder: Path) -> str | None:
    """What this machine has too little of for so many rows."""
    folder.mkdir(parents=True, exist_ok=True)
    for what, needed, there in (
        ("memory", rows * _MEMORY_BYTES_PER_ROW, _available_bytes()),
        ("disk", rows * _DISK_BYTES_PER_ROW, shutil.disk_usage(folder).free),
    ):
        if needed > there:
            return (
                f"{rows:,} rows need about {needed / _GB:.1f} GB of {what} for the embedded "
                f"services, {there / _GB:.1f} GB are free. Give fewer --rows"
            )
    return None


def _available_bytes() -> int:
    """Memory that programs can have, with what the kernel would give back (man 5 proc)."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    (available,) = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(available) * 1024


if __name__ == "__main__":
    # As Ctrl-C, which ends the contestant and the servers, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())

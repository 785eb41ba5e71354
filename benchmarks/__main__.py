"""bulkscore and other ways to score a table, side by side: `python -m benchmarks`.

All score the same rows with the same model against the same kind of embedded services, each as a
fresh process, in turn, in several rounds.  Exits 1 if a result is wrong or a contestant fails;
speed is reported, not judged.
"""

import argparse
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from benchmarks.contestant import CONTESTANTS, Contestant
from benchmarks.harness import Run, prepare, run
from benchmarks.processes import ProgramFailedError
from benchmarks.results import Failure, text, write_json
from benchmarks.workload import Workload
from benchmarks.workloads import WORKLOADS

FOLDER = Path("build/bench")
QUICK_WORKLOADS = "a8"
QUICK_CONTESTANTS = "ours,script,bare,stock_direct"
ALL = "all"

T = TypeVar("T")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what was chosen; 0 if all results are right, else 1."""
    parser = _parser()
    given = parser.parse_args(arguments)
    workloads = _chosen(parser, given.workloads, WORKLOADS)
    contestants = _chosen(parser, given.contestants, CONTESTANTS)
    for missing in filter(None, (contestant.missing for contestant in contestants)):
        parser.error(missing)
    workloads = [replace(w, flags=(*w.flags, *given.flags.split())) for w in workloads]
    pairs = list(_pairs(workloads, contestants, given.rows, full=given.full))
    for workload in {(w.name, w.rows): w for w, _ in pairs}.values():
        say(f"{workload.name}: preparing {workload.rows:,} rows")
        prepare(workload, given.folder)
    runs, failures = run_rounds(pairs, given.rounds, given.folder)
    if runs:
        print(text(runs))
    write_json(given.folder / "results.json", runs, failures)
    return verdict(runs, failures)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--workloads",
        default=QUICK_WORKLOADS,
        help=f"some of {','.join(WORKLOADS)}, or {ALL} (default: {QUICK_WORKLOADS})",
    )
    parser.add_argument(
        "--contestants",
        default=QUICK_CONTESTANTS,
        help=f"some of {','.join(CONTESTANTS)}, or {ALL} (default: {QUICK_CONTESTANTS}); those "
        "that cannot score a workload are left out of it",
    )
    parser.add_argument("--rounds", type=int, default=1, help="runs of each, in turn")
    parser.add_argument("--rows", type=int, help="rows of every workload instead of its own number")
    parser.add_argument(
        "--full", action="store_true", help="give slow contestants the whole table, too"
    )
    parser.add_argument(
        "--flags", default="", help="more arguments for bulkscore, such as --flags=--xla"
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where all files go")
    return parser


def _chosen(parser: argparse.ArgumentParser, names: str, known: dict[str, T]) -> list[T]:
    if names == ALL:
        return list(known.values())
    unknown = [name for name in names.split(",") if name not in known]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names.split(",")]


def _pairs(
    workloads: Sequence[Workload],
    contestants: Sequence[Contestant],
    rows: int | None,
    *,
    full: bool,
) -> Iterator[tuple[Workload, Contestant]]:
    """Who scores what, a slow contestant a smaller table of the same kind."""
    for workload in workloads:
        sized = workload.with_rows(rows) if rows else workload
        for contestant in contestants:
            if contestant.fits(workload):
                most = sized.rows if full else contestant.usual_rows or sized.rows
                yield sized.with_rows(min(sized.rows, most)), contestant


def run_rounds(
    pairs: Sequence[tuple[Workload, Contestant]], rounds: int, folder: Path
) -> tuple[list[Run], list[Failure]]:
    """Lets everyone run once a round, in turn."""
    runs, failures = [], []
    for number in range(1, rounds + 1):
        # There and back, so that a machine that changes slowly favours nobody.
        for workload, contestant in pairs if number % 2 else reversed(pairs):
            say(f"round {number} of {rounds}: {workload.name}, {contestant.title}")
            try:
                runs.append(run(workload, contestant, number, folder))
            except ProgramFailedError as e:
                failures.append(Failure(workload.name, contestant.name, number, str(e)))
                say(f"FAILED: {e}")
    return runs, failures


def verdict(runs: Sequence[Run], failures: Sequence[Failure]) -> int:
    """Says what went wrong; 0 if nothing did, else 1."""
    wrong = [problem for run in runs for problem in run.problems]
    for problem in wrong:
        say(f"WRONG: {problem}")
    for failure in failures:
        say(f"FAILED: {failure.workload}, {failure.contestant}, round {failure.round}")
    if wrong or failures:
        return 1
    print("\nEvery result is right: each row once, outputs as of TensorFlow alone.")
    return 0


def say(message: str) -> None:
    """Progress and complaints, on standard error."""
    print(f"benchmarks: {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    # As Ctrl-C, which ends the contestant and the servers, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())

"""Every kind of fault at every point of a job: nothing lost, nothing twice, nothing half-written.

    python tests/faults/sweep.py [--only TEXT]

Each run is a whole job whose tables are then compared row for row with what they must be. Exits
with 1 unless all runs are right.
"""

from __future__ import annotations

import argparse
import functools
import logging
import sys
import tempfile
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_LEAST_RUNS = 200


def main() -> int:
    """Runs the sweep and prints its table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="run the trials whose name has this in it")
    only = parser.parse_args().only
    # What the tests find by pytest's settings.
    sys.path[:0] = [str(_ROOT), str(_ROOT / "tests")]
    from fault_sweep import kill_table, kill_trials, run_trials, summary, table, trials
    from faulty_cloud import faulty_cloud
    from killed_jobs import run_killed
    from whole_job import GOOD, JobRunner

    chosen = [trial for trial in trials() if only in str(trial)]
    killed = [trial for trial in kill_trials() if only in str(trial)]
    logging.captureWarnings(True)
    with faulty_cloud() as faulty, tempfile.TemporaryDirectory() as folder:
        runner = JobRunner(faulty, Path(folder))
        results = run_trials(runner.run, chosen)
        kills = run_trials(functools.partial(run_killed, runner), killed)
    outcomes = [finding.outcome for finding in (*results.values(), *kills.values())]
    print(f"\n{table(results)}\n\n{kill_table(kills)}\n\n{summary(outcomes)}")
    enough = bool(only) or len(results) >= _LEAST_RUNS
    return 0 if enough and set(outcomes) <= GOOD else 1


if __name__ == "__main__":
    sys.exit(main())

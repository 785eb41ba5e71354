"""Jobs as processes that are killed at a given call, and the same command again."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from fault_plan import Kind, Point
from job_points import (
    COPY_INSERT,
    LOAD_INSERT,
    MIDDLE_MESSAGE,
    PUBLISHED_ROW,
    QUERY_INSERT,
    REJECTS_INSERT,
    REJECTS_LOAD,
    SCORED_ROW,
    TABLE_DELETE,
    UPLOAD_DATA,
)
from whole_job import GOOD, Finding, JobRunner, Outcome, Trial

_ROOT = Path(__file__).parents[2]
_JOB_TIMEOUT_S = 120.0
_BEFORE, _AFTER = Kind.KILL_BEFORE, Kind.KILL_AFTER

KILLS: tuple[tuple[Kind, Point], ...] = (
    (_AFTER, QUERY_INSERT),
    (_BEFORE, MIDDLE_MESSAGE),
    (_AFTER, UPLOAD_DATA),
    (_BEFORE, LOAD_INSERT),
    (_AFTER, LOAD_INSERT),
    (_AFTER, REJECTS_LOAD),
    (_AFTER, SCORED_ROW),
    (_AFTER, REJECTS_INSERT),
    (_BEFORE, COPY_INSERT),
    (_AFTER, COPY_INSERT),
    (_AFTER, PUBLISHED_ROW),
    (_BEFORE, TABLE_DELETE),
)
"""Places to die at, in the order of the job."""


def run_killed(runner: JobRunner, trial: Trial) -> Finding:
    """Kills the job with SIGKILL at the trial's call, then runs the same command again."""
    switch = runner.faulty.switch
    with runner.dataset(trial.mode) as dataset:
        command = [sys.executable, "-m", "pipeline", *runner.arguments(trial, dataset)]
        log = runner.folder / f"{dataset}.log"
        with (
            log.open("wb") as output,
            subprocess.Popen(command, cwd=_ROOT, stdout=output, stderr=output) as job,
        ):
            switch.arm(trial.fault, victim=job.kill)
            code = job.wait(_JOB_TIMEOUT_S)
        switch.arm(None)
        if code != -signal.SIGKILL:
            return Finding(Outcome.NOT_REACHED, code, log.read_text())
        killed = runner.judge(trial, dataset, code, "", runs=2)
        if killed.outcome not in GOOD:
            return killed
        code, said = runner.score(trial, dataset, faulty=False)
        finding = runner.judge(trial, dataset, code, said, runs=2)
        if finding.outcome in GOOD and code != runner.expected_code(trial):
            return replace(finding, outcome=Outcome.NOT_REPORTED)
        return finding

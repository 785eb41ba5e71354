"""kill -9 of a whole job, then the same command again; all the places are in the sweep."""

from __future__ import annotations

import pytest
from fault_plan import Kind, Point
from job_points import COPY_INSERT, MIDDLE_MESSAGE
from killed_jobs import KILLS, run_killed
from whole_job import JobRunner, Outcome, Trial


@pytest.mark.parametrize(
    ("kind", "point"),
    [(Kind.KILL_BEFORE, MIDDLE_MESSAGE), (Kind.KILL_AFTER, COPY_INSERT)],
    ids=str,
)
def test_a_killed_job_that_is_run_again_publishes_once(
    runner: JobRunner, kind: Kind, point: Point
) -> None:
    finding = run_killed(runner, Trial(kind, point, "append"))

    assert finding.outcome == Outcome.PUBLISHED, f"{finding.detail}\n{finding.said}"


def test_there_are_ten_places_to_die_at_and_more() -> None:
    assert len(set(KILLS)) >= 10

"""A few runs of the sweep: one of each kind of fault, spread over the job."""

from __future__ import annotations

import job_points as at
import pytest
from fault_plan import Kind, Point
from fault_sweep import summary, trials
from whole_job import JobRunner, Outcome, Trial


@pytest.mark.parametrize(
    ("kind", "point", "mode"),
    [
        (Kind.STATUS_504, at.TABLE_GET, "replace"),
        (Kind.LOST, at.QUERY_INSERT, "append"),
        (Kind.STATUS_429, at.SESSION_CREATE, "append"),
        (Kind.CUT, at.MIDDLE_MESSAGE, "replace"),
        (Kind.ENDS_EARLY, at.MIDDLE_MESSAGE, "append"),
        (Kind.RESET, at.UPLOAD_DATA, "replace"),
        (Kind.APPLIED_503, at.LOAD_INSERT, "replace"),
        (Kind.RATE_403, at.LOAD_POLL, "append"),
        (Kind.LOST, at.COPY_INSERT, "append"),
        (Kind.HANG, at.PUBLISHED_ROW, "replace"),
        (Kind.DROP, at.TABLE_DELETE, "append"),
    ],
    ids=str,
)
def test_what_passes_is_tried_again(runner: JobRunner, kind: Kind, point: Point, mode: str) -> None:
    finding = runner.run(Trial(kind, point, mode))

    assert finding.outcome == Outcome.PUBLISHED, f"{finding.detail}\n{finding.said}"


@pytest.mark.parametrize(
    ("kind", "point"),
    [(Kind.OUTAGE, at.UPLOAD_START), (Kind.DENIED, at.COPY_INSERT)],
    ids=str,
)
def test_what_lasts_fails_and_changes_nothing(runner: JobRunner, kind: Kind, point: Point) -> None:
    """The job that is run again without the fault publishes, which `run` checks, too."""
    finding = runner.run(Trial(kind, point, "replace"))

    assert finding.outcome == Outcome.FAILED, f"{finding.detail}\n{finding.said}"


def test_the_sweep_is_large_enough_and_covers_each_kind_at_each_point() -> None:
    planned = trials()

    assert len(planned) >= 200
    assert {t.point for t in planned} == set(at.POINTS)
    assert {t.kind for t in planned} == set(at.KINDS)


def test_the_last_line_names_what_went_wrong() -> None:
    outcomes = [Outcome.PUBLISHED, Outcome.FAILED, Outcome.LOST, Outcome.HUNG]

    assert summary(outcomes) == "4 runs: 1 lost, 0 duplicated, 0 half-published, 1 hung"

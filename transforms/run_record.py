"""Rows of the runs table: one for each state that a run reaches."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from scoring.schema import Field
from transforms.accounts import RunCounts
from transforms.call_statistics import CallStatistics
from transforms.plain_values import to_text
from transforms.publication import Publication

# All rows are loaded and counted; then the run is published or refused.
SCORED = "scored"
PUBLISHED = "published"
REFUSED = "refused"
# The pipeline ended before that; whoever launched it and waited says so.
FAILED = "failed"

RUNS_FIELDS = (
    Field("run_id", "STRING"),
    Field("state", "STRING"),
    Field("reason", "STRING"),
    Field("started_at", "TIMESTAMP"),
    Field("finished_at", "TIMESTAMP"),
    Field("source", "STRING"),
    Field("model", "STRING"),
    Field("model_digest", "STRING"),
    Field("signature", "STRING"),
    Field("output_table", "STRING"),
    Field("rows_read", "INTEGER"),
    Field("rows_scored", "INTEGER"),
    Field("rows_written", "INTEGER"),
    Field("rows_rejected", "INTEGER"),
    Field(
        "rejected_by_code",
        "RECORD",
        "REPEATED",
        (Field("code", "STRING"), Field("rows", "INTEGER")),
    ),
    Field("options", "STRING"),
    Field("attempt", "STRING"),
    Field("run_table", "STRING"),
    Field("write_mode", "STRING"),
    Field("snapshot_time", "TIMESTAMP"),
    # Rows with a NULL that a default stood in for, and with a NaN or an infinity in an output.
    Field("nulls_defaulted", "INTEGER"),
    Field("non_finite", "INTEGER"),
    Field("calls", "INTEGER"),
    # Calls with at most `rows` rows, a power of two, and more than half of it.
    Field(
        "batch_sizes",
        "RECORD",
        "REPEATED",
        (Field("rows", "INTEGER"), Field("calls", "INTEGER")),
    ),
    # Wall time summed over all workers, and of the longest call.
    Field("feed_ms", "INTEGER"),
    Field("call_ms", "INTEGER"),
    Field("outputs_ms", "INTEGER"),
    Field("longest_call_ms", "INTEGER"),
    # Of the load jobs that brought the predictions: their time and the size of their files.
    Field("load_ms", "INTEGER"),
    Field("loaded_bytes", "INTEGER"),
    Field("bulkscore_version", "STRING"),
    Field("beam_version", "STRING"),
    Field("tensorflow_version", "STRING"),
    # What publishing the run table needs, for whoever does it later; JSON.
    Field("publication", "STRING"),
)
"""Columns of the runs table. The first sixteen are as old as the table itself."""

Row = Mapping[str, Any]
"""A row of the runs table as load jobs take it: times as text, no arrays that are NULL."""


def planned_row(publication: Publication) -> Row:
    """What is known of a run before it starts."""
    return {
        **dict(publication.summary),
        "run_id": publication.run_id,
        "attempt": publication.attempt,
        "started_at": publication.started_at.isoformat(),
        "output_table": publication.output_table,
        "run_table": publication.run_table,
        "write_mode": publication.write_mode,
        "publication": to_text(publication),
    }


def scored_row(
    publication: Publication,
    counts: RunCounts,
    calls: CallStatistics,
    loads: Mapping[str, int],
    at: datetime,
) -> Row:
    """The row of a run all of whose rows are loaded and counted.

    Args:
      loads: the columns that speak of the load jobs.
    """
    row = {
        **planned_row(publication),
        **asdict(counts),
        "rejected_by_code": [{"code": c, "rows": n} for c, n in counts.rejected_by_code],
        **asdict(calls),
        "batch_sizes": [{"rows": rows, "calls": n} for rows, n in calls.batch_sizes],
        **loads,
    }
    return in_state(row, SCORED, at)


def in_state(row: Row, state: str, at: datetime, reason: str | None = None) -> Row:
    """The row of the same run in another state, reached at `at`.

    Args:
      reason: why the run was refused or failed.
    """
    return {**row, "state": state, "finished_at": at.isoformat(), "reason": reason}


def counts_of(row: Row) -> RunCounts:
    """The counts that a row holds."""
    return RunCounts(
        rows_read=row["rows_read"],
        rows_scored=row["rows_scored"],
        rows_written=row["rows_written"],
        rows_rejected=row["rows_rejected"],
        rejected_by_code=tuple((c["code"], c["rows"]) for c in row["rejected_by_code"]),
    )

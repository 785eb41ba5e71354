"""The sums of a run: every row that was read is scored or rejected, and what was made is there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

# Keys of the tallies beside the reject codes, which are upper case.
READ = "read"
SCORED = "scored"
WRITTEN = "written"

# The flag that a refusal for too many rejects names, and no other refusal.
REJECT_LIMIT = "--max_rejected_fraction"
_COMMONEST_CODES = 3


@dataclass(frozen=True)
class RunCounts:
    """Rows of a run, each counted where it passed.

    `rows_written` are rows of the output, the others of the source: they differ when a scored
    row becomes several.
    """

    rows_read: int
    rows_scored: int
    rows_written: int
    rows_rejected: int
    rejected_by_code: tuple[tuple[str, int], ...]


def tally(batch: pa.RecordBatch, name: str) -> tuple[str, int]:
    """The batch's rows, under the name of what they are."""
    return name, int(batch.num_rows)


def tally_codes(rejects: pa.RecordBatch) -> Iterator[tuple[str, int]]:
    """The rejects, under their codes."""
    for entry in pc.value_counts(rejects["code"]).to_pylist():
        yield entry["values"], entry["counts"]


def run_counts(rows: Mapping[str, int]) -> RunCounts:
    """The counts of a run from its tallies: what was read, scored, written, rejected by code."""
    codes = [(name, n) for name, n in rows.items() if name not in (READ, SCORED, WRITTEN)]
    return RunCounts(
        rows_read=rows.get(READ, 0),
        rows_scored=rows.get(SCORED, 0),
        rows_written=rows.get(WRITTEN, 0),
        rows_rejected=sum(n for _, n in codes),
        rejected_by_code=tuple(sorted(codes, key=lambda code: (-code[1], code[0]))),
    )


def refusal(
    counts: RunCounts, loaded_rows: int, loaded_rejects: int, max_rejected_fraction: float
) -> str | None:
    """Why a run must not be published, or None if it may.

    Args:
      loaded_rows: rows of the run table, as BigQuery counts them.
      loaded_rejects: the same of the run's rejects.
    """
    accounted = counts.rows_scored + counts.rows_rejected
    if counts.rows_read != accounted:
        return (
            f"{counts.rows_read:,} rows were read, but {counts.rows_scored:,} scored and "
            f"{counts.rows_rejected:,} rejected make {accounted:,}"
        )
    if loaded_rows != counts.rows_written:
        return f"{counts.rows_written:,} rows were written, but the run table has {loaded_rows:,}"
    if loaded_rejects != counts.rows_rejected:
        return (
            f"{counts.rows_rejected:,} rows were rejected, but {loaded_rejects:,} of them were "
            "loaded"
        )
    if counts.rows_rejected > max_rejected_fraction * counts.rows_read:
        commonest = ", ".join(
            f"{code} {rows:,}" for code, rows in counts.rejected_by_code[:_COMMONEST_CODES]
        )
        return (
            f"{counts.rows_rejected:,} of {counts.rows_read:,} rows were rejected "
            f"({counts.rows_rejected / counts.rows_read:.2%}), which is more than "
            f"{REJECT_LIMIT} {max_rejected_fraction:g} allows: {commonest}"
        )
    return None

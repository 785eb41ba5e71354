"""What a run reads, as the plan says it."""

from dataclasses import dataclass
from datetime import datetime

from scoring.schema import Field

DIRECT_READ = "DIRECT_READ"
EXPORT = "EXPORT"


@dataclass(frozen=True)
class Source:
    """What is read: a table, or the result of a query.

    Attributes:
      table: `project.dataset.table`, or None.
      query: GoogleSQL text, or None.
      columns: the columns that are read; others stay in BigQuery.
      row_restriction: SQL condition evaluated by the service, for a table.
      snapshot_time: the table as it was then; None is now.
      billing_project: the project that pays for the read.
      query_job_id: id of the query's job; the same id never runs the query twice.
      query_location: where that job runs; outside of the US and EU a job is only found with it.
      method: DIRECT_READ or EXPORT.
      kms_key: the Cloud KMS key that encrypts the query's result.
      batch_rows: rows that are scored together: a batch is read while the one before it is scored.
    """

    table: str | None
    query: str | None
    columns: tuple[Field, ...]
    billing_project: str
    query_job_id: str
    row_restriction: str | None = None
    snapshot_time: datetime | None = None
    method: str = DIRECT_READ
    query_location: str | None = None
    kms_key: str | None = None
    batch_rows: int = 1

    @property
    def beam_name(self) -> dict[str, str | None]:
        """The table or the query as Beam's transforms take it."""
        if self.table is None:
            return {"query": self.query}
        project, dataset, name = self.table.rsplit(".", 2)
        return {"table": f"{project}:{dataset}.{name}"}

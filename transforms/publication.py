"""What a run publishes where: the value that the plan makes and the publishing step follows."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scoring.portable import loaded_field, restoring_query
from scoring.schema import Field

_TABLE_DIGITS = 8


@dataclass(frozen=True)
class OutputProperties:
    """What the output table has beside its columns and layout.

    Attributes:
      labels: pairs (key, value) for a new table.
      description: of a new table.
      expiration_days: from its creation until a new table is deleted.
      kms_key: resource name of the Cloud KMS key of the output table, which also encrypts the
        tables that the run makes beside it.
    """

    labels: tuple[tuple[str, str], ...] = ()
    description: str | None = None
    expiration_days: int | None = None
    kms_key: str | None = None


def job_prefix(run_id: str, output_table: str) -> str:
    """How the ids of a run's jobs begin: the same for each attempt of the same run.

    The output table, `project.dataset.table`, is in it because runs of two tables may have the
    same id.
    """
    table = hashlib.sha256(output_table.encode()).hexdigest()[:_TABLE_DIGITS]
    return f"bulkscore_{run_id}_{table}"


@dataclass(frozen=True)
class Publication:
    """What is published where, and when not.

    Tables are `project.dataset.table`.

    Attributes:
      write_mode: replace, append, partition or merge.
      partition: id of the partition that mode `partition` replaces.
      key_columns: the columns that identify a row, by which mode `merge` matches.
      layout: JSON object with the `timePartitioning`, `rangePartitioning` and `clustering` of
        the output table, as in the REST API.
      makes_output: whether the output table is to be made before rows are put into it.
      max_rejected_fraction: the run is refused when more of the rows read are rejected.
      summary: the columns of the runs table that are known before the run.
      attempt: which launch of the run this is.
      rejects_run_table: the rejects of this attempt alone, until they are added to the others.
      rejects_layout: JSON object with the partitioning and clustering of the rejects table.
    """

    run_id: str
    attempt: str
    project: str
    run_table: str
    rejects_run_table: str
    output_table: str
    rejects_table: str
    runs_table: str
    write_mode: str
    max_rejected_fraction: float
    output_fields: tuple[Field, ...]
    reject_fields: tuple[Field, ...]
    layout: str
    started_at: datetime
    summary: tuple[tuple[str, str | None], ...]
    partition: str | None = None
    key_columns: tuple[str, ...] = ()
    output_properties: OutputProperties = OutputProperties()
    makes_output: bool = False
    rejects_layout: str = "{}"

    @property
    def output_layout(self) -> dict[str, Any]:
        """`layout` as an object."""
        return dict(json.loads(self.layout))

    @property
    def run_table_fields(self) -> tuple[Field, ...]:
        """The output's columns in types that load jobs take."""
        return tuple(map(loaded_field, self.output_fields))

    @property
    def run_table_layout(self) -> dict[str, Any]:
        """How the run table is partitioned and clustered: like the output if it is copied there.

        A copy job demands it ("Managing partitioned tables", "Copy a partitioned table").  Nothing
        else of the output's layout is taken over: rows of the run table must not expire, and are
        read without a filter.
        """
        return _copied(self.output_layout) if self.is_copied else {}

    @property
    def rejects_run_table_layout(self) -> dict[str, Any]:
        """The same for the run's rejects, which are always copied."""
        return _copied(json.loads(self.rejects_layout))

    def load_job_prefix(self, rows: str) -> str:
        """How the ids of the jobs begin that load this attempt's `rows`, scored or rejects."""
        return f"{job_prefix(self.run_id, self.output_table)}_load_{rows}_{self.attempt}"

    @property
    def is_copied(self) -> bool:
        """Whether a copy job publishes; otherwise it is a query job."""
        return self.write_mode != "merge" and self.publishing_query is None

    @property
    def publishing_query(self) -> str | None:
        """The query that publishes the run table, None if it is copied as it is.

        A copy costs nothing and a query is billed by bytes, so it is for the types alone that a
        copy could not restore.
        """
        return restoring_query(self.run_table, self.output_fields)


def _copied(layout: dict[str, Any]) -> dict[str, Any]:
    """What a copy job needs of a layout: not when partitions expire or how they are read."""
    kept = dict(layout)
    if "timePartitioning" in kept:
        kept["timePartitioning"] = {
            k: v for k, v in kept["timePartitioning"].items() if k in ("type", "field")
        }
    return kept

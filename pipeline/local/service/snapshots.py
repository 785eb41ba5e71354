"""Time travel that copies a table's rows only when they are about to change.

bqemulator copies a table after every write, twice the work and the memory for tables that are
written once. Here the copy is made before the next write, and dated to when its rows came to be.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from bqemulator.catalog.migrations.m002_versioning import SNAPSHOTS_SCHEMA
from bqemulator.catalog.models import SnapshotMeta
from bqemulator.domain.errors import OutOfRangeError
from bqemulator.domain.events import TableDataChanged
from bqemulator.versioning.snapshots import SnapshotManager

_Key = tuple[str, str, str]
_READS = ("SELECT", "WITH", "FROM", "DESCRIBE", "SHOW", "PRAGMA", "SET", "LOAD")
_DEFINITIONS = ("CREATE", "ALTER", "TRUNCATE")


def _names(sql: str, dataset: str, table: str) -> bool:
    """Whether a statement has a word that is the table and one that ends with the data set.

    DuckDB's schemas are called PROJECT__DATASET.
    """
    return all(
        re.search(rf"{before}{re.escape(word)}(?!\w)", sql, re.IGNORECASE)
        for before, word in (("(?<!\\w)", table), ("", dataset))
    )


class LateSnapshots(SnapshotManager):
    """bqemulator's snapshots; the newest state of a table is the table itself."""

    def __init__(self, engine: Any, **parts: Any) -> None:
        super().__init__(engine, **parts)
        self._since: dict[_Key, datetime] = {}
        engine.before_statement = self._before_statement

    def record_change(self, project_id: str, dataset_id: str, table_id: str) -> SnapshotMeta | None:
        """Notes that the table has got the rows it has now; copies nothing."""
        self._since[project_id, dataset_id, table_id] = self._clock.now()
        self._events.publish(TableDataChanged(project_id, dataset_id, table_id))
        return None

    def before_change(self, project_id: str, dataset_id: str, table_id: str) -> None:
        """Keeps the rows of a table that is about to get others; under the write lock."""
        since = self._since.pop((project_id, dataset_id, table_id), None)
        if since is None:
            return
        meta = self.capture(project_id, dataset_id, table_id)
        if meta is not None:
            expires = since + timedelta(days=self._retention_days)
            dated = meta.model_copy(update={"snapshot_time": since, "expires_at": expires})
            self._catalog.delete_snapshot(meta.snapshot_id, not_found_ok=True)
            self._catalog.create_snapshot(dated)

    def resolve_time_travel(
        self, project_id: str, dataset_id: str, table_id: str, target: datetime
    ) -> SnapshotMeta | None:
        """The copy that has the table's rows of that time; None if the table has them still.

        Raises:
            OutOfRangeError: the time is in the future, too long ago, or before the first rows.
        """
        moment = target.replace(tzinfo=UTC) if target.tzinfo is None else target
        since = self._since.get((project_id, dataset_id, table_id))
        now = self._clock.now()
        is_known = now - timedelta(days=self._retention_days) <= moment <= now
        if since is not None and is_known and since <= moment:
            return None
        found = super().resolve_time_travel(project_id, dataset_id, table_id, target)
        if found is None and since is not None:
            raise OutOfRangeError(
                "FOR SYSTEM_TIME AS OF is before the table's first captured state; "
                "no snapshot is available"
            )
        return found

    def drop_snapshots_for_table(
        self, project_id: str, dataset_id: str, table_id: str, *, include_user: bool = True
    ) -> int:
        """Forgets the table, which is deleted."""
        self._since.pop((project_id, dataset_id, table_id), None)
        return super().drop_snapshots_for_table(
            project_id, dataset_id, table_id, include_user=include_user
        )

    def _before_statement(self, sql: str) -> None:
        """Keeps the rows of every table that a statement of bqemulator's might change.

        It changes none that it does not name, and reports what DML changes. What it drops needs no
        copy: the real service's snapshots of deleted tables are not emulated.
        """
        statement = sql.lstrip().upper()
        if SNAPSHOTS_SCHEMA.upper() in statement or statement.startswith((*_READS, "DROP TABLE")):
            return
        for key in list(self._since):
            if _names(sql, *key[1:]):
                self.before_change(*key)
                if statement.startswith(_DEFINITIONS):
                    self._since[key] = self._clock.now()

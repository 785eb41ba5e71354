"""Where load, query and copy jobs write to: a table or one partition, all or nothing.

The real service: JobConfigurationLoad, JobConfigurationQuery and JobConfigurationTableCopy in "REST
Resource: jobs" ("each action is atomic and only occurs if BigQuery is able to complete the job
successfully"); "Load data into partitioned tables", "Write data to a specific partition".
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
from bqemulator.api.dependencies import AppContext
from bqemulator.api.routes import tables as routes
from bqemulator.catalog.models import TableMeta
from bqemulator.domain.errors import AlreadyExistsError, NotFoundError, ValidationError

from pipeline.local.service.layouts import LAYOUT, check_layout, partitioning, specification
from pipeline.local.service.schema import Field, duckdb_columns, is_required, quoted
from pipeline.local.service.tables import (
    TableName,
    before_change,
    count_rows,
    fields_of,
    find_table,
    layout_of,
    register_table,
    require_dataset,
    rows_of,
    table_name,
)

_DISPOSITIONS = ("WRITE_TRUNCATE", "WRITE_TRUNCATE_DATA", "WRITE_APPEND", "WRITE_EMPTY")
_EVERY_ROW = "true"


@dataclass(frozen=True)
class Destination:
    """A job's destination table, which need not exist yet.

    `properties` are the parts of a table's resource that the job gives.
    """

    name: TableName
    old: TableMeta | None
    disposition: str
    properties: Mapping[str, Any]

    @property
    def kept(self) -> list[Field]:
        """The columns that the table has and keeps; none where it gets those of the job."""
        if self.old is None:
            return []
        whole = self.name.partition is None and self.disposition == "WRITE_TRUNCATE"
        return [] if whole else fields_of(self.old)

    @property
    def layout(self) -> Mapping[str, Any]:
        """How the table is laid out: as before, a new one as the job says."""
        return layout_of(self.old) if self.old is not None else self.properties

    def prepare(self, connection: duckdb.DuckDBPyConnection, fields: Sequence[Field]) -> None:
        """Makes the table, or removes the rows that the job replaces.

        Raises:
            ValidationError: a table of these columns cannot be laid out like that.
        """
        self._check_layout(fields)
        if not self.kept:
            columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in duckdb_columns(fields))
            connection.execute(f"CREATE OR REPLACE TABLE {self.name.sql()} ({columns})")
        elif self.disposition in ("WRITE_TRUNCATE", "WRITE_TRUNCATE_DATA"):
            condition = self._condition(fields) or _EVERY_ROW
            connection.execute(f"DELETE FROM {self.name.sql()} WHERE {condition}")

    def insert(
        self, connection: duckdb.DuckDBPyConnection, fields: Sequence[Field], values: str
    ) -> int:
        """Runs ``INSERT INTO table <values>`` and returns the number of rows.

        Raises:
            ValidationError: a row belongs to another partition, or has NULL in a REQUIRED column.
        """
        condition = self._condition(fields)
        inside = f"{self.name.sql()} WHERE {condition}"
        before = count_rows(connection, inside) if condition else 0
        inserted = connection.execute(f"INSERT INTO {self.name.sql()} {values}").fetchone()
        rows = int(inserted[0]) if inserted else 0
        if condition and count_rows(connection, inside) - before != rows:
            raise ValidationError(
                f"Some rows belong to different partitions rather than destination partition "
                f"{self.name}"
            )
        check_required(connection, self.name, fields)
        return rows

    def register(
        self, context: AppContext, connection: duckdb.DuckDBPyConnection, fields: Sequence[Field]
    ) -> None:
        """Enters the written table into the catalog."""
        given = self.properties if self.old is None else _replaced_key(self)
        rows = count_rows(connection, self.name.sql())
        register_table(context, self.name, fields, rows, dict(given))
        context.snapshots.record_change(self.name.project, self.name.dataset, self.name.table)

    def _condition(self, fields: Sequence[Field]) -> str | None:
        if self.name.partition is None:
            return None
        divided = partitioning(self.layout, fields)
        if divided is None and self.old is None:
            raise ValidationError(
                "Partitioning specification must be provided in order to create partitioned table"
            )
        if divided is None:
            raise ValidationError(
                "Cannot add storage to a non-partitioned table with a partition reference: "
                f"{self.name}"
            )
        return divided.condition(self.name.partition)

    def _check_layout(self, fields: Sequence[Field]) -> None:
        check_layout(self.layout, fields)
        if self.old is None or not any(self.properties.get(part) for part in LAYOUT):
            return
        expected = specification(self.layout, fields)
        given = specification(self.properties, fields)
        if expected != given:
            raise ValidationError(
                "Incompatible table partitioning specification. Expects partitioning "
                f"specification {expected}, but input partitioning specification is {given}"
            )


def open_destination(
    context: AppContext, configuration: Mapping[str, Any], project: str, default_disposition: str
) -> Destination:
    """The destination of a job; `configuration` is the job's own part of it.

    Raises:
        DomainError: the dataset or, with CREATE_NEVER, the table is missing; there are rows and
            the disposition is WRITE_EMPTY; or the table has no such partition.
    """
    name = table_name(configuration["destinationTable"], project)
    require_dataset(context, name)
    old = find_table(context, name)
    if old is None and configuration.get("createDisposition") == "CREATE_NEVER":
        raise NotFoundError(f"Not found: Table {name}")
    disposition = str(configuration.get("writeDisposition") or default_disposition)
    if disposition not in _DISPOSITIONS:
        raise ValidationError(
            f"Invalid writeDisposition {disposition}: expected one of {', '.join(_DISPOSITIONS)}"
        )
    destination = Destination(name, old, disposition, _table_properties(configuration))
    if old is not None:
        _check_existing(context, destination, old)
        before_change(context, name)
    return destination


def _check_existing(context: AppContext, destination: Destination, old: TableMeta) -> None:
    name = destination.name
    if old.table_type != "TABLE":
        raise ValidationError(f"{name} is a {old.table_type}, which jobs cannot write to")
    if destination.disposition == "WRITE_EMPTY":
        connection = context.engine.connection
        if destination.kept and count_rows(connection, rows_of(context, name)):
            raise AlreadyExistsError(f"Already Exists: Table {name}")
    resource = routes._table_to_rest(old)
    for key in ("description", "labels", "friendlyName"):
        given = destination.properties.get(key)
        if given and given != resource.get(key):
            raise ValidationError(
                f"destinationTableProperties.{key} is for new tables: {name} exists and has another"
            )


def _table_properties(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """What a job says of the table that it makes, as parts of a table's resource.

    `destinationTableProperties` are "only used if the destination table is newly created".
    """
    properties = {key: configuration[key] for key in LAYOUT if configuration.get(key)}
    properties |= configuration.get("destinationTableProperties") or {}
    if configuration.get("destinationEncryptionConfiguration"):
        properties["encryptionConfiguration"] = configuration["destinationEncryptionConfiguration"]
    return properties


def _replaced_key(destination: Destination) -> dict[str, Any]:
    """A table that is overwritten is encrypted anew ("Customer-managed Cloud KMS keys")."""
    key = destination.properties.get("encryptionConfiguration")
    return {"encryptionConfiguration": key} if key and not destination.kept else {}


def check_required(
    connection: duckdb.DuckDBPyConnection, name: TableName, fields: Sequence[Field]
) -> None:
    """
    Raises:
        ValidationError: a REQUIRED column has NULL.
    """
    for field in fields:
        if is_required(field):
            nulls = f"{name.sql()} WHERE {quoted(field['name'])} IS NULL"
            if count_rows(connection, nulls):
                raise ValidationError(f"Required field {field['name']} cannot be null")


@contextlib.contextmanager
def transaction(connection: duckdb.DuckDBPyConnection, failure: str) -> Iterator[None]:
    """What the block writes is written when it ends, or not at all.

    Raises:
        ValidationError: DuckDB refused something; the message starts with `failure`.
    """
    connection.execute("BEGIN")
    try:
        yield
        connection.execute("COMMIT")
    except duckdb.Error as error:
        _roll_back(connection)
        raise ValidationError(f"{failure}: {error}") from error
    except BaseException:
        _roll_back(connection)
        raise


def _roll_back(connection: duckdb.DuckDBPyConnection) -> None:
    # A COMMIT that fails has ended the transaction already.
    with contextlib.suppress(duckdb.TransactionException):
        connection.execute("ROLLBACK")

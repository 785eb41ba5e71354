"""The source: its columns and size, asked from BigQuery before anything runs."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from options.config import Config
from pipeline.errors import PlanError
from pipeline.files import read_text
from pipeline.services import PATIENT_RETRY, PATIENT_TIMEOUT_S, explained, said
from scoring.schema import Field
from scoring.spec import ScoringSpec
from transforms.source import EXPORT, Source

_SQL_SUFFIX = ".sql"
# Table types that the Storage Read API opens; a view is read through a query.
_READABLE_TYPES = frozenset({"TABLE", "SNAPSHOT", "CLONE", "EXTERNAL"})
_EXPORTABLE_TYPES = _READABLE_TYPES - {"EXTERNAL"}


@dataclass(frozen=True)
class SourceInfo:
    """A source as BigQuery describes it.

    Attributes:
      query: the SQL that is run, for a query or a view; otherwise the table is read.
      rows: of the whole table; None where only running the query would tell.
      location: where the query runs, "EU" say; None for a table.
    """

    columns: tuple[Field, ...]
    query: str | None
    rows: int | None
    location: str | None = None


def describe_source(client: bigquery.Client, config: Config) -> SourceInfo:
    """Describes the table or query of `config`, whose tables have their project.

    Raises:
      PlanError: there is no such table, the SQL is wrong, or it must not be read.
    """
    if config.input_table is None:
        return _describe_query(client, _query_text(config.input_query or ""), "--input_query")
    name = config.input_table
    with explained(
        f"reading table {name}",
        missing=f"There is no table {name}. Check --input_table, and --project if it names none.",
    ):
        table = client.get_table(str(name), retry=PATIENT_RETRY, timeout=PATIENT_TIMEOUT_S)
    _check_filter(table, config)
    is_query = not _is_read_as_it_is(table, config)
    if is_query and config.snapshot_time is not None and table.table_type not in _READABLE_TYPES:
        raise PlanError(
            f"{name} is a view, which has no past to read. Drop --snapshot_time, or give "
            "--input_query with FOR SYSTEM_TIME AS OF on the view's tables."
        )
    if is_query or config.row_restriction or config.snapshot_time:
        # The Storage Read API would find what is wrong with them only when the job runs.
        given = [f for f in ("row_restriction", "snapshot_time") if getattr(config, f)]
        flags = " and ".join(f"--{flag}" for flag in given or ["input_table"])
        info = _describe_query(client, _checking_text(config), flags)
        if is_query:
            return replace(info, query=_table_text(config))
    return SourceInfo(_fields(table.schema), None, table.num_rows)


def new_rows(
    client: bigquery.Client, config: Config, info: SourceInfo, spec: ScoringSpec
) -> SourceInfo:
    """The rows of the source whose keys the output table does not have from the same model.

    A key with a NULL is equal to none, so that its row is always new.

    Raises:
      PlanError: the query that finds them cannot be run.
    """
    rows = (info.query or _table_text(config)).rstrip().rstrip(";")
    digest_column = dict(config.metadata_columns)["model_digest"]
    columns = (c.name for c in info.columns if c.name in needed_columns(spec))
    conditions = [f"output_row.`{digest_column}` = '{spec.model_digest}'"]
    conditions += [f"output_row.`{key.name}` = source_row.`{key.name}`" for key in spec.key]
    sql = (
        f"SELECT {', '.join(f'source_row.`{name}`' for name in columns)}\n"  # noqa: S608
        # On a line of its own, as a query may end with a comment.
        f"FROM (\n{rows}\n) AS source_row\n"
        f"WHERE NOT EXISTS (SELECT 1 FROM {config.output_table.quoted()} AS output_row\n"
        f"  WHERE {' AND '.join(conditions)})"
    )
    return _describe_query(client, sql, "--only_new, which makes a subquery of --input_query")


def scanned_bytes(client: bigquery.Client, source: Source) -> int | None:
    """Bytes that BigQuery says it scans for `source`, asked of a dry run of its query.

    For a table that is a SELECT of the columns that are read; the Storage Read API counts the same
    bytes.  None where BigQuery does not know them.

    Raises:
      PlanError: it cannot be asked.
    """
    config = bigquery.QueryJobConfig(dry_run=True, use_query_cache=False)
    with explained("the dry run that counts bytes", missing=f"{source.table} is gone."):
        job = client.query(
            source.query or _columns_text(source),
            config,
            location=source.query_location,
            retry=PATIENT_RETRY,
            timeout=PATIENT_TIMEOUT_S,
        )
    return job.total_bytes_processed or None


def _columns_text(source: Source) -> str:
    columns = ", ".join(f"`{column.name}`" for column in source.columns)
    return _select_text(columns, source.table, source.snapshot_time, source.row_restriction)


def needed_columns(spec: ScoringSpec) -> set[str]:
    """Names of the columns of the source that are fed or copied."""
    return {c.top.name for b in spec.inputs for c in b.columns} | {c.name for c in spec.carried}


def _check_filter(table: bigquery.Table, config: Config) -> None:
    """Refuses what the Storage Read API would ("Require a partition filter in queries")."""
    is_exported = config.read_method == EXPORT
    if table.require_partition_filter and not config.row_restriction and not is_exported:
        raise PlanError(
            f"Table {config.input_table} is only read with a filter on its partitions. Give the "
            "condition with --row_restriction."
        )


def _is_read_as_it_is(table: bigquery.Table, config: Config) -> bool:
    """Whether the read method takes this kind of table; otherwise a query has to read it."""
    if config.read_method == EXPORT:
        # Extract jobs take no condition, and no external table ("Exporting table data").
        return table.table_type in _EXPORTABLE_TYPES and not config.row_restriction
    return table.table_type in _READABLE_TYPES


def _table_text(config: Config) -> str:
    """The SQL that reads what of --input_table is asked for."""
    return _select_text("*", config.input_table, config.snapshot_time, config.row_restriction)


def _select_text(
    columns: str, table: object, moment: datetime | None, restriction: str | None
) -> str:
    # The condition is the user's own SQL, like a whole --input_query; it may end with a comment.
    where = f" WHERE (\n{restriction}\n)" if restriction else ""
    past = f" FOR SYSTEM_TIME AS OF TIMESTAMP '{moment.isoformat()}'" if moment else ""
    return f"SELECT {columns} FROM `{table}`{past}{where}"  # noqa: S608


def _checking_text(config: Config) -> str:
    """The same for a dry run, which fails unless the condition is one expression by itself.

    `a) OR (b` is whole within parentheses, but not as an argument.
    """
    condition = config.row_restriction
    return _table_text(config) + (f" AND IF(\n{condition}\n, TRUE, TRUE)" if condition else "")


def _describe_query(client: bigquery.Client, sql: str, flag: str) -> SourceInfo:
    config = bigquery.QueryJobConfig(dry_run=True)
    with explained("the query", missing="", cure=f"Check {flag}."):
        try:
            job = client.query(sql, config, retry=PATIENT_RETRY, timeout=PATIENT_TIMEOUT_S)
        except NotFound as e:
            raise PlanError(f"The query cannot be run: {said(e)}. Check {flag}.") from e
    statement = job.statement_type
    if statement not in (None, "SELECT"):
        raise PlanError(f"{flag} is a {statement} statement, expected a SELECT.")
    fields = _fields(job.schema or ())
    _check_names(fields, flag)
    return SourceInfo(fields, sql, None, job.location)


def _check_names(fields: Iterable[Field], flag: str) -> None:
    seen: set[str] = set()
    for field in fields:
        if field.name.casefold() in seen:
            raise PlanError(
                f"{flag} gives two columns called {field.name!r}, expected one. Name the columns "
                "that are needed instead of *, or rename one with AS."
            )
        seen.add(field.name.casefold())


def _query_text(text: str) -> str:
    """The SQL itself: `text`, or the content of the .sql file that it names."""
    if not text.endswith(_SQL_SUFFIX) or any(c.isspace() for c in text.strip()):
        return text
    return read_text(text, "--input_query")


def _fields(schema: Iterable[bigquery.SchemaField]) -> tuple[Field, ...]:
    return tuple(Field.from_api(f.to_api_repr()) for f in schema)

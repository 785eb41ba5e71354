"""The write modes: what each demands of the loaded run table, and the one job that publishes it.

replace    a copy job over the whole output table
append     a copy job that adds to it
partition  a copy job from the run table's partition over the output's
merge      a MERGE statement

Columns of types that no load job takes are restored by a query job in place of the copy.  Each of
these jobs is atomic ("REST Resource: jobs", `writeDisposition`; "Data manipulation language (DML)
statements in GoogleSQL", "MERGE statement").
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from google.cloud import bigquery

from transforms.partitions import Partitioning, partitioning
from transforms.publication import Publication

_NAMED_KEYS = 5
_MAX_VALUE_CHARACTERS = 60

PublishingJob = bigquery.CopyJob | bigquery.QueryJob


def mode_refusal(client: bigquery.Client, publication: Publication) -> str | None:
    """Why the run table cannot be published in its mode, None if it can.

    Raises:
      GoogleAPIError: the run table cannot be asked.
    """
    match publication.write_mode:
        case "partition":
            return _rows_elsewhere(client, publication)
        case "merge":
            return _null_keys(client, publication) or _duplicate_keys(client, publication)
        case _:
            return None


def insert_publishing_job(
    client: bigquery.Client, publication: Publication, job_id: str, location: str
) -> PublishingJob:
    """Starts the job that publishes the run table, and does not wait for it.

    Before, it makes the output table if that must have what no job gives it.

    Raises:
      google.api_core.exceptions.Conflict: there is a job of this id already.
      GoogleAPIError: the job cannot be started.
    """
    if publication.makes_output:
        client.create_table(_new_output(publication), exists_ok=True)
    statement = publishing_statement(client, publication)
    if statement is not None:
        return _insert_query(client, statement, bigquery.QueryJobConfig(), job_id, location)
    if publication.is_copied:
        return _insert_copy(client, publication, job_id, location)
    config = bigquery.QueryJobConfig(
        destination=publication.output_table + _decorator(publication),
        write_disposition=_disposition(publication),
        destination_encryption_configuration=_encryption(publication),
    )
    if publication.partition is None:
        config._properties["query"].update(publication.output_layout)
    query = str(publication.publishing_query)
    return _insert_query(client, query, config, job_id, location)


def publishing_statement(client: bigquery.Client, publication: Publication) -> str | None:
    """The DML statement that publishes; None if a job with a destination does."""
    if publication.write_mode == "merge":
        return merge_statement(publication)
    if (
        publication.write_mode == "partition"
        and not client.get_table(publication.run_table).num_rows
    ):
        # What a copy of a partition that does not exist does is not documented.  DELETE is:
        # "Using DML with partitioned tables", "Using a DELETE to delete partitions".
        condition = _partitioning(publication).condition(str(publication.partition))
        return f"DELETE FROM `{publication.output_table}` WHERE {condition}"  # noqa: S608
    return None


def merge_statement(publication: Publication) -> str:
    """MERGE of the run table into the output: rows of equal keys are updated, others added."""
    names = [f"`{field.name}`" for field in publication.output_fields]
    keys = [f"`{name}`" for name in publication.key_columns]
    rows = publication.publishing_query or f"SELECT * FROM `{publication.run_table}`"  # noqa: S608
    return (
        f"MERGE `{publication.output_table}` AS output_row\n"  # noqa: S608
        f"USING ({rows}) AS run_row\n"
        f"ON {' AND '.join(f'output_row.{key} = run_row.{key}' for key in keys)}\n"
        "WHEN MATCHED THEN UPDATE SET "
        f"{', '.join(f'{name} = run_row.{name}' for name in names if name not in keys)}\n"
        f"WHEN NOT MATCHED THEN INSERT ({', '.join(names)}) "
        f"VALUES ({', '.join(f'run_row.{name}' for name in names)})"
    )


def _insert_copy(
    client: bigquery.Client, publication: Publication, job_id: str, location: str
) -> bigquery.CopyJob:
    decorator = _decorator(publication)
    config = bigquery.CopyJobConfig(
        write_disposition=_disposition(publication),
        destination_encryption_configuration=_encryption(publication),
    )
    job: bigquery.CopyJob = client.copy_table(
        publication.run_table + decorator,
        publication.output_table + decorator,
        job_id=job_id,
        location=location,
        job_config=config,
    )
    return job


def _insert_query(
    client: bigquery.Client,
    statement: str,
    config: bigquery.QueryJobConfig,
    job_id: str,
    location: str,
) -> bigquery.QueryJob:
    # Without job_retry=None a failed query would be tried again under the same id.
    return client.query(
        statement, job_config=config, job_id=job_id, location=location, job_retry=None
    )


def _decorator(publication: Publication) -> str:
    """What follows a table's name to name one partition; nothing for the whole table."""
    return f"${publication.partition}" if publication.partition is not None else ""


def _disposition(publication: Publication) -> str:
    """With WRITE_TRUNCATE a job replaces its destination, be that a table or a partition."""
    if publication.write_mode == "append":
        return bigquery.WriteDisposition.WRITE_APPEND
    return bigquery.WriteDisposition.WRITE_TRUNCATE


def _rows_elsewhere(client: bigquery.Client, publication: Publication) -> str | None:
    """The refusal of rows outside of the partition, which the copy of it would leave behind."""
    parts = _partitioning(publication)
    name = f"`{parts.column.name}`"
    sql = (
        f"SELECT COUNT(*), COUNTIF({name} IS NULL), MIN({name}), MAX({name}) "  # noqa: S608
        f"FROM `{publication.run_table}` "
        f"WHERE ({parts.condition(str(publication.partition))}) IS NOT TRUE"
    )
    elsewhere, nulls, first, last = _only_row(client, sql)
    if not elsewhere:
        return None
    found = [f"with {parts.column.name} from {first} to {last}"] if first is not None else []
    found += [f"{nulls:,} with NULL"] if nulls else []
    return (
        f"rows that do not belong to partition {publication.partition} ({parts}): {elsewhere:,}, "
        f"{' and '.join(found)}. Choose the partition's rows with --row_restriction or "
        "--input_query"
    )


def _null_keys(client: bigquery.Client, publication: Publication) -> str | None:
    """The refusal of rows that would be added again by each run: NULL is not equal to NULL."""
    is_null = " OR ".join(f"`{name}` IS NULL" for name in publication.key_columns)
    sql = f"SELECT COUNT(*) FROM `{publication.run_table}` WHERE {is_null}"  # noqa: S608
    (rows,) = _only_row(client, sql)
    if not rows:
        return None
    return (
        f"rows with NULL in {' or '.join(publication.key_columns)}, by which --write_mode merge "
        f"finds the rows to update: {rows:,}. Leave them out with --row_restriction or "
        "--input_query"
    )


def _duplicate_keys(client: bigquery.Client, publication: Publication) -> str | None:
    """The refusal of keys with several rows, of which MERGE could not choose one."""
    keys = ", ".join(f"`{name}`" for name in publication.key_columns)
    grouped = f"FROM `{publication.run_table}` GROUP BY {keys} HAVING COUNT(*) > 1"
    places = ", ".join(str(n + 1) for n in range(len(publication.key_columns)))
    sql = f"SELECT {keys} {grouped} ORDER BY {places} LIMIT {_NAMED_KEYS}"
    named = [_shown_key(publication, row.values()) for row in client.query(sql).result()]
    if not named:
        return None
    (several,) = _only_row(client, f"SELECT COUNT(*) FROM (SELECT 1 {grouped})")  # noqa: S608
    more = f" and {several - len(named):,} more" if several > len(named) else ""
    return (
        "rows with the same key, of which --write_mode merge cannot choose one: "
        f"{'; '.join(named)}{more}"
    )


def _only_row(client: bigquery.Client, sql: str) -> tuple[Any, ...]:
    (row,) = client.query(sql).result()
    return tuple(row.values())


def _shown_key(publication: Publication, values: tuple[Any, ...]) -> str:
    shown = (_shortened(str(value)) for value in values)
    pairs = zip(publication.key_columns, shown, strict=True)
    return ", ".join(f"{name} = {value}" for name, value in pairs)


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_VALUE_CHARACTERS else f"{text[:_MAX_VALUE_CHARACTERS]}…"


def _partitioning(publication: Publication) -> Partitioning:
    found = partitioning(publication.output_layout, publication.output_fields)
    if found is None:
        raise ValueError(f"{publication.output_table} is not partitioned by a column")
    return found


def _encryption(publication: Publication) -> bigquery.EncryptionConfiguration | None:
    """The output's own key: a job that overwrites a table encrypts it anew.

    Source: "Customer-managed Cloud KMS keys", "Change a table from default encryption".
    """
    key = publication.output_properties.kms_key
    return bigquery.EncryptionConfiguration(key) if key else None


def _new_output(publication: Publication) -> bigquery.Table:
    properties = publication.output_properties
    schema = [bigquery.SchemaField.from_api_repr(f.to_api()) for f in publication.output_fields]
    table = bigquery.Table(publication.output_table, schema)
    table._properties.update(publication.output_layout)
    table.labels = dict(properties.labels)
    table.description = properties.description
    if properties.expiration_days is not None:
        table.expires = datetime.now(UTC) + timedelta(days=properties.expiration_days)
    table.encryption_configuration = _encryption(publication)
    return table

"""The output table as it is before the run: does what will be written fit?"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from options.config import Config
from options.names import TableName
from pipeline.errors import PlanError
from pipeline.services import PATIENT_RETRY, PATIENT_TIMEOUT_S, explained
from pipeline.table_layout import check_partition, existing_layout, new_layout, table_layout
from scoring.portable import loaded_field
from scoring.schema import Field

# Of one value each, and equal to a copy of it: NaN is not equal to NaN.  "Data types",
# "Groupable data types" in the GoogleSQL reference.
_KEY_TYPES = frozenset(
    {
        "BIGNUMERIC",
        "BOOLEAN",
        "BYTES",
        "DATE",
        "DATETIME",
        "INTEGER",
        "NUMERIC",
        "STRING",
        "TIME",
        "TIMESTAMP",
    }
)


@dataclass(frozen=True)
class Destination:
    """How the output table will be written.

    Attributes:
      fields: its columns, with the modes of the existing table.
      layout: JSON object with the partitioning and clustering of the table.
      exists: whether there is one.
      kms_key: the Cloud KMS key that encrypts it, None for Google's own.
    """

    fields: tuple[Field, ...]
    layout: str
    exists: bool
    kms_key: str | None


def check_destination(
    client: bigquery.Client, config: Config, fields: Sequence[Field], keys: Sequence[Field]
) -> Destination:
    """Finds out whether the output table can take `fields` in the write mode of `config`.

    A replaced table may gain columns but not lose or change any; in the other modes the table
    must have the same ones.

    Args:
      keys: those of --key_columns.

    Raises:
      PlanError: it cannot, the data set does not exist, or it must not be looked at.
    """
    _check_keys(config, keys)
    name = config.output_table
    table = _find_table(client, name, "--output_table")
    if table is None:
        layout, exists, kms_key = new_layout(config, fields), False, config.output_kms_key
    else:
        _check_writable(name, table)
        fields = _merged(config, table, fields)
        layout, exists = existing_layout(table, config), True
        kms_key = _existing_key(table, config)
        _check_readable(table, config)
        _check_tags(table, config)
    if config.write_mode == "partition":
        check_partition(config, layout, fields)
    return Destination(tuple(fields), json.dumps(layout), exists, kms_key)


def check_appendable(
    client: bigquery.Client,
    name: TableName,
    fields: Sequence[Field],
    flag: str,
    *,
    may_gain_columns: bool = False,
) -> str:
    """Finds out whether rows of `fields` can be added to the table that `flag` names.

    Returns:
      JSON object with the table's partitioning and clustering, which a copy job to it demands.

    Raises:
      PlanError: they cannot, the data set does not exist, or it must not be looked at.
    """
    table = _find_table(client, name, flag)
    if table is None:
        return "{}"
    _check_writable(name, table)
    problems = _problems(_fields(table), fields, must_be_same=not may_gain_columns)
    if problems:
        raise PlanError(_misfit(name, problems, f"Drop the table, or choose another {flag}."))
    return json.dumps(table_layout(table))


def _check_keys(config: Config, keys: Sequence[Field]) -> None:
    """Checks that rows can be told apart by their keys where that is asked for."""
    asking = ["--write_mode merge"] if config.write_mode == "merge" else []
    asking += ["--only_new"] if config.only_new else []
    for key in keys:
        if asking and (key.rank or key.type not in _KEY_TYPES):
            raise PlanError(
                f"--key_columns names column {key.name!r}, which is {key.sql_type}; {asking[0]} "
                "needs keys whose values can be compared for equality. Convert it with "
                f"--input_query, TO_JSON_STRING({key.name}) say, or choose other columns."
            )


def _check_writable(name: TableName, table: bigquery.Table) -> None:
    if table.table_type != "TABLE":
        raise PlanError(f"{name} is a {table.table_type}, which no job can write to. Name a table.")


def _merged(config: Config, table: bigquery.Table, fields: Sequence[Field]) -> list[Field]:
    """The columns with their modes in the existing table, and in its order if it keeps them."""
    name = config.output_table
    existing = _fields(table)
    is_replaced = config.write_mode == "replace"
    problems = _problems(existing, fields, must_be_same=not is_replaced)
    if problems:
        cure = "Change --output_columns or --passthrough_columns, drop the table, or choose another"
        raise PlanError(_misfit(name, problems, f"{cure} --output_table."))
    merged = [replace(f, mode=existing.get(f.name.lower(), f).mode) for f in fields]
    required = [f.name for f in merged if f.mode == "REQUIRED"]
    restored = [f.name for f in merged if loaded_field(f) != f]
    if required and restored and config.write_mode != "merge":
        # Columns of a query's result are NULLABLE, and those of its destination must be, too.
        raise PlanError(
            f"Table {name} has REQUIRED columns ({', '.join(required)}), which the query that "
            f"restores {', '.join(restored)} cannot write. Relax them with ALTER TABLE "
            f"{name.quoted()} ALTER COLUMN {required[0]} DROP NOT NULL, or leave out "
            f"{', '.join(restored)}."
        )
    if not is_replaced:
        order = list(existing)
        merged.sort(key=lambda f: order.index(f.name.lower()))
    return merged


def _existing_key(table: bigquery.Table, config: Config) -> str | None:
    encryption = table.encryption_configuration
    key = encryption.kms_key_name if encryption is not None else None
    if config.output_kms_key not in (None, key):
        found = f"encrypted with {key}" if key else "not encrypted with a key of Cloud KMS"
        raise PlanError(
            f"Table {config.output_table} exists and is {found}, which no run changes; "
            f"--output_kms_key asks for {config.output_kms_key}. Drop the flag, or choose another "
            "--output_table."
        )
    return key


def _check_readable(table: bigquery.Table, config: Config) -> None:
    """Checks that the modes that read the output may do so ("Require a partition filter")."""
    asking = "--only_new" if config.only_new else f"--write_mode {config.write_mode}"
    if table.require_partition_filter and (config.only_new or config.write_mode == "merge"):
        name = config.output_table
        raise PlanError(
            f"Table {name} is only read with a filter on its partitions, but {asking} looks for "
            "keys in all of them. Drop that, or lift the requirement: ALTER TABLE "
            f"{name.quoted()} SET OPTIONS (require_partition_filter = FALSE)."
        )


def _check_tags(table: bigquery.Table, config: Config) -> None:
    """Refuses to replace a table whose columns are protected.

    A copy that overwrites takes the tags of its source ("Use policy tags", "Impact on writes").
    """
    tagged = tagged_columns(table.schema)
    if tagged and config.write_mode == "replace":
        raise PlanError(
            f"Table {config.output_table} has policy tags on columns ({', '.join(tagged)}), which "
            "replacing all its rows would remove. Use another --write_mode, or another "
            "--output_table."
        )


def tagged_columns(schema: Iterable[bigquery.SchemaField], prefix: str = "") -> list[str]:
    """Paths of the columns that carry policy tags."""
    tagged = []
    for field in schema:
        path = prefix + field.name
        if field.policy_tags is not None and field.policy_tags.names:
            tagged.append(path)
        tagged += tagged_columns(field.fields, f"{path}.")
    return tagged


def _find_table(client: bigquery.Client, name: TableName, flag: str) -> bigquery.Table | None:
    """The table if there is one; its data set has to be there."""
    dataset = f"{name.project}.{name.dataset}"
    with explained(
        f"looking at dataset {dataset}",
        missing=f"There is no dataset {dataset} for {flag}. Create it first: "
        f"bq mk --dataset {name.project}:{name.dataset}",
    ):
        client.get_dataset(dataset, retry=PATIENT_RETRY, timeout=PATIENT_TIMEOUT_S)
    with explained(f"looking at table {name}", missing=""):
        try:
            return client.get_table(str(name), retry=PATIENT_RETRY, timeout=PATIENT_TIMEOUT_S)
        except NotFound:
            return None


def _fields(table: bigquery.Table) -> dict[str, Field]:
    """The table's columns by their name in lower case."""
    return {f.name.lower(): f for f in (Field.from_api(s.to_api_repr()) for s in table.schema)}


def _misfit(name: TableName, problems: Sequence[str], cure: str) -> str:
    heading = f"Table {name} exists with another schema than this run would write:"
    return "\n".join((heading, *(f"  {p}" for p in problems), cure))


def _problems(
    existing: dict[str, Field], fields: Sequence[Field], *, must_be_same: bool
) -> list[str]:
    problems = []
    ours = {f.name.lower(): f for f in fields}
    for key, old in existing.items():
        new = ours.get(key)
        if new is None:
            problems.append(f"column {old.name} {old.sql_type} would be missing")
        elif _shape(new) != _shape(old):
            problems.append(f"column {old.name} is {old.sql_type}, got {new.sql_type}")
        elif old.mode == "REQUIRED" != new.mode:
            problems.append(f"column {old.name} is REQUIRED, but what is written may be NULL")
    if must_be_same:
        problems += [
            f"column {new.name} {new.sql_type} would be new"
            for key, new in ours.items()
            if key not in existing
        ]
    return problems


def _shape(field: Field) -> tuple[object, ...]:
    nested = {f.name.lower(): _shape(f) for f in field.fields}
    return field.type, field.mode == "REPEATED", nested

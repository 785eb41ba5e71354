"""The rules that hold across flags, each with the sentence that says how it is broken."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import TYPE_CHECKING

from options.errors import UsageError

if TYPE_CHECKING:
    from options.config import Config

TABLE_FIELDS = ("input_table", "output_table", "rejects_table", "runs_table")
# "Quotas and limits", "Table limits"; "Create clustered tables", "Limitations"; "Creating and
# managing labels", "Requirements for labels".
_MAX_CLUSTERING_COLUMNS = 4
_MAX_LABELS = 64
_MAX_DESCRIPTION_CHARACTERS = 16_384
_RENAMING = ("--output_columns", "--metadata_columns")


def check_rules(config: Config) -> None:
    """Checks what no flag can be checked for alone.

    Raises:
      UsageError: values contradict each other.
    """
    _check_source(config)
    _check_columns(config)
    _check_classes(config)
    _check_tables(config)
    _check_write_mode(config)
    _check_only_new(config)
    _check_new_table(config)
    _check_local(config)


def _check_source(config: Config) -> None:
    if config.input_table is None and config.input_query is None:
        raise UsageError(
            "No source is given. Name a table with --input_table, or a query with --input_query."
        )
    if config.input_table is not None and config.input_query is not None:
        raise UsageError(
            "--input_table and --input_query are both given, expected one of them. Drop one; "
            "a query can read the table itself."
        )
    if config.input_query is not None and config.row_restriction is not None:
        raise UsageError(
            "--row_restriction applies to --input_table only. Put the condition into the WHERE "
            "clause of --input_query."
        )
    if config.snapshot_time is None:
        return
    if config.input_query is not None:
        raise UsageError(
            "--snapshot_time applies to --input_table only. Write FOR SYSTEM_TIME AS OF into "
            "--input_query."
        )
    if config.read_method != "DIRECT_READ":
        raise UsageError(
            f"--snapshot_time is not possible with --read_method={config.read_method}, "
            "only the Storage Read API can read the past. Use --read_method=DIRECT_READ."
        )


def _check_columns(config: Config) -> None:
    _check_repeats("--input_columns", "input", (name for name, _ in config.input_columns))
    _check_repeats("--default_values", "input", (name for name, _ in config.default_values))
    _check_repeats("--input_shapes", "input", (name for name, _ in config.input_shapes))
    _check_repeats("--metadata_columns", "value", (name for name, _ in config.metadata_columns))
    _check_repeats("--output_columns", "output", (name for name, _ in config.output_columns))
    origin: dict[str, str] = {}
    for flag, columns in (
        ("--key_columns", config.key_columns),
        ("--passthrough_columns", config.passthrough_columns),
        ("--output_columns", [column for _, column in config.output_columns]),
        ("--metadata_columns", [column for _, column in config.metadata_columns]),
    ):
        # BigQuery takes names that differ in case alone for the same column.
        _check_repeats(flag, "column", columns, ignore_case=True)
        for column in columns:
            other = origin.setdefault(column.casefold(), flag)
            if other != flag:
                raise UsageError(
                    f"The column {column!r} is in {other} and in {flag}, but --output_table can "
                    "hold it once. Drop one of them"
                    + (" or rename it." if flag in _RENAMING else ".")
                )


def _check_classes(config: Config) -> None:
    for name in ("class_labels", "softmax"):
        if getattr(config, name) and config.top_k is None and not config.explode:
            raise UsageError(
                f"--{name} needs --top_k or --explode. Add one of them, or drop --{name}."
            )


def _check_repeats(
    flag: str, noun: str, names: Iterable[str], *, ignore_case: bool = False
) -> None:
    seen: set[str] = set()
    for name in names:
        identity = name.casefold() if ignore_case else name
        if identity in seen:
            raise UsageError(f"{flag} names the {noun} {name!r} twice. Drop one of them.")
        seen.add(identity)


def _check_tables(config: Config) -> None:
    tables = [(name, getattr(config, name)) for name in TABLE_FIELDS]
    for (a, table_a), (b, table_b) in combinations(tables, 2):
        if table_a is not None and table_a == table_b:
            raise UsageError(
                f"--{a} and --{b} are the same table {table_a}, expected different ones. "
                f"Change --{b}."
            )


def _check_write_mode(config: Config) -> None:
    if config.write_mode == "partition" and config.partition is None:
        raise UsageError(
            "--write_mode partition needs --partition, the id of the one that is replaced. Add "
            "--partition=20250131, say."
        )
    if config.write_mode != "partition" and config.partition is not None:
        raise UsageError(
            f"--partition does nothing with --write_mode {config.write_mode}. Drop it, or give "
            "--write_mode partition."
        )
    if config.write_mode != "merge":
        return
    if not config.key_columns:
        raise UsageError(
            "--write_mode merge needs --key_columns, which say what rows are the same. Add them."
        )
    if config.explode:
        raise UsageError(
            "--write_mode merge is not possible with --explode, which writes several rows of the "
            "same key. Use another --write_mode, or drop --explode."
        )


def _check_only_new(config: Config) -> None:
    if not config.only_new:
        return
    if not config.key_columns:
        raise UsageError(
            "--only_new needs --key_columns, which say what rows are the same. Add them."
        )
    if config.write_mode not in ("append", "merge"):
        raise UsageError(
            f"--only_new is not possible with --write_mode {config.write_mode}, which would lose "
            "the rows that are there already. Use --write_mode append or merge."
        )
    if "model_digest" not in dict(config.metadata_columns):
        raise UsageError(
            "--only_new needs to see which model made a row, but --metadata_columns leaves "
            "model_digest out. Add it there."
        )


def _check_new_table(config: Config) -> None:
    _check_repeats("--output_clustering", "column", config.output_clustering, ignore_case=True)
    _check_repeats("--output_labels", "key", (key for key, _ in config.output_labels))
    for flag, noun, given, most in (
        ("--output_clustering", "columns", len(config.output_clustering), _MAX_CLUSTERING_COLUMNS),
        ("--output_labels", "labels", len(config.output_labels), _MAX_LABELS),
        (
            "--output_description",
            "characters",
            len(config.output_description or ""),
            _MAX_DESCRIPTION_CHARACTERS,
        ),
    ):
        if given > most:
            raise UsageError(f"{flag} has {given:,} {noun}, expected at most {most:,}.")


def _check_local(config: Config) -> None:
    if not config.local:
        for name in ("local_tables", "local_output"):
            if getattr(config, name):
                raise UsageError(f"--{name} needs --local. Add --local, or drop --{name}.")
    _check_repeats("--local_tables", "table", (str(table) for table, _ in config.local_tables))

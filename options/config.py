"""What one run was asked to do, as a value that obeys the rules across flags."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from options.destination_flags import WriteMode
from options.errors import UsageError
from options.flags import FLAGS, ReadMethod
from options.names import TableName, check_project
from options.rules import TABLE_FIELDS, check_rules
from options.scoring_flags import ChannelOrder, ImageResize, InputFormat, NonFinite, OnNull
from options.sizing_flags import Redistribute
from options.values import value_of

# The flag that asks for a Resumption instead of this.
RESUME = "resume"


@dataclass(frozen=True)
class Config:
    """One field a flag, of the same name; the help of the flag in `options.flags` explains it.

    An instance always obeys the rules across flags.  Defaults live in `options.flags` alone:
    use `from_texts`.

    Attributes:
      input_query: the SQL text, or the path of a .sql file that is still to be read.
      snapshot_time: in UTC.
      input_columns: pairs (model input, column path, or several to stack).
      default_values: pairs (model input, text of the value for NULL).
      input_shapes: pairs (model input, shape of one row).
      output_columns: pairs (model output, column); both are equal where no column was named,
        and then the second need not be a legal column name.  Empty for all outputs.
      passthrough_columns: column paths, or `*` alone for all columns of the source.
      metadata_columns: pairs (run_id or model_digest, column); empty for neither.
      partition: id of one partition; whether the output table has such ones is still to be seen.
      output_partitioning: column, and HOUR, DAY, MONTH or YEAR.
      output_labels: pairs (key, value).
      scoring_min_ram, scoring_accelerator: as Beam's resource hints take them.
      local_tables: pairs (table, path of the file with its rows).

    Raises:
      UsageError: values contradict each other.
    """

    input_table: TableName | None
    input_query: str | None
    row_restriction: str | None
    only_new: bool
    snapshot_time: datetime | None
    billing_project: str | None
    read_method: ReadMethod
    model: str
    signature: str | None
    max_batch_size: int
    xla: bool
    input_columns: tuple[tuple[str, str | tuple[str, ...]], ...]
    output_columns: tuple[tuple[str, str], ...]
    key_columns: tuple[str, ...]
    passthrough_columns: tuple[str, ...]
    on_null: OnNull
    default_values: tuple[tuple[str, str], ...]
    input_shapes: tuple[tuple[str, tuple[int, ...]], ...]
    uri_columns: tuple[str, ...]
    pad_value: float
    input_format: InputFormat
    image_scaling: str | None
    image_resize: ImageResize
    image_channel_order: ChannelOrder
    top_k: int | None
    explode: bool
    class_labels: str | None
    softmax: bool
    on_non_finite: NonFinite
    metadata_columns: tuple[tuple[str, str], ...]
    output_table: TableName
    write_mode: WriteMode
    partition: str | None
    output_partitioning: tuple[str, str] | None
    output_clustering: tuple[str, ...]
    output_labels: tuple[tuple[str, str], ...]
    output_expiration_days: int | None
    output_description: str | None
    output_kms_key: str | None
    rejects_table: TableName | None
    runs_table: TableName | None
    run_id: str | None
    max_rejected_fraction: float
    redistribute: Redistribute
    model_copies: int | None
    tf_threads: int | None
    scoring_min_ram: str | None
    scoring_cpu_count: int | None
    scoring_accelerator: str | None
    deadline: timedelta | None
    local: bool
    local_tables: tuple[tuple[TableName, str], ...]
    local_output: str | None

    def __post_init__(self) -> None:
        check_rules(self)

    @classmethod
    def from_texts(cls, texts: Mapping[str, Sequence[str]]) -> Self:
        """Builds the value from the texts given for each flag; absent flags take their default.

        Raises:
          UsageError: a text is not valid, a required flag is missing, or flags contradict
            each other.
        """
        flags = [f for f in FLAGS if {"score", "check"} & set(f.commands) and f.name != RESUME]
        return cls(**{flag.name: value_of(flag, texts.get(flag.name, ())) for flag in flags})

    def with_default_project(self, project: str) -> Self:
        """The same with every BigQuery table in `project` unless it names its own.

        Raises:
          UsageError: `project` is not valid, or two of the tables turn out to be the same.
        """
        try:
            check_project(project)
        except ValueError as e:
            raise UsageError(f"The default project: {e}. Check --project.") from e
        tables = {name: getattr(self, name) for name in TABLE_FIELDS}
        named = {n: t.with_default_project(project) for n, t in tables.items() if t is not None}
        files = tuple((t.with_default_project(project), path) for t, path in self.local_tables)
        return replace(self, local_tables=files, **named)

"""What a flag is, and the commands that take flags; the flags themselves are in `options.flags`."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Command = Literal["score", "check", "inspect"]

COMMANDS: dict[Command, str] = {
    "score": "score the table and write predictions, rejects and a run summary",
    "check": "print what a run would do and prove that it can, without scoring the table",
    "inspect": "print what a model takes and gives, and a score command for it",
}
# What asks for a table, a feed or a run means nothing to `inspect`.
_ON_TABLES: tuple[Command, ...] = ("score", "check")


class Kind(StrEnum):
    """What a flag's value is; `options.values` converts each kind."""

    TEXT = "text"
    CHOICE = "choice"
    SWITCH = "switch"
    INTEGER = "integer"
    FRACTION = "fraction"
    NUMBER = "number"
    TIME = "time"
    DURATION = "duration"
    PROJECT = "project"
    RUN_ID = "run_id"
    TABLE = "table"
    COLUMNS = "columns"
    COLUMNS_OR_ALL = "columns_or_all"
    INPUT_MAPPING = "input_mapping"
    INPUT_VALUES = "input_values"
    INPUT_SHAPES = "input_shapes"
    OUTPUT_MAPPING = "output_mapping"
    METADATA_MAPPING = "metadata_mapping"
    TABLE_FILES = "table_files"
    PARTITION = "partition"
    PARTITIONING = "partitioning"
    LABELS = "labels"
    KMS_KEY = "kms_key"
    MEMORY = "memory"
    ACCELERATOR = "accelerator"


LIST_KINDS = frozenset(
    {
        Kind.COLUMNS,
        Kind.COLUMNS_OR_ALL,
        Kind.INPUT_MAPPING,
        Kind.INPUT_VALUES,
        Kind.INPUT_SHAPES,
        Kind.OUTPUT_MAPPING,
        Kind.METADATA_MAPPING,
        Kind.TABLE_FILES,
        Kind.LABELS,
    }
)


class Group(StrEnum):
    """The headings of the help, in the order in which they appear."""

    SOURCE = "Source"
    MODEL = "Model"
    COLUMNS = "Columns"
    FEED = "Feeding the model"
    OUTPUTS = "Outputs"
    DESTINATION = "Destination"
    RUN = "Run"
    WORKERS = "Workers"
    LOCAL = "Local mode"


@dataclass(frozen=True)
class Flag:
    """One flag, equally named in `Config` and in a template's parameters.

    `default` is text as a user would type it; None means that the flag may be absent.
    `minimum` and `maximum` bound the numeric kinds, both included.
    """

    name: str
    kind: Kind
    group: Group
    help: str
    metavar: str = ""
    default: str | None = None
    choices: tuple[str, ...] = ()
    minimum: int = 0
    maximum: int = 0
    required: bool = False
    repeatable: bool = False
    commands: tuple[Command, ...] = _ON_TABLES

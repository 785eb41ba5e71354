"""The flags, each written once: parsing, help, README and template metadata derive from here.

Those of scoring, of the destination and of the workers have modules of their own.
"""

from typing import Literal, get_args

from options.destination_flags import DESTINATION_FLAGS
from options.flag import Flag, Group, Kind
from options.scoring_flags import SCORING_FLAGS
from options.sizing_flags import SIZING_FLAGS

ReadMethod = Literal["DIRECT_READ", "EXPORT"]

_SOURCE_FLAGS: tuple[Flag, ...] = (
    Flag(
        "input_table",
        Kind.TABLE,
        Group.SOURCE,
        "Table to score. Give this or --input_query.",
        metavar="PROJECT.DATASET.TABLE",
    ),
    Flag(
        "input_query",
        Kind.TEXT,
        Group.SOURCE,
        "GoogleSQL query whose rows are scored: the text itself, "
        "or a local or gs:// path that ends in .sql.",
        metavar="SQL",
    ),
    Flag(
        "row_restriction",
        Kind.TEXT,
        Group.SOURCE,
        "Condition in SQL that rows of --input_table must meet, applied before they are read, "
        "for example \"country = 'FR'\".",
        metavar="CONDITION",
    ),
    Flag(
        "only_new",
        Kind.SWITCH,
        Group.SOURCE,
        "Score only rows whose --key_columns are not in --output_table yet for this model. Rows "
        "that were rejected are tried again. Needs --write_mode append or merge.",
        default="false",
    ),
    Flag(
        "snapshot_time",
        Kind.TIME,
        Group.SOURCE,
        "Read --input_table as it was at this moment (RFC 3339 with an offset from UTC, such as "
        "2025-01-31T06:00:00Z). Needs DIRECT_READ.",
        metavar="TIME",
    ),
    Flag(
        "billing_project",
        Kind.PROJECT,
        Group.SOURCE,
        "Project that pays for reading and for queries. Without it, the project of the job pays.",
        metavar="PROJECT",
    ),
    Flag(
        "read_method",
        Kind.CHOICE,
        Group.SOURCE,
        "DIRECT_READ streams columns from the Storage Read API; EXPORT goes through files in "
        "Cloud Storage, for projects where that API is not allowed.",
        default="DIRECT_READ",
        choices=get_args(ReadMethod),
    ),
)

_RUN_FLAGS: tuple[Flag, ...] = (
    Flag(
        "run_id",
        Kind.RUN_ID,
        Group.RUN,
        "Name of this run; a second run of the same name never publishes twice. Without it, a new "
        "one is made.",
        metavar="ID",
    ),
    Flag(
        "resume",
        Kind.RUN_ID,
        Group.RUN,
        "Publish the run of this name, which was scored but not published, without scoring again: "
        "after a failure, or after it was refused, with a higher --max_rejected_fraction. Goes "
        "with --output_table, and --runs_table if the run had one.",
        metavar="ID",
        commands=("score",),
    ),
    Flag(
        "max_rejected_fraction",
        Kind.FRACTION,
        Group.RUN,
        "Largest share of rejected rows with which predictions are published; above it the run "
        "fails and --output_table stays as it was.",
        metavar="FRACTION",
        default="0.01",
        minimum=0,
        maximum=1,
    ),
)

_LOCAL_FLAGS: tuple[Flag, ...] = (
    Flag(
        "local",
        Kind.SWITCH,
        Group.LOCAL,
        "Run everything on this machine against an embedded BigQuery and Cloud Storage.",
        default="false",
    ),
    Flag(
        "local_tables",
        Kind.TABLE_FILES,
        Group.LOCAL,
        "Files (Parquet, CSV, JSON lines or Avro) to load as tables of the embedded BigQuery. "
        "Needs --local; may be repeated.",
        metavar="DATASET.TABLE=PATH,...",
        repeatable=True,
    ),
    Flag(
        "local_output",
        Kind.TEXT,
        Group.LOCAL,
        "Folder that receives every result table as a Parquet file. Needs --local.",
        metavar="FOLDER",
    ),
)

FLAGS = (
    *_SOURCE_FLAGS,
    *SCORING_FLAGS,
    *DESTINATION_FLAGS,
    *_RUN_FLAGS,
    *SIZING_FLAGS,
    *_LOCAL_FLAGS,
)

FLAGS_BY_NAME: dict[str, Flag] = {flag.name: flag for flag in FLAGS}

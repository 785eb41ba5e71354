"""The flags that say where predictions go and how they get there."""

from typing import Literal, get_args

from options.flag import Flag, Group, Kind

WriteMode = Literal["replace", "append", "partition", "merge"]

DESTINATION_FLAGS: tuple[Flag, ...] = (
    Flag(
        "output_table",
        Kind.TABLE,
        Group.DESTINATION,
        "Table that receives the predictions.",
        metavar="PROJECT.DATASET.TABLE",
        required=True,
    ),
    Flag(
        "write_mode",
        Kind.CHOICE,
        Group.DESTINATION,
        "What a run does to --output_table: replaces all its rows, appends to them, replaces those "
        "of one --partition, or merges, which updates the rows with the same --key_columns and "
        "adds the others.",
        default="replace",
        choices=get_args(WriteMode),
    ),
    Flag(
        "partition",
        Kind.PARTITION,
        Group.DESTINATION,
        "Partition that --write_mode partition replaces: YYYY, YYYYMM, YYYYMMDD or YYYYMMDDHH as "
        "--output_table is partitioned, or the start of an integer range.",
        metavar="ID",
    ),
    Flag(
        "rejects_table",
        Kind.TABLE,
        Group.DESTINATION,
        "Table that receives the rows that could not be scored, with the reason. Without it, "
        "the name is made from --output_table.",
        metavar="PROJECT.DATASET.TABLE",
    ),
    Flag(
        "runs_table",
        Kind.TABLE,
        Group.DESTINATION,
        "Table that receives one summary row a run. Without it, the name is made from "
        "--output_table.",
        metavar="PROJECT.DATASET.TABLE",
    ),
    Flag(
        "output_partitioning",
        Kind.PARTITIONING,
        Group.DESTINATION,
        "Column by which a new --output_table is partitioned, by HOUR, DAY, MONTH or YEAR; by DAY "
        "without one. An existing table stays as it is, and must not be partitioned otherwise.",
        metavar="COLUMN[:UNIT]",
    ),
    Flag(
        "output_clustering",
        Kind.COLUMNS,
        Group.DESTINATION,
        "Up to four columns by which a new --output_table is clustered. An existing table stays as "
        "it is, and must not be clustered otherwise.",
        metavar="COLUMN,...",
    ),
    Flag(
        "output_labels",
        Kind.LABELS,
        Group.DESTINATION,
        "Labels of a new --output_table; an existing one keeps its own.",
        metavar="KEY=VALUE,...",
    ),
    Flag(
        "output_expiration_days",
        Kind.INTEGER,
        Group.DESTINATION,
        "Days after which BigQuery deletes a new --output_table; an existing one keeps its own "
        "expiration.",
        metavar="DAYS",
        minimum=1,
        maximum=36_500,
    ),
    Flag(
        "output_description",
        Kind.TEXT,
        Group.DESTINATION,
        "Description of a new --output_table; an existing one keeps its own.",
        metavar="TEXT",
    ),
    Flag(
        "output_kms_key",
        Kind.KMS_KEY,
        Group.DESTINATION,
        "Cloud KMS key that encrypts every table that the run makes. An existing --output_table "
        "must not have another one; without the flag, the tables beside it take its key.",
        metavar="projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY",
    ),
)

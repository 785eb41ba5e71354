"""Modes `partition` and `merge`: what they change, what they leave, and what they refuse."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import saved_models
from google.cloud import bigquery
from workbench import Outcome, Row, Saved, Workbench

from pipeline import cli

FIRST, SECOND = date(2024, 5, 1), date(2024, 5, 2)
DAILY = ("--key_columns=id", "--passthrough_columns=day")
SECOND_DAY = (*DAILY, "--write_mode=partition", "--partition=20240502")
RESTORED = {"day": "DATE", "j": "JSON", "g": "GEOGRAPHY"}
MERGED = ("--key_columns=id", "--write_mode=merge")


@pytest.fixture
def doubled(saved: Saved) -> Path:
    """x -> y = 2 * x."""
    return saved(saved_models.doubled)


def _load(bench: Workbench, *days: date, **columns: list[Any]) -> None:
    """Makes table t: id = 1, 2, …, x = id, and the day of each row."""
    ids = list(range(1, len(days) + 1))
    rows = {"id": ids, "x": [float(i) for i in ids], "day": pa.array(days, pa.date32())}
    bench.load("t", pa.table({**rows, **columns}))


def _make_output(bench: Workbench) -> None:
    """Table p, partitioned by day: ids 11 and 12, one a day, y = -1."""
    bench.sql(
        "CREATE TABLE p (id INT64, day DATE, y FLOAT64, run_id STRING, model_digest STRING) "
        "PARTITION BY day"
    )
    bench.sql(
        "INSERT INTO p (id, day, y) VALUES (11, DATE '2024-05-01', -1), (12, DATE '2024-05-02', -1)"
    )


def _create(
    bench: Workbench, name: str, columns: Mapping[str, str], layout: Mapping[str, Any]
) -> None:
    """An empty table."""
    table = bigquery.Table(f"{bench.cloud.project}.{bench.name(name)}")
    table.schema = [bigquery.SchemaField(*column) for column in columns.items()]
    table._properties.update(layout)
    bench.client.create_table(table)


def _published(outcome: Outcome) -> str:
    assert outcome.code == cli.OK, outcome.stderr
    return outcome.stdout


def _reason(bench: Workbench, outcome: Outcome) -> str:
    """Why a run was refused, as the message says."""
    assert outcome.code == cli.REFUSED, f"exit code {outcome.code}\n{outcome.stderr}"
    assert "Traceback" not in outcome.stderr
    _, _, reason = outcome.stderr.partition(" was not published: ")
    return reason.partition("\n")[0]


def _row(key: int, day: date, y: float) -> Row:
    return {"id": key, "day": day, "y": y}


def test_one_partition_is_replaced(bench: Workbench, doubled: Path) -> None:
    _make_output(bench)
    _load(bench, SECOND, SECOND)

    stdout = _published(bench.score(doubled, *SECOND_DAY))

    assert "(partition 20240502 replaced)" in stdout
    assert "partitioned by DAY of column day" in stdout
    assert bench.rows() == [_row(1, SECOND, 2.0), _row(2, SECOND, 4.0), _row(11, FIRST, -1.0)]


def test_rows_of_other_partitions_are_refused(bench: Workbench, doubled: Path) -> None:
    _make_output(bench)
    before = bench.rows()
    bench.sql(
        "CREATE TABLE t AS SELECT 1 AS id, 1.0 AS x, DATE '2024-05-01' AS day "
        "UNION ALL SELECT 2, 1.0, DATE '2024-05-02' UNION ALL SELECT 3, 1.0, NULL"
    )

    outcome = bench.score(doubled, *SECOND_DAY)

    assert _reason(bench, outcome) == (
        "rows that do not belong to partition 20240502 (DAY of column day): 2, with day from "
        "2024-05-01 to 2024-05-01 and 1 with NULL. Choose the partition's rows with "
        "--row_restriction or --input_query."
    )
    assert bench.rows() == before


def test_no_rows_empty_the_partition(bench: Workbench, doubled: Path) -> None:
    _make_output(bench)
    _load(bench, SECOND)

    _published(bench.score(doubled, *SECOND_DAY, "--row_restriction=id > 100"))

    assert bench.rows() == [_row(11, FIRST, -1.0)]


def test_a_partition_of_a_new_table(bench: Workbench, doubled: Path) -> None:
    _load(bench, FIRST, SECOND)
    arguments = (*DAILY, "--output_partitioning=day:MONTH", "--write_mode=partition")

    _published(bench.score(doubled, *arguments, "--partition=202405"))

    assert bench.rows() == [_row(1, FIRST, 2.0), _row(2, SECOND, 4.0)]
    partitioning = bench.client.get_table(bench.name("p")).time_partitioning
    assert (partitioning.field, partitioning.type_) == ("day", "MONTH")


def test_an_integer_range_is_replaced(bench: Workbench, doubled: Path) -> None:
    columns = {"id": "INTEGER", "y": "FLOAT", "run_id": "STRING", "model_digest": "STRING"}
    ranges = {"field": "id", "range": {"start": "0", "end": "30", "interval": "10"}}
    _create(bench, "p", columns, {"rangePartitioning": ranges})
    bench.sql("INSERT INTO p (id, y) VALUES (5, -1), (15, -1)")
    _load(bench, FIRST, FIRST)

    _published(bench.score(doubled, "--key_columns=id", "--write_mode=partition", "--partition=0"))

    assert bench.rows() == [{"id": 1, "y": 2.0}, {"id": 2, "y": 4.0}, {"id": 15, "y": -1.0}]


def test_merge_updates_rows_of_equal_keys_and_adds_others(bench: Workbench, doubled: Path) -> None:
    _load(bench, FIRST, FIRST)
    _published(bench.score(doubled, *MERGED))
    bench.load("t", pa.table({"id": [2, 3], "x": [10.0, 3.0]}))

    stdout = _published(bench.score(doubled, *MERGED))

    assert "(merged into by id)" in stdout
    assert "a MERGE statement" in stdout
    assert bench.rows() == [{"id": 1, "y": 2.0}, {"id": 2, "y": 20.0}, {"id": 3, "y": 6.0}]
    assert bench.arrow("p__runs").num_rows >= 2


def test_merge_by_several_keys(bench: Workbench, doubled: Path) -> None:
    _make_output(bench)
    bench.load("t", pa.table({"id": [11, 12], "x": [1.0, 2.0], "day": [FIRST, FIRST]}))

    _published(bench.score(doubled, "--key_columns=id,day", "--write_mode=merge"))

    assert bench.rows(by="y") == [
        _row(12, SECOND, -1.0),
        _row(11, FIRST, 2.0),
        _row(12, FIRST, 4.0),
    ]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (
            [7, 7, 8, 9, 9, 9],
            "rows with the same key, of which --write_mode merge cannot choose one: "
            "id = 7; id = 9.",
        ),
        (
            [n // 2 for n in range(14)],
            "rows with the same key, of which --write_mode merge cannot choose one: "
            "id = 0; id = 1; id = 2; id = 3; id = 4 and 2 more.",
        ),
        (
            [1, None, None],
            "rows with NULL in id, by which --write_mode merge finds the rows to update: 2. Leave "
            "them out with --row_restriction or --input_query.",
        ),
    ],
)
def test_keys_that_do_not_tell_rows_apart(
    bench: Workbench, doubled: Path, ids: list[int | None], message: str
) -> None:
    _make_output(bench)
    before = bench.rows()
    columns = {"id": pa.array(ids, pa.int64()), "x": [1.0] * len(ids), "day": [FIRST] * len(ids)}
    bench.load("t", pa.table(columns))

    outcome = bench.score(doubled, *DAILY, "--write_mode=merge")

    assert _reason(bench, outcome) == message
    assert bench.rows() == before


@pytest.mark.parametrize("mode", ["partition", "merge"])
def test_json_and_geography_are_restored(bench: Workbench, doubled: Path, mode: str) -> None:
    _create(bench, "t", {"id": "INTEGER", "x": "FLOAT", **RESTORED}, {})
    bench.sql(
        "INSERT INTO t (id, x, day, j, g) VALUES "
        "(12, 1.0, DATE '2024-05-02', PARSE_JSON('{\"a\": [1]}'), ST_GEOGPOINT(1, 2))"
    )
    metadata = {"run_id": "STRING", "model_digest": "STRING"}
    daily = {"timePartitioning": {"type": "DAY", "field": "day"}}
    _create(bench, "p", {"id": "INTEGER", **RESTORED, "y": "FLOAT", **metadata}, daily)
    bench.sql(
        "INSERT INTO p (id, day, y) VALUES (11, DATE '2024-05-01', -1), (12, DATE '2024-05-02', -1)"
    )
    partition = ["--partition=20240502"] if mode == "partition" else []

    _published(
        bench.score(
            doubled,
            "--key_columns=id",
            "--passthrough_columns=day,j,g",
            f"--write_mode={mode}",
            *partition,
        )
    )

    found = bench.client.query(
        f"SELECT id, y, TO_JSON_STRING(j.a) AS j, ST_X(g) AS g FROM `{bench.name('p')}` ORDER BY id"
    ).result()
    assert [tuple(row.values()) for row in found] == [(11, -1.0, None, None), (12, 2.0, "[1]", 1.0)]

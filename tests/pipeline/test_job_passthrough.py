"""Columns that are copied to the output: every BigQuery type, unchanged, NULLs too.

What the embedded BigQuery cannot hold is tested elsewhere: BIGNUMERIC beyond 38 digits at the level
of the files that load jobs take (tests/transforms/test_written_files.py); polygons larger than a
hemisphere and JSON numbers beyond FLOAT64, which it does not tell from others, at the level of the
SQL that restores them (tests/scoring/test_portable.py).
"""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
import saved_models
from google.cloud import bigquery
from workbench import Saved, Workbench

from pipeline import cli
from scoring.schema import Field

_UTC_MIN = datetime.min.replace(tzinfo=UTC)
_UTC_MAX = datetime.max.replace(tzinfo=UTC)
_STRUCT = pa.struct([("name", pa.string()), ("size", pa.int64())])
_EVENT = pa.struct([("label", pa.string()), ("at", pa.timestamp("us", "UTC"))])
# All but BIGNUMERIC, which the embedded BigQuery keeps as a float.
# Name, BigQuery's type, the Arrow type that loads into it, and a usual, an extreme and an empty
# value; every column has a NULL too, except for ARRAY columns, which cannot hold one.
_COLUMNS: tuple[tuple[str, str, pa.DataType, list[Any]], ...] = (
    ("an_int", "INTEGER", pa.int64(), [42, -(2**63), 0]),
    ("a_float", "FLOAT", pa.float64(), [0.1, float("-inf"), 5e-324]),
    ("a_bool", "BOOLEAN", pa.bool_(), [True, False, True]),
    ("a_string", "STRING", pa.string(), ["zażółć 😀", "\x00\n", ""]),
    ("some_bytes", "BYTES", pa.binary(), [b"abc", b"\x00\xff", b""]),
    ("a_date", "DATE", pa.date32(), [date(2024, 2, 29), date.min, date.max]),
    ("a_time", "TIME", pa.time64("us"), [time(12, 30), time.max, time.min]),
    (
        "a_datetime",
        "DATETIME",
        pa.timestamp("us"),
        [datetime(2024, 2, 29, 1), datetime.min, datetime.max],
    ),
    (
        "a_timestamp",
        "TIMESTAMP",
        pa.timestamp("us", "UTC"),
        [datetime(1969, 12, 31, 23, tzinfo=UTC), _UTC_MIN, _UTC_MAX],
    ),
    (
        "a_numeric",
        "NUMERIC",
        pa.decimal128(38, 9),
        [Decimal("1.5"), Decimal("9" * 29 + "." + "9" * 9), Decimal("-0.000000001")],
    ),
    ("a_struct", "RECORD", _STRUCT, [{"name": "n", "size": 3}, {"name": None, "size": None}, {}]),
    ("ints", "INTEGER", pa.list_(pa.int64()), [[1, 2, 3], [2**63 - 1], []]),
    ("texts", "STRING", pa.list_(pa.string()), [["a", ""], ["b"] * 100, []]),
    (
        "events",
        "RECORD",
        pa.list_(_EVENT),
        [[{"label": "l", "at": _UTC_MIN}, {"label": None, "at": None}], [{}], []],
    ),
)
_KEYED = pa.schema([("day", pa.date32()), ("price", pa.decimal128(38, 9)), ("x", pa.float64())])
_REPEATED = ("ints", "texts", "events")


def _all_types() -> pa.Table:
    columns = {"id": pa.array(range(4)), "x": pa.array([0.5, 1.5, 2.5, 3.5])}
    for name, _, kind, values in _COLUMNS:
        columns[name] = pa.array([*values, [] if name in _REPEATED else None], kind)
    return pa.table(columns)


@pytest.mark.parametrize("method", ["DIRECT_READ", "EXPORT"])
def test_every_portable_type_is_passed_through_unchanged(
    bench: Workbench, saved: Saved, method: str
) -> None:
    bench.load("t", _all_types())

    outcome = bench.score(
        saved(saved_models.doubled),
        "--key_columns=id",
        "--passthrough_columns=" + ",".join(name for name, *_ in _COLUMNS),
        f"--read_method={method}",
    )

    assert outcome.code == cli.OK, outcome.stderr
    assert bench.rows() == [
        {k: v for k, v in row.items() if k != "x"} | {"y": 2 * row["x"]}
        for row in _all_types().to_pylist()
    ]
    fields = {f.name: f for f in bench.client.get_table(bench.name("p")).schema}
    assert {name: fields[name].field_type for name, *_ in _COLUMNS} == {
        name: kind for name, kind, *_ in _COLUMNS
    }
    assert [n for n, *_ in _COLUMNS if fields[n].mode == "REPEATED"] == list(_REPEATED)


def test_a_rejected_row_shows_its_key_of_any_type(bench: Workbench, saved: Saved) -> None:
    key = {"day": date(2024, 2, 29), "price": Decimal("1.100000000")}
    bench.load("t", pa.Table.from_pylist([{**key, "x": None}], schema=_KEYED))

    outcome = bench.score(
        saved(saved_models.doubled), "--key_columns=day,price", "--max_rejected_fraction=1"
    )

    assert outcome.code == cli.OK, outcome.stderr
    (reject,) = bench.arrow("p__rejects").to_pylist()
    assert reject["key"] == key


def test_a_type_that_cannot_be_carried_is_refused(bench: Workbench, saved: Saved) -> None:
    columns = (("id", "INTEGER"), ("x", "FLOAT"), ("odd", "INTERVAL"))
    schema = [bigquery.SchemaField(name, column_type) for name, column_type in columns]
    bench.client.create_table(bigquery.Table(f"{bench.cloud.project}.{bench.name('t')}", schema))

    outcome = bench.score(
        saved(saved_models.doubled), "--key_columns=id", "--passthrough_columns=odd"
    )

    outcome.refused_with("'odd'", "INTERVAL", "--passthrough_columns")
    assert bench.tables() == {"t"}


_TEXTS = """
SELECT 1 AS id, 1.5 AS x, '{"a":1e100,"b":[true,null]}' AS j, 'POINT (1 2)' AS g,
  ['{"c":3}', 'null', '3'] AS js, STRUCT('"s"' AS j, 5 AS n) AS s,
  [STRUCT('[2]' AS j, ['POINT (3 4)', 'POINT (0 0)'] AS gs, 6 AS n)] AS ss
UNION ALL SELECT 2, 2.5, NULL, NULL, [], NULL, []
"""
_TYPED = """
SELECT * REPLACE (
  PARSE_JSON(j) AS j, ST_GEOGFROMTEXT(g) AS g,
  ARRAY(SELECT PARSE_JSON(e) FROM UNNEST(js) AS e) AS js,
  IF(s IS NULL, NULL, STRUCT(PARSE_JSON(s.j) AS j, s.n AS n)) AS s,
  ARRAY(SELECT STRUCT(
    PARSE_JSON(e.j) AS j, ARRAY(SELECT ST_GEOGFROMTEXT(f) FROM UNNEST(e.gs) AS f) AS gs, e.n AS n
  ) FROM UNNEST(ss) AS e) AS ss)
FROM texts
"""
_TYPES = {
    "j": "JSON",
    "g": "GEOGRAPHY",
    "js": "ARRAY<JSON>",
    "s": "STRUCT<j JSON, n INT64>",
    "ss": "ARRAY<STRUCT<j JSON, gs ARRAY<GEOGRAPHY>, n INT64>>",
}


@pytest.fixture
def typed(bench: Workbench) -> Workbench:
    """Table t with JSON and GEOGRAPHY columns, also nested ones."""
    bench.sql(f"CREATE TABLE texts AS {_TEXTS}")
    dataset = bigquery.DatasetReference(bench.cloud.project, bench.dataset)
    config = bigquery.QueryJobConfig(default_dataset=dataset, destination=dataset.table("t"))
    bench.client.query(_TYPED, config).result()
    assert _types(bench, "t") == _TYPES
    return bench


def _types(bench: Workbench, table: str) -> dict[str, str]:
    schema = bench.client.get_table(bench.name(table)).schema
    fields = [Field.from_api(f.to_api_repr()) for f in schema]
    return {f.name: f.sql_type for f in fields if f.name in _TYPES}


def _row(id_: int, bench: Workbench) -> dict[str, Any]:
    (row,) = [row for row in bench.rows("t", without=["x"]) if row["id"] == id_]
    return row | {"y": 2.0 * id_ + 1}


_CARRIED = ("--key_columns=id", "--passthrough_columns=j,g,js,s,ss")


@pytest.mark.parametrize("method", ["DIRECT_READ", "EXPORT"])
def test_json_and_geography_keep_their_types_wherever_they_are(
    typed: Workbench, saved: Saved, method: str
) -> None:
    outcome = typed.score(saved(saved_models.doubled), *_CARRIED, f"--read_method={method}")

    assert outcome.code == cli.OK, outcome.stderr
    assert "a query job over the run's rows" in outcome.stdout
    assert _types(typed, "p") == _TYPES
    assert typed.rows() == [_row(1, typed), _row(2, typed)]
    assert typed.tables() == {"t", "texts", "p", "p__rejects", "p__runs"}


def test_a_query_that_publishes_keeps_partitions_and_publishes_once(
    typed: Workbench, saved: Saved
) -> None:
    columns = [("id", "INTEGER"), ("y", "FLOAT"), ("j", "JSON")]
    columns += [("run_id", "STRING"), ("model_digest", "STRING")]
    table = bigquery.Table(
        f"{typed.cloud.project}.{typed.name('p')}", [bigquery.SchemaField(*c) for c in columns]
    )
    table.range_partitioning = bigquery.RangePartitioning(
        bigquery.PartitionRange(start=0, end=10, interval=5), field="id"
    )
    table.clustering_fields = ["run_id"]
    typed.client.create_table(table)
    arguments = (
        saved(saved_models.doubled),
        "--key_columns=id",
        "--passthrough_columns=j",
        "--write_mode=append",
        f"--run_id={typed.dataset}",
    )

    for _ in range(2):
        outcome = typed.score(*arguments)
        assert outcome.code == cli.OK, outcome.stderr

    assert [(row["id"], row["y"], row["j"]) for row in typed.rows()] == [
        (1, 3.0, _row(1, typed)["j"]),
        (2, 5.0, None),
    ]
    published = typed.client.get_table(typed.name("p"))
    assert published.range_partitioning.field == "id"
    assert published.clustering_fields == ["run_id"]


def test_an_existing_output_of_another_type_is_refused(typed: Workbench, saved: Saved) -> None:
    typed.sql("CREATE TABLE p (id INT64, j STRING, y FLOAT64, run_id STRING, model_digest STRING)")

    outcome = typed.score(
        saved(saved_models.doubled), "--key_columns=id", "--passthrough_columns=j"
    )

    outcome.refused_with("column j is STRING, got JSON")


def test_a_rejected_row_shows_a_json_key_as_text(typed: Workbench, saved: Saved) -> None:
    typed.sql("UPDATE t SET x = NULL WHERE TRUE")

    outcome = typed.score(
        saved(saved_models.doubled), "--key_columns=id,j", "--max_rejected_fraction=1"
    )

    assert outcome.code == cli.OK, outcome.stderr
    keys = [row["key"] for row in typed.arrow("p__rejects").to_pylist()]
    assert sorted(keys, key=lambda key: key["id"]) == [
        {"id": 1, "j": _row(1, typed)["j"]},
        {"id": 2, "j": None},
    ]

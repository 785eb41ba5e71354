"""Which column feeds which input, and what the output's columns are called."""

import pyarrow as pa
import saved_models
from workbench import Saved, Workbench

from pipeline import cli


def test_input_columns_say_what_feeds_what(bench: Workbench, saved: Saved) -> None:
    bench.load("t", pa.table({"id": range(3), "x": [9.0] * 3, "other": [1.0, 2.0, 3.0]}))

    outcome = bench.score(
        saved(saved_models.doubled), "--input_columns=x=other", "--key_columns=id"
    )

    assert outcome.code == cli.OK, outcome.stderr
    assert [row["y"] for row in bench.rows()] == [2.0, 4.0, 6.0]


def test_names_match_in_any_case(bench: Workbench, saved: Saved) -> None:
    bench.load("t", pa.table({"Id": range(3), "X": [1.0, 2.0, 3.0], "other": [9.0] * 3}))

    outcome = bench.score(saved(saved_models.doubled), "--key_columns=ID")

    assert outcome.code == cli.OK, outcome.stderr
    assert bench.rows(by="Id") == [{"Id": i, "y": 2.0 * i + 2} for i in range(3)]


def test_the_only_column_left_over_feeds_the_only_input(bench: Workbench, saved: Saved) -> None:
    bench.load("t", pa.table({"id": range(3), "height": [1.0, 2.0, 3.0]}))

    outcome = bench.score(saved(saved_models.doubled), "--key_columns=id")

    assert outcome.code == cli.OK, outcome.stderr
    assert [row["y"] for row in bench.rows()] == [2.0, 4.0, 6.0]


def test_a_key_column_can_feed_an_input_too(bench: Workbench, saved: Saved) -> None:
    bench.load("t", pa.table({"x": [1.0, 2.0, 3.0]}))

    outcome = bench.score(saved(saved_models.doubled), "--key_columns=x")

    assert outcome.code == cli.OK, outcome.stderr
    assert bench.rows(by="x") == [{"x": v, "y": 2 * v} for v in (1.0, 2.0, 3.0)]


def test_output_columns_choose_and_rename(bench: Workbench, saved: Saved) -> None:
    bench.load("t", pa.table({"id": range(2), "text": ["ab", "c"]}))

    outcome = bench.score(
        saved(saved_models.texts), "--output_columns=length=size_bytes", "--key_columns=id"
    )

    assert outcome.code == cli.OK, outcome.stderr
    assert bench.rows() == [{"id": 0, "size_bytes": 2}, {"id": 1, "size_bytes": 1}]


def test_passthrough_columns_are_copied_after_the_keys(bench: Workbench, saved: Saved) -> None:
    bench.load("t", pa.table({"x": [1.0], "note": ["n"], "id": [7], "unused": [0]}))

    outcome = bench.score(
        saved(saved_models.doubled), "--key_columns=id", "--passthrough_columns=note,x"
    )

    assert outcome.code == cli.OK, outcome.stderr
    assert bench.arrow("p").column_names == ["id", "note", "x", "y", "run_id", "model_digest"]
    assert bench.rows() == [{"id": 7, "note": "n", "x": 1.0, "y": 2.0}]


def test_a_star_passes_all_columns_through(bench: Workbench, saved: Saved) -> None:
    bench.load("t", pa.table({"x": [1.0], "note": ["n"], "id": [7]}))

    outcome = bench.score(
        saved(saved_models.doubled), "--key_columns=id", "--passthrough_columns=*"
    )

    assert outcome.code == cli.OK, outcome.stderr
    assert bench.rows() == [{"id": 7, "x": 1.0, "note": "n", "y": 2.0}]


def test_required_columns_and_names_beyond_ascii(bench: Workbench, saved: Saved) -> None:
    bench.sql("CREATE TABLE t (id INT64 NOT NULL, `prix élevé` STRING NOT NULL, x FLOAT64)")
    bench.sql("INSERT INTO t VALUES (1, 'a', 1.0), (2, 'b', NULL)")

    outcome = bench.score(
        saved(saved_models.doubled), "--key_columns=id,prix élevé", "--max_rejected_fraction=0.5"
    )

    assert outcome.code == cli.OK, outcome.stderr
    assert bench.rows() == [{"id": 1, "prix élevé": "a", "y": 2.0}]
    (reject,) = bench.arrow("p__rejects").to_pylist()
    assert reject["key"] == {"id": 2, "prix élevé": "b"}
    modes = {f.name: f.mode for f in bench.client.get_table(bench.name("p")).schema}
    assert (modes["id"], modes["prix élevé"], modes["y"]) == ("REQUIRED", "REQUIRED", "NULLABLE")


def test_no_key_and_nothing_passed_through(bench: Workbench, saved: Saved) -> None:
    bench.load("t", pa.table({"x": [1.0, None, 3.0]}))

    outcome = bench.score(saved(saved_models.doubled), "--max_rejected_fraction=0.5")

    assert outcome.code == cli.OK, outcome.stderr
    assert bench.rows(by="y") == [{"y": 2.0}, {"y": 6.0}]
    (reject,) = bench.arrow("p__rejects").to_pylist()
    assert "key" not in reject
    assert (reject["code"], reject["row"]) == ("NULL_VALUE", '{"x": null}')

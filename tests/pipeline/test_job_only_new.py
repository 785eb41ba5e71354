"""--only_new: rows whose keys the output table has from the same model are left out."""

from pathlib import Path

import pyarrow as pa
import pytest
import saved_models
from workbench import Outcome, Row, Saved, Workbench

from pipeline import cli

APPENDING = ("--key_columns=id", "--write_mode=append", "--only_new")


@pytest.fixture
def doubled(saved: Saved) -> Path:
    """x -> y = 2 * x."""
    return saved(saved_models.doubled)


def _load(bench: Workbench, *ids: int | None, x: float = 1.0) -> None:
    """Makes table t with these ids, and the same x in each row."""
    columns = {"id": pa.array(ids, pa.int64()), "x": [x] * len(ids)}
    bench.load("t", pa.table(columns))


def _published(outcome: Outcome) -> str:
    assert outcome.code == cli.OK, outcome.stderr
    return outcome.stdout


def _rows(*pairs: tuple[int, float]) -> list[Row]:
    return [{"id": key, "y": y} for key, y in pairs]


def _rows_read(bench: Workbench) -> list[int]:
    """Rows read of each published run, in the order of their ends."""
    runs = [r for r in bench.arrow("p__runs").to_pylist() if r["state"] == "published"]
    return [r["rows_read"] for r in sorted(runs, key=lambda r: r["finished_at"])]


def test_rows_that_are_there_are_not_scored_again(bench: Workbench, doubled: Path) -> None:
    _load(bench, 1, 2)
    _published(bench.score(doubled, *APPENDING))
    _load(bench, 1, 2, 3, 4, x=10.0)

    stdout = _published(bench.score(doubled, *APPENDING, "--row_restriction=id < 4"))

    assert "WHERE NOT EXISTS" in stdout
    assert bench.rows() == _rows((1, 2.0), (2, 2.0), (3, 20.0))
    assert _rows_read(bench) == [2, 1]


@pytest.mark.parametrize("method", ["DIRECT_READ", "EXPORT"])
def test_nothing_new_adds_nothing(bench: Workbench, doubled: Path, method: str) -> None:
    _load(bench, 1, 2)
    _published(bench.score(doubled, *APPENDING))

    _published(bench.score(doubled, *APPENDING, f"--read_method={method}"))

    assert bench.rows() == _rows((1, 2.0), (2, 2.0))
    assert _rows_read(bench) == [2, 0]


def test_the_check_shows_the_query(bench: Workbench, doubled: Path) -> None:
    _load(bench, 1)
    _published(bench.score(doubled, *APPENDING))

    stdout = _published(bench.check(doubled, *APPENDING))

    assert "WHERE NOT EXISTS" in stdout
    assert "rows in source  unknown" in stdout
    assert "Checked without rows" in stdout


def test_a_query_is_a_source_too(bench: Workbench, doubled: Path) -> None:
    _load(bench, 1, 2)
    _published(bench.score(doubled, *APPENDING))
    query = f"WITH s AS (SELECT id + 1 AS id, x FROM `{bench.name('t')}`) SELECT * FROM s -- all"

    _published(bench.score(doubled, *APPENDING, f"--input_query={query}"))

    assert bench.rows() == _rows((1, 2.0), (2, 2.0), (3, 2.0))


def test_another_model_scores_all_rows_again(bench: Workbench, doubled: Path) -> None:
    _load(bench, 1, 2)
    _published(bench.score(doubled, *APPENDING))
    bench.sql("UPDATE p SET model_digest = 'that of another model' WHERE TRUE")

    _published(bench.score(doubled, *APPENDING))

    assert bench.rows() == _rows((1, 2.0), (1, 2.0), (2, 2.0), (2, 2.0))


def test_several_keys_one_null_and_a_renamed_digest(bench: Workbench, doubled: Path) -> None:
    columns = {"id": [1, 1, 2], "part": ["a", None, "a"], "x": [1.0, 2.0, 3.0]}
    bench.load("t", pa.table(columns))
    arguments = ("--key_columns=id,part", "--write_mode=append", "--only_new")
    renamed = "--metadata_columns=model_digest=made by"
    _published(bench.score(doubled, *arguments, renamed))

    _published(bench.score(doubled, *arguments, renamed))

    assert [(r["id"], r["part"]) for r in bench.rows(without=["made by"])] == [
        (1, "a"),
        (1, None),
        (1, None),
        (2, "a"),
    ]


def test_new_rows_are_merged(bench: Workbench, doubled: Path) -> None:
    _load(bench, 1, 2)
    arguments = ("--key_columns=id", "--write_mode=merge", "--only_new")
    _published(bench.score(doubled, *arguments))
    bench.sql("UPDATE p SET model_digest = 'that of another model' WHERE id = 2")
    _load(bench, 1, 2, 3, x=10.0)

    _published(bench.score(doubled, *arguments))

    assert bench.rows() == _rows((1, 2.0), (2, 20.0), (3, 20.0))


def test_a_query_that_ends_with_a_semicolon(bench: Workbench, doubled: Path) -> None:
    _load(bench, 1)
    _published(bench.score(doubled, *APPENDING))
    query = f"SELECT * FROM `{bench.name('t')}`;"

    _published(bench.score(doubled, *APPENDING, f"--input_query={query}"))

    assert bench.rows() == _rows((1, 2.0))

"""Results that are right, and every way in which one can be wrong."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.correctness import problems
from benchmarks.task import Output, Scoring
from benchmarks.workload import Files, Workload

SCORING = Scoring(
    {"x": "x"}, (Output("y", "score"), Output("z", "vector", repeated=True)), passthrough=("name",)
)
NAN = float("nan")
RIGHT: dict[str, list[Any]] = {
    "id": [1, 2, 0],
    "name": ["b", None, "a"],
    "score": [0.75, NAN, 0.5],
    "vector": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
}


def _unused(*_: Any) -> Any:
    raise AssertionError


@pytest.fixture
def files(tmp_path: Path) -> Files:
    pq.write_table(pa.table({"id": [2, 0, 1], "name": [None, "a", "b"]}), tmp_path / "t.parquet")
    expected = pa.table(RIGHT).drop_columns(["name"])
    pq.write_table(expected, tmp_path / "expected.parquet")
    return Files(
        tmp_path / "t.parquet", tmp_path, tmp_path / "expected.parquet", tmp_path / "made.json"
    )


def _found(files: Files, result: dict[str, list[Any]], tolerance: float = 1e-6) -> list[str]:
    workload = Workload("w", "", 3, SCORING, _unused, _unused, tolerance=tolerance)
    path = files.model / "result.parquet"
    pq.write_table(pa.table(result), path)
    return problems(path, files, workload)


def test_right_result_in_another_order(files: Files) -> None:
    assert _found(files, RIGHT) == []
    assert _found(files, {name: values[::-1] for name, values in RIGHT.items()}) == []


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("id", [1, 2, 3], "unexpected keys, such as 3"),
        ("id", [1, 2, -1], "unexpected keys, such as -1"),
        ("name", ["b", "c", "a"], "1 values of name in a batch differ"),
        ("name", ["b", None, None], "key 0: expected a, got None"),
        ("score", [0.75001, NAN, 0.5], "key 1: expected 0.75, got 0.75001"),
        ("score", [0.75, None, 0.5], "1 values of score in a batch differ"),
        ("score", [0.75, float("inf"), 0.5], "1 values of score in a batch differ"),
        ("vector", [[1.0, 2.0], [3.0], [5.0, 6.0]], "key 2: expected"),
        ("vector", [[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]], "1 values of vector in a batch differ"),
    ],
)
def test_wrong_values(files: Files, column: str, values: list[Any], message: str) -> None:
    (found,) = _found(files, RIGHT | {column: values})

    assert message in found


def test_tolerance(files: Files) -> None:
    nearly = RIGHT | {"score": [0.7500001, NAN, 0.5]}

    assert _found(files, nearly) == []
    (found,) = _found(files, nearly, tolerance=0.0)
    assert "differ by more than 0" in found


def test_rows_that_are_missing_or_there_twice(files: Files) -> None:
    (missing,) = _found(files, {name: values[:2] for name, values in RIGHT.items()})
    (repeated,) = _found(files, {name: [*values, values[0]] for name, values in RIGHT.items()})

    assert missing.endswith("expected every key once, 1 are missing, 0 repeated")
    assert repeated.endswith("expected every key once, 0 are missing, 1 repeated")

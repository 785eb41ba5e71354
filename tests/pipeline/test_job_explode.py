"""--explode: a row for each class, everything else repeated, and sums that still hold."""

from pathlib import Path

import pyarrow as pa
import pytest
import saved_models
from workbench import Saved, Workbench

from pipeline import cli

# The rows of saved_models.vectors for these inputs: x0 + x2, x1 + x3, half the sum.
_X = [[1.0, 2.0, 3.0, 0.0], [0.0, 4.0, 0.0, 0.5]]
_SCORES = [(4.0, 2.0, 3.0), (0.0, 4.5, 2.25)]
_LABELS = ("cat", "dog", "emu")


@pytest.fixture
def vectors(bench: Workbench, saved: Saved) -> Path:
    """The model; table t has the rows of _X and one that is rejected."""
    rows = {"id": [0, 1, 2], "tag": ["a", "b", "c"], "x": [*_X, [1.0]]}
    bench.load("t", pa.table(rows))
    return saved(saved_models.vectors)


def test_all_classes_are_rows_best_first(bench: Workbench, vectors: Path) -> None:
    labels = bench.folder / "labels.txt"
    labels.write_text("\n".join(_LABELS))

    outcome = bench.score(
        vectors,
        "--explode",
        f"--class_labels={labels}",
        "--key_columns=id",
        "--passthrough_columns=tag",
        "--max_rejected_fraction=0.5",
    )

    assert outcome.code == cli.OK, outcome.stderr
    table = bench.arrow("p")
    assert table.column_names == [
        "id",
        "tag",
        "label",
        "index",
        "score",
        "run_id",
        "model_digest",
    ]
    assert [
        (row["id"], row["tag"], row["label"], row["index"], row["score"])
        for row in sorted(table.to_pylist(), key=lambda row: (row["id"], -row["score"]))
    ] == [
        (i, "ab"[i], _LABELS[c], c, _SCORES[i][c])
        for i in range(2)
        for c in sorted(range(3), key=lambda c: -_SCORES[i][c])
    ]
    run = bench.run_row()
    assert (run["rows_read"], run["rows_scored"], run["rows_rejected"]) == (3, 2, 1)
    assert run["rows_written"] == 6
    assert {row["run_id"] for row in table.to_pylist()} == {run["run_id"]}
    assert "rows written" in outcome.stdout
    assert bench.tables() == {"t", "p", "p__rejects", "p__runs"}


def test_the_best_classes_alone(bench: Workbench, vectors: Path) -> None:
    outcome = bench.score(
        vectors,
        "--explode",
        "--top_k=1",
        "--softmax",
        "--key_columns=id",
        "--max_rejected_fraction=0.5",
        "--metadata_columns=none",
    )

    assert outcome.code == cli.OK, outcome.stderr
    rows = bench.rows()
    assert [(row["id"], row["label"], row["index"]) for row in rows] == [(0, None, 0), (1, None, 1)]
    assert rows[0]["score"] == pytest.approx(0.6652409557748219)
    assert bench.run_row()["rows_written"] == 2
    assert "rows written" not in outcome.stdout


def test_check_shows_the_columns_of_a_class(bench: Workbench, vectors: Path) -> None:
    outcome = bench.check(vectors, "--explode", "--key_columns=id")

    assert outcome.code == cli.OK, outcome.stderr
    shown = [line.split()[:2] for line in outcome.stdout.splitlines() if "model output y" in line]
    assert shown == [["label", "STRING"], ["index", "INT64"], ["score", "FLOAT64"]]


def test_a_carried_column_called_like_one_of_a_class_is_refused(
    bench: Workbench, saved: Saved
) -> None:
    bench.load("t", pa.table({"Index": [1], "x": [_X[0]]}))

    outcome = bench.score(saved(saved_models.vectors), "--explode", "--key_columns=Index")

    outcome.refused_with(
        "--explode writes the classes of output 'y' to the columns label, index and score, but "
        "'index' is a key or passthrough column already. Rename that one."
    )

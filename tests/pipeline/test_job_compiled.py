"""--xla through whole jobs: the same results, or one sentence before anything is written."""

import pyarrow as pa
from saved_models import texts, tf1, vectors
from workbench import Saved, Workbench

from pipeline import cli

_ROWS = 75


def test_a_compiled_model_scores_a_table(bench: Workbench, saved: Saved) -> None:
    x = [[i, 1.0, 2.0, 3.0] for i in range(_ROWS - 1)]
    bench.load("t", pa.table({"id": range(_ROWS), "x": [*x, [4.0]]}))

    outcome = bench.score(
        saved(vectors), "--xla", "--key_columns=id", "--max_rejected_fraction=0.1"
    )

    assert outcome.code == cli.OK, outcome.stderr
    assert "XLA" in outcome.stdout
    assert bench.rows() == [{"id": i, "y": [i + 2.0, 4.0, 0.5 * i + 3]} for i in range(_ROWS - 1)]
    assert [(r["id"], r["code"]) for r in bench.rejects()] == [(_ROWS - 1, "WRONG_LENGTH")]
    assert bench.run_row()["options"]["xla"] == "True"


def test_check_has_xla_compile_the_model(bench: Workbench, saved: Saved) -> None:
    bench.load("t", pa.table({"x": [[float(i), 1.0, 2.0, 3.0] for i in range(_ROWS)]}))

    outcome = bench.check(saved(vectors), "--xla")

    assert outcome.code == cli.OK, outcome.stderr
    assert f"Checked with rows: {_ROWS} scored, none rejected." in outcome.stdout
    assert "Warning" not in outcome.stdout


def test_a_model_that_xla_cannot_compile_is_refused_before_the_job(
    bench: Workbench, saved: Saved
) -> None:
    bench.load("t", pa.table({"x": [1.0]}))

    outcome = bench.score(saved(tf1), "--xla")

    outcome.refused_with(
        f"Model {saved(tf1)} loads, but XLA cannot compile signature 'serving_default': it cannot "
        "do VariableV2. Leave --xla out."
    )
    assert bench.tables() == {"t"}


def test_strings_are_refused_without_a_trial(bench: Workbench, saved: Saved) -> None:
    bench.load("t", pa.table({"text": ["a"]}))

    outcome = bench.check(saved(texts), "--xla")

    outcome.refused_with("Input text: string[None] cannot be used with --xla", "Leave --xla out.")

"""Models as other people export them: with ops of other packages, or without all their files."""

import shutil
from pathlib import Path

import exported_models
import pyarrow as pa
import pytest
import saved_models
from workbench import Saved, Workbench

from pipeline import cli


def test_ops_of_tensorflow_text_are_scored(bench: Workbench, saved: Saved) -> None:
    bench.load("t", pa.table({"id": [0, 1], "text": ["STRASSE ß", "Ab"]}))

    outcome = bench.score(saved(exported_models.folded), "--key_columns=id")

    assert outcome.code == cli.OK, outcome.stderr
    assert bench.rows() == [{"id": 0, "folded": "strasse ss"}, {"id": 1, "folded": "ab"}]


@pytest.mark.parametrize("command", ["score", "check"])
def test_a_model_without_its_variables_is_refused_before_anything_runs(
    bench: Workbench, tmp_path: Path, command: str
) -> None:
    bench.load("t", pa.table({"x": [1.0]}))
    incomplete = saved_models.weighted(tmp_path / "incomplete")
    shutil.rmtree(incomplete / "variables")

    run = bench.score if command == "score" else bench.check
    outcome = run(incomplete)

    outcome.refused_with(
        f"Model {incomplete} has no file variables/variables.index, which holds the index of its "
        "variables. Copy or export the model again, with all files of its folder.\n"
    )
    assert bench.tables() == {"t"}

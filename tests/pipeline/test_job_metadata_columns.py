"""--metadata_columns: which columns say where a prediction comes from, and under which names."""

import pyarrow as pa
import pytest
import saved_models
from workbench import Saved, Workbench

from pipeline import cli


@pytest.mark.parametrize(
    ("given", "columns"),
    [
        ("none", ["id", "y"]),
        ("model_digest=Model,run_id=scored_in", ["id", "y", "Model", "scored_in"]),
    ],
)
def test_they_are_dropped_or_renamed(
    bench: Workbench, saved: Saved, given: str, columns: list[str]
) -> None:
    bench.load("t", pa.table({"id": [1], "x": [2.0]}))

    outcome = bench.score(
        saved(saved_models.doubled), "--key_columns=id", f"--metadata_columns={given}"
    )

    assert outcome.code == cli.OK, outcome.stderr
    run = bench.run_row()
    table = bench.arrow("p")
    assert table.column_names == columns
    values = {"id": 1, "y": 4.0, "Model": run["model_digest"], "scored_in": run["run_id"]}
    assert table.to_pylist() == [{name: values[name] for name in columns}]


def test_a_source_that_has_such_a_column_can_be_passed_through(
    bench: Workbench, saved: Saved
) -> None:
    bench.load("t", pa.table({"id": [1], "run_id": ["theirs"], "x": [2.0]}))
    arguments = (saved(saved_models.doubled), "--key_columns=id", "--passthrough_columns=*")
    refused = bench.score(*arguments)
    refused.refused_with(
        "Column 'run_id' cannot be copied to the output",
        "--metadata_columns run_id=scoring_run_id say",
    )

    outcome = bench.score(*arguments, "--metadata_columns=run_id=scoring_run_id")

    assert outcome.code == cli.OK, outcome.stderr
    (row,) = bench.arrow("p").to_pylist()
    assert (row["run_id"], row["x"]) == ("theirs", 2.0)
    assert row["scoring_run_id"] == bench.run_row()["run_id"]

"""`bulkscore check` warns of outputs that are not a function of their row alone."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from misbehaving_models import dropout, training_norm
from workbench import Saved, Workbench

from pipeline import cli

_GUESSLANG = Path("build/models/guesslang")


@pytest.fixture
def numbers(bench: Workbench) -> Workbench:
    """Table t, one row of which is rejected."""
    bench.load("t", pa.table({"id": [1, 2, 3, 4], "x": [1.0, None, 2.0, 6.0]}))
    return bench


def _warnings(stdout: str) -> Iterator[str]:
    return (line for line in stdout.splitlines() if line.startswith("Warning: "))


def test_a_model_in_training_mode(numbers: Workbench, saved: Saved) -> None:
    outcome = numbers.check(saved(training_norm), "--key_columns=id")

    assert outcome.code == cli.OK, outcome.stderr
    assert outcome.stderr == ""
    assert "Checked with rows: 3 scored, NULL_VALUE 1 rejected." in outcome.stdout
    (warning,) = _warnings(outcome.stdout)
    assert warning.startswith(
        "Warning: output 'y' of a row depends on the rows beside it (differs by 3): the model may "
        "have been exported in training mode"
    )


def test_outputs_that_nobody_wants_are_not_compared(numbers: Workbench, saved: Saved) -> None:
    outcome = numbers.check(saved(training_norm), "--key_columns=id", "--output_columns=z")

    assert outcome.code == cli.OK, outcome.stderr
    assert list(_warnings(outcome.stdout)) == []


def test_a_model_with_random_numbers(numbers: Workbench, saved: Saved) -> None:
    outcome = numbers.check(saved(dropout), "--key_columns=id")

    assert outcome.code == cli.OK, outcome.stderr
    (warning,) = _warnings(outcome.stdout)
    assert "output 'y' of a row is not the same when called twice" in warning


def test_a_published_model(bench: Workbench) -> None:
    texts = ["def f(x):\n    return x\n", "int main() { return 0; }", "", "SELECT 1"]
    bench.load("t", pa.table({"content": texts}))

    outcome = bench.check(_GUESSLANG, "--signature=predict")

    assert outcome.code == cli.OK, outcome.stderr
    assert "Checked with rows: 4 scored, none rejected." in outcome.stdout
    assert list(_warnings(outcome.stdout)) == []

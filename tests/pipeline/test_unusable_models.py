"""What is no model or cannot be loaded: one clear sentence, whatever the command."""

from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pytest
from exported_models import with_ops
from misbehaving_models import aborting
from saved_models import Builder
from workbench import Saved, Workbench

from pipeline import cli


def no_model(folder: Path) -> Path:
    """A folder with a Keras file."""
    folder.mkdir()
    (folder / "model.keras").touch()
    return folder


_NO_MODEL = (
    "Model {model} is not a SavedModel: expected a folder with the file saved_model.pb, got "
    "model.keras. A Keras .keras or .h5 file must be exported first with model.export(folder)."
)
_MISSING_OP = (
    "Model {model} cannot be loaded: its graph uses the op Frobnicate, which TensorFlow "
    f"{version('tensorflow')} does not have, nor any package that bulkscore knows. Export it "
    "without it."
)


@pytest.mark.parametrize("command", ["inspect", "check"])
@pytest.mark.parametrize(
    ("builder", "said"),
    [
        pytest.param(no_model, _NO_MODEL, id="no model"),
        pytest.param(with_ops("Frobnicate"), _MISSING_OP, id="missing op"),
    ],
)
def test_one_sentence(
    bench: Workbench, saved: Saved, command: str, builder: Builder, said: str
) -> None:
    bench.load("t", pa.table({"x": [1.0], "text": ["a"]}))
    model = saved(builder)

    if command == "check":
        outcome = bench.check(model)
    else:
        outcome = bench.run_as_given("inspect", f"--model={model}")

    assert outcome.code == cli.USAGE
    assert outcome.stderr == f"bulkscore: {said.format(model=model)}\n"
    assert bench.tables() == {"t"}


def test_a_model_that_crashes_is_shown_and_then_named(bench: Workbench, saved: Saved) -> None:
    model = saved(aborting)
    outcome = bench.run_as_given("inspect", f"--model={model}")

    assert outcome.code == cli.USAGE
    assert "input   x       float32  [None]\n" in outcome.stdout
    assert "Score with it" not in outcome.stdout
    assert outcome.stderr == (
        f"bulkscore: Model {model} crashed the process with signal SIGABRT (6) while it was being "
        "called with a row of zeros. Its last words: Abort_op intentional failure; the model gives "
        "up. One of its ops breaks the TensorFlow that is installed here; export it again without "
        "it.\n"
    )

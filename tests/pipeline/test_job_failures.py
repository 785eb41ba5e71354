"""Runs that fail on the way: exit code 1, one message, and the output table as it was."""

import shutil

import pyarrow as pa
import pytest
from saved_models import weighted
from workbench import Saved, Workbench

from pipeline import cli
from pipeline.failures import reason_of


def test_a_model_that_cannot_be_loaded(bench: Workbench, saved: Saved) -> None:
    bench.load("t", pa.table({"x": [1.0]}))
    bench.sql("CREATE TABLE p AS SELECT 0.5 AS y, 'r' AS run_id, 'd' AS model_digest")
    before = bench.arrow("p")
    model = bench.folder / "broken"
    shutil.copytree(saved(weighted), model)
    for file in (model / "variables").iterdir():
        file.write_bytes(b"broken")

    outcome = bench.score(model)

    assert outcome.code == cli.FAILED, outcome.stderr
    assert "Traceback" not in outcome.stderr
    message = outcome.stderr.splitlines()[-1]
    damaged = f"Model {model}: the files in its folder variables are damaged"
    assert message.startswith(f"bulkscore: The pipeline failed: {damaged}")
    assert "while running" not in message
    assert bench.arrow("p").equals(before)
    assert bench.tables() - set(bench.run_tables()) == {"t", "p", "p__runs"}

    # What a run finds out late, a check finds out at once.
    bench.check(model).refused_with(damaged)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Traceback:\nModuleNotFoundError: No module named 'a.b'", "No module named 'a.b'"),
        ("Traceback:\nOSError: gone. [while running 'Score/Call']", "OSError: gone"),
        ("RuntimeError(\"Traceback:\nOSError: gone [while running 'Score']\"", "OSError: gone"),
        ("'Traceback'\n'all of it'", "all of it"),
        ("OSError: 'a' is not 'b'\n}", "OSError: 'a' is not 'b'"),
    ],
)
def test_the_reason_is_the_last_telling_line(text: str, reason: str) -> None:
    assert reason_of(RuntimeError(text)).endswith(reason)

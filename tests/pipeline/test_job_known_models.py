"""Published models: what a job writes equals what plain TensorFlow says of the same rows."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from workbench import Row, Workbench

from pipeline import cli
from scoring.runtime import tensorflow

_MODELS = Path("build/models")
_ROOT = Path(__file__).parents[2]
# The same model in batches of another size differs in the last bits.
_TOLERANCE = 1e-5

_SAMPLE_RATE_HZ = 22_050
_WINDOW_SAMPLES = 43_844
_FRAMES = 172
_LOWEST_MIDI_NOTE = 21


@pytest.mark.parametrize(
    ("signature", "argument"), [("predict", "content"), ("classification", "inputs")]
)
def test_guesslang_says_of_every_file_what_it_says_in_plain_tensorflow(
    bench: Workbench, signature: str, argument: str
) -> None:
    files = [*_ROOT.glob("*/*.py"), *_ROOT.glob("*.toml"), _ROOT / "Makefile"]
    contents = {file.relative_to(_ROOT).as_posix(): file.read_text() for file in files}
    names = sorted(contents)
    texts = [contents[name] for name in names]
    bench.load("t", pa.table({"name": names, "content": texts}))

    outcome = bench.score(_MODELS / "guesslang", f"--signature={signature}", "--key_columns=name")

    assert outcome.code == cli.OK, outcome.stderr
    direct = _plain(_MODELS / "guesslang", signature, **{argument: texts})
    rows = bench.rows(by="name")
    assert [row["name"] for row in rows] == names
    assert rows[0].keys() == {"name", *direct}
    for output, expected in direct.items():
        _assert_same([row[output] for row in rows], expected)
    assert _language(rows[names.index("scoring/batch.py")]) == "py"


def test_basic_pitch_hears_notes_in_rows_of_43844_samples(bench: Workbench) -> None:
    seconds = np.arange(_WINDOW_SAMPLES) / _SAMPLE_RATE_HZ
    pitches_hz = (440.0, 261.626, 880.0)
    audio = np.stack([0.5 * np.sin(2 * np.pi * hz * seconds) for hz in pitches_hz])
    bench.load("t", pa.table({"id": range(len(audio)), "samples": list(audio)}))

    outcome = bench.score(_MODELS / "basic_pitch", "--key_columns=id")

    assert outcome.code == cli.OK, outcome.stderr
    direct = _plain(
        _MODELS / "basic_pitch", "serving_default", input_2=audio[:, :, None].astype(np.float32)
    )
    rows = bench.rows()
    assert [row["id"] for row in rows] == [0, 1, 2]
    for row in rows:
        for name, values in direct.items():
            expected = values[row["id"]]
            assert row[name]["shape"] == list(expected.shape)
            np.testing.assert_allclose(
                row[name]["values"], expected.reshape(-1), rtol=0, atol=_TOLERANCE
            )
    assert [_midi_note(row["note"]["values"]) for row in rows] == [69, 60, 81]


def _midi_note(values: list[float]) -> int:
    """The note that sounds in most of the frames."""
    notes = np.reshape(values, (_FRAMES, -1)).sum(axis=0)
    return int(notes.argmax()) + _LOWEST_MIDI_NOTE


def _language(row: Row) -> str:
    """The answer in a row of `predict`, the best of all languages in one of `classification`."""
    classes = row["classes"]
    return str(classes if isinstance(classes, str) else classes[np.argmax(row["scores"])])


def _assert_same(values: list[Any], expected: npt.NDArray[Any]) -> None:
    """Asserts that a column holds an output: [n, 1] as scalars, [n, d] as ARRAYs."""
    if expected.shape[1:] == (1,):
        expected = expected[:, 0]
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(values, expected, rtol=0, atol=_TOLERANCE)
    else:
        decode = np.vectorize(lambda v: v.decode() if isinstance(v, bytes) else v, otypes=[object])
        assert values == decode(expected).tolist()


def _plain(model: Path, signature: str, **inputs: Any) -> dict[str, npt.NDArray[Any]]:
    """The signature's outputs, called in plain TensorFlow."""
    tf = tensorflow()
    loaded = tf.saved_model.load(str(model))
    outputs = loaded.signatures[signature](**{k: tf.constant(v) for k, v in inputs.items()})
    return {name: tensor.numpy() for name, tensor in outputs.items()}


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(_ROOT)

"""Models whose variables become constants: the same scores, and no others than are safe."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import convolutional_models
import numpy as np
import numpy.typing as npt
import pytest
import saved_models
import tensorflow as tf
from saved_models import Builder

from scoring import constants
from scoring.concrete import ByName
from scoring.constants import with_constants
from scoring.errors import BatchCallError
from scoring.graph_file import read_graph
from scoring.ops import used_ops
from scoring.savedmodel import LoadedModel
from scoring.signature import choose_signature, read_saved_model

Images = npt.NDArray[np.float32]


def _images(rows: int) -> Images:
    return np.random.default_rng(rows).uniform(-1, 1, (rows, 6, 6, 3)).astype(np.float32)


def _constant(folder: Path) -> ByName | None:
    signature = choose_signature(read_saved_model(folder), None)
    model = tf.saved_model.load(str(folder))
    function = model.signatures["serving_default"] if not signature.trace else model
    return with_constants(function, signature, read_graph(folder).graph_def)


@pytest.mark.parametrize(
    "builder", [convolutional_models.normalised, convolutional_models.called_normalised]
)
def test_scores_are_those_of_the_variables(loaded: Any, saved: Any, builder: Builder) -> None:
    model, plain = loaded(builder), tf.saved_model.load(str(saved(builder)))
    for rows in (1, 2, 9):
        expected = plain(tf.constant(_images(rows)))["scores"]
        results = model({"image": _images(rows)})
        assert results.keys() == {"scores"}
        np.testing.assert_allclose(results["scores"], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "builder", [convolutional_models.normalised, convolutional_models.called_normalised]
)
def test_no_variable_is_left(saved: Any, builder: Builder) -> None:
    constant = _constant(saved(builder))
    assert constant is not None
    assert "ReadVariableOp" not in used_ops(constant.function.graph.as_graph_def())  # type: ignore[attr-defined]


def test_threads_may_call_at_once(loaded: Any) -> None:
    model = loaded(convolutional_models.normalised)
    sizes = [1, 5, 3, 8] * 8

    def scores(rows: int) -> Images:
        values: Images = model({"image": _images(rows)})["scores"]
        return values

    alone = {rows: scores(rows) for rows in set(sizes)}
    with ThreadPoolExecutor(4) as threads:
        for rows, values in zip(sizes, threads.map(scores, sizes), strict=True):
            np.testing.assert_allclose(values, alone[rows], rtol=1e-5)


@pytest.mark.parametrize(
    "builder",
    [
        convolutional_models.counted,
        convolutional_models.checked,
        convolutional_models.looked_up,
        convolutional_models.looped,
        convolutional_models.noisy,
    ],
)
def test_what_does_more_than_read_its_variables_keeps_them(saved: Any, builder: Builder) -> None:
    assert _constant(saved(builder)) is None


@pytest.mark.parametrize("builder", [saved_models.weighted, saved_models.images])
def test_models_without_convolutions_keep_their_variables(saved: Any, builder: Builder) -> None:
    assert _constant(saved(builder)) is None


def test_large_models_keep_their_variables(saved: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = saved(convolutional_models.normalised)
    floats = 3 * 3 * 3 * 2 + 6 * 4 + 4 * 6 + 4 * 4
    monkeypatch.setattr(constants, "MAX_VARIABLE_BYTES", 4 * floats)
    assert _constant(folder) is not None
    monkeypatch.setattr(constants, "MAX_VARIABLE_BYTES", 4 * floats - 1)
    assert _constant(folder) is None


def test_what_tensorflow_cannot_convert_is_called_as_it_is(
    saved: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from tensorflow.python.framework import convert_to_constants

    def refuse(_: Any) -> Any:
        raise ValueError("Failed to import metagraph")

    monkeypatch.setattr(convert_to_constants, "convert_variables_to_constants_v2", refuse)
    folder = saved(convolutional_models.normalised)
    info = read_saved_model(folder)
    with caplog.at_level("INFO", "scoring.constants"):
        model = LoadedModel(str(folder), info.tags, choose_signature(info, None))
    assert "stay variables: Failed to import metagraph" in caplog.text
    assert model({"image": _images(2)})["scores"].shape == (2, 4)


def test_state_goes_on_from_call_to_call(loaded: Any) -> None:
    model = loaded(convolutional_models.counted)
    first, second = (model({"image": _images(1)})["scores"] for _ in range(2))
    np.testing.assert_allclose(second, first + 1.0, rtol=1e-5)


def test_a_check_still_refuses_its_rows(loaded: Any) -> None:
    model = loaded(convolutional_models.checked)
    assert model({"image": _images(1)})["scores"].shape == (1, 4)
    with pytest.raises(BatchCallError):
        model({"image": np.full((1, 6, 6, 3), 9, np.float32)})

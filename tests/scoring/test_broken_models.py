"""Models that are incomplete, or that this machine cannot run: a sentence for each."""

from pathlib import Path
from typing import Any

import exported_models
import numpy as np
import pytest
import saved_models

from scoring.errors import ModelError
from scoring.savedmodel import LoadedModel
from scoring.signature import choose_signature, read_saved_model

_DATA = "variables/variables.data-00000-of-00001"
_INDEX = "variables/variables.index"
_AGAIN = "Copy or export the model again"


def _load(folder: Path) -> LoadedModel:
    info = read_saved_model(folder)
    return LoadedModel(str(folder), info.tags, choose_signature(info, None))


def _refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as raised:
        _load(folder)
    return str(raised.value)


@pytest.mark.parametrize("builder", [saved_models.weighted, saved_models.tf1])
@pytest.mark.parametrize(
    ("missing", "holds"),
    [(_INDEX, "the index of its variables"), (_DATA, "values of its variables")],
)
def test_a_missing_variables_file_is_named(
    tmp_path: Path, builder: saved_models.Builder, missing: str, holds: str
) -> None:
    folder = builder(tmp_path / "model")
    (folder / missing).unlink()
    assert _refusal(folder) == (
        f"Model {folder} has no file {missing}, which holds {holds}. {_AGAIN}, with all files of "
        "its folder."
    )


def test_one_missing_part_of_several_is_named(tmp_path: Path) -> None:
    folder = saved_models.weighted(tmp_path / "model")
    (folder / _DATA).rename(folder / "variables/variables.data-00001-of-00002")
    assert "has no file variables/variables.data-00000-of-00002, which holds" in _refusal(folder)


@pytest.mark.parametrize("builder", [saved_models.weighted, saved_models.tf1])
@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (_INDEX, b"", "file is too short to be an sstable"),
        (_DATA, b"\0\0", "Read less bytes than requested"),
        (_DATA, bytes(500), ""),
    ],
    ids=["index", "cut", "changed"],
)
def test_damaged_variables_are_called_so(
    tmp_path: Path, builder: saved_models.Builder, name: str, content: bytes, reason: str
) -> None:
    folder = builder(tmp_path / "model")
    (folder / name).write_bytes(content)
    message = _refusal(folder)
    prefix = f"Model {folder}: the files in its folder variables are damaged: "
    assert message.startswith(prefix + reason.format(folder=folder))
    assert message.endswith(f". {_AGAIN}.")


def test_a_placeholder_that_no_input_feeds_is_named(tmp_path: Path) -> None:
    message = _refusal(exported_models.unfed_placeholder(tmp_path))
    assert "An output for signature 'serving_default' depends on a placeholder which is not" in (
        message
    )


def test_a_missing_vocabulary_is_named(tmp_path: Path) -> None:
    folder = exported_models.vocabulary(tmp_path / "model")
    model = _load(folder)
    found = model({"word": np.array([b"b", b"a", b"z"], object)})
    assert found["id"].tolist() == [1, 0, -1]
    name = "assets/model_words.txt"
    (folder / name).unlink()
    assert _refusal(folder) == (
        f"Model {folder} has no file {name}, which holds an asset of its graph, a vocabulary say. "
        f"{_AGAIN}, with all files of its folder."
    )


def test_a_vocabulary_outside_of_the_model_is_named(tmp_path: Path) -> None:
    folder = exported_models.vocabulary(tmp_path / "model")

    def point_elsewhere(model: Any) -> None:
        graph = model.meta_graphs[0]
        del graph.asset_file_def[:]
        for node in graph.object_graph_def.nodes:
            if node.WhichOneof("kind") == "asset":
                node.ClearField("asset")
                node.constant.operation = "elsewhere"
        graph.graph_def.node.add(name="elsewhere", op="Const").attr["value"].tensor.CopyFrom(
            _string_tensor("/nowhere/words.txt")
        )
        elsewhere = next(n for n in graph.graph_def.node if n.name == "elsewhere")
        elsewhere.attr["dtype"].type = elsewhere.attr["value"].tensor.dtype

    exported_models.edited(folder, point_elsewhere)
    assert _refusal(folder) == (
        f"Model {folder} reads a file that is not there: /nowhere/words.txt; No such file or "
        "directory. Export it again with that file as an asset (tf.saved_model.Asset)."
    )


def _string_tensor(text: str) -> Any:
    import tensorflow as tf

    return tf.make_tensor_proto(text)


@pytest.mark.parametrize(
    ("builder", "said"),
    [
        (exported_models.without_kernel, "op CudnnRNN has no kernel for CPU"),
        (exported_models.on_another_machine, "operation mul_0 wants another device than CPU"),
        (exported_models.unsaved_variable, "variable lost was saved without a value"),
        (exported_models.unsaved_resource, "variable lost was saved without a value"),
        (
            exported_models.python_function,
            "pyfunc_of_old is a Python function, which no model holds",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_no_row_can_pass_is_an_error_of_the_model(
    saved: Any, builder: saved_models.Builder, said: str
) -> None:
    folder = saved(builder)
    model = _load(folder)
    with pytest.raises(ModelError) as raised:
        model({"x": np.ones(3, np.float32)})
    assert str(raised.value) == (
        f"Model {folder} loads, but signature 'serving_default' cannot be called on this machine: "
        f"{said}."
    )


def test_reference_variables_are_restored_and_nothing_is_said(
    saved: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    model = _load(saved(exported_models.reference_variables))
    assert model({"x": np.array([1, -2], np.float32)})["y"].tolist() == [4.0, -5.0]
    assert caplog.records == []
    assert "reference variable" not in capfd.readouterr().err


def test_a_hub_module_is_scored_with_the_graph_that_does_not_train(saved: Any) -> None:
    folder = saved(exported_models.hub_module)
    info = read_saved_model(folder)
    assert info.tags == ()
    assert str(choose_signature(info, None)) == (
        "default (x: float32[None] -> default: float32[None])"
    )
    model = _load(folder)
    assert model({"x": np.array([1, 2], np.float32)}) == {"default": pytest.approx([3.0, 6.0])}
    (folder / _INDEX).unlink()
    assert f"Model {folder} has no file {_INDEX}, which holds" in _refusal(folder)

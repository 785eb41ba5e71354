"""Reading and choosing signatures: every shape of model, every message."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import saved_models

from scoring.errors import ModelError
from scoring.signature import (
    Signature,
    TensorSpec,
    choose_signature,
    elements_per_row,
    read_saved_model,
)


def _only_signature(folder: Path) -> Signature:
    (signature,) = read_saved_model(folder).signatures
    return signature


def test_reads_names_dtypes_and_shapes_in_name_order(saved: Any) -> None:
    folder = saved(saved_models.mixed_inputs)
    info = read_saved_model(folder)
    assert (info.folder, info.tags) == (str(folder), ("serve",))
    assert info.signatures == (
        Signature(
            "serving_default",
            inputs=(
                TensorSpec("active", "bool", (None,)),
                TensorSpec("count", "int32", (None,)),
                TensorSpec("name", "string", (None,)),
                TensorSpec("offset", "int64", (None,)),
                TensorSpec("price", "float64", (None,)),
            ),
            outputs=(
                TensorSpec("label", "string", (None,)),
                TensorSpec("total", "float64", (None,)),
            ),
        ),
    )


@pytest.mark.parametrize(
    ("builder", "text"),
    [
        (saved_models.vectors, "serving_default (x: float32[None, 4] -> y: float32[None, 3])"),
        (
            saved_models.images,
            "serving_default (image: uint8[None, 2, 3, 1] -> brightness: float32[None])",
        ),
        (saved_models.fixed_batch_of_4, "serving_default (x: float32[4] -> y: float32[4])"),
        (
            saved_models.half_floats,
            "serving_default (a: float16[None]; b: bfloat16[None]"
            " -> a2: float16[None]; b2: bfloat16[None])",
        ),
        (
            saved_models.single_value,
            "serving_default (x: float32[None] -> mean: float32[]; y: float32[None])",
        ),
        (
            saved_models.free_rank,
            "serving_default (x: float32 of any shape -> y: float32 of any shape)",
        ),
        (
            saved_models.composite_outputs,
            "serving_default (x: float32[None] -> "
            "ragged: ragged float32[None, None]; sparse: sparse float32[None, 1]; "
            "y: float32[None])",
        ),
        (saved_models.tf1, "serving_default (x/in: float32[None] -> y/out:0: float32[None])"),
        (saved_models.no_inputs, "serving_default ( -> y: float32[1])"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_signature_is_printed_as_its_inputs_and_outputs(
    saved: Any, builder: saved_models.Builder, text: str
) -> None:
    assert str(_only_signature(saved(builder))) == text


def test_a_graph_without_tags_is_read(saved: Any) -> None:
    info = read_saved_model(saved(saved_models.untagged))
    assert info.tags == ()
    assert choose_signature(info, None).name == "default"


def test_the_graph_for_serving_is_read_where_there_are_several(saved: Any, tmp_path: Path) -> None:
    def add_training_graph(model: Any) -> None:
        training = model.meta_graphs.add()
        training.CopyFrom(model.meta_graphs[0])
        training.meta_info_def.tags[:] = ["train", "serve"]
        del training.signature_def["serving_default"]

    folder = _edited(saved(saved_models.vectors), tmp_path, add_training_graph)
    original = read_saved_model(saved(saved_models.vectors))
    assert read_saved_model(folder) == replace(original, folder=str(folder))


def test_several_graphs_and_none_for_serving_are_an_error(saved: Any, tmp_path: Path) -> None:
    def retag(model: Any) -> None:
        model.meta_graphs.add().CopyFrom(model.meta_graphs[0])
        model.meta_graphs[0].meta_info_def.tags[:] = ["train"]
        model.meta_graphs[1].meta_info_def.tags[:] = ["gpu", "eval"]

    folder = _edited(saved(saved_models.vectors), tmp_path, retag)
    assert _message_of_reading(folder) == (
        f"Model {folder} holds 2 graphs with the tags [['train'], ['eval', 'gpu']]; expected "
        "exactly one tagged 'serve'. Export it again with that tag alone."
    )


def test_an_empty_graph_file_holds_no_graph(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").touch()
    assert _message_of_reading(tmp_path) == (
        f"Model {tmp_path}: saved_model.pb holds no graph, it is empty or cut short. "
        "Copy or export the model again."
    )


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    assert _message_of_reading(folder) == (
        f"Model {folder}: there is no such folder. Check --model."
    )


def test_a_folder_with_other_files_lists_them(tmp_path: Path) -> None:
    (tmp_path / "weights.h5").touch()
    (tmp_path / "model.keras").touch()
    assert _message_of_reading(tmp_path) == (
        f"Model {tmp_path} is not a SavedModel: expected a folder with the file saved_model.pb, "
        "got model.keras, weights.h5. A Keras .keras or .h5 file must be exported first with "
        "model.export(folder)."
    )


def test_an_empty_folder_is_called_so(tmp_path: Path) -> None:
    assert _message_of_reading(tmp_path) == (
        f"Model {tmp_path} is not a SavedModel: expected a folder with the file saved_model.pb, "
        "got an empty folder. A Keras .keras or .h5 file must be exported first with "
        "model.export(folder)."
    )


def test_a_file_instead_of_a_folder_is_called_so(tmp_path: Path) -> None:
    file = tmp_path / "model.keras"
    file.touch()
    assert _message_of_reading(file) == (
        f"Model {file} is not a SavedModel: expected a folder with the file saved_model.pb, "
        "got a file. A Keras .keras or .h5 file must be exported first with "
        "model.export(folder)."
    )


def test_a_damaged_graph_file_is_an_error(saved: Any, tmp_path: Path) -> None:
    whole = (saved(saved_models.vectors) / "saved_model.pb").read_bytes()
    (tmp_path / "saved_model.pb").write_bytes(whole[: len(whole) // 2])
    assert _message_of_reading(tmp_path) == (
        f"Model {tmp_path}: saved_model.pb is damaged, it cannot be parsed as a SavedModel. "
        "Copy or export the model again."
    )


def test_serving_default_is_chosen_without_a_name(saved: Any) -> None:
    info = read_saved_model(saved(saved_models.vectors))
    assert choose_signature(info, None) == info.signatures[0]
    assert choose_signature(info, "serving_default") == info.signatures[0]


def test_a_signature_is_chosen_by_its_name(saved: Any) -> None:
    info = read_saved_model(saved(saved_models.two_signatures))
    assert choose_signature(info, "twice").name == "twice"
    assert choose_signature(info, "plus_one").name == "plus_one"


def test_several_signatures_without_a_default_ask_for_a_choice(saved: Any) -> None:
    info = read_saved_model(saved(saved_models.two_signatures))
    with pytest.raises(ModelError) as raised:
        choose_signature(info, None)
    assert str(raised.value) == (
        f"Model {info.folder} has several signatures and no 'serving_default'. "
        "Choose one with --signature:"
        "\n  plus_one (x: float32[None] -> y: float32[None])"
        "\n  twice (x: float32[None] -> y: float32[None])"
    )


def test_an_unknown_signature_lists_the_known_ones(saved: Any) -> None:
    info = read_saved_model(saved(saved_models.vectors))
    with pytest.raises(ModelError) as raised:
        choose_signature(info, "predict")
    assert str(raised.value) == (
        f"Model {info.folder} has no signature 'predict'. Give --signature one of:"
        "\n  serving_default (x: float32[None, 4] -> y: float32[None, 3])"
    )


@pytest.mark.parametrize("name", [None, "serving_default"])
def test_a_model_without_signatures_must_be_exported_again(saved: Any, name: str | None) -> None:
    info = read_saved_model(saved(saved_models.no_signature))
    with pytest.raises(ModelError) as raised:
        choose_signature(info, name)
    assert str(raised.value) == (
        f"Model {info.folder} has no signatures, so its inputs and outputs are unknown. "
        "Export it again with signatures=… (tf.saved_model.save) or model.export() (Keras)."
    )


@pytest.mark.parametrize(
    ("shape", "elements"),
    [
        ((None,), 1),
        ((4,), 1),
        ((), 1),
        ((None, 3), 3),
        ((None, 2, 3, 4), 24),
        ((None, 0), 0),
        ((None, None), None),
        ((None, 3, None), None),
        (None, None),
    ],
)
def test_elements_per_row_is_the_product_of_the_inner_dimensions(
    shape: tuple[int | None, ...] | None, elements: int | None
) -> None:
    assert elements_per_row(TensorSpec("x", "float32", shape)) == elements


def _message_of_reading(folder: Path) -> str:
    with pytest.raises(ModelError) as raised:
        read_saved_model(folder)
    return str(raised.value)


def _edited(model: Path, target: Path, edit: Any) -> Path:
    """A copy of the model with its graph file edited."""
    from tensorflow.core.protobuf import saved_model_pb2

    folder = target / "edited"
    shutil.copytree(model, folder)
    graph_file = folder / "saved_model.pb"
    message = saved_model_pb2.SavedModel.FromString(graph_file.read_bytes())
    edit(message)
    graph_file.write_bytes(message.SerializeToString())
    return folder

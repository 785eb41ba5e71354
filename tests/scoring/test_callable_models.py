"""Models without signatures: the functions of their object, found in the file and called."""

import pickle
from pathlib import Path
from typing import Any

import exported_models
import numpy as np
import pytest
import saved_models

from scoring.errors import ModelError
from scoring.example_graph import parses_examples
from scoring.examples import ExampleFeature, ParsedFeatures
from scoring.savedmodel import LoadedModel
from scoring.signature import Signature, choose_signature, read_saved_model


def _called(folder: Path, name: str | None, **feed: Any) -> dict[str, Any]:
    info = read_saved_model(folder)
    # It crosses to the workers like this.
    signature = pickle.loads(pickle.dumps(choose_signature(info, name)))
    outputs = LoadedModel(str(folder), info.tags, signature)(feed)
    return {output: values.tolist() for output, values in outputs.items()}


def _chosen(folder: Path, name: str | None = None) -> Signature:
    return choose_signature(read_saved_model(folder), name)


def test_call_is_a_signature_where_there_is_none(saved: Any) -> None:
    folder = saved(exported_models.called)
    assert read_saved_model(folder).signatures == ()
    assert str(_chosen(folder)) == "__call__ (x: float32[None] -> output_0: float32[None])"
    assert _called(folder, None, x=np.array([1, 2], np.float32)) == {"output_0": [3.0, 6.0]}
    assert _called(folder, "__call__", x=np.array([1], np.float32)) == {"output_0": [3.0]}


def test_the_trace_for_inference_is_called_with_the_arguments_that_it_was_traced_with(
    saved: Any,
) -> None:
    folder = saved(exported_models.traced_for_training)
    assert str(_chosen(folder)) == (
        "__call__ (a: float32[None]; b: int32[None]"
        " -> parts_0: float32[None]; parts_2_0: int32[None]; sum: float32[None])"
    )
    feed = {"a": np.array([1, 2], np.float32), "b": np.array([3, 4], np.int32)}
    assert _called(folder, None, **feed) == {
        "parts_0": [1.0, 2.0],
        "parts_2_0": [3, 4],
        "sum": [8.0, 12.0],
    }


def test_a_function_traced_for_several_inputs_lists_them(saved: Any) -> None:
    folder = saved(exported_models.traced_twice)
    with pytest.raises(ModelError) as raised:
        _chosen(folder)
    assert str(raised.value) == (
        f"Model {folder} has no signatures, and its function '__call__' was traced for several "
        "inputs or options. Export the wanted way as a signature, signatures=… "
        "(tf.saved_model.save). It was traced as:"
        "\n  __call__ (x: float32[None] -> y: float32[None])"
        "\n  __call__ (x: float32[None, 2] -> y: float32[None, 2])"
    )
    feed = {"rows": np.array([[1, 2, 3]], np.float32)}
    assert _called(folder, "total", **feed) == {"output_0": [6.0]}


def test_a_function_traced_for_training_alone_is_not_called(tmp_path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.score = tf.function(lambda x, training: {"y": x if training else -x})
    module.score.get_concrete_function(tf.TensorSpec([None]), True)
    tf.saved_model.save(module, str(tmp_path))
    with pytest.raises(ModelError) as raised:
        _chosen(tmp_path, "score")
    assert str(raised.value) == (
        f"Model {tmp_path} has no signatures, and its function 'score' was traced for training "
        "only. Export the wanted way as a signature, signatures=… (tf.saved_model.save). It was "
        "traced as:\n  score (x: float32[None] -> y: float32[None]) with training=True"
    )


def test_a_free_batch_size_is_preferred_to_fixed_ones(tmp_path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.score = tf.function(lambda x: {"y": 2.0 * x})
    for rows in (1, None, 8):
        module.score.get_concrete_function(tf.TensorSpec([rows]))
    tf.saved_model.save(module, str(tmp_path))
    assert str(_chosen(tmp_path)) == "score (x: float32[None] -> y: float32[None])"


def test_several_functions_without_call_ask_for_a_choice(saved: Any) -> None:
    folder = saved(exported_models.several_functions)
    with pytest.raises(ModelError) as raised:
        _chosen(folder)
    assert str(raised.value) == (
        f"Model {folder} has no signatures, but several functions and no '__call__'. "
        "Choose one with --signature:"
        "\n  plus_one (x: float32[None] -> output_0: float32[None])"
        "\n  twice (x: float32[None] -> output_0: float32[None])"
    )
    assert _called(folder, "twice", x=np.array([2], np.float32)) == {"output_0": [4.0]}


def test_a_function_of_a_model_with_signatures_is_chosen_by_name_alone(saved: Any) -> None:
    folder = saved(saved_models.weighted)
    assert _chosen(folder).name == "serving_default"
    assert _called(folder, "score", x=np.array([2], np.float32)) == {"y": [6.0]}


def test_a_keras_model_without_signatures_is_called_for_inference(tmp_path: Path) -> None:
    # Keras 2 saves four traces of __call__: for training or not, with two names of the tensor.
    import tf_keras

    model = tf_keras.Sequential([tf_keras.layers.Dropout(0.5), tf_keras.layers.Flatten()])
    model.build((None, 3))
    model.save(str(tmp_path), save_format="tf")
    exported_models.edited(tmp_path, lambda m: m.meta_graphs[0].signature_def.clear())
    info = read_saved_model(tmp_path)
    assert [s.name for s in info.functions] == ["__call__"]
    signature = choose_signature(info, None)
    (output,) = signature.outputs
    feed = {signature.inputs[0].name: np.ones((2, 3), np.float32)}
    assert _called(tmp_path, None, **feed) == {output.name: [[1.0] * 3] * 2}


def test_examples_are_found_in_the_body_of_a_function(saved: Any) -> None:
    folder = saved(exported_models.example_function)
    assert parses_examples(folder, "score", "examples") == ParsedFeatures(
        "ParseExampleV2", (ExampleFeature("x", "float32", "dense", (), True),)
    )


def test_functions_that_take_no_tensors_or_other_objects_are_left_out(tmp_path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.constant = tf.function(lambda: tf.constant([1.0]), input_signature=[])
    ragged = tf.RaggedTensorSpec([None, None], tf.float32)
    module.ragged = tf.function(lambda x: x.to_tensor(), input_signature=[ragged])
    tf.saved_model.save(module, str(tmp_path))
    with pytest.raises(ModelError, match="has no signatures, so its inputs and outputs are unkn"):
        _chosen(tmp_path)

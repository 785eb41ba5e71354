"""Normalisations folded into convolutions: the same scores, and no others than are safe."""

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import convolutional_models
import numpy as np
import numpy.typing as npt
import pytest
import saved_models
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from saved_models import Builder

from scoring.concrete import ByName
from scoring.errors import BatchCallError
from scoring.flat_graph import FlatGraph
from scoring.folding import folded
from scoring.graph_file import read_graph
from scoring.ops import used_ops
from scoring.savedmodel import LoadedModel
from scoring.signature import Signature, TensorSpec, choose_signature, read_saved_model

Images = npt.NDArray[np.float32]
Network = Callable[[Any], Any]

NORMALISED = [
    convolutional_models.normalised,
    convolutional_models.called_normalised,
    convolutional_models.normalised_by_op,
]
SIZE, CHANNELS = 6, 3


def _images(rows: int) -> Images:
    shape = (rows, SIZE, SIZE, CHANNELS)
    return np.random.default_rng(rows).uniform(-1, 1, shape).astype(np.float32)


def _folded(folder: Path) -> ByName | None:
    signature = choose_signature(read_saved_model(folder), None)
    model = tf.saved_model.load(str(folder))
    function = model.signatures["serving_default"] if not signature.trace else model
    return folded(function, signature, read_graph(folder).graph_def)


def _function(network: Network, dtype: str = "float32") -> tuple[Any, Signature, Any]:
    """A function of images as a SavedModel would have it, to be folded: the arguments for that."""

    @tf.function(input_signature=[tf.TensorSpec([None, SIZE, SIZE, CHANNELS], dtype, "image")])
    def serve(image: Any) -> dict[str, Any]:
        return {"scores": network(image)}

    inputs = TensorSpec("image", dtype, (None, SIZE, SIZE, CHANNELS))
    outputs = TensorSpec("scores", dtype, None)
    graph_def = serve.get_concrete_function().graph.as_graph_def()
    return serve, Signature("serving_default", (inputs,), (outputs,)), graph_def


def _ops(function: ByName) -> set[str]:
    return used_ops(function.graph.as_graph_def())


@cache
def _variable(*shape: int, seed: int = 1, least: float = -1.0, dtype: str = "float32") -> Any:
    """The same one each time, as functions do not keep the variables that they read."""
    values = np.random.default_rng(seed).uniform(least, 1.0, shape)
    with tf.init_scope():
        return tf.Variable(values, dtype=dtype)


def _root(channels: int, dtype: str = "float32") -> Any:
    return tf.math.rsqrt(_variable(channels, seed=9, least=0.0, dtype=dtype) + 1e-3)


@pytest.mark.parametrize("builder", NORMALISED)
def test_scores_are_those_of_the_model(loaded: Any, saved: Any, builder: Builder) -> None:
    model, plain = loaded(builder), tf.saved_model.load(str(saved(builder)))
    for rows in (1, 2, 9):
        expected = plain(tf.constant(_images(rows)))["scores"]
        results = model({"image": _images(rows)})
        assert results.keys() == {"scores"}
        np.testing.assert_allclose(results["scores"], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("builder", NORMALISED)
def test_nothing_of_normalisations_and_variables_is_left(saved: Any, builder: Builder) -> None:
    function = _folded(saved(builder))
    assert function is not None
    assert _ops(function) & {"Conv2D", "DepthwiseConv2dNative"}
    assert not _ops(function) & {"Rsqrt", "Mul", "AddV2", "FusedBatchNormV3", "ReadVariableOp"}


@st.composite
def _networks(draw: st.DrawFn) -> tuple[Network, bool]:
    """A convolution and what follows it, and whether all of that is to be a part of it."""
    is_depthwise = draw(st.booleans())
    filters = draw(st.integers(1, 3))
    channels = CHANNELS * filters if is_depthwise else filters
    weights = _variable(3, 2, CHANNELS, filters, seed=draw(st.integers(0, 9)))
    stride, dilation = draw(st.sampled_from([(1, 1), (2, 1), (1, 2)]))
    by_numbers: Any = [[0, 0], [2, 1], [0, 2], [0, 0]]
    padding = draw(st.sampled_from(["SAME", "VALID", by_numbers]))

    def convolution(image: Any) -> Any:
        strides = [1, stride, stride, 1]
        if is_depthwise:
            return tf.nn.depthwise_conv2d(image, weights, strides, padding)
        return tf.nn.conv2d(image, weights, strides, padding, dilations=dilation)

    steps = draw(st.lists(st.sampled_from(sorted(_STEPS)), min_size=1, max_size=4))
    shapes = draw(
        st.lists(
            st.sampled_from([(), (1,), (channels,), (1, 1, channels), (1, 1, 1, channels)]),
            min_size=len(steps),
            max_size=len(steps),
        )
    )

    # TensorFlow fuses some of them with convolutions and biases.
    activation = draw(
        st.sampled_from(
            [tf.nn.relu, tf.nn.relu6, tf.nn.elu, tf.nn.leaky_relu, tf.tanh, tf.identity]
        )
    )

    def network(image: Any) -> Any:
        x = convolution(image)
        for seed, (step, shape) in enumerate(zip(steps, shapes, strict=True)):
            x = _STEPS[step](x, channels, shape, seed)
        return activation(x) * tf.math.rsqrt(2.0)

    is_scaled = bool({"times", "op", "arithmetic"} & set(steps))
    return network, is_scaled and not (is_depthwise and padding == by_numbers)


def _by_op(x: Any, channels: int, _: Any, seed: int) -> Any:
    scale, offset, mean = (_variable(channels, seed=seed + i) for i in range(3))
    variance = _variable(channels, seed=seed, least=0.0)
    return tf.compat.v1.nn.fused_batch_norm(
        x, scale, offset, mean, variance, epsilon=0.01, is_training=False
    )[0]


def _by_arithmetic(x: Any, channels: int, _: Any, seed: int) -> Any:
    variance = _variable(channels, seed=seed, least=0.0)
    mean, offset, scale = (_variable(channels, seed=seed + i) for i in range(3))
    return tf.nn.batch_normalization(x, mean, variance, offset, scale, 0.01)


_STEPS: dict[str, Callable[[Any, int, tuple[int, ...], int], Any]] = {
    "times": lambda x, _, shape, seed: x * _variable(*shape, seed=seed),
    "before": lambda x, _, shape, seed: _variable(*shape, seed=seed) + x,
    "bias": lambda x, channels, _, seed: tf.nn.bias_add(x, _variable(channels, seed=seed)),
    "same": lambda x, *_: tf.identity(x),
    "op": _by_op,
    "arithmetic": _by_arithmetic,
}


@given(_networks(), st.integers(1, 4))
@settings(deadline=None, max_examples=40)
def test_any_steps_after_a_convolution(made: tuple[Network, bool], rows: int) -> None:
    network, is_scaled = made
    function, signature, graph_def = _function(network)
    images = tf.constant(_images(rows))

    result = folded(function, signature, graph_def)

    assert (result is not None) == is_scaled
    if result is not None:
        # Op by op, as TensorFlow has no kernel for some that it fuses.
        expected = network(images)
        np.testing.assert_allclose(result(image=images)["scores"], expected, rtol=1e-4, atol=1e-5)
        nodes = result.graph.as_graph_def().node
        assert [n.op for n in nodes].count("BiasAdd") == 1
        assert [n.op for n in nodes].count("Mul") == 1


def test_processors_without_onednn_compute_the_same() -> None:
    # TensorFlow reads the variable when it is imported. It then has other kernels, of which some
    # lack what those for ops that are not fused can do.
    tests = "any_steps or scores_are_those_of_the_model"
    program = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", __file__, "-k", tests]
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"}
    ended = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
    assert "4 passed" in ended.stdout


def _read_twice(image: Any) -> Any:
    x = tf.nn.conv2d(image, _variable(1, 1, CHANNELS, 3), 1, "SAME")
    return x * _root(3) + tf.nn.relu(x)


def _per_pixel(image: Any) -> Any:
    x = tf.nn.conv2d(image, _variable(1, 1, CHANNELS, SIZE), 1, "SAME")
    return x * tf.reshape(_root(SIZE), [SIZE, 1])


def _by_what_is_fed(image: Any) -> Any:
    x = tf.nn.conv2d(image, _variable(1, 1, CHANNELS, 3), 1, "SAME")
    return x * _root(3) * tf.reduce_mean(image)


def _of_the_batch(image: Any) -> Any:
    x = tf.nn.conv2d(image, _variable(1, 1, CHANNELS, 3), 1, "SAME")
    normalise = tf.compat.v1.nn.fused_batch_norm
    return normalise(x, _variable(3), _variable(3), is_training=True)[0]


def _after_an_activation(image: Any) -> Any:
    x = tf.nn.relu(tf.nn.conv2d(image, _variable(1, 1, CHANNELS, 3), 1, "SAME"))
    return x * _root(3)


def _squared(image: Any) -> Any:
    x = tf.nn.conv2d(image, _variable(1, 1, CHANNELS, 3), 1, "SAME")
    return x * x * tf.math.rsqrt(2.0)


def _to_more_dimensions(image: Any) -> Any:
    x = tf.nn.conv2d(image, _variable(1, 1, CHANNELS, 3), 1, "SAME")
    return x * tf.reshape(_root(3), [1, 1, 1, 1, 3])


def _by_infinity(image: Any) -> Any:
    x = tf.nn.conv2d(image, _variable(1, 1, CHANNELS, 3), 1, "SAME")
    return x * tf.math.rsqrt(_variable(3) * 0.0)


def _of_the_other_order(image: Any) -> Any:
    x = tf.nn.conv2d(image, _variable(1, 1, SIZE, 3), 1, "SAME", data_format="NCHW")
    return x * tf.reshape(_root(3), [3, 1, 1])


def _in_groups(image: Any) -> Any:
    return tf.nn.conv2d(image, _variable(1, 1, 1, CHANNELS), 1, "SAME") * _root(CHANNELS)


def _of_constant_weights(image: Any) -> Any:
    return tf.nn.conv2d(image, tf.ones([1, 1, CHANNELS, 3]), 1, "SAME") * _root(3)


def _branched(image: Any) -> Any:
    x = tf.nn.conv2d(image, _variable(1, 1, CHANNELS, 3), 1, "SAME") * _root(3)
    chosen = tf.raw_ops.Switch(data=x, pred=tf.reduce_mean(image) > 0)
    return tf.raw_ops.Merge(inputs=[chosen.output_false, -chosen.output_true]).output


def _refusing(image: Any) -> Any:
    parsed = tf.strings.to_number(tf.strings.as_string(image))
    with tf.control_dependencies([parsed]):
        return tf.nn.conv2d(image, _variable(1, 1, CHANNELS, 3), 1, "SAME") * _root(3)


def _fed_weights(image: Any) -> Any:
    weights = tf.reshape(tf.reduce_mean(image, [0, 1, 2]), [1, 1, CHANNELS, 1])
    return tf.nn.conv2d(image, weights, 1, "SAME") * _root(1)


@pytest.mark.parametrize(
    "network",
    [
        _read_twice,
        _per_pixel,
        _of_the_batch,
        _after_an_activation,
        _squared,
        _to_more_dimensions,
        _by_infinity,
        _fed_weights,
        _of_the_other_order,
        _in_groups,
        _of_constant_weights,
        _branched,
    ],
)
def test_what_is_no_factor_of_all_weights_of_a_channel_stays(
    network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    _assert_stays(_function(network), caplog)


def _assert_stays(function: tuple[Any, Signature, Any], caplog: pytest.LogCaptureFixture) -> None:
    """And that not because something failed on the way."""
    with caplog.at_level("INFO", "scoring.folding"):
        assert folded(*function) is None
    assert "not folded" not in caplog.text


def test_what_waits_for_ops_that_may_fail_stays(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "scoring.folding"):
        assert folded(*_function(_refusing)) is None
    assert "not folded: Ops wait for StringToNumber" in caplog.text


def test_a_factor_of_what_is_fed_stays() -> None:
    function, signature, graph_def = _function(_by_what_is_fed)
    result = folded(function, signature, graph_def)
    assert result is not None
    for rows in (1, 3):
        images = tf.constant(_images(rows))
        expected = function(images)["scores"]
        np.testing.assert_allclose(result(image=images)["scores"], expected, rtol=1e-4, atol=1e-6)


def test_what_is_returned_before_its_normalisation_stays(
    caplog: pytest.LogCaptureFixture,
) -> None:
    weights = _variable(1, 1, CHANNELS, 3)

    def both(image: Any) -> dict[str, Any]:
        x = tf.nn.conv2d(image, weights, 1, "SAME")
        return {"before": x, "after": x * _root(3)}

    spec = tf.TensorSpec([None, SIZE, SIZE, CHANNELS], tf.float32, "image")
    function = tf.function(both, input_signature=[spec])
    inputs = TensorSpec("image", "float32", (None, SIZE, SIZE, CHANNELS))
    outputs = tuple(TensorSpec(name, "float32", None) for name in ("before", "after"))
    graph_def = function.get_concrete_function().graph.as_graph_def()
    _assert_stays((function, Signature("both", (inputs,), outputs), graph_def), caplog)
    after = folded(function, Signature("after", (inputs,), outputs[1:]), graph_def)
    assert after is not None
    images = tf.constant(_images(2))
    np.testing.assert_allclose(after(image=images)["after"], both(images)["after"], rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_other_floats_than_float32_stay(dtype: str, caplog: pytest.LogCaptureFixture) -> None:
    weights = _variable(1, 1, CHANNELS, 3, dtype=dtype)

    def network(image: Any) -> Any:
        return tf.nn.conv2d(image, weights, 1, "SAME") * _root(3, dtype=dtype)

    _assert_stays(_function(network, dtype), caplog)


def test_inputs_and_outputs_keep_their_order() -> None:
    weights = _variable(1, 1, CHANNELS, 3)

    def several(left: Any, right: Any) -> dict[str, Any]:
        x = tf.nn.conv2d(left / 2.0, weights, 1, "SAME") * _root(3)
        return {"scores": x, "given": right, "fixed": _root(3)}

    names = ("right", "left")
    shape = (None, SIZE, SIZE, CHANNELS)
    specs = {name: tf.TensorSpec(shape, tf.float32, name) for name in names}
    function = tf.function(several).get_concrete_function(**specs)
    inputs = tuple(TensorSpec(name, "float32", shape) for name in names)
    left, right = tf.constant(_images(2)), tf.constant(_images(2)[::-1])
    expected = function(left=left, right=right)
    for wanted in (("given", "fixed", "scores"), ("scores",)):
        outputs = tuple(TensorSpec(name, "float32", None) for name in wanted)
        signature = Signature("several", inputs, outputs)
        result = folded(function, signature, function.graph.as_graph_def())
        assert result is not None
        got = result(left=left, right=right)
        assert tuple(got) == wanted
        for name, values in got.items():
            np.testing.assert_allclose(values, expected[name], rtol=1e-4, atol=1e-6)


def test_other_outputs_of_a_normalisation_stay(caplog: pytest.LogCaptureFixture) -> None:
    def network(image: Any) -> Any:
        x = tf.nn.conv2d(image, _variable(1, 1, CHANNELS, 3), 1, "SAME")
        normalised, mean, _ = tf.compat.v1.nn.fused_batch_norm(
            x, *(_variable(3, seed=i, least=0.0) for i in range(4)), is_training=False
        )
        return tf.nn.relu(normalised) + mean

    _assert_stays(_function(network), caplog)


def test_a_shared_convolution_gets_weights_for_each_normalisation() -> None:
    weights = _variable(1, 1, CHANNELS, CHANNELS)

    def twice(image: Any) -> Any:
        for factor in (1.0, 2.0):
            image = tf.nn.relu(tf.nn.conv2d(image, weights, 1, "SAME") * (_root(3) * factor))
        return image

    function, signature, graph_def = _function(twice)
    result = folded(function, signature, graph_def)
    assert result is not None
    assert "Mul" not in _ops(result)
    images = tf.constant(_images(3))
    expected = function(images)["scores"]
    np.testing.assert_allclose(result(image=images)["scores"], expected, rtol=1e-4, atol=1e-6)


def test_functions_that_stay_functions_are_called() -> None:
    @tf.function(autograph=False, experimental_attributes={"_noinline": True})
    def halved(image: Any) -> Any:
        return image / 2.0

    def network(image: Any) -> Any:
        x = tf.nn.conv2d(halved(image), _variable(1, 1, CHANNELS, 3), 1, "SAME")
        return x * _root(3)

    function, signature, graph_def = _function(network)
    result = folded(function, signature, graph_def)
    assert result is not None
    assert result.graph.as_graph_def().library.function
    images = tf.constant(_images(2))
    expected = function(images)["scores"]
    np.testing.assert_allclose(result(image=images)["scores"], expected, rtol=1e-4, atol=1e-6)


def test_a_function_that_reads_variables_itself_stays(caplog: pytest.LogCaptureFixture) -> None:
    @tf.function(autograph=False, experimental_attributes={"_noinline": True})
    def scaled(image: Any) -> Any:
        return image * _variable(CHANNELS)

    def network(image: Any) -> Any:
        x = tf.nn.conv2d(scaled(image), _variable(1, 1, CHANNELS, 3), 1, "SAME")
        return x * _root(3)

    with caplog.at_level("INFO", "scoring.folding"):
        assert folded(*_function(network)) is None
    assert "not folded: Ops wait for StatefulPartitionedCall" in caplog.text


def test_shapes_are_known_as_before() -> None:
    weights = _variable(1, 1, CHANNELS, 3)

    def network(image: Any) -> Any:
        x = tf.nn.conv2d(image, weights, 1, "SAME") * _root(3)
        return tf.reshape(x, tf.stack([-1, SIZE * SIZE, 3]))

    result = folded(*_function(network))
    assert result is not None
    assert result.graph.outputs[0].shape.as_list() == [None, SIZE * SIZE, 3]


def _flat(captured: dict[str, Any], **nodes: tuple[str, list[str]]) -> FlatGraph:
    """A graph that takes `x:0` and returns the first output of the node `a`."""
    made = {
        name: tf.compat.v1.NodeDef(name=name, op=op, input=tensors)
        for name, (op, tensors) in nodes.items()
    }
    empty = tf.compat.v1.GraphDef()
    inputs = {"x:0": tf.TensorSpec([None], tf.int64)}
    return FlatGraph(made, empty.library, empty.versions, inputs, captured, ("a:0",))


def test_graphs_with_loops_have_no_order() -> None:
    graph = _flat({}, a=("Identity", ["b:0"]), b=("Identity", ["a:0"]))
    with pytest.raises(ValueError, match="cycle"):
        graph.with_values()


def test_variables_that_are_not_just_read_have_no_value() -> None:
    graph = _flat({"v:0": _variable(3).handle}, a=("ResourceGather", ["v:0", "x:0"]))
    with pytest.raises(ValueError, match="takes a variable and inputs"):
        graph.with_values()


def test_variables_that_change_later_make_no_difference(saved: Any) -> None:
    folder = saved(convolutional_models.normalised)
    signature = choose_signature(read_saved_model(folder), None)
    model = tf.saved_model.load(str(folder))
    function = model.signatures["serving_default"]
    images = tf.constant(_images(2))
    expected = function(image=images)["scores"]
    result = folded(function, signature, read_graph(folder).graph_def)
    assert function.variables
    for variable in function.variables:
        variable.assign(tf.zeros_like(variable))
    assert result is not None
    np.testing.assert_allclose(result(image=images)["scores"], expected, rtol=1e-4, atol=1e-6)


def test_threads_may_call_at_once(loaded: Any, saved: Any) -> None:
    model = loaded(convolutional_models.normalised)
    plain = tf.saved_model.load(str(saved(convolutional_models.normalised)))
    sizes = [1, 5, 3, 8] * 8

    def scores(rows: int) -> Images:
        values: Images = model({"image": _images(rows)})["scores"]
        return values

    expected = {rows: plain(tf.constant(_images(rows)))["scores"] for rows in set(sizes)}
    with ThreadPoolExecutor(4) as threads:
        for rows, values in zip(sizes, threads.map(scores, sizes), strict=True):
            np.testing.assert_allclose(values, expected[rows], rtol=1e-4, atol=1e-6)


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
def test_what_does_more_than_read_its_variables_stays(
    saved: Any, builder: Builder, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "scoring.folding"):
        assert _folded(saved(builder)) is None
    assert "not folded" not in caplog.text


@pytest.mark.parametrize("builder", [saved_models.weighted, saved_models.images])
def test_models_without_convolutions_stay(saved: Any, builder: Builder) -> None:
    assert _folded(saved(builder)) is None


def test_what_tensorflow_cannot_inline_is_called_as_it_is(
    saved: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from tensorflow.python.grappler import tf_optimizer

    def refuse(*_: Any) -> Any:
        raise ValueError("Failed to import metagraph")

    monkeypatch.setattr(tf_optimizer, "OptimizeGraph", refuse)
    folder = saved(convolutional_models.normalised)
    info = read_saved_model(folder)
    with caplog.at_level("INFO", "scoring.folding"):
        model = LoadedModel(str(folder), info.tags, choose_signature(info, None))
    assert "not folded: Failed to import metagraph" in caplog.text
    assert model({"image": _images(2)})["scores"].shape == (2, 4)


def test_state_goes_on_from_call_to_call(loaded: Any) -> None:
    model = loaded(convolutional_models.counted)
    first, second = (model({"image": _images(1)})["scores"] for _ in range(2))
    np.testing.assert_allclose(second, first + 1.0, rtol=1e-5)


def test_a_check_still_refuses_its_rows(loaded: Any) -> None:
    model = loaded(convolutional_models.checked)
    assert model({"image": _images(1)})["scores"].shape == (1, 4)
    with pytest.raises(BatchCallError):
        model({"image": np.full((1, SIZE, SIZE, CHANNELS), 9, np.float32)})

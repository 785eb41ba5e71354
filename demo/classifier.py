"""EfficientNet-Lite0, which tells 1,000 classes of ImageNet apart, as a SavedModel."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from demo.checkpoint import Tensors
from scoring.runtime import tensorflow

_SIDE = 224
# Strides of the 16 blocks (Tan and Le, EfficientNet, 2019, table 1; the lite variants have no
# squeeze-and-excitation and ReLU6 for swish).  All other sizes are those of the weights.
_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
# Which batch normalisation follows a convolution, in the checkpoint's names.
_NORMALISATION = {
    "_conv_stem": "_bn0",
    "_expand_conv": "_bn0",
    "_depthwise_conv": "_bn1",
    "_project_conv": "_bn2",
    "_conv_head": "_bn1",
}
_EPSILON = 1e-3


def save(weights: Tensors, folder: Path) -> None:
    """Writes the model: `image`, float32 of (pixel - 127) / 128, to `logits` of the classes."""
    tf = tensorflow()
    model = tf.Module()
    model.layers = {
        name.removesuffix(".weight"): [tf.Variable(array) for array in _folded(weights, name)]
        for name in weights
        if name.split(".")[-2] in _NORMALISATION and name.endswith(".weight")
    }
    model.classes = tf.Variable(weights["_fc.weight"].T)
    model.bias = tf.Variable(weights["_fc.bias"])

    @tf.function(input_signature=[tf.TensorSpec([None, _SIDE, _SIDE, 3], tf.float32, "image")])
    def serve(image: object) -> dict[str, object]:
        features = tf.reduce_mean(_features(model.layers, image), axis=(1, 2))
        return {"logits": features @ model.classes + model.bias}

    tf.saved_model.save(model, str(folder), signatures={"serving_default": serve})


def _folded(weights: Tensors, name: str) -> tuple[npt.NDArray[np.float32], ...]:
    """Kernel and bias of a convolution with its batch normalisation multiplied in."""
    *block, convolution, _ = name.split(".")
    norm = ".".join([*block, _NORMALISATION[convolution]])
    factor = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + _EPSILON)
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * factor
    kernel = weights[name] * factor[:, None, None, None]
    # PyTorch's axes are output, input, height, width; depthwise ones have a single input.
    axes = (2, 3, 0, 1) if convolution == "_depthwise_conv" else (2, 3, 1, 0)
    return kernel.transpose(axes), bias


def _features(layers: dict[str, Any], image: Any) -> Any:
    """The image's features at 7 x 7 places."""
    tf = tensorflow()

    def convolved(values: Any, name: str, stride: int = 1) -> Any:
        kernel, bias = layers[name]
        if name.endswith("_depthwise_conv"):
            strides = (1, stride, stride, 1)
            return tf.nn.depthwise_conv2d(values, kernel, strides, "SAME") + bias
        return tf.nn.conv2d(values, kernel, stride, "SAME") + bias

    values = tf.nn.relu6(convolved(image, "_conv_stem", 2))
    for number, stride in enumerate(_STRIDES):
        block = f"_blocks.{number}"
        inner = values
        if f"{block}._expand_conv" in layers:
            inner = tf.nn.relu6(convolved(inner, f"{block}._expand_conv"))
        inner = tf.nn.relu6(convolved(inner, f"{block}._depthwise_conv", stride))
        inner = convolved(inner, f"{block}._project_conv")
        values = values + inner if inner.shape[1:] == values.shape[1:] else inner
    return tf.nn.relu6(convolved(values, "_conv_head"))

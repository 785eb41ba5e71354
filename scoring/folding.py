"""Normalisations after convolutions, computed into the weights of these.

A trained batch normalisation multiplies each channel by a number and adds another one.  It is
saved as arithmetic on all pixels (Keras 3) or as an op of its own (Keras 2); the convolution before
it can do the same, with the weights of a channel times its number, and a bias.  TensorFlow itself
changes weights only where they are constants of the graph.

Scores change in their last digits, as with any other order of the same sums.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from scoring.concrete import ByName, concrete_function
from scoring.flat_graph import FlatGraph, flat_graph
from scoring.ops import only_computes, used_ops
from scoring.runtime import tensorflow
from scoring.signature import Signature

_LOGGER = logging.getLogger(__name__)

_DEPTHWISE = "DepthwiseConv2dNative"
_CONVOLUTIONS = frozenset({"Conv2D", _DEPTHWISE})
_NORMALISATIONS = frozenset({"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"})
# Their outputs after the first, which those for training take.
_STATISTICS = range(1, 6)
# Part of a normalisation that is exported as arithmetic.
_ROOT = "Rsqrt"
_SUMS = frozenset({"Add", "AddV2", "BiasAdd"})

_CHANNELS_LAST = b"NHWC"
_BY_NUMBERS = b"EXPLICIT"
_IMAGE_RANK = 4

_PerChannel = npt.NDArray[np.float64]
_ONE, _ZERO = np.ones(1), np.zeros(1)


def folded(function: Any, signature: Signature, graph_def: Any) -> ByName | None:
    """The function without its normalisations, with the values that its variables have now.

    None where no convolution is followed by one, or where it does more than to read its variables
    and to compute.

    Args:
      function: takes the inputs of the signature by name and returns at least its outputs.
      graph_def: the graph of the whole model, of which the function is a part.
    """
    ops = used_ops(graph_def)
    is_dense = all(s.encoding == "dense" for s in (*signature.inputs, *signature.outputs))
    if not (ops & _CONVOLUTIONS and ops & {_ROOT, *_NORMALISATIONS} and is_dense):
        return None
    tf = tensorflow()
    from google.protobuf.message import Error

    try:
        concrete = concrete_function(function, signature)
        if not only_computes(concrete.graph.as_graph_def()):
            return None
        graph = flat_graph(concrete)
        if not any(_may_be_normalised(graph, name) for name in graph.nodes):
            return None
        graph = graph.with_values()
        normalised = _normalised_convolutions(graph)
        if not normalised:
            return None
        return ByName(_without(graph, normalised).function(), signature)
    except (TypeError, ValueError, KeyError, RuntimeError, Error, tf.errors.OpError) as e:
        # The function itself is as good as before, or its calls say what is wrong with it.
        _LOGGER.info("The model's normalisations are not folded: %s", e)
        return None


@dataclass(frozen=True)
class _Normalised:
    """A convolution and what follows it, up to a node that multiplies or adds, as one.

    Attributes:
      convolution, end: the first and the last node.
      weights: a float32 tensor of the shape that the convolution's own have.
      bias: float32[channels], to be added to what it computes with these weights.
    """

    convolution: str
    end: str
    weights: Any
    bias: Any


def _normalised_convolutions(graph: FlatGraph) -> list[_Normalised]:
    """Those whose channels are multiplied, with float32 weights of variables, each of all channels.

    Not those in groups of channels: TensorFlow may fuse the addition of a bias with them, for which
    it has no kernel without oneDNN.
    """
    weights = {
        name: graph.captured[node.input[1]]
        for name, node in graph.nodes.items()
        if _may_be_normalised(graph, name) and node.input[1] in graph.captured
    }
    shapes = graph.shapes([graph.nodes[name].input[0] for name in weights])
    return [
        found
        for (name, of_convolution), shape in zip(weights.items(), shapes, strict=True)
        if of_convolution.dtype == tensorflow().float32
        and shape.rank == _IMAGE_RANK
        and shape[-1] == of_convolution.shape[2]
        and (found := _normalised(graph, name, of_convolution.numpy()))
    ]


def _may_be_normalised(graph: FlatGraph, name: str) -> bool:
    """Whether it is a convolution that something is multiplied with, by what is read of it."""
    node = graph.nodes[name]
    if node.op not in _CONVOLUTIONS or not _is_channels_last(node):
        return False
    if node.op == _DEPTHWISE and node.attr["padding"].s == _BY_NUMBERS:
        # With a bias oneDNN's kernel for it ends the process (TensorFlow 2.21).
        return False
    while (name := _only_reader(graph, name)) and graph.nodes[name].op in {"Identity", *_SUMS}:
        pass
    return bool(name) and graph.nodes[name].op in {"Mul", *_NORMALISATIONS}


def _without(graph: FlatGraph, convolutions: Sequence[_Normalised]) -> FlatGraph:
    """The graph with nothing but the addition of a bias after these convolutions."""
    tf = tensorflow()
    nodes: dict[str, Any] = {}
    captured = dict(graph.captured)
    for c in convolutions:
        weights, bias = f"{c.convolution}/folded_weights:0", f"{c.convolution}/folded_bias:0"
        captured |= {weights: c.weights, bias: c.bias}
        node = tf.compat.v1.NodeDef()
        node.CopyFrom(graph.nodes[c.convolution])
        node.input[1] = weights
        nodes[c.convolution] = node
        nodes[c.end] = tf.compat.v1.NodeDef(
            name=c.end,
            op="BiasAdd",
            input=[f"{c.convolution}:0", bias],
            device=node.device,
            attr={name: node.attr[name] for name in ("T", "data_format")},
        )
    return graph.with_ops(nodes, captured)


def _normalised(
    graph: FlatGraph, convolution: str, weights: npt.NDArray[np.float32]
) -> _Normalised | None:
    """A convolution with these weights and what follows it; None if that multiplies by nothing.

    None, too, where a product is infinite or no number: times an input of zero it is no number.
    """
    node = graph.nodes[convolution]
    # A depthwise convolution makes one channel or more of each of its input's.
    channels = weights.shape[2 if node.op == _DEPTHWISE else 3 :]
    scale, bias = np.ones(channels).reshape(-1), np.zeros(channels).reshape(-1)
    end = convolution
    with np.errstate(all="ignore"):
        while (reader := _only_reader(graph, end)) and (
            step := _step(graph, reader, end, scale.size)
        ):
            factor, summand = step
            scale, bias, end = scale * factor, bias * factor + summand, reader
        scaled = weights * scale.reshape(channels).astype(np.float32)
        added = bias.astype(np.float32)
    if np.all(scale == 1) or not (np.isfinite(scaled).all() and np.isfinite(added).all()):
        return None
    constant = tensorflow().constant
    return _Normalised(convolution, end, constant(scaled), constant(added))


def _only_reader(graph: FlatGraph, name: str) -> str:
    """The node that alone takes the first output of a node; empty if there is none."""
    readers = graph.readers.get(f"{name}:0", ())
    return readers[0] if len(readers) == 1 else ""


def _step(
    graph: FlatGraph, name: str, source: str, channels: int
) -> tuple[_PerChannel, _PerChannel] | None:
    """What a node multiplies the channels of the node `source` by and then adds; None if neither.

    Both are of one value, or of one for each channel.
    """
    node = graph.nodes[name]
    if node.op == "Identity":
        return _ONE, _ZERO
    if node.op not in {"Mul", *_SUMS, *_NORMALISATIONS} or not _is_channels_last(node):
        return None
    others = [graph.known(tensor) for tensor in node.input if tensor != f"{source}:0"]
    if node.op in _NORMALISATIONS:
        is_alone = not any(f"{name}:{output}" in graph.readers for output in _STATISTICS)
        return _normalisation(node, others) if is_alone else None
    if len(others) != 1 or others[0] is None:
        return None
    values = others[0].astype(np.float64)
    is_for_all = values.size == 1
    is_per_channel = values.shape[-1:] == (values.size,) == (channels,)
    if values.ndim > _IMAGE_RANK or not (is_for_all or is_per_channel):
        return None
    values = values.reshape(-1)
    return (values, _ZERO) if node.op == "Mul" else (_ONE, values)


def _normalisation(
    node: Any, others: Sequence[npt.NDArray[Any] | None]
) -> tuple[_PerChannel, _PerChannel] | None:
    """The same of an op for normalisation, from its scale, offset, mean and variance."""
    values = [value.astype(np.float64) for value in others if value is not None]
    if node.attr["is_training"].b or len(values) != len(others):
        return None
    scale, offset, mean, variance = values
    factor = scale / np.sqrt(variance + node.attr["epsilon"].f)
    return factor, offset - mean * factor


def _is_channels_last(node: Any) -> bool:
    """Whether the op takes the last dimension for the channels, or knows of no channels."""
    # To ask for an attribute that is not there would add it.
    return "data_format" not in node.attr or bool(node.attr["data_format"].s == _CHANNELS_LAST)

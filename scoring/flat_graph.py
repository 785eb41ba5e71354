"""A function of a model as one flat graph, to be changed and made a function again."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from graphlib import TopologicalSorter
from typing import Any

import numpy.typing as npt

from scoring.runtime import tensorflow

_CONSTANT = "Const"
# What cannot fail, and what nothing need wait for where variables are only read.
_AWAITED_IN_VAIN = frozenset({"NoOp", "Identity", "ReadVariableOp", "Placeholder", _CONSTANT})


@dataclass(frozen=True)
class FlatGraph:
    """The ops that the outputs of a function need; it does nothing but compute and read variables.

    Tensors have the names of ops with the number of their output: `op:0`.

    Attributes:
      nodes: NodeDefs by name, each with its tensors as `input`; no op waits for others.
      library, versions: of the GraphDef that they are from.
      inputs: what the function takes, TensorSpecs by tensor.
      captured: what it has besides, variables say, by tensor; no node computes it.
      outputs: the tensors that it returns.
    """

    nodes: Mapping[str, Any]
    library: Any
    versions: Any
    inputs: Mapping[str, Any]
    captured: Mapping[str, Any]
    outputs: tuple[str, ...]

    def known(self, tensor: str) -> npt.NDArray[Any] | None:
        """The value of a tensor that is the same in each call, None if that is not known."""
        if tensor in self.captured:
            value: npt.NDArray[Any] = self.captured[tensor].numpy()
            return value
        node = self.nodes[_producer(tensor)]
        if node.op != _CONSTANT:
            return None
        constant: npt.NDArray[Any] = tensorflow().make_ndarray(node.attr["value"].tensor)
        return constant

    @cached_property
    def readers(self) -> Mapping[str, Sequence[str]]:
        """The nodes that take a tensor, as often as they do; `""` for what the function returns."""
        readers: defaultdict[str, list[str]] = defaultdict(list)
        for name, node in self.nodes.items():
            for tensor in node.input:
                readers[tensor].append(name)
        for tensor in self.outputs:
            readers[tensor].append("")
        return dict(readers)

    def shapes(self, tensors: Sequence[str]) -> list[Any]:
        """The TensorShapes of tensors, as far as they are known before a call."""
        tf = tensorflow()
        given = {**self.inputs, **self.captured}
        with tf.Graph().as_default():
            fed = {t: tf.compat.v1.placeholder(v.dtype, v.shape) for t, v in given.items()}
            return [imported.shape for imported in self._imported(tensors, fed)]

    def function(self) -> Any:
        """A concrete function: the inputs in their order in, a list of the outputs out."""

        def computed(*tensors: Any) -> list[Any]:
            given = {**self.captured, **dict(zip(self.inputs, tensors, strict=True))}
            return self._imported(self.outputs, given)

        traced = tensorflow().function(computed, autograph=False)
        return traced.get_concrete_function(*self.inputs.values())

    def with_values(self) -> "FlatGraph":
        """The same function with the values of what depends on what is captured, and on no input.

        Raises:
          tf.errors.OpError: something of it cannot be computed.
          ValueError: the graph has loops, or does more with variables than to read them.
        """
        tf = tensorflow()
        tensors = sorted(self._same_in_each_call())
        if any(t in self.captured and self.captured[t].dtype == tf.resource for t in tensors):
            raise ValueError("An op takes a variable and inputs")

        def computed(*captured: Any) -> list[Any]:
            return self._imported(tensors, dict(zip(self.captured, captured, strict=True)))

        traced = tf.function(computed, autograph=False)
        captured = self.captured.values()
        values = traced.get_concrete_function(*captured)(*captured)
        return self.with_ops({}, dict(zip(tensors, values, strict=True)))

    def with_ops(self, nodes: Mapping[str, Any], captured: Mapping[str, Any]) -> "FlatGraph":
        """The graph with some nodes replaced, and other tensors captured; what is not needed goes.

        Args:
          nodes: by the names of those that they replace.
          captured: all tensors that the function is to have besides its inputs.
        """
        changed = replace(self, nodes={**self.nodes, **nodes})
        kept = changed._needed(self.outputs, captured)
        taken = {*self.outputs, *(tensor for node in kept.values() for tensor in node.input)}
        return replace(self, nodes=kept, captured={t: captured[t] for t in captured if t in taken})

    def _same_in_each_call(self) -> set[str]:
        """The tensors that depend on what is captured alone, and are taken by what does not.

        What depends on constants alone is left to TensorFlow, which wants some of them as such: the
        shapes that tensors are to have, say.
        """
        same = {_producer(tensor) for tensor in self.captured}
        varies = {_producer(tensor) for tensor in self.inputs}
        order = TopologicalSorter({k: map(_producer, n.input) for k, n in self.nodes.items()})
        for name in order.static_order():
            if name not in self.nodes:
                continue
            node = self.nodes[name]
            sources = {_producer(tensor) for tensor in node.input}
            is_source = not sources and node.op != _CONSTANT
            if is_source or sources & varies:
                varies.add(name)
            elif sources & same:
                same.add(name)
        taken = {t for name, node in self.nodes.items() if name in varies for t in node.input}
        return {tensor for tensor in (*taken, *self.outputs) if _producer(tensor) in same}

    def _imported(self, tensors: Sequence[str], given: Mapping[str, Any]) -> list[Any]:
        """Tensors in the graph that is being built, computed from those given for others."""
        tf = tensorflow()
        nodes = self._needed(tensors, given)
        graph_def = tf.compat.v1.GraphDef(
            node=nodes.values(), library=self.library, versions=self.versions
        )
        taken = {tensor for node in nodes.values() for tensor in node.input} & given.keys()
        # An import takes tensors of the graph that is being built alone.
        replaced = {tensor: tf.identity(given[tensor]) for tensor in taken}
        wanted = [tensor for tensor in tensors if tensor not in given]
        imported = tf.graph_util.import_graph_def(graph_def, replaced, wanted, name="")
        found = {**given, **dict(zip(wanted, imported, strict=True))}
        return [found[tensor] for tensor in tensors]

    def _needed(self, tensors: Sequence[str], given: Mapping[str, Any]) -> dict[str, Any]:
        """The nodes that compute tensors from those given, and from nothing."""
        nodes: dict[str, Any] = {}
        left = list(tensors)
        while left:
            tensor = left.pop()
            name = _producer(tensor)
            if tensor not in given and name not in nodes:
                nodes[name] = self.nodes[name]
                left += nodes[name].input
        return nodes


def flat_graph(concrete: Any) -> FlatGraph:
    """The graph of a concrete function that only computes, with the functions that it calls inside.

    Raises:
      ValueError: an op waits for one that may refuse values, though it does not take its result.
    """
    graph_def = _inlined(concrete)
    ops = {f"^{node.name}": node.op for node in graph_def.node}
    awaited = {ops[i] for node in graph_def.node for i in node.input if i.startswith("^")}
    if not awaited <= _AWAITED_IN_VAIN:
        raise ValueError(f"Ops wait for {', '.join(sorted(awaited - _AWAITED_IN_VAIN))}")
    for node in graph_def.node:
        tensors = [i if ":" in i else f"{i}:0" for i in node.input if not i.startswith("^")]
        del node.input[:]
        node.input.extend(tensors)
        # The nodes that a node is to be placed with may lie outside.
        node.attr.pop("_class", None)
    captured = len(concrete.captured_inputs)
    inputs = concrete.inputs[: len(concrete.inputs) - captured]
    graph = FlatGraph(
        nodes={node.name: node for node in graph_def.node},
        library=graph_def.library,
        versions=graph_def.versions,
        inputs={t.name: tensorflow().TensorSpec(t.shape, t.dtype) for t in inputs},
        captured={},
        outputs=tuple(t.name for t in concrete.outputs),
    )
    names = (tensor.name for tensor in concrete.inputs[len(inputs) :])
    return graph.with_ops({}, dict(zip(names, concrete.captured_inputs, strict=True)))


def _producer(tensor: str) -> str:
    """The name of the node that computes a tensor."""
    return tensor.rpartition(":")[0]


def _inlined(concrete: Any) -> Any:
    """The GraphDef of the function after TensorFlow has put the functions that it calls inside."""
    tf = tensorflow()
    from tensorflow.core.protobuf import config_pb2
    from tensorflow.python.grappler import tf_optimizer

    graph = tf.compat.v1.train.export_meta_graph(
        graph_def=concrete.graph.as_graph_def(), graph=concrete.graph
    )
    # Of the collections that it may have some name what is not in the graph. What this one names,
    # the optimizer keeps.
    graph.collection_def.clear()
    kept = [tensor.name for tensor in (*concrete.inputs, *concrete.outputs)]
    graph.collection_def["train_op"].node_list.value.extend(kept)
    config = config_pb2.ConfigProto()
    options = config.graph_options.rewrite_options
    options.optimizers.append("function")
    # By default graphs of a few nodes are left as they are.
    options.min_graph_nodes = -1
    return tf_optimizer.OptimizeGraph(config, graph)

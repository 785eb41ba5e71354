"""Finding out from a SavedModel's graph whether an input takes serialized tf.train.Examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from scoring.errors import ModelError
from scoring.examples import ExampleFeature, ParsedFeatures
from scoring.graph_file import read_graph
from scoring.runtime import tensorflow
from scoring.signature import choose_signature, read_saved_model

_PARSE_OPS = frozenset({"ParseExample", "ParseExampleV2", "ParseSingleExample"})
# They take tf.train.SequenceExamples, which columns do not become.
_SEQUENCE_OPS = frozenset(
    {"ParseSequenceExample", "ParseSequenceExampleV2", "ParseSingleSequenceExample"}
)
# Ops that hand the strings of one input on, rearranged at most: the position of that input.
_CARRIERS = {
    **dict.fromkeys(("Identity", "StopGradient", "PlaceholderWithDefault", "Snapshot"), 0),
    **dict.fromkeys(("Reshape", "Squeeze", "ExpandDims", "EnsureShape", "Transpose"), 0),
    **dict.fromkeys(("StridedSlice", "Slice", "Gather", "GatherV2", "Unpack"), 0),
    # How tf.map_fn hands out the elements of a vector.
    **dict.fromkeys(("TensorListFromTensor", "TensorListGetItem", "Enter", "Switch"), 0),
    **dict.fromkeys(("TensorArrayScatterV3", "TensorArrayReadV3"), 2),
}
# Ops that call functions: the attributes that name them, and the first input that they are given.
_CALLERS = {
    **dict.fromkeys(("PartitionedCall", "StatefulPartitionedCall", "BatchFunction"), (("f",), 0)),
    **dict.fromkeys(("If", "StatelessIf"), (("then_branch", "else_branch"), 1)),
    **dict.fromkeys(("Case", "StatelessCase"), (("branches",), 1)),
    **dict.fromkeys(("While", "StatelessWhile"), (("body",), 0)),
}
# A node and one of its outputs; None stands for all of them.
_Ref = tuple[str, int | None]


def parses_examples(folder: str | Path, signature: str, input_name: str) -> ParsedFeatures | None:
    """What the model parses out of the Examples in one input, read from its graph file.

    The input's strings are followed to the ops that parse tf.train.Examples, through functions
    and through ops that only rearrange them.

    Returns:
      None if none is found: the input takes other strings, or Examples that pass through an op
      which cannot be followed.

    Raises:
      ModelError: `folder` holds no SavedModel, or one without that signature and input.
    """
    chosen = choose_signature(read_saved_model(Path(folder)), signature)
    dtypes = {spec.name: spec.dtype for spec in chosen.inputs}
    if input_name not in dtypes:
        raise ModelError(f"Signature {signature!r} of model {folder} has no input {input_name!r}.")
    if dtypes[input_name] != "string":
        return None
    graph = read_graph(Path(folder))
    search = _ParseSearch(graph.graph_def)
    if chosen.trace:
        search.follow_argument(chosen.trace.body, chosen.trace.fed.index(input_name))
    else:
        tensor = graph.signature_def[signature].inputs[input_name]
        if not tensor.name:
            return None
        search.follow(search.graph, _ref(tensor.name))
    if not search.found:
        return None
    op = sorted({node.op for _, node in search.found})[0]
    return ParsedFeatures(op, _merged([_stated_features(f, n) for f, n in search.found]))


def _merged(
    stated: Sequence[tuple[ExampleFeature, ...] | None],
) -> tuple[ExampleFeature, ...] | None:
    """The features of all parsing ops; None if one is unknown or two contradict each other."""
    features: dict[str, ExampleFeature] = {}
    for some in stated:
        if some is None or any(features.setdefault(f.name, f) != f for f in some):
            return None
    return tuple(features[name] for name in sorted(features))


@dataclass(frozen=True, eq=False)
class _Frame:
    """The nodes of the graph, or of a function in one call of it.

    Attributes:
      consumers: name -> the nodes that read an output of it, at which input, and which output.
      caller: the frame of the call, and the tensors there that the function's arguments hold.
      active: the functions that are being called, to see a recursion.
    """

    nodes: Mapping[str, Any]
    consumers: Mapping[str, Sequence[tuple[Any, int, int]]]
    caller: "_Frame | None" = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    active: frozenset[str] = frozenset()


class _ParseSearch:
    """Follows strings through a graph and collects the parsing ops that they reach in `found`."""

    def __init__(self, graph_def: Any) -> None:
        self.graph = _frame(graph_def.node)
        self.found: list[tuple[_Frame, Any]] = []
        self._functions = {f.signature.name: f for f in graph_def.library.function}

    def follow(self, frame: _Frame, start: _Ref) -> set[_Ref]:
        """All outputs within the frame that hold the strings of `start`."""
        reached = {start}
        pending = [start]
        while pending:
            name, index = pending.pop()
            for node, position, read in frame.consumers.get(name, ()):
                if index in (None, read):
                    new = set(self._outputs(frame, node, position)) - reached
                    reached |= new
                    pending += new
        return reached

    def follow_argument(self, function: str, position: int) -> None:
        """Follows the strings of one argument of a function that is called from outside."""
        body = self._functions[function]
        self.follow(_frame(body.node_def), (body.signature.input_arg[position].name, None))

    def _outputs(self, frame: _Frame, node: Any, position: int) -> list[_Ref]:
        """The outputs of the node that hold the strings of its input at `position`."""
        if node.op in _PARSE_OPS | _SEQUENCE_OPS:
            if position == 0:
                self.found.append((frame, node))
            return []
        if _CARRIERS.get(node.op) == position:
            return [(node.name, None)]
        if node.op == "IdentityN":
            return [(node.name, position)]
        attributes, first = _CALLERS.get(node.op, ((), 0))
        called = [_function_names(node.attr[a]) for a in attributes]
        names = [node.op] if node.op in self._functions else [*chain.from_iterable(called)]
        tensors = _data_inputs(node)[first:]
        return [
            ref
            for name in names
            for ref in self._results(frame, node, name, tensors, position - first)
        ]

    def _results(
        self, frame: _Frame, node: Any, name: str, tensors: Sequence[str], position: int
    ) -> list[_Ref]:
        """As `_outputs`, of a node that calls the function `name` with `tensors`."""
        function = self._functions.get(name)
        if function is None or name in frame.active or position < 0:
            return []
        arguments = [a.name for a in function.signature.input_arg]
        # A list as argument or result shifts the positions of the others.
        specs = [*function.signature.input_arg, *function.signature.output_arg]
        if any(a.number_attr or a.type_list_attr for a in specs):
            return []
        # What a loop variable holds after the first round is not known.
        known = {} if "While" in node.op else dict(zip(arguments, tensors, strict=True))
        inner = _frame(function.node_def, frame, known, frame.active | {name})
        reached = self.follow(inner, (arguments[position], None))
        results = [_ref(function.ret[a.name]) for a in function.signature.output_arg]
        return [
            (node.name, i)
            for i, (source, index) in enumerate(results)
            if not reached.isdisjoint({(source, index), (source, None)})
        ]


def _frame(
    nodes: Any,
    caller: _Frame | None = None,
    arguments: Mapping[str, str] | None = None,
    active: frozenset[str] = frozenset(),
) -> _Frame:
    consumers: dict[str, list[tuple[Any, int, int]]] = {}
    for node in nodes:
        for position, tensor in enumerate(_data_inputs(node)):
            name, index = _ref(tensor)
            consumers.setdefault(name, []).append((node, position, index or 0))
    return _Frame({n.name: n for n in nodes}, consumers, caller, arguments or {}, active)


def _ref(tensor: str) -> _Ref:
    """`node`, `node:1` (in the graph) or `node:output:1` (in a function) in parts."""
    name, _, output = tensor.partition(":")
    return name, int(output.rpartition(":")[2] or 0)


def _data_inputs(node: Any) -> list[str]:
    return [tensor for tensor in node.input if not tensor.startswith("^")]


def _function_names(attribute: Any) -> list[str]:
    if attribute.WhichOneof("value") == "list":
        return [f.name for f in attribute.list.func]
    return [attribute.func.name]


def _stated_features(frame: _Frame, node: Any) -> tuple[ExampleFeature, ...] | None:
    """The features that a parsing op states; None if the graph does not hold their names."""
    if node.op in _SEQUENCE_OPS:
        return None
    dense, sparse, ragged = (
        [tensorflow().dtypes.as_dtype(kind).name for kind in node.attr[name].list.type]
        for name in ("Tdense", "sparse_types", "ragged_value_types")
    )
    shapes = [_row_shape(s) for s in node.attr["dense_shapes"].list.shape]
    inputs = _data_inputs(node)
    required = [
        _is_empty(_constant(frame, default)) for default in inputs[len(inputs) - len(dense) :]
    ]
    keys = _stated_keys(frame, node, inputs)
    if keys is None:
        return None
    full = zip(keys[0], dense, shapes, required, strict=True)
    return (
        *(ExampleFeature(key, dtype, "dense", shape, must) for key, dtype, shape, must in full),
        *(ExampleFeature(key, dtype) for key, dtype in zip(keys[1], sparse, strict=True)),
        *(ExampleFeature(key, dtype, "ragged") for key, dtype in zip(keys[2], ragged, strict=True)),
    )


def _stated_keys(
    frame: _Frame, node: Any, inputs: Sequence[str]
) -> tuple[list[str], list[str], list[str]] | None:
    """The names of the dense, the sparse and the ragged features."""
    # TensorFlow's op definitions say where: in attributes, in one scalar input for each, or in
    # one vector for each layout.
    if node.op == "ParseSingleExample":
        dense, sparse = (
            [key.decode(errors="replace") for key in node.attr[name].list.s]
            for name in ("dense_keys", "sparse_keys")
        )
        return dense, sparse, []
    if node.op == "ParseExample":
        n_sparse, n_dense = node.attr["Nsparse"].i, node.attr["Ndense"].i
        sparse_inputs = inputs[2 : 2 + n_sparse]
        dense_inputs = inputs[2 + n_sparse : 2 + n_sparse + n_dense]
        ragged_inputs: Sequence[str] = ()
    else:
        sparse_inputs, dense_inputs, ragged_inputs = inputs[2:3], inputs[3:4], inputs[4:5]
    found = [_strings(frame, t) for t in (dense_inputs, sparse_inputs, ragged_inputs)]
    known = [keys for keys in found if keys is not None]
    return (known[0], known[1], known[2]) if len(known) == len(found) else None


def _strings(frame: _Frame, tensors: Sequence[str]) -> list[str] | None:
    """The elements of constant string tensors; None if one is not constant."""
    constants = [_constant(frame, tensor) for tensor in tensors]
    if any(constant is None for constant in constants):
        return None
    arrays = [tensorflow().make_ndarray(constant).ravel() for constant in constants]
    return [key.decode(errors="replace") for array in arrays for key in array]


def _is_empty(constant: Any | None) -> bool:
    """Whether it is an empty tensor, as which the parsing ops take a default that is not there."""
    return constant is not None and 0 in [d.size for d in constant.tensor_shape.dim]


def _constant(frame: _Frame, tensor: str) -> Any | None:
    """The TensorProto that a tensor holds, up to its shape; None if it is not constant."""
    while True:
        name, _ = _ref(tensor)
        if frame.caller is not None and name in frame.arguments:
            frame, tensor = frame.caller, frame.arguments[name]
            continue
        node = frame.nodes.get(name)
        if node is not None and node.op == "Const":
            return node.attr["value"].tensor
        if node is None or node.op not in ("Identity", "Reshape", "ExpandDims", "Enter"):
            return None
        tensor = node.input[0]


def _row_shape(shape: Any) -> tuple[int | None, ...] | None:
    if shape.unknown_rank:
        return None
    return tuple(None if d.size < 0 else int(d.size) for d in shape.dim)

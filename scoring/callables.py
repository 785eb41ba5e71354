"""The functions of a SavedModel's object, for models that have no signatures.

TensorFlow 2 saves with each tf.function the arguments that it was traced with and the structure
of what it returns (saved_object_graph.proto, struct.proto), so both are known without loading it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

CALL = "__call__"
# What Keras saves for itself beside __call__.
_KERAS_INTERNAL = "call_and_return_"

Scalar = None | bool | int | float | str
# One value of a StructuredValue that is a tensor: a TensorSpecProto or a TypeSpecProto.
SpecProto = Any


@dataclass(frozen=True)
class Fed:
    """An argument that is the tensor of the input `name`."""

    name: str


@dataclass(frozen=True)
class Fixed:
    """An argument that is a Python value, the one that the function was traced with."""

    value: Scalar


@dataclass(frozen=True)
class Several:
    """Arguments in a tuple, a list or a dict; `keys` are a dict's, or the names of the items."""

    kind: Literal["tuple", "list", "dict"]
    items: tuple["Argument", ...]
    keys: tuple[str, ...] = ()

    @property
    def named(self) -> dict[str, "Argument"]:
        """The items by their key."""
        return dict(zip(self.keys, self.items, strict=False))


Argument = Fed | Fixed | Several


@dataclass(frozen=True)
class Trace:
    """One way to call a function of the model's object.

    Attributes:
      function: the name of the function, an attribute of the object.
      body: the name of the function that does the work, in the graph's library.
      positional, keyword: the arguments of the call.
    """

    function: str
    body: str
    positional: Several
    keyword: Several

    @property
    def trains(self) -> Scalar:
        """The value of the argument `training`; None if there is no such argument."""
        training = (self.positional.named | self.keyword.named).get("training")
        return training.value if isinstance(training, Fixed) else None

    @property
    def fed(self) -> tuple[str, ...]:
        """The names of the inputs in the order of the body's arguments."""
        return (*_fed(self.positional), *_fed(self.keyword))

    @property
    def options(self) -> str:
        """The named arguments that are Python values: ` with training=True`, say."""
        named = (self.positional.named | self.keyword.named).items()
        fixed = [f"{name}={a.value!r}" for name, a in named if isinstance(a, Fixed)]
        return f" with {', '.join(fixed)}" if fixed else ""

    def call(self, model: Any, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """Calls the function of the loaded object; returns its tensors by their name."""
        positional = _filled(self.positional, tensors)
        keyword = _filled(self.keyword, tensors)
        return dict(leaves(getattr(model, self.function)(*positional, **keyword)))


@dataclass(frozen=True)
class Traced:
    """A trace with the specs of its inputs and outputs by name, as the file has them."""

    trace: Trace
    inputs: dict[str, SpecProto]
    outputs: dict[str, SpecProto]


class UnfitArgumentError(Exception):
    """A function was traced with arguments that cannot be given to it here."""


def traced_functions(graph: Any) -> dict[str, list[Traced]]:
    """The traces of each function that the model's object offers.

    A trace that takes no tensors, or arguments that are neither tensors nor plain values, is
    left out.
    """
    objects = graph.object_graph_def
    if not objects.nodes:
        return {}
    found: dict[str, list[Traced]] = {}
    for child in sorted(objects.nodes[0].children, key=lambda child: str(child.local_name)):
        node = objects.nodes[child.node_id]
        if node.WhichOneof("kind") != "function" or not _is_offered(child.local_name):
            continue
        names = _argument_names(node.function.function_spec)
        found[child.local_name] = [
            traced
            for body in node.function.concrete_functions
            if (traced := _traced(child.local_name, body, names, objects.concrete_functions[body]))
        ]
    return found


def for_inference(traces: Sequence[Traced]) -> list[Traced]:
    """Those to choose from when scoring, without those that differ in names alone.

    Traces for training are left out.  Where some leave the batch size free, the others are left
    out as well.
    """
    kept = [t for t in traces if t.trace.trains is not True]
    if any(t.trace.trains is False for t in kept):
        kept = [t for t in kept if t.trace.trains is False]
    distinct = list({_types(t): t for t in reversed(kept)}.values())[::-1]
    free = [t for t in distinct if all(_has_free_batch(s) for s in t.inputs.values())]
    return free or distinct


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The tensors in a nest of dicts, lists and tuples with a name made of keys and positions.

    Like signatures that TensorFlow makes: items without a key are called output_0, output_1, …
    """
    if value is None:
        return
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        value = dict(zip(value._fields, value, strict=True))
    if isinstance(value, Mapping):
        for key in sorted(value, key=str):
            yield from leaves(value[key], f"{name}/{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            yield from leaves(item, f"{name or 'output'}_{position}")
    else:
        yield name or "output_0", value


def _is_offered(name: str) -> bool:
    return name == CALL or not name.startswith(("_", _KERAS_INTERNAL))


def _traced(function: str, body: str, names: Sequence[str], concrete: Any) -> Traced | None:
    arguments = concrete.canonicalized_input_signature.tuple_value.values
    if len(arguments) != 2:
        return None
    inputs: dict[str, SpecProto] = {}
    try:
        items = [
            _argument(value, names[i] if i < len(names) else f"argument_{i}", inputs)
            for i, value in enumerate(arguments[0].tuple_value.values)
        ]
        keyword = _argument(arguments[1], "", inputs)
        outputs = dict(leaves(_decoded(concrete.output_signature)))
    except UnfitArgumentError:
        return None
    if not inputs or not outputs or not isinstance(keyword, Several):
        return None
    positional = Several("tuple", tuple(items), tuple(names[: len(items)]))
    return Traced(Trace(function, body, positional, keyword), inputs, outputs)


def _argument_names(function_spec: Any) -> list[str]:
    fields = {pair.key: pair.value for pair in function_spec.fullargspec.named_tuple_value.values}
    names = [v.string_value for v in fields["args"].list_value.values] if "args" in fields else []
    return names[1:] if names[:1] == ["self"] else names


def _argument(value: Any, name: str, inputs: dict[str, SpecProto]) -> Argument:
    """The argument that a StructuredValue stands for; its tensors are added to `inputs`."""
    kind = value.WhichOneof("kind")
    match kind:
        case "tensor_spec_value" | "bounded_tensor_spec_value":
            if name in inputs:
                raise UnfitArgumentError(f"two inputs called {name!r}")
            inputs[name] = getattr(value, kind)
            return Fed(name)
        case "none_value":
            return Fixed(None)
        case "bool_value" | "int64_value" | "float64_value" | "string_value":
            return Fixed(getattr(value, kind))
        case "list_value" | "tuple_value":
            values = getattr(value, kind).values
            items = [_argument(v, f"{name}_{i}", inputs) for i, v in enumerate(values)]
            return Several("list" if kind == "list_value" else "tuple", tuple(items))
        case "dict_value":
            fields = value.dict_value.fields
            keys = tuple(sorted(fields))
            return Several("dict", tuple(_argument(fields[k], k, inputs) for k in keys), keys)
    raise UnfitArgumentError(f"an argument of the kind {kind}")


def _decoded(value: Any) -> Any:
    """The nest of dicts and lists that a StructuredValue stands for, specs as they are."""
    kind = value.WhichOneof("kind")
    match kind:
        case "tensor_spec_value" | "bounded_tensor_spec_value" | "type_spec_value":
            return getattr(value, kind)
        case "none_value":
            return None
        case "list_value" | "tuple_value":
            return [_decoded(v) for v in getattr(value, kind).values]
        case "dict_value":
            return {key: _decoded(v) for key, v in value.dict_value.fields.items()}
        case "named_tuple_value":
            return {pair.key: _decoded(pair.value) for pair in value.named_tuple_value.values}
    raise UnfitArgumentError(f"a result of the kind {kind}")


def _fed(argument: Argument) -> Iterator[str]:
    match argument:
        case Fed(name):
            yield name
        case Several(_, items):
            for item in items:
                yield from _fed(item)


def _filled(argument: Argument, tensors: Mapping[str, Any]) -> Any:
    match argument:
        case Fed(name):
            return tensors[name]
        case Fixed(value):
            return value
        case Several("dict"):
            return {key: _filled(item, tensors) for key, item in argument.named.items()}
        case Several(kind, items):
            filled = [_filled(item, tensors) for item in items]
            return filled if kind == "list" else tuple(filled)


def _types(traced: Traced) -> tuple[object, ...]:
    """What two traces share that differ in nothing but the names of their tensors."""
    specs = [(s.dtype, s.shape.SerializeToString()) for s in traced.inputs.values()]
    return (*specs, traced.trace.positional, traced.trace.keyword)


def _has_free_batch(spec: SpecProto) -> bool:
    return bool(spec.shape.unknown_rank or (spec.shape.dim and spec.shape.dim[0].size < 0))

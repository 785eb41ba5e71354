"""What a SavedModel says of itself, read from its graph file without loading it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from scoring.callables import CALL, SpecProto, Trace, Traced, for_inference, traced_functions
from scoring.errors import ModelError
from scoring.graph_file import graph_tags, read_graph
from scoring.runtime import tensorflow

SERVING_DEFAULT = "serving_default"
# Entries of the signature map that a user cannot call.
_INTERNAL_SIGNATURES = frozenset({"__saved_model_init_op", "__saved_model_train_op"})


# How TensorFlow holds the elements; `other` stands for what has no rows, IndexedSlices say.
Encoding = Literal["dense", "ragged", "sparse", "other"]


@dataclass(frozen=True)
class TensorSpec:
    """Name, dtype, shape and encoding of one input or output.

    `shape` includes the batch dimension and holds None for a free dimension; it is None as
    a whole when the rank is free.  `dtype` is TensorFlow's name (float32, string, …).
    The first `ragged_rank` dimensions after the batch differ from row to row.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None
    encoding: Encoding = "dense"
    ragged_rank: int = 0

    def __str__(self) -> str:
        kind = (
            self.dtype if self.encoding in ("dense", "other") else f"{self.encoding} {self.dtype}"
        )
        if self.shape is None:
            return f"{self.name}: {kind} of any shape"
        dims = ", ".join("None" if d is None else str(d) for d in self.shape)
        return f"{self.name}: {kind}[{dims}]"


@dataclass(frozen=True)
class Signature:
    """One callable of a SavedModel, with its inputs and outputs in name order.

    `trace` is None for what TensorFlow calls a signature; otherwise this is a function of the
    model's object, called as the trace says.
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    trace: Trace | None = None

    def __str__(self) -> str:
        ins = "; ".join(map(str, self.inputs))
        outs = "; ".join(map(str, self.outputs))
        return f"{self.name} ({ins} -> {outs})"


@dataclass(frozen=True)
class SavedModelInfo:
    """What can be called in a SavedModel, and the tags of the graph that holds it.

    Attributes:
      functions: functions of the model's object, each of which can be called in one way.
      ambiguous: the ways to call each other function, none of which is the obvious one.
    """

    folder: str
    tags: tuple[str, ...]
    signatures: tuple[Signature, ...]
    functions: tuple[Signature, ...] = ()
    ambiguous: tuple[tuple[str, tuple[Signature, ...]], ...] = ()


def read_saved_model(folder: Path) -> SavedModelInfo:
    """Reads what can be called in the SavedModel in `folder`.

    The graph tagged `serve` is taken, or the one without tags, or the only one there is.

    Raises:
      ModelError: `folder` holds no SavedModel, or one without a graph to choose.
    """
    graph = read_graph(folder)
    signatures = tuple(
        Signature(name, _tensor_specs(s.inputs), _tensor_specs(s.outputs))
        for name, s in sorted(graph.signature_def.items())
        if name not in _INTERNAL_SIGNATURES
    )
    functions: list[Signature] = []
    ambiguous: list[tuple[str, tuple[Signature, ...]]] = []
    for name, traces in traced_functions(graph).items():
        ways = tuple(map(_traced_signature, for_inference(traces) or traces))
        if len(ways) == 1 and ways[0].trace is not None and ways[0].trace.trains is not True:
            functions += ways
        elif ways:
            ambiguous.append((name, ways))
    return SavedModelInfo(
        str(folder), graph_tags(graph), signatures, tuple(functions), tuple(ambiguous)
    )


def choose_signature(info: SavedModelInfo, name: str | None) -> Signature:
    """What to call: the signature or function called `name`.

    Without a name `serving_default`, else the only signature there is; of a model without
    signatures the function `__call__`, else the only one.

    Raises:
      ModelError: there is nothing of that name, or several and none is the default.
    """
    offered = info.signatures or info.functions
    known = {s.name: s for s in (*info.functions, *info.signatures)}
    ambiguous = dict(info.ambiguous)
    default = SERVING_DEFAULT if info.signatures else CALL
    if not known and not ambiguous:
        raise ModelError(
            f"Model {info.folder} has no signatures, so its inputs and outputs are unknown. "
            "Export it again with signatures=… (tf.saved_model.save) or model.export() (Keras)."
        )
    wanted = name or (default if default in known or default in ambiguous else None)
    if wanted in ambiguous and wanted not in known:
        raise ModelError(_ambiguous_message(info, wanted, ambiguous[wanted]))
    if wanted is None and len(offered) == 1 and (info.signatures or not ambiguous):
        return offered[0]
    if wanted in known:
        return known[wanted]
    listing = "".join(f"\n  {s}" for s in offered)
    if name:
        raise ModelError(
            f"Model {info.folder} has no signature {name!r}. Give --signature one of:{listing}"
        )
    several = "several signatures" if info.signatures else "no signatures, but several functions"
    raise ModelError(
        f"Model {info.folder} has {several} and no {default!r}. "
        f"Choose one with --signature:{listing}"
    )


def _ambiguous_message(info: SavedModelInfo, name: str, ways: tuple[Signature, ...]) -> str:
    none = "" if info.signatures else "has no signatures, and "
    reason = "for training only" if len(ways) == 1 else "for several inputs or options"
    listing = "".join(f"\n  {way}{way.trace.options if way.trace else ''}" for way in ways)
    return (
        f"Model {info.folder} {none}its function {name!r} was traced {reason}. Export the wanted "
        f"way as a signature, signatures=… (tf.saved_model.save). It was traced as:{listing}"
    )


def _traced_signature(traced: Traced) -> Signature:
    ins, outs = (
        tuple(_structured_spec(name, specs[name]) for name in sorted(specs))
        for specs in (traced.inputs, traced.outputs)
    )
    return Signature(traced.trace.function, ins, outs, traced.trace)


def _structured_spec(name: str, spec: SpecProto) -> TensorSpec:
    if hasattr(spec, "type_spec_class"):
        return _composite_spec(name, spec)
    return TensorSpec(name, _dtype(spec.dtype), _shape(spec.shape))


def _tensor_specs(infos: Any) -> tuple[TensorSpec, ...]:
    return tuple(_tensor_spec(name, infos[name]) for name in sorted(infos))


def _tensor_spec(name: str, info: Any) -> TensorSpec:
    if info.WhichOneof("encoding") == "composite_tensor":
        return _composite_spec(name, info.composite_tensor.type_spec)
    sparse = info.WhichOneof("encoding") == "coo_sparse"
    encoding: Encoding = "sparse" if sparse else "dense"
    return TensorSpec(name, _dtype(info.dtype), _shape(info.tensor_shape), encoding)


def _composite_spec(name: str, type_spec: Any) -> TensorSpec:
    """What a TypeSpecProto says; its state is what the class of the spec serializes."""
    kind = type(type_spec)
    state = [getattr(v, str(v.WhichOneof("kind"))) for v in type_spec.type_state.tuple_value.values]
    if type_spec.type_spec_class == kind.RAGGED_TENSOR_SPEC:
        shape, dtype, ragged_rank = state[:3]
        encoding: Encoding = "ragged" if ragged_rank else "dense"
        return TensorSpec(name, _dtype(dtype), _shape(shape), encoding, int(ragged_rank))
    if type_spec.type_spec_class == kind.SPARSE_TENSOR_SPEC:
        shape, dtype = state[:2]
        return TensorSpec(name, _dtype(dtype), _shape(shape), "sparse")
    return TensorSpec(name, type_spec.type_spec_class_name.removesuffix("Spec"), None, "other")


def _dtype(number: int) -> str:
    return str(tensorflow().dtypes.as_dtype(number).name)


def _shape(shape: Any) -> tuple[int | None, ...] | None:
    if shape.unknown_rank:
        return None
    return tuple(None if d.size < 0 else int(d.size) for d in shape.dim)


def elements_per_row(spec: TensorSpec) -> int | None:
    """Number of elements of one row, or None when a dimension other than the batch is free."""
    if spec.shape is None:
        return None
    return _product(spec.shape[1:])


def _product(dims: Iterable[int | None]) -> int | None:
    size = 1
    for d in dims:
        if d is None:
            return None
        size *= d
    return size

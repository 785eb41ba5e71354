"""The ops of a SavedModel's graph that come from other packages than TensorFlow."""

import importlib
import importlib.util
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scoring.errors import ModelError
from scoring.runtime import tensorflow


@dataclass(frozen=True)
class OpPackage:
    """A package that registers ops when it is imported.

    Attributes:
      name: what is said of it in messages, the name on PyPI if it is there.
      ops: names of its ops, or of those that have no prefix.
      prefixes: how the names of its other ops begin.
      module: what to import; empty if no package for this TensorFlow has the ops.
      install: what to type to install it; empty likewise.
    """

    name: str
    ops: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    module: str = ""
    install: str = ""

    def holds(self, op: str) -> bool:
        """Whether the op is one of this package."""
        return op in self.ops or op.startswith(self.prefixes)

    @property
    def is_installed(self) -> bool:
        """Whether the package can be imported here; nothing is imported to find out."""
        # Looking for a module within a package that is not there is an error.
        return bool(self.module) and importlib.util.find_spec(self.module.split(".")[0]) is not None


@dataclass(frozen=True)
class OpNeed:
    """Ops that a model needs beyond TensorFlow's, and their package where it is known."""

    package: OpPackage | None
    ops: tuple[str, ...]


def _published(name: str, *prefixes: str, ops: str = "") -> OpPackage:
    module = name.replace("-", "_")
    return OpPackage(name, frozenset(ops.split()), prefixes, module, f"pip install {name}")


# The names that tensorflow-text 2.21.1 registers; newer ones all have the prefix.
_TEXT_OPS = """
    CaseFoldUTF8 ConstrainedSequence FastBertNormalize FastWordpieceTokenizeWithOffsets
    FindSourceOffsets MaxSpanningTree NormalizeUTF8 NormalizeUTF8WithOffsetsMap PhraseTokenize
    RegexSplitWithOffsets RougeL SentenceFragments SentenceFragmentsV2 SentencepieceDetokenizeOp
    SentencepieceIdToStringOp SentencepieceOp SentencepieceStringToIdOp SentencepieceTokenizeOp
    SentencepieceTokenizeWithOffsetsOp SentencepieceVocabSizeOp SplitMergeTokenizeWithOffsets
    TokenizerFromLogits UnicodeScriptTokenizeWithOffsets WhitespaceTokenizeWithOffsets
    WordpieceTokenizeWithOffsets
"""
_TEXT = OpPackage(
    "tensorflow-text",
    frozenset(_TEXT_OPS.split()),
    ("TFText>",),
    "tensorflow_text",
    "pip install 'bulkscore[text]'",
)
_PACKAGES = (
    _TEXT,
    _published("tensorflow-addons", "Addons>"),
    _published("tensorflow-decision-forests", "SimpleML"),
    _published("tensorflow-io", "IO>"),
    _published("tensorflow-recommenders-addons", "TFRA>"),
    _published("struct2tensor", "DecodeProtoSparse", ops="EquiJoinIndices RunLengthBefore"),
    _published("tensorflow-compression", "EntropyEncode", "EntropyDecode", ops="PmfToQuantizedCdf"),
    _published("tensorflow-quantum", "Tfq"),
    _published(
        "tf-sentencepiece", "SentencepieceEncode", "SentencepieceDecode", "SentencepieceGetPiece"
    ),
    OpPackage(
        "Horovod", prefixes=("Horovod",), module="horovod.tensorflow", install="pip install horovod"
    ),
    OpPackage(
        "TensorRT", frozenset({"CreateTRTResourceHandle", "InitializeTRTResource"}), ("TRT",)
    ),
    OpPackage("AWS Neuron", frozenset({"NeuronOp"})),
    OpPackage(
        "tf.contrib of TensorFlow 1",
        frozenset({"DecodeAudio", "DecodeVideo", "GatherTree", "ImageProjectiveTransform"}),
    ),
)

# What a model may do that is more than computing from its inputs: read variables, call functions.
_READS = frozenset({"ReadVariableOp", "StatefulPartitionedCall"})
# Loops, which need not end for every input, and branches.  Their bodies are functions of their own,
# with variables of their own.
_CONTROL_FLOW = frozenset(
    {"Case", "If", "For", "While", "StatelessCase", "StatelessIf", "StatelessWhile"}
)
# The same in TensorFlow 1: a loop goes through the last two, a branch begins and ends with the
# others, and its ops wait for its being chosen.
_CONTROL_FLOW_1 = frozenset(
    {"Switch", "RefSwitch", "Merge", "RefMerge", "NextIteration", "RefNextIteration"}
)


def op_needs(graph: Any) -> tuple[OpNeed, ...]:
    """What the MetaGraphDef needs beyond TensorFlow's own ops, the unknown ones last.

    Nothing is loaded or imported, and what has been imported already makes no difference.
    """
    names: dict[OpPackage | None, set[str]] = {}
    for op in used_ops(graph.graph_def):
        package = next((p for p in _PACKAGES if p.holds(op)), None)
        if package is not None or not _is_registered(op):
            names.setdefault(package, set()).add(op)
    known = sorted((p for p in names if p is not None), key=lambda p: p.name.lower())
    ordered = (*known, None) if None in names else known
    return tuple(OpNeed(package, tuple(sorted(names[package]))) for package in ordered)


def import_op_packages(folder: Path, needs: Iterable[OpNeed]) -> None:
    """Imports the packages that hold the ops, which registers them in this process.

    Raises:
      ModelError: an op stays unknown; the message names it and the package that holds it.
    """
    for need in needs:
        if need.package is not None and need.package.is_installed:
            _import(folder, need.package, need.ops)
        missing = [op for op in need.ops if not _is_registered(op)]
        if missing:
            raise ModelError(
                f"Model {folder} cannot be loaded: {missing_text(need.package, missing)}"
            )


def missing_text(package: OpPackage | None, ops: Sequence[str]) -> str:
    """What to say of ops that this installation lacks: which, whose, and how to get them."""
    noun, them = ("op", "it") if len(ops) == 1 else ("ops", "them")
    uses = f"its graph uses the {noun} {', '.join(ops)}"
    version = f"TensorFlow {tensorflow().__version__}"
    if package is None:
        return (
            f"{uses}, which {version} does not have, nor any package that bulkscore knows. "
            f"Export it without {them}."
        )
    if not package.install:
        return f"{uses} of {package.name}, which {version} lacks. Export it without {them}."
    if package.is_installed:
        return (
            f"{uses} of {package.name}, which importing {package.module} does not bring. Install "
            "the version that the model was exported with, here and on the workers."
        )
    # The other packages are built for one version of TensorFlow each, often an older one.
    condition = "Install it" if package is _TEXT else f"If there is one for {version}, install it"
    return (
        f"{uses} of {package.name}, which is not installed. {condition} here and on the workers: "
        f"{package.install}"
    )


def _import(folder: Path, package: OpPackage, ops: tuple[str, ...]) -> None:
    tensorflow()
    try:
        with warnings.catch_warnings():
            # Deprecations within such a package are not the user's.
            warnings.simplefilter("ignore")
            importlib.import_module(package.module)
    except Exception as e:
        # A package built for another TensorFlow fails in its native code, with anything.
        raise ModelError(
            f"Model {folder} cannot be loaded: its graph uses ops of {package.name} "
            f"({', '.join(ops)}), and importing {package.module} fails: {e}. Install the version "
            f"for TensorFlow {tensorflow().__version__}."
        ) from e


def used_ops(graph_def: Any) -> set[str]:
    """The ops of the graph and of its functions, without those that are functions themselves."""
    library = graph_def.library.function
    used = {node.op for node in graph_def.node}
    used.update(node.op for function in library for node in function.node_def)
    return used - {function.signature.name for function in library}


def only_computes(graph_def: Any) -> bool:
    """Whether the graph, whose ops this process knows, computes from inputs and variables alone.

    That is step by step, without loops and branches, and without a trace of it in the model.
    """
    ops = used_ops(graph_def)
    is_stateful = any(_definition(op).is_stateful for op in ops - _READS)
    return not is_stateful and not ops & (_CONTROL_FLOW | _CONTROL_FLOW_1)


def _is_registered(op: str) -> bool:
    return _definition(op) is not None


def _definition(op: str) -> Any:
    """The OpDef, None if this process knows no such op."""
    tensorflow()
    from tensorflow.python.framework import op_def_registry

    return op_def_registry.get(op)

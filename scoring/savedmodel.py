"""A SavedModel in memory, called with numpy arrays."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from scoring.callables import Trace
from scoring.compiled import compiled, compiler_problem
from scoring.composite import Result, result_of
from scoring.conversions import FLOAT_DTYPES, INT_DTYPES, Values, numpy_dtype
from scoring.errors import BatchCallError, ModelError
from scoring.folding import folded
from scoring.graph_file import check_files, read_graph
from scoring.ops import import_op_packages, only_computes, op_needs
from scoring.packed import input_tensors
from scoring.runtime import tensorflow
from scoring.signature import Signature

_MAX_REASON_CHARS = 400
# Lines of TensorFlow's messages that say where in the graph something happened, not what.
_LOCATION = re.compile(
    r"Graph execution error|Detected at node|<stack traces|File \"|\[\[|\[Op:|Hint:|\d+ root error"
)
# The same within a line.
_NODES = re.compile(r"\{\{function_node \S+\}\} ?| \[Op:\w+\]")
# Errors of a call that every other call would end with, and what they mean.
_HOPELESS = {
    r"No OpKernel was registered to support Op '([^']+)'": "op {0} has no kernel for {1}",
    r"No registered '([^']+)' OpKernel for": "op {0} has no kernel for {1}",
    r"Cannot assign a device for operation ([^ :]+)": "operation {0} wants another device than {1}",
    r"Attempting to use uninitialized value (\S+)": "variable {0} was saved without a value",
    r"Could not find variable (\S+?)(?:_load_\d+)?[. ]": "variable {0} was saved without a value",
    r"Could not find callback with key=(\S+)": "{0} is a Python function, which no model holds",
    r"(Table) not initialized": "a lookup table of its graph was saved without what fills it",
}
# For a single row some libraries compute otherwise than for several.
_PREPARING_ROWS = 2
_FED_DTYPES = frozenset({*INT_DTYPES, *FLOAT_DTYPES, "bool", "string"})
_DAMAGE = re.compile("sstable|checksum|Read less bytes")
# What loading says of each variable of TensorFlow 1; such variables work all the same.
_REFERENCE_VARIABLES = "Unable to create a python object for variable"


class LoadedModel:
    """One signature of a SavedModel, loaded; outputs that it does not list are left alone.

    Works for every SavedModel that `tf.saved_model.load` takes, whatever wrote it; Keras is
    not involved.
    """

    def __init__(
        self, folder: str, tags: Sequence[str], signature: Signature, *, xla: bool = False
    ) -> None:
        """Loads the model into this process.

        Args:
          xla: whether XLA compiles it, when it is first called with a number of rows.

        Raises:
          ModelError: TensorFlow cannot load it; the message names the missing op or file if it
            is that.  Or XLA would leave out a part of what it does.
        """
        tf = tensorflow()
        self.signature = signature
        self._tf = tf
        self._folder = folder
        graph = read_graph(Path(folder))
        check_files(Path(folder), graph)
        import_op_packages(Path(folder), op_needs(graph))
        try:
            with _without_reference_warnings():
                # The object owns the variables: without a reference to it they are freed.
                self._model: Any = tf.saved_model.load(folder, tags=list(tags))
            self._function: Any = (
                partial(_call_traced, signature.trace, self._model)
                if signature.trace
                else self._model.signatures[signature.name]
            )
        except Exception as e:
            # The loader runs what the model asks for, so anything can be raised.
            raise ModelError(_load_message(tf, folder, e)) from e
        self._is_compiled = xla
        if xla:
            self._function = compiled(self._function, signature, folder)
        else:
            without_normalisations = folded(self._function, signature, graph.graph_def)
            if without_normalisations is not None:
                self._function, self._model = without_normalisations, None

    def prepare(self) -> None:
        """Spares the first call what TensorFlow does then, if a call more changes nothing.

        That is a call with few rows of zeros; what becomes of it says nothing.
        """
        # A compilation is for the number of rows of the call.
        graph = None if self._is_compiled else getattr(self._function, "graph", None)
        feed = zeros(self.signature, _PREPARING_ROWS)
        if graph is None or feed is None or len(next(iter(feed.values()))) > _PREPARING_ROWS:
            return
        if only_computes(graph.as_graph_def()):
            with suppress(BatchCallError, ModelError):
                self(feed)

    def __call__(self, feed: Mapping[str, Values]) -> dict[str, Result]:
        """Calls the signature.

        Args:
          feed: one array of shape `[rows, …]` for each input, of the input's dtype; strings
            as object arrays of bytes, rows of sparse inputs as packed ones.

        Returns:
          For each output of the signature as many rows as were fed, an array `[rows, …]` if it is
          dense.

        Raises:
          BatchCallError: TensorFlow refused these rows, or returned another number of them.
          ModelError: the arrays do not fit the signature at all.
        """
        tf = self._tf
        rows = len(next(iter(feed.values())))
        try:
            tensors: dict[str, Any] = {}
            for spec in self.signature.inputs:
                tensors |= input_tensors(spec, feed[spec.name])
            outputs = self._function(**tensors)
            results = {s.name: result_of(outputs[s.name], s) for s in self.signature.outputs}
        except tf.errors.ResourceExhaustedError as e:
            raise BatchCallError("OUT_OF_MEMORY", _reason(e), out_of_memory=True) from e
        except tf.errors.OpError as e:
            hopeless = self._hopeless(e)
            if hopeless is not None:
                raise ModelError(hopeless) from e
            raise BatchCallError("CALL_FAILED", _reason(e)) from e
        except (TypeError, ValueError) as e:
            raise ModelError(f"Signature {self.signature} cannot be called: {_reason(e)}") from e
        for name, values in results.items():
            is_single = isinstance(values, np.ndarray) and values.ndim == 0
            if is_single or len(values) != rows:
                got = "a single value" if is_single else f"{len(values)} rows"
                message = f"output {name!r} has {got} for {rows} input rows"
                raise BatchCallError("OUTPUT_ROWS", message)
        return results

    def _hopeless(self, error: Exception) -> str | None:
        """The sentence for an error that every call would end with, None for any other."""
        uncompiled = compiler_problem(str(error))
        if uncompiled is not None:
            return (
                f"Model {self._folder} loads, but XLA cannot compile signature "
                f"{self.signature.name!r}: {uncompiled or _reason(error)}. Leave --xla out."
            )
        for pattern, meaning in _HOPELESS.items():
            found = re.search(pattern, str(error))
            if found:
                devices = {d.device_type for d in self._tf.config.list_logical_devices()}
                said = meaning.format(found[1], "/".join(sorted(devices)))
                return (
                    f"Model {self._folder} loads, but signature {self.signature.name!r} cannot be "
                    f"called on this machine: {said}."
                )
        return None


def call_with_zeros(model: LoadedModel) -> None:
    """Calls the model once with zeros and empty strings.

    Raises:
      ModelError: it cannot be called at all.  That it refuses such a row says nothing.
    """
    feed = zeros(model.signature)
    if feed is not None:
        with suppress(BatchCallError):
            model(feed)


def zeros(signature: Signature, rows: int = 1) -> dict[str, Values] | None:
    """Zeros and empty strings for each input: so many rows, or as many as the model insists on.

    Free dimensions are 1, and a free rank is taken for scalars.  None for a signature without
    inputs, or with some that are not dense.
    """
    inputs = signature.inputs
    fed = [spec.encoding == "dense" and spec.dtype in _FED_DTYPES for spec in inputs]
    if not inputs or not all(fed):
        return None
    rows = next((s.shape[0] for s in inputs if s.shape and s.shape[0]), rows)
    feed: dict[str, Values] = {}
    for spec in inputs:
        shape = (rows, *(size or 1 for size in (spec.shape or ())[1:]))
        dtype = numpy_dtype(spec.dtype)
        feed[spec.name] = np.full(shape, b"" if dtype.hasobject else 0, dtype)
    return feed


def _call_traced(trace: Trace, model: Any, **tensors: Any) -> dict[str, Any]:
    return trace.call(model, tensors)


def _load_message(tf: Any, folder: str, error: Exception) -> str:
    reason = _reason(error)
    # Of a TF2 model's variables the error's class does not tell; an sstable is the index file.
    if isinstance(error, tf.errors.DataLossError) or _DAMAGE.search(reason):
        return (
            f"Model {folder}: the files in its folder variables are damaged: {reason}. "
            "Copy or export the model again."
        )
    if "No such file or directory" in reason:
        return (
            f"Model {folder} reads a file that is not there: {reason}. Export it again with that "
            "file as an asset (tf.saved_model.Asset)."
        )
    return f"Model {folder} cannot be loaded by TensorFlow {tf.__version__}: {reason}"


@contextmanager
def _without_reference_warnings() -> Iterator[None]:
    logger = logging.getLogger("tensorflow")

    def is_telling(record: logging.LogRecord) -> bool:
        return _REFERENCE_VARIABLES not in str(record.msg)

    logger.addFilter(is_telling)
    try:
        yield
    finally:
        logger.removeFilter(is_telling)


def _reason(error: Exception) -> str:
    """The first telling line of a TensorFlow error."""
    text = _NODES.sub("", str(getattr(error, "message", None) or error))
    lines = [line.strip() for line in text.splitlines()]
    telling = [line for line in lines if line and not _LOCATION.match(line)]
    chosen = telling[0] if telling else repr(error)
    return chosen if len(chosen) <= _MAX_REASON_CHARS else chosen[: _MAX_REASON_CHARS - 1] + "…"

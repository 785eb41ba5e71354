"""A model's function compiled by XLA, and what XLA cannot compile.

XLA compiles for the shapes of the arguments: the first call of each shape waits for a compilation,
of seconds for a large model.  Values that make ops of TensorFlow raise an error make none here: of
an index beyond the end of a table, say, the last entry comes.
"""

import re
from typing import Any

from scoring.concrete import ByName, concrete_function
from scoring.errors import ModelError
from scoring.ops import used_ops
from scoring.signature import Signature, TensorSpec

# What every error of a compilation says at its end, and the ops that it may name before.
_FAILED = "tf2xla conversion failed"
_WITHOUT_KERNEL = re.compile(r"No registered '([^']+)' OpKernel for XLA")
_MAX_NAMED_OPS = 5


def compiled(function: Any, signature: Signature, folder: str) -> Any:
    """The function, compiled when it is first called with a shape; any thread may call it.

    Args:
      function: takes the inputs of the signature by name and returns at least its outputs.

    Raises:
      ModelError: it has checks of its own that a compiled one would leave out.
    """
    concrete = concrete_function(function, signature, jit_compile=True)
    if "Assert" in used_ops(concrete.graph.as_graph_def()):
        raise ModelError(
            f"Model {folder}: signature {signature.name!r} checks its values with the op Assert, "
            "which XLA leaves out, so that rows which it refuses would be scored. Leave --xla out."
        )
    return ByName(concrete, signature)


def compiler_problem(error: str) -> str | None:
    """What the text of an error says XLA lacks, empty if no op; None if XLA is not at fault."""
    if _FAILED not in error:
        return None
    ops = sorted(set(_WITHOUT_KERNEL.findall(error)))
    more = ", …" if len(ops) > _MAX_NAMED_OPS else ""
    return f"it cannot do {', '.join(ops[:_MAX_NAMED_OPS])}{more}" if ops else ""


def check_compilable(saved: Signature, fed: Signature) -> None:
    """Looks for what XLA never compiles, or would compile anew for most calls.

    Args:
      saved: the signature as the model has it.
      fed: the same with the shapes that are fed and the outputs that are wanted.

    Raises:
      ModelError: there is such an input or output.
    """
    for role, specs in (("input", fed.inputs), ("output", fed.outputs)):
        for spec in specs:
            if spec.dtype == "string" or spec.encoding != "dense":
                kind = "strings" if spec.dtype == "string" else f"{spec.encoding} tensors"
                raise ModelError(
                    f"{role.capitalize()} {spec} cannot be used with --xla: XLA does not compute "
                    f"with {kind}. Leave --xla out"
                    + (", or the output out of --output_columns." if role == "output" else ".")
                )
    for spec in filter(_has_free_row, fed.inputs):
        raise ModelError(
            f"Input {spec} cannot be used with --xla, which would compile the model anew for each "
            f"shape of a row. State the one shape that all rows have, --input_shapes "
            f"{spec.name}=[SIZE,...], or leave --xla out."
        )
    follows_inputs = any(map(_has_free_row, saved.inputs))
    for spec in fed.outputs:
        if _has_free_row(spec) and not follows_inputs:
            raise ModelError(
                f"Output {spec} cannot be used with --xla: its width depends on the values, and "
                "the model would be compiled anew for most calls. Leave --xla out, or the output "
                "out of --output_columns."
            )


def _has_free_row(spec: TensorSpec) -> bool:
    return spec.shape is None or None in spec.shape[1:]

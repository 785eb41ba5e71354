"""A model's function as one graph of its own, for what changes the graph."""

from dataclasses import dataclass
from typing import Any

from scoring.runtime import tensorflow
from scoring.signature import Signature


@dataclass(frozen=True)
class ByName:
    """A function of a list of tensors, called with the inputs of a signature by name.

    Attributes:
      function: a concrete one, takes the inputs and returns the outputs in the signature's order.
    """

    function: Any
    signature: Signature

    @property
    def graph(self) -> Any:
        """The function's graph."""
        return self.function.graph

    def __call__(self, **tensors: Any) -> dict[str, Any]:
        """The outputs of the signature by name."""
        outputs = self.function(*(tensors[spec.name] for spec in self.signature.inputs))
        return {s.name: o for s, o in zip(self.signature.outputs, outputs, strict=True)}


def concrete_function(function: Any, signature: Signature, **options: Any) -> Any:
    """The function traced once, for all numbers of rows: a list of tensors in, one out.

    Args:
      function: takes the inputs of the signature, all dense, by name; returns at least its outputs.
      options: of tf.function.
    """
    tf = tensorflow()
    inputs = [spec.name for spec in signature.inputs]

    def wanted(*tensors: Any) -> list[Any]:
        outputs = function(**dict(zip(inputs, tensors, strict=True)))
        return [outputs[spec.name] for spec in signature.outputs]

    specs = [tf.TensorSpec(spec.shape, spec.dtype) for spec in signature.inputs]
    traced = tf.function(wanted, autograph=False, **options)
    return traced.get_concrete_function(*specs)

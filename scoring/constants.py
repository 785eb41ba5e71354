"""A model's variables as constants, of which TensorFlow computes beforehand what depends on nothing
else.

A batch normalisation that Keras 3 exports as arithmetic becomes a part of the weights of the
convolution that it follows: calls of MobileNetV2 took a fifth less time on two processors.  Scores
change in their last digits, as with any other order of the same sums.
"""

import logging
from typing import Any

from scoring.concrete import ByName, concrete_function
from scoring.ops import only_computes, used_ops
from scoring.runtime import tensorflow
from scoring.signature import Signature

_LOGGER = logging.getLogger(__name__)

# Of models without one of them nothing gained; where TensorFlow has an op for the normalisation, it
# computes it together with the convolution anyway.
_NORMALISATION = "Rsqrt"
_CONVOLUTIONS = frozenset({"Conv2D", "DepthwiseConv2dNative"})

MAX_VARIABLE_BYTES = 64 * 2**20
"""Of a model whose variables become constants: until its first call has ended, that takes some 16
times as much memory (ResNet-50: 1.7 GB, where 8 % would have been gained), and 4 s for 100 MB."""


def with_constants(function: Any, signature: Signature, graph_def: Any) -> ByName | None:
    """The function with its variables as constants; None where it is not worth it, or not safe.

    Worth it are convolutions with a normalisation, safe is what does nothing but read its variables
    and compute.

    Args:
      function: takes the inputs of the signature by name and returns at least its outputs.
      graph_def: the graph of the whole model, of which the function is a part.
    """
    ops = used_ops(graph_def)
    is_dense = all(s.encoding == "dense" for s in (*signature.inputs, *signature.outputs))
    if _NORMALISATION not in ops or not ops & _CONVOLUTIONS or not is_dense:
        return None
    tf = tensorflow()
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    try:
        concrete = concrete_function(function, signature)
        is_safe = only_computes(concrete.graph.as_graph_def())
        if not is_safe or _variable_bytes(concrete) > MAX_VARIABLE_BYTES:
            return None
        constant = convert_variables_to_constants_v2(concrete)
    except (TypeError, ValueError, KeyError, NotImplementedError, tf.errors.OpError) as e:
        # The function itself is as good as before, or its calls say what is wrong with it.
        _LOGGER.info("The model's variables stay variables: %s", e)
        return None
    return None if constant.captured_inputs else ByName(constant, signature)


def _variable_bytes(concrete: Any) -> int:
    return sum(v.shape.num_elements() * v.dtype.size for v in concrete.graph.variables)

"""Rows of different sizes in one array, for inputs that take sparse tensors.

Like the tensor of a dense input it can be cut, joined and repeated by rows.
"""

from typing import Any

import numpy as np

from scoring.conversions import Values
from scoring.layout import Ints, within
from scoring.runtime import tensorflow
from scoring.signature import TensorSpec


def packed(values: Values, sizes: Ints) -> Values:
    """Rows with their sizes.

    Args:
      values: `[n, …]`, all rows filled up to one size.
      sizes: `[n, rank]`, how much of each row counts.
    """
    fields = [("sizes", np.int64, sizes.shape[1:]), ("values", values.dtype, values.shape[1:])]
    rows: Values = np.empty(len(values), dtype=fields)
    rows["sizes"], rows["values"] = sizes, values
    return rows


def input_tensors(spec: TensorSpec, rows: Values) -> dict[str, Any]:
    """The arguments of a call for one input.

    A sparse tensor is given as three dense ones: so TensorFlow 2 calls signatures of TensorFlow 1,
    and others have no sparse inputs (load_v1_in_v2.py, `_extract_signatures`).

    Args:
      rows: `[n, …]`, or packed rows for a sparse input.
    """
    tf = tensorflow()
    if spec.encoding != "sparse":
        return {spec.name: tf.constant(rows, dtype=spec.dtype)}
    values = rows["values"]
    entries = within(rows["sizes"], values.shape[1:])
    return {
        f"{spec.name}_indices": tf.constant(np.argwhere(entries), dtype="int64"),
        f"{spec.name}_values": tf.constant(values[entries], dtype=spec.dtype),
        f"{spec.name}_dense_shape": tf.constant(values.shape, dtype="int64"),
    }

"""Columns as arrays become tensors: what every contestant but bulkscore does the same way.

A family of workloads that needs another feed adds it to FEEDS.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from scoring.runtime import tensorflow

Array = npt.NDArray[Any]
Columns = Mapping[str, Array]
Feed = Callable[[Mapping[str, str], Columns, Mapping[str, Any]], dict[str, Any]]
"""(column of each input, columns, tf.TensorSpec of each input) -> tensor of each input.

Numbers are arrays of their own type, texts and BYTES object arrays of `bytes`.
"""


def numbers(features: Mapping[str, str], columns: Columns, specs: Mapping[str, Any]) -> Any:
    """One scalar column for each input `[batch]`, converted to its dtype."""
    tf = tensorflow()
    return {
        name: tf.constant(columns[column].astype(specs[name].dtype.as_numpy_dtype, copy=False))
        for name, column in features.items()
    }


FEEDS: dict[str, Feed] = {"numbers": numbers}


def prepared(columns: Columns) -> dict[str, Array]:
    """Columns as a program would hold them that had no conversions to do: floats as float32."""
    return {
        name: values.astype(np.float32) if values.dtype == np.float64 else values
        for name, values in columns.items()
    }

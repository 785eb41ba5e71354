"""Columns as arrays become tensors: what every contestant but bulkscore does the same way.

A family of workloads that needs another feed adds it to FEEDS.
"""

import io
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from scoring.runtime import tensorflow

IMAGE_SIDE = 224

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


def texts(features: Mapping[str, str], columns: Columns, specs: Mapping[str, Any]) -> Any:
    """One column of texts for each input `[batch]`."""
    tf = tensorflow()
    return {name: tf.constant(columns[column], tf.string) for name, column in features.items()}


def jpegs(features: Mapping[str, str], columns: Columns, specs: Mapping[str, Any]) -> Any:
    """One column of JPEGs for each input `[batch, 224, 224, 3]`, scaled to -1..1.

    Pillow decodes and resizes them, which is quicker than TensorFlow's resizing with antialias;
    large ones it decodes at a part of their size, the same as bulkscore.
    """
    tf = tensorflow()
    feed = {}
    for name, column in features.items():
        pixels = [_pixels(jpeg) for jpeg in columns[column]]
        values = np.subtract(np.stack(pixels), np.float32(127.5), dtype=np.float32)
        values /= np.float32(127.5)
        feed[name] = tf.constant(values)
    return feed


def _pixels(jpeg: bytes) -> Array:
    from PIL import Image

    image = Image.open(io.BytesIO(jpeg))
    image.draft("RGB", (3 * IMAGE_SIDE, 3 * IMAGE_SIDE))
    return np.asarray(image.resize((IMAGE_SIDE, IMAGE_SIDE), Image.Resampling.BILINEAR))


def examples(features: Mapping[str, str], columns: Columns, specs: Mapping[str, Any]) -> Any:
    """A tf.train.Example of all columns for the only input, encoded in C++ by tfx-bsl."""
    import pyarrow as pa

    tf = tensorflow()
    arrays = {}
    for name, column in features.items():
        values = columns[column]
        wide = values.astype(np.float32) if values.dtype == np.float64 else values
        flat = pa.array(wide, pa.binary() if wide.dtype == object else None)
        places = np.arange(len(wide) + 1, dtype=np.int64)
        arrays[name] = pa.LargeListArray.from_arrays(pa.array(places), flat)
    (only,) = specs
    return {only: tf.constant(_encoder().encode(pa.RecordBatch.from_pydict(arrays)), tf.string)}


@cache
def _encoder() -> Any:
    from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

    return RecordBatchToExamplesEncoder()


FEEDS: dict[str, Feed] = {
    "numbers": numbers,
    "texts": texts,
    "jpegs": jpegs,
    "examples": examples,
}


def prepared(columns: Columns) -> dict[str, Array]:
    """Columns as a program would hold them that had no conversions to do: floats as float32."""
    return {
        name: values.astype(np.float32) if values.dtype == np.float64 else values
        for name, values in columns.items()
    }

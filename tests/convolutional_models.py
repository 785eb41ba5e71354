"""SavedModels of two convolutions, each followed by a normalisation, as Keras 3 exports it.

All take image: float32[None, 6, 6, 3] and return scores: float32[None, 4].
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def normalised(folder: Path) -> Path:
    """Does nothing but compute."""
    return _save(folder)


def called_normalised(folder: Path) -> Path:
    """The same without signatures: nothing but __call__."""
    return _save(folder, is_signature=False)


def normalised_by_op(folder: Path) -> Path:
    """The same with TensorFlow's op for normalisations, as Keras 2 exports it.

    Its epsilon is the op's default, which is not in the file.
    """
    return _save(folder, normalise=_normalised_by_op)


def counted(folder: Path) -> Path:
    """Adds the number of its calls, which it keeps in a variable."""
    import tensorflow as tf

    calls = tf.Variable(0.0)
    return _save(folder, lambda scores: scores + calls.assign_add(1.0), calls)


def checked(folder: Path) -> Path:
    """Fails for a batch with a pixel of 9."""
    import tensorflow as tf

    def check(image: Any) -> Any:
        with tf.control_dependencies([tf.debugging.assert_less(image, 9.0)]):
            return tf.identity(image)

    return _save(folder, before=check)


def looked_up(folder: Path) -> Path:
    """Adds a number from a table, which its outputs need."""
    import tensorflow as tf

    numbers = tf.lookup.KeyValueTensorInitializer(tf.constant([1]), tf.constant([2.0]))
    table = tf.lookup.StaticHashTable(numbers, 0.0)
    return _save(folder, lambda scores: scores + table.lookup(tf.constant(1)), table)


def looped(folder: Path) -> Path:
    """Computes its images one by one."""
    import tensorflow as tf

    return _save(folder, before=lambda image: tf.map_fn(tf.identity, image))


def noisy(folder: Path) -> Path:
    """Adds a random number to each score."""
    import tensorflow as tf

    return _save(folder, lambda scores: scores + tf.random.uniform(tf.shape(scores)))


def _save(
    folder: Path,
    after: Callable[[Any], Any] = lambda scores: scores,
    kept: Any = None,
    *,
    before: Callable[[Any], Any] = lambda image: image,
    is_signature: bool = True,
    normalise: Callable[..., Any] | None = None,
) -> Path:
    import tensorflow as tf

    normalise = normalise or _normalised
    random = np.random.default_rng(7)

    def variable(*shape: int, least: float = -1.0) -> Any:
        return tf.Variable(random.uniform(least, 1.0, shape).astype(np.float32))

    class Network(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kept = kept
            self.filters = (variable(3, 3, 3, 2), variable(1, 1, 6, 4))
            # Scale, offset, mean and variance.
            self.norms = [
                (variable(n), variable(n), variable(n), variable(n, least=0.0)) for n in (6, 4)
            ]

        @tf.function(input_signature=[tf.TensorSpec([None, 6, 6, 3], tf.float32, name="image")])
        def __call__(self, image: Any) -> dict[str, Any]:
            x = tf.nn.depthwise_conv2d(before(image), self.filters[0], [1, 1, 1, 1], "SAME")
            x = tf.nn.relu(normalise(tf, x, *self.norms[0]))
            x = normalise(tf, tf.nn.conv2d(x, self.filters[1], 1, "SAME"), *self.norms[1])
            return {"scores": after(tf.reduce_mean(x, [1, 2]))}

    network = Network()
    signatures = {"serving_default": network.__call__} if is_signature else {}
    tf.saved_model.save(network, str(folder), signatures=signatures)
    return folder


def _normalised(tf: Any, x: Any, scale: Any, offset: Any, mean: Any, variance: Any) -> Any:
    factor = tf.math.rsqrt(variance + 1e-3) * scale
    return x * factor + (offset - mean * factor)


def _normalised_by_op(tf: Any, x: Any, scale: Any, offset: Any, mean: Any, variance: Any) -> Any:
    return tf.compat.v1.nn.fused_batch_norm(
        x, scale, offset, mean, variance, epsilon=1e-4, is_training=False
    )[0]

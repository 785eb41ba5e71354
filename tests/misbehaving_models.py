"""SavedModels that bring down their process, never return, or do not score row by row.

Builders like those of `saved_models`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

LAST_WORDS = "the model gives up"


def aborting(folder: Path) -> Path:
    """x: float32[None] -> y: float32[None], 2 * x; a call ends the process with SIGABRT."""
    return _save(folder, lambda x: _after(_abort(), 2.0 * x))


def exiting(folder: Path) -> Path:
    """x: float32[None] -> y: float32[None], 2 * x; a call ends the process with exit code 0."""
    return _save(folder, lambda x: _after(_abort(exit_without_error=True), 2.0 * x))


def aborting_alone(folder: Path) -> Path:
    """x: float32[None] -> y: float32[None], 2 * x; a call with one row ends the process."""
    import tensorflow as tf

    def score(x: Any) -> Any:
        return tf.cond(tf.size(x) > 1, lambda: 2.0 * x, lambda: _after(_abort(), 2.0 * x))

    return _save(folder, score)


def aborting_start(folder: Path) -> Path:
    """x: float32[None] -> y: float32[None], 2 * x; its initialisation ends the process (TF1)."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None], name="x")
        info = v1.saved_model.build_tensor_info
        signature = v1.saved_model.build_signature_def(
            {"x": info(x)}, {"y": info(2.0 * x)}, "tensorflow/serving/predict"
        )
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(
            session, ["serve"], {"serving_default": signature}, main_op=_abort()
        )
        builder.save()
    return folder


def endless(folder: Path) -> Path:
    """fifo: string[None] -> y: float32[None]; writes to the first row's file, then never ends."""
    import tensorflow as tf

    def score(fifo: Any) -> Any:
        with tf.control_dependencies([tf.io.write_file(fifo[0], "called")]):
            start = tf.zeros([])
        turns = tf.while_loop(lambda i: i >= 0.0, lambda i: [i + 1.0], [start])[0]
        return turns + tf.zeros([tf.size(fifo)])

    return _save(folder, score, ("fifo", "string"))


def training_norm(folder: Path, *, rows: int | None = None) -> Path:
    """x: float32[rows] -> y: float32[rows], x minus the mean of the call; z: float32[rows], 2 * x.

    What batch normalisation does when it was exported in training mode.
    """
    import tensorflow as tf

    return _save(folder, lambda x: {"y": x - tf.reduce_mean(x), "z": 2.0 * x}, rows=rows)


def training_norm_of_4(folder: Path) -> Path:
    """The same for batches of 4 rows."""
    return training_norm(folder, rows=4)


def dropout(folder: Path) -> Path:
    """x: float32[None] -> y: float32[None, 32], each x + 1 doubled or zero by chance; z, 2 * x."""
    import tensorflow as tf

    def score(x: Any) -> dict[str, Any]:
        return {"y": tf.nn.dropout(tf.repeat(x[:, None] + 1.0, 32, 1), 0.5), "z": 2.0 * x}

    return _save(folder, score)


def ranked(folder: Path) -> Path:
    """x: float32[None] -> rank: int64[None] in the call, name: string[None], the rank as text."""
    import tensorflow as tf

    def score(x: Any) -> dict[str, Any]:
        rank = tf.cast(tf.argsort(tf.argsort(x)), tf.int64)
        return {"rank": rank, "name": tf.strings.as_string(rank)}

    return _save(folder, score)


def width_counted(folder: Path) -> Path:
    """x: float32[None, None] -> sum: float32[None] and mean: float32[None], over the padding too.

    `sum` is that of the row's own values when zeros are the padding; `mean` is not.
    """
    import tensorflow as tf

    spec = tf.TensorSpec([None, None], tf.float32, name="x")
    return _save_with(
        folder, lambda x: {"sum": tf.reduce_sum(x, 1), "mean": tf.reduce_mean(x, 1)}, spec
    )


def ragged_of_the_call(folder: Path) -> Path:
    """x: float32[None] -> same: ragged, x once a row, and all: ragged, x as often as rows."""
    import tensorflow as tf

    def score(x: Any) -> dict[str, Any]:
        n = tf.size(x)
        times = tf.fill([n], n)
        return {
            "same": tf.RaggedTensor.from_row_lengths(x, tf.ones_like(times)),
            "all": tf.RaggedTensor.from_row_lengths(tf.repeat(x, times), times),
        }

    return _save(folder, score)


def _abort(*, exit_without_error: bool = False) -> Any:
    import tensorflow as tf

    return tf.raw_ops.Abort(error_msg=LAST_WORDS, exit_without_error=exit_without_error)


def _after(op: Any, value: Any) -> Any:
    import tensorflow as tf

    with tf.control_dependencies([op]):
        return tf.identity(value)


def _save(
    folder: Path,
    score: Callable[[Any], Any],
    tensor: tuple[str, str] = ("x", "float32"),
    *,
    rows: int | None = None,
) -> Path:
    """Saves `score` of one input of shape [rows]; a result alone is called y."""
    import tensorflow as tf

    name, dtype = tensor
    spec = tf.TensorSpec([rows], tf.dtypes.as_dtype(dtype), name=name)

    def named(value: Any) -> dict[str, Any]:
        result = score(value)
        return result if isinstance(result, dict) else {"y": result}

    return _save_with(folder, named, spec)


def _save_with(folder: Path, score: Callable[[Any], dict[str, Any]], spec: Any) -> Path:
    import tensorflow as tf

    module = tf.Module()
    # An input is called like the argument, whatever the function calls it.
    module.score = tf.function(lambda **inputs: score(*inputs.values()))
    signature = module.score.get_concrete_function(**{spec.name: spec})
    tf.saved_model.save(module, str(folder), signatures={"serving_default": signature})
    return folder

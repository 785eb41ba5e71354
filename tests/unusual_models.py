"""SavedModels whose signatures trip naive scorers.

Builders like those of `saved_models`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

# Inputs of `dtypes`, named after what they take.
DTYPES = ("int32", "int64", "uint8", "bool", "float16", "string")


def useless_default(folder: Path) -> Path:
    """serving_default: text: string[None] -> classes: string[None, 2], the same in every row.

    predict: text: string[None] -> answer: string[None, 1], "long" from 4 bytes on, else "short".
    """
    import tensorflow as tf

    labels = tf.constant([["long", "short"]])

    def classify(text: Any) -> dict[str, Any]:
        return {"classes": tf.repeat(labels, tf.size(text), axis=0)}

    def predict(text: Any) -> dict[str, Any]:
        is_long = tf.strings.length(text) > 3
        return {"answer": tf.where(is_long, "long", "short")[:, None]}

    spec = tf.TensorSpec([None], tf.string, name="text")
    return _save(folder, serving_default=(classify, [spec]), predict=(predict, [spec]))


def columns(folder: Path) -> Path:
    """a: float32[None, 1], b: int64[None, 1] -> product: float32[None, 1], a * b."""
    import tensorflow as tf

    def score(a: Any, b: Any) -> dict[str, Any]:
        return {"product": a * tf.cast(b, tf.float32)}

    specs = [tf.TensorSpec([None, 1], tf.float32, "a"), tf.TensorSpec([None, 1], tf.int64, "b")]
    return _save(folder, serving_default=(score, specs))


def pictures(folder: Path) -> Path:
    """image: float32[None, 2, 3, 3] -> rgb: float32[None, 3], the sum of each channel."""
    import tensorflow as tf

    def score(image: Any) -> dict[str, Any]:
        return {"rgb": tf.reduce_sum(image, axis=[1, 2])}

    spec = tf.TensorSpec([None, 2, 3, 3], tf.float32, "image")
    return _save(folder, serving_default=(score, [spec]))


def summed(folder: Path) -> Path:
    """x: float32[None, None] -> total: float32[None], the sum; width: int32[None], as given."""
    import tensorflow as tf

    def score(x: Any) -> dict[str, Any]:
        width = tf.fill([tf.shape(x)[0]], tf.shape(x)[1])
        return {"total": tf.reduce_sum(x, axis=1), "width": width}

    spec = tf.TensorSpec([None, None], tf.float32, "x")
    return _save(folder, serving_default=(score, [spec]))


def running_sums(folder: Path) -> Path:
    """x: float32[None, None] -> sums: float32[None, None], up to each element; as wide as x."""
    import tensorflow as tf

    def score(x: Any) -> dict[str, Any]:
        return {"sums": tf.cumsum(x, axis=1)}

    spec = tf.TensorSpec([None, None], tf.float32, "x")
    return _save(folder, serving_default=(score, [spec]))


def dtypes(folder: Path) -> Path:
    """An input [None] of each of DTYPES -> `<dtype>_seen`, the same."""
    import tensorflow as tf

    def score(*inputs: Any) -> dict[str, Any]:
        return {f"{d}_seen": tf.identity(x) for d, x in zip(DTYPES, inputs, strict=True)}

    specs = [tf.TensorSpec([None], tf.dtypes.as_dtype(d), f"{d}") for d in DTYPES]
    return _save(folder, serving_default=(score, specs))


def stated_narrower(folder: Path) -> Path:
    """x: float32[None, 3] by the signature -> total: float32[None], the sum.

    The graph itself (TF1) would sum rows of any length.
    """
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, None], name="x")
        info = v1.saved_model.build_tensor_info
        stated = info(x)
        stated.tensor_shape.dim[1].size = 3
        signature = v1.saved_model.build_signature_def(
            {"x": stated}, {"total": info(tf.reduce_sum(x, axis=1))}, "tensorflow/serving/predict"
        )
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()
    return folder


def parsed_examples(folder: Path) -> Path:
    """examples: string[None], serialized tf.Examples -> y: float32[None].

    y is 1000 * count + 100 * pair[0] + 10 * pair[1] + the number of tags.  The features: pair,
    two floats; count, an integer, 7 if it is missing; tags, any number of strings.
    """
    import tensorflow as tf

    features = {
        "pair": tf.io.FixedLenFeature([2], tf.float32),
        "count": tf.io.FixedLenFeature([], tf.int64, default_value=7),
        "tags": tf.io.VarLenFeature(tf.string),
    }

    def score(examples: Any) -> dict[str, Any]:
        parsed = tf.io.parse_example(examples, features)
        tags = tf.math.count_nonzero(tf.sparse.to_dense(parsed["tags"]) != "", axis=1)
        digits = tf.linalg.matvec(parsed["pair"], [100.0, 10.0])
        return {"y": 1000 * tf.cast(parsed["count"], tf.float32) + digits + tf.cast(tags, "float")}

    spec = tf.TensorSpec([None], tf.string, "examples")
    return _save(folder, serving_default=(score, [spec]))


def split_words(folder: Path) -> Path:
    """text: string[None] -> words: ragged string; lengths: sparse int32, their bytes."""
    import tensorflow as tf

    def score(text: Any) -> dict[str, Any]:
        words = tf.strings.split(text)
        return {"words": words, "lengths": tf.strings.length(words).to_sparse()}

    return _save(folder, serving_default=(score, [tf.TensorSpec([None], tf.string, "text")]))


def cubes(folder: Path) -> Path:
    """x: float32[None] -> cube: float32[None, 2, 1, 2], x times ((1, 2), (3, 4))."""
    import tensorflow as tf

    def score(x: Any) -> dict[str, Any]:
        factors = tf.constant([[[1.0, 2.0]], [[3.0, 4.0]]])
        return {"cube": x[:, None, None, None] * factors}

    return _save(folder, serving_default=(score, [tf.TensorSpec([None], tf.float32, "x")]))


def decoded_pictures(folder: Path) -> Path:
    """data: string[None], encoded images -> red: int32[None], of the first pixel.

    One row that is no image fails the whole call.
    """
    import tensorflow as tf

    def first_red(data: Any) -> Any:
        return tf.cast(tf.io.decode_png(data, channels=3)[0, 0, 0], tf.int32)

    def score(data: Any) -> dict[str, Any]:
        return {"red": tf.map_fn(first_red, data, fn_output_signature=tf.int32)}

    return _save(folder, serving_default=(score, [tf.TensorSpec([None], tf.string, "data")]))


def detections(folder: Path) -> Path:
    """scores: float32[None, 4] -> what is above 0.5 of each row, which may be nothing.

    found: ragged float32[None, (n)]; boxes: ragged float32[None, (n), 2], (score, -score);
    padded: float32[None, None], found with zeros up to the longest row of the call.
    """
    import tensorflow as tf

    def score(scores: Any) -> dict[str, Any]:
        found = tf.ragged.boolean_mask(scores, scores > 0.5)
        boxes = tf.stack([found.flat_values, -found.flat_values], axis=1)
        return {
            "found": found,
            "boxes": found.with_flat_values(boxes),
            "padded": found.to_tensor(),
        }

    return _save(folder, serving_default=(score, [tf.TensorSpec([None, 4], tf.float32, "scores")]))


def _save(folder: Path, **signatures: tuple[Callable[..., dict[str, Any]], list[Any]]) -> Path:
    """Saves functions with the specs of their inputs, whose names the inputs get."""
    import tensorflow as tf

    module = tf.Module()
    module.functions = {
        name: tf.function(function, input_signature=specs)
        for name, (function, specs) in signatures.items()
    }
    tf.saved_model.save(module, str(folder), signatures=dict(module.functions))
    return folder

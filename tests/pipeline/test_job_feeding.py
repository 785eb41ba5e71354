"""Inputs that need more than one column's values, through the whole pipeline."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf
from PIL import Image
from unusual_models import summed
from workbench import Saved, Workbench

from pipeline import cli

_BROKEN = 41


def _save(folder: Path, function: Any) -> Path:
    module = tf.Module()
    module.serve = function
    tf.saved_model.save(module, str(folder), signatures={"serving_default": function})
    return folder


def brightness(folder: Path) -> Path:
    """Images [None, 8, 8, 3] -> the mean of their red channel."""

    @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3], tf.float32, "image")])
    def serve(image: Any) -> dict[str, Any]:
        return {"red": tf.reduce_mean(image[..., 0], axis=[1, 2])}

    return _save(folder, serve)


def parsed_examples(folder: Path) -> Path:
    """Serialized tf.Examples of three features -> a number made of all of them."""
    features = {
        "size": tf.io.FixedLenFeature([], tf.float32),
        "count": tf.io.FixedLenFeature([], tf.int64, default_value=7),
        "name": tf.io.FixedLenFeature([], tf.string, default_value=""),
    }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def serve(examples: Any) -> dict[str, Any]:
        parsed = tf.io.parse_example(examples, features)
        length = tf.cast(tf.strings.length(parsed["name"]), tf.float32)
        return {"y": parsed["size"] * 100 + tf.cast(parsed["count"], tf.float32) * 10 + length}

    return _save(folder, serve)


def _png(red: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 12), (red, 0, 0)).save(file, "PNG")
    return file.getvalue()


def test_one_broken_image_of_64_is_the_only_reject(bench: Workbench, saved: Saved) -> None:
    images = [b"broken" if i == _BROKEN else _png(i * 3) for i in range(64)]
    bench.load("t", pa.table({"id": range(64), "image": pa.array(images, pa.binary())}))

    outcome = bench.score(saved(brightness), "--key_columns=id", "--max_rejected_fraction=0.02")

    assert outcome.code == cli.OK, outcome.stderr
    assert bench.rejects() == [
        {
            "id": _BROKEN,
            "stage": "feed",
            "code": "NOT_AN_IMAGE",
            "message": "column 'image' is not an image: it begins with b'broken'; expected JPEG, "
            "PNG, GIF, WebP or BMP; input 'image' needs a whole image",
        }
    ]
    scored = {row["id"]: row["red"] for row in bench.rows()}
    assert sorted(scored) == [i for i in range(64) if i != _BROKEN]
    for i, red in scored.items():
        assert abs(red - i * 3 / 255) < 1e-6


def test_columns_become_the_examples_that_a_model_parses(bench: Workbench, saved: Saved) -> None:
    rows = [(1, 0.5, 3, "ab"), (2, -2.25, None, "x"), (3, None, 1, "y"), (4, 8.0, 9, None)]
    columns = [pa.array(c) for c in zip(*rows, strict=True)]
    bench.load("t", pa.table(columns, names=["id", "size", "Count", "name"]))

    outcome = bench.score(saved(parsed_examples), "--key_columns=id", "--max_rejected_fraction=0.5")

    assert outcome.code == cli.OK, outcome.stderr
    assert [(r["id"], r["code"]) for r in bench.rejects()] == [(3, "NULL_VALUE")]
    called = tf.saved_model.load(str(saved(parsed_examples))).signatures["serving_default"]
    expected = {}
    for key, size, count, name in rows:
        if size is not None:
            example = tf.train.Example()
            example.features.feature["size"].float_list.value.append(size)
            if count is not None:
                example.features.feature["count"].int64_list.value.append(count)
            if name is not None:
                example.features.feature["name"].bytes_list.value.append(name.encode())
            expected[key] = called(examples=tf.constant([example.SerializeToString()]))["y"][0]
    assert {row["id"]: row["y"] for row in bench.rows()} == {
        key: float(y) for key, y in expected.items()
    }


def test_scalar_columns_are_stacked_and_nulls_take_the_default(
    bench: Workbench, saved: Saved
) -> None:
    bench.load("t", pa.table({"id": [1, 2], "a": [1.0, None], "b": [2, 3], "c": [0.5, 0.5]}))

    stacked = bench.score(
        saved(summed), "--input_columns=x=[a,b,c]", "--key_columns=id", "--max_rejected_fraction=1"
    )

    assert stacked.code == cli.OK, stacked.stderr
    assert bench.rows() == [{"id": 1, "total": 3.5, "width": 3}]
    assert [(r["id"], r["code"]) for r in bench.rejects()] == [(2, "NULL_VALUE")]


def test_a_default_value_replaces_nulls(bench: Workbench, saved: Saved) -> None:
    import saved_models

    bench.load("t", pa.table({"id": [1, 2], "x": [3.0, None]}))

    outcome = bench.score(
        saved(saved_models.doubled), "--key_columns=id", "--default_values=x=-1.5"
    )

    assert outcome.code == cli.OK, outcome.stderr
    assert [row["y"] for row in bench.rows()] == [6.0, -3.0]


def logits(folder: Path) -> Path:
    """x -> logits [None, 3] that prefer class 0, 1 or 2 as x is 0, 1 or 2; NaN stays NaN."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def serve(x: Any) -> dict[str, Any]:
        return {"logits": -tf.abs(x[:, tf.newaxis] - tf.constant([[0.0, 1.0, 2.0]]))}

    return _save(folder, serve)


def test_the_best_classes_are_written_with_their_labels(bench: Workbench, saved: Saved) -> None:
    labels = bench.folder / "labels.txt"
    labels.write_text("low\nmiddle\nhigh\n")
    bench.load("t", pa.table({"id": [1, 2, 3], "x": [0.0, 2.0, float("nan")]}))

    outcome = bench.score(
        saved(logits),
        "--key_columns=id",
        "--top_k=2",
        f"--class_labels={labels}",
        "--softmax",
        "--on_non_finite=reject",
        "--max_rejected_fraction=0.5",
    )

    assert outcome.code == cli.OK, outcome.stderr
    assert [[c["label"] for c in row["logits"]] for row in bench.rows()] == [
        ["low", "middle"],
        ["high", "middle"],
    ]
    best = np.exp(0) / np.exp([0.0, -1.0, -2.0]).sum()
    np.testing.assert_allclose([row["logits"][0]["score"] for row in bench.rows()], best, 1e-6)
    assert [(r["id"], r["code"]) for r in bench.rejects()] == [(3, "OUTPUT_NOT_FINITE")]


def test_labels_that_are_not_there_are_refused(bench: Workbench, saved: Saved) -> None:
    bench.load("t", pa.table({"id": [1], "x": [0.0]}))

    outcome = bench.score(saved(logits), "--top_k=1", "--class_labels=/no/such/file")

    outcome.refused_with("The file /no/such/file cannot be read", "Check --class_labels.")

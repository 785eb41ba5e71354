"""Columns of every shape that BigQuery has, through the whole pipeline."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import tensorflow as tf
from workbench import Saved, Workbench

from pipeline import cli


def _save(folder: Path, function: Any) -> Path:
    module = tf.Module()
    module.serve = function
    tf.saved_model.save(module, str(folder), signatures={"serving_default": function})
    return folder


def shapes(folder: Path) -> Path:
    """Inputs of four ranks -> their sums.

    scalar float32[None], vector float32[None, None], matrix float32[None, None, 2] and
    image float32[None, None, None, 1] -> scalar, vector, matrix and image, each float32[None],
    and corner: float32[None], the last element of the image's first row.
    """

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.float32, "scalar"),
            tf.TensorSpec([None, None], tf.float32, "vector"),
            tf.TensorSpec([None, None, 2], tf.float32, "matrix"),
            tf.TensorSpec([None, None, None, 1], tf.float32, "image"),
        ]
    )
    def serve(scalar: Any, vector: Any, matrix: Any, image: Any) -> dict[str, Any]:
        return {
            "scalar_out": scalar,
            "vector_sum": tf.reduce_sum(vector, axis=1),
            "matrix_sum": tf.reduce_sum(matrix, axis=[1, 2]),
            "corner": image[:, 0, -1, 0],
        }

    return _save(folder, serve)


def exact(folder: Path) -> Path:
    """a: float64[None], b: int32[None] -> a_out: float64[None] and b_out: int32[None], the same."""

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.float64, "a"),
            tf.TensorSpec([None], tf.int32, "b"),
        ]
    )
    def serve(a: Any, b: Any) -> dict[str, Any]:
        return {"a_out": tf.identity(a), "b_out": tf.identity(b)}

    return _save(folder, serve)


def sparse(folder: Path) -> Path:
    """TF1: x: sparse int64[None, None] -> total: int64[None], the sum of each row."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.sparse_placeholder(tf.int64, [None, None], name="x")
        total = tf.reshape(tf.sparse.reduce_sum(x, axis=1), [-1])
        info = v1.saved_model.build_tensor_info
        signature = v1.saved_model.build_signature_def(
            {"x": info(x)}, {"total": info(total)}, "tensorflow/serving/predict"
        )
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()
    return folder


_MAPPING = (
    "--input_columns=scalar=place.point.x,vector=items.v,matrix=rows.v,image=pixels",
    "--input_shapes=image=[2,3,1]",
    "--key_columns=id",
)


def _table() -> pa.Table:
    """Row 2 has NULLs that a default can replace, row 3 a matrix that is none, row 4 few pixels."""
    pixels = [float(i) for i in range(6)]
    matrix = [{"v": [1.0, 2.0]}, {"v": [3.0, 4.0]}]
    rows: list[dict[str, Any]] = [
        {"place": {"point": {"x": 0.5}}, "items": [{"v": 1.0}, {"v": 2.0}], "rows": matrix},
        {"place": None, "items": [{"v": 4.0}, {"v": None}], "rows": []},
        {"place": {"point": {"x": 1.5}}, "items": [], "rows": [*matrix, {"v": [5.0]}]},
        {"place": {"point": {"x": 2.5}}, "items": [], "rows": matrix[:1], "pixels": pixels[:5]},
    ]
    point = pa.struct([("x", pa.float64()), ("unused", pa.string())])
    schema = pa.schema(
        [
            ("id", pa.int64()),
            ("place", pa.struct([("point", point)])),
            ("items", pa.list_(pa.struct([("v", pa.float64()), ("name", pa.string())]))),
            ("rows", pa.list_(pa.struct([("v", pa.list_(pa.float64()))]))),
            ("pixels", pa.list_(pa.float64())),
            ("unused", pa.string()),
        ]
    )
    filled = [{"id": i + 1, "pixels": pixels, **row} for i, row in enumerate(rows)]
    return pa.Table.from_pylist(filled, schema=schema)


def test_fields_of_structs_feed_inputs_of_every_rank(bench: Workbench, saved: Saved) -> None:
    bench.load("t", _table())

    checked = bench.check(saved(shapes), *_MAPPING, "--on_null=default")
    outcome = bench.score(saved(shapes), *_MAPPING, "--max_rejected_fraction=0.75")

    assert checked.code == cli.OK, checked.stderr
    assert "columns read    id, place, items, rows, pixels\n" in checked.stdout
    for line in (
        "image: float32[None, 2, 3, 1]   pixels         ARRAY<FLOAT64>",
        "matrix: float32[None, None, 2]  rows.v         ARRAY<ARRAY<FLOAT64>>",
        "vector: float32[None, None]     items.v        ARRAY<FLOAT64>",
        "scalar: float32[None]           place.point.x  FLOAT64",
        "; NULL is 0.0, an empty ARRAY as many",
    ):
        assert line in checked.stdout, checked.stdout
    assert outcome.code == cli.OK, outcome.stderr
    assert "NULLs defaulted" not in outcome.stdout
    assert bench.rows() == [
        {"id": 1, "scalar_out": 0.5, "vector_sum": 3.0, "matrix_sum": 10.0, "corner": 2.0}
    ]
    assert [(r["id"], r["code"], r["message"]) for r in bench.rejects()] == [
        (2, "NULL_VALUE", "column 'place.point.x' is NULL; input 'scalar' needs a value"),
        (
            3,
            "WRONG_LENGTH",
            "column 'rows.v' has lists of different lengths; input 'matrix' needs any x 2",
        ),
        (4, "WRONG_LENGTH", "column 'pixels' has 5 elements; input 'image' needs exactly 6"),
    ]
    rejects = bench.arrow("p__rejects").to_pylist()
    shown = {row["key"]["id"]: json.loads(row["row"]) for row in rejects}
    assert shown[2] == {
        "place": None,
        "items": [{"v": 4.0, "name": None}, {"v": None, "name": None}],
        "rows": [],
        "pixels": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0],
    }


def test_nulls_count_as_zero_where_that_is_asked_for(bench: Workbench, saved: Saved) -> None:
    bench.load("t", _table())

    outcome = bench.score(
        saved(shapes), *_MAPPING, "--on_null=default", "--max_rejected_fraction=0.5"
    )

    assert outcome.code == cli.OK, outcome.stderr
    assert [line.split() for line in outcome.stdout.splitlines() if "NULLs" in line] == [
        ["NULLs", "defaulted", "1", "rows"]
    ]
    assert bench.rows() == [
        {"id": 1, "scalar_out": 0.5, "vector_sum": 3.0, "matrix_sum": 10.0, "corner": 2.0},
        {"id": 2, "scalar_out": 0.0, "vector_sum": 4.0, "matrix_sum": 0.0, "corner": 2.0},
    ]
    assert [(r["id"], r["code"]) for r in bench.rejects()] == [
        (3, "WRONG_LENGTH"),
        (4, "WRONG_LENGTH"),
    ]


def test_decimals_are_rounded_to_floats_and_must_be_whole_for_integers(
    bench: Workbench, saved: Saved
) -> None:
    wide = Decimal("12345678901234567890.123456789")
    rows = [(1, wide, Decimal(7)), (2, Decimal("0.1"), Decimal("7.5")), (3, None, Decimal(2**31))]
    kind = pa.decimal128(38, 9)
    columns = list(zip(*rows, strict=True))
    bench.load(
        "t",
        pa.table(
            {
                "id": columns[0],
                "a": pa.array(columns[1], kind),
                "b": pa.array(columns[2], kind),
            }
        ),
    )

    outcome = bench.score(
        saved(exact), "--key_columns=id", "--default_values=a=0", "--max_rejected_fraction=0.7"
    )

    assert outcome.code == cli.OK, outcome.stderr
    assert bench.rows() == [{"id": 1, "a_out": float(wide), "b_out": 7}]
    needs = "input 'b' is int32: must be whole and fit the dtype"
    assert [(r["id"], r["code"], r["message"]) for r in bench.rejects()] == [
        (2, "OUT_OF_RANGE", f"column 'b' holds 7.5; {needs}"),
        (3, "OUT_OF_RANGE", f"column 'b' holds 2147483648; {needs}"),
    ]


def test_arrays_feed_the_sparse_inputs_of_old_models(bench: Workbench, saved: Saved) -> None:
    kind = pa.list_(pa.struct([("n", pa.int64())]))
    rows = [[{"n": 1}, {"n": 2}], [], [{"n": 30}]]
    bench.load("t", pa.table({"id": [1, 2, 3], "items": pa.array(rows, kind)}))

    outcome = bench.score(saved(sparse), "--key_columns=id", "--input_columns=x=items.n")

    assert outcome.code == cli.OK, outcome.stderr
    assert bench.rows() == [{"id": 1, "total": 3}, {"id": 2, "total": 0}, {"id": 3, "total": 30}]

"""Inputs that take sparse tensors, fed by ARRAY columns, in real models."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from saved_models import Builder
from scorers import ID, Outcome, batch_of, counted_scorer, score_all, scoring_spec

from scoring.bindings import SparseBinding
from scoring.errors import ColumnError
from scoring.feed import feed_batch
from scoring.feeding import FeedOptions
from scoring.matching import match_inputs
from scoring.savedmodel import LoadedModel
from scoring.schema import Field
from scoring.signature import Encoding, Signature, TensorSpec

Loaded = Callable[[Builder], LoadedModel]

X = Field("x", "FLOAT", "REPEATED")
_REFUSED = "only dense and sparse inputs can be fed; export it with dense ones"


def tf1_sparse(folder: Path, *, width: int | None = None) -> Path:
    """TF1: x/in: sparse float32[None, width] -> total: float32[None], the sum of each row."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.sparse_placeholder(tf.float32, [None, width], name="x")
        total = tf.reshape(tf.sparse.reduce_sum(x, axis=1), [-1])
        info = v1.saved_model.build_tensor_info
        signature = v1.saved_model.build_signature_def(
            {"x/in": info(x)}, {"total": info(total)}, "tensorflow/serving/predict"
        )
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()
    return folder


def tf1_sparse_triple(folder: Path) -> Path:
    """The same with rows of exactly three elements."""
    return tf1_sparse(folder, width=3)


def scored(loaded: LoadedModel, rows: list[Any], **changes: Any) -> Outcome:
    spec = scoring_spec(loaded.signature, [ID, X], **changes)
    scorer, _ = counted_scorer(loaded, [ID, X], **changes)
    return score_all(scorer, spec, batch_of([ID, X], x=rows))


def test_arrays_of_any_length_feed_sparse_inputs(loaded: Loaded) -> None:
    rows = [[1.0, 2.0], [], [4.0], None, [0.0, 8.0, 16.0], [1e300]]
    outcome = scored(loaded(tf1_sparse), rows)
    assert outcome.scores("total") == {0: 3.0, 1: 0.0, 2: 4.0, 4: 24.0}
    assert outcome.reject_codes == {3: "NULL_VALUE", 5: "OUT_OF_RANGE"}


def test_rows_are_cut_and_repeated_for_a_fixed_batch(loaded: Loaded) -> None:
    rows = [[float(i)] * (i % 4) for i in range(7)]
    outcome = scored(loaded(tf1_sparse), rows, fixed_batch_rows=3)
    assert outcome.scores("total") == {i: float(i * (i % 4)) for i in range(7)}


def test_a_stated_width_is_kept(loaded: Loaded) -> None:
    outcome = scored(loaded(tf1_sparse_triple), [[1.0, 2.0, 3.0], [1.0]])
    assert outcome.scores("total") == {0: 6.0}
    assert (
        outcome.rejected[0]["message"] == "column 'x' has 1 element; input 'x/in' needs exactly 3"
    )


@pytest.mark.parametrize("width", [None, 2])
def test_a_default_stands_in_for_a_null_array(width: int | None) -> None:
    spec = TensorSpec("x", "float32", (None, width), "sparse")
    (binding,) = match_inputs(
        Signature("s", (spec,), ()), [X], chosen={}, options=FeedOptions(on_null="default")
    )
    assert isinstance(binding, SparseBinding)
    rows = pa.record_batch([pa.array([None, [1.0, None]], X.arrow_type)], names=["x"])
    arrays, faults, defaulted_rows = feed_batch(rows, [binding])
    assert faults == []
    assert defaulted_rows == 2
    assert arrays["x"]["sizes"].tolist() == [[width or 0], [2]]
    assert arrays["x"]["values"].tolist() == [[0, 0], [1, 0]]


@pytest.mark.parametrize(
    ("encoding", "column", "problem"),
    [
        (
            "sparse",
            Field("a", "FLOAT"),
            "sparse inputs take ARRAYs; make one of the value with --input_query, [a] AS a say",
        ),
        ("ragged", X, _REFUSED),
        ("other", X, _REFUSED),
    ],
)
def test_what_cannot_feed_such_an_input_is_explained(
    encoding: Encoding, column: Field, problem: str
) -> None:
    spec = TensorSpec("in", "float32", (None, None), encoding)
    with pytest.raises(ColumnError) as caught:
        match_inputs(Signature("s", (spec,), ()), [column], chosen={})
    assert str(caught.value).endswith(f"({column.sql_type}): {problem}")


def test_columns_are_not_stacked_into_such_an_input() -> None:
    spec = TensorSpec("in", "float32", (None, None), "sparse")
    columns = [Field("a", "FLOAT"), Field("b", "FLOAT")]
    with pytest.raises(ColumnError, match="only dense inputs take stacks; choose one ARRAY column"):
        match_inputs(Signature("s", (spec,), ()), columns, chosen={"in": ("a", "b")})

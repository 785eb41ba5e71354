"""Score vectors as best classes, and what becomes of NaN and the infinities."""

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.classes import CLASS_FIELDS, ClassBinding, ClassOptions, exploded
from scoring.errors import ColumnError
from scoring.naming import match_outputs
from scoring.outputs import OutputBinding
from scoring.schema import Field
from scoring.signature import Signature, TensorSpec

SCORES = TensorSpec("scores", "float32", (None, 3))
FLOATS = st.floats(-50, 50, width=32)
NAN, INF = float("nan"), float("inf")


def signature(*outputs: TensorSpec) -> Signature:
    return Signature("serving_default", (), outputs)


def binding(options: ClassOptions, **more: Any) -> ClassBinding:
    (matched,) = match_outputs(signature(SCORES), chosen={}, taken={}, classes=options, **more)
    assert isinstance(matched, ClassBinding)
    return matched


def refusal(*outputs: TensorSpec, **options: Any) -> str:
    with pytest.raises(ColumnError) as caught:
        match_outputs(signature(*outputs), **{"chosen": {}, "taken": {}, **options})
    return str(caught.value)


def test_the_best_classes_come_first_with_label_index_and_score() -> None:
    classes = binding(ClassOptions(2, ("cat", "dog", "emu")))
    array, faults = classes.convert(np.array([[0.25, 0.5, 0.25], [3, 1, 2]], np.float32))
    assert faults == []
    assert array.type == classes.arrow_type
    assert array.to_pylist() == [
        [
            {"label": "dog", "index": 1, "score": 0.5},
            {"label": "cat", "index": 0, "score": 0.25},
        ],
        [{"label": "cat", "index": 0, "score": 3.0}, {"label": "emu", "index": 2, "score": 2.0}],
    ]
    assert classes.column.sql_type == "ARRAY<STRUCT<label STRING, index INT64, score FLOAT64>>"


def test_more_classes_than_there_are_and_no_labels() -> None:
    array, _ = binding(ClassOptions(9)).convert(np.array([[0.1, NAN, 0.3]]))
    (row,) = array.to_pylist()
    assert [c["index"] for c in row] == [2, 0, 1]
    assert [c["label"] for c in row] == [None] * 3


@given(st.lists(st.lists(FLOATS, min_size=4, max_size=4), max_size=5), st.integers(1, 5))
def test_softmax_and_order_equal_a_slow_oracle(rows: list[list[float]], k: int) -> None:
    options = ClassOptions(k, softmax=True)
    classes = ClassBinding(TensorSpec("s", "float32", (None, 4)), Field("s", "FLOAT"), options)
    array, _ = classes.convert(np.array(rows, np.float32).reshape(len(rows), 4))
    for row, got in zip(rows, array.to_pylist(), strict=True):
        total = math.fsum(math.exp(v) for v in row)
        order = sorted(range(4), key=lambda i: (-row[i], i))[:k]
        assert [c["index"] for c in got] == order
        for c in got:
            assert math.isclose(c["score"], math.exp(row[c["index"]]) / total, rel_tol=1e-9)


def test_top_k_needs_one_score_vector() -> None:
    single = TensorSpec("a", "float32", (None,))
    assert refusal(single, classes=ClassOptions(1)) == (
        "--top_k needs exactly one output of shape [batch, classes] of floats, got 0 in: "
        "a: float32[None]. Choose one with --output_columns."
    )
    other = TensorSpec("b", "float32", (None, 5))
    assert "got 2 in" in refusal(SCORES, other, classes=ClassOptions(1))
    chosen = match_outputs(
        signature(SCORES, other), chosen={"b": "best"}, taken={}, classes=ClassOptions(1)
    )
    assert [b.column.name for b in chosen] == ["best"]


def test_labels_must_be_as_many_as_classes() -> None:
    assert refusal(SCORES, classes=ClassOptions(1, ("a", "b"))) == (
        "--class_labels has 2 labels, but output scores: float32[None, 3] has 3 classes. "
        "Give one label a class, in the model's order."
    )


def test_non_finite_scalars_become_null_or_rejects() -> None:
    spec, values = TensorSpec("y", "float32", (None,)), np.array([1, NAN, -INF, 2], np.float32)
    kept, faults = OutputBinding(spec, Field("y", "FLOAT")).convert(values)
    assert (faults, kept.null_count) == ([], 0)
    nulled, faults = OutputBinding(spec, Field("y", "FLOAT"), "null").convert(values)
    assert (faults, nulled.to_pylist()) == ([], [1.0, None, None, 2.0])
    _, faults = OutputBinding(spec, Field("y", "FLOAT"), "reject").convert(values)
    assert [(f.row, f.code) for f in faults] == [(1, "OUTPUT_NOT_FINITE"), (2, "OUTPUT_NOT_FINITE")]


def test_a_vector_with_one_nan_is_one_reject() -> None:
    (vector,) = match_outputs(signature(SCORES), chosen={}, taken={}, non_finite="reject")
    _, faults = vector.convert(np.array([[1, 2, 3], [NAN, INF, 3]], np.float32))
    assert [(f.row, f.message) for f in faults] == [(1, "output 'scores' holds NaN or an infinity")]
    _, faults = binding(ClassOptions(1), non_finite="reject").convert(np.array([[NAN, 1, 2]]))
    assert [f.row for f in faults] == [0]


def test_elements_of_an_array_cannot_be_null() -> None:
    assert refusal(SCORES, non_finite="null") == (
        "Output scores: float32[None, 3] becomes ARRAY<FLOAT64>, whose elements cannot be NULL. "
        "Give --on_non_finite keep or reject."
    )


def test_scores_that_are_not_finite_can_be_null() -> None:
    array, faults = binding(ClassOptions(), non_finite="null").convert(np.array([[1, NAN, INF]]))
    assert faults == []
    assert [(c["index"], c["score"]) for c in array.to_pylist()[0]] == [
        (2, None),
        (0, 1.0),
        (1, None),
    ]


def test_all_classes_without_a_number() -> None:
    array, _ = binding(ClassOptions(explode=True)).convert(np.array([[0.1, 0.3, 0.2]]))
    assert [c["index"] for c in array.to_pylist()[0]] == [1, 2, 0]


EXPLODE = ClassOptions(explode=True)


def test_exploded_classes_fill_three_columns() -> None:
    classes = binding(EXPLODE)
    assert classes.fields == CLASS_FIELDS
    assert [f.sql_type for f in classes.fields] == ["STRING", "INT64", "FLOAT64"]


def test_exploded_classes_need_one_score_vector() -> None:
    single = TensorSpec("a", "float32", (None,))
    assert refusal(single, classes=EXPLODE).startswith("--explode needs exactly one output")


def test_names_of_exploded_classes_must_be_free() -> None:
    start = (
        "--explode writes the classes of output 'scores' to the columns label, index and score, "
    )
    carried = {"Label": "a key or passthrough column"}
    assert refusal(SCORES, classes=EXPLODE, taken=carried) == (
        f"{start}but 'label' is a key or passthrough column already. Rename that one."
    )
    assert refusal(TensorSpec("index", "int64", (None,)), SCORES, classes=EXPLODE) == (
        f"{start}but 'index' is the column for output 'index' already. Rename that one."
    )
    assert refusal(SCORES, TensorSpec("score", "int64", (None,)), classes=EXPLODE) == (
        "Output 'score' would be written to column 'score', which is the column for output "
        "'scores'. Rename it: --output_columns score=another_name"
    )
    assert refusal(SCORES, classes=EXPLODE, chosen={"scores": "best"}) == (
        f"{start}so they have no column 'best'. Name the output alone in --output_columns."
    )


@given(
    st.lists(st.lists(st.tuples(st.text(), st.integers(0, 9), FLOATS)), min_size=1, max_size=9),
    st.integers(0, 3),
)
def test_exploded_rows_equal_a_slow_oracle(rows: list[list[Any]], cut: int) -> None:
    names = [f.name for f in CLASS_FIELDS]
    kind = ClassBinding(SCORES, Field("c", "RECORD"), EXPLODE).arrow_type
    lists = [[dict(zip(names, entry, strict=True)) for entry in row] for row in rows]
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array(range(len(rows))),
            pa.array(lists, kind),
            pa.array(["run"] * len(rows)).dictionary_encode(),
        ],
        names=["id", "label", "run_id"],
    ).slice(cut)
    found = [row for part in exploded(batch, "label") for row in part.to_pylist()]
    assert found == [
        {"id": i, **entry, "run_id": "run"}
        for i, row in enumerate(lists)
        if i >= cut
        for entry in row
    ]


def test_many_classes_make_several_batches() -> None:
    classes = ClassBinding(TensorSpec("s", "float32", (None, 1000)), Field("c", "RECORD"), EXPLODE)
    array, _ = classes.convert(np.zeros((150, 1000), np.float32))
    parts = list(exploded(pa.RecordBatch.from_arrays([array], names=["c"]), "c"))
    assert [part.num_rows for part in parts] == [65_000, 65_000, 20_000]

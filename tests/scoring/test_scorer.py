"""Whole batches through real models: every row scored exactly or rejected with the right code."""

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import saved_models
from hypothesis import given, settings
from hypothesis import strategies as st
from scorers import ID, NOW, batch_of, counted_scorer, score_all, scoring_spec

from scoring.schema import Field

X = Field("x", "FLOAT")


def test_a_good_batch_is_scored_in_one_call(loaded: Any) -> None:
    columns = [ID, *(Field(name, "FLOAT") for name in saved_models.EIGHT_NAMES)]
    model = loaded(saved_models.eight_floats)
    scorer, counted = counted_scorer(model, columns)
    values = {name: [float(i), 2.0 * i, -1.0] for i, name in enumerate(saved_models.EIGHT_NAMES)}
    outcome = score_all(scorer, scoring_spec(model.signature, columns), batch_of(columns, **values))
    assert outcome.scored == [
        {"id": 0, "score": 168.0, "run_id": "run-1", "model_digest": "abc"},
        {"id": 1, "score": 336.0, "run_id": "run-1", "model_digest": "abc"},
        {"id": 2, "score": -36.0, "run_id": "run-1", "model_digest": "abc"},
    ]
    assert outcome.rejected == []
    assert counted.rows == [3]


def test_a_batch_without_rows_is_not_called(loaded: Any) -> None:
    scorer, counted = counted_scorer(loaded(saved_models.doubled), [ID, X])
    assert list(scorer.score(batch_of([ID, X], x=[]))) == []
    assert counted.rows == []


def test_a_batch_of_rows_that_cannot_be_fed_is_not_called(loaded: Any) -> None:
    model = loaded(saved_models.doubled)
    scorer, counted = counted_scorer(model, [ID, X])
    spec = scoring_spec(model.signature, [ID, X])
    outcome = score_all(scorer, spec, batch_of([ID, X], x=[None, 1e39, None]))
    assert outcome.reject_codes == {0: "NULL_VALUE", 1: "OUT_OF_RANGE", 2: "NULL_VALUE"}
    assert outcome.scored == []
    assert counted.rows == []


def test_a_batch_whose_every_row_fails_is_rejected_row_by_row(loaded: Any) -> None:
    model = loaded(saved_models.picky)
    scorer, counted = counted_scorer(model, [ID, X])
    spec = scoring_spec(model.signature, [ID, X])
    outcome = score_all(scorer, spec, batch_of([ID, X], x=[-1.0, -2.0, -3.0]))
    assert outcome.reject_codes == dict.fromkeys(range(3), "CALL_FAILED")
    assert sorted(counted.rows) == [1, 1, 1, 2, 3]


@pytest.mark.parametrize("bad", [0, 1, 511, 512, 700, 1023])
def test_one_bad_row_of_1024_is_found_in_21_calls(loaded: Any, bad: int) -> None:
    model = loaded(saved_models.picky)
    scorer, counted = counted_scorer(model, [ID, X])
    spec = scoring_spec(model.signature, [ID, X])
    x = [float(i) for i in range(1024)]
    x[bad] = -1.0
    outcome = score_all(scorer, spec, batch_of([ID, X], x=x))
    assert outcome.reject_codes == {bad: "CALL_FAILED"}
    assert list(outcome.scores("y").items()) == [(i, 2.0 * i) for i in range(1024) if i != bad]
    # The whole, then both halves of whatever failed, ten times: 1024 is 2 ** 10.
    assert len(counted.rows) == 21


@settings(deadline=None, max_examples=60)
@given(data=st.data(), rows=st.integers(1, 200))
def test_bad_rows_cost_calls_by_their_number_and_the_logarithm_of_the_batch(
    loaded: Any, data: st.DataObject, rows: int
) -> None:
    bad = data.draw(st.sets(st.integers(0, rows - 1), max_size=6))
    model = loaded(saved_models.picky)
    scorer, counted = counted_scorer(model, [ID, X])
    x = [-1.0 if i in bad else float(i) for i in range(rows)]
    outcome = score_all(scorer, scoring_spec(model.signature, [ID, X]), batch_of([ID, X], x=x))
    assert set(outcome.reject_codes) == bad
    assert list(outcome.scores("y")) == [i for i in range(rows) if i not in bad]
    assert len(counted.rows) <= 1 + 2 * len(bad) * math.ceil(math.log2(rows))


@settings(deadline=None, max_examples=100)
@given(
    x=st.lists(
        st.one_of(
            st.none(),
            # TensorFlow computes with subnormal numbers as if they were zero.
            st.floats(0, 1e6, width=32, allow_subnormal=False),
            st.sampled_from([-1.0, -1e9, 1e39, -1e39, math.nan, math.inf, -math.inf]),
        ),
        max_size=40,
    ),
    max_batch_rows=st.integers(1, 15),
    mode=st.sampled_from(["NULLABLE", "REQUIRED"]),
    cut=st.integers(0, 5),
    page_rows=st.integers(1, 41),
)
def test_every_row_is_scored_or_rejected_and_keeps_its_key(
    loaded: Any, x: list[float | None], max_batch_rows: int, mode: Any, cut: int, page_rows: int
) -> None:
    columns = [Field("id", "INTEGER", mode), X]
    model = loaded(saved_models.picky)
    changes = {"max_batch_rows": max_batch_rows}
    scorer, _ = counted_scorer(model, columns, **changes)
    spec = scoring_spec(model.signature, columns, **changes)
    ids = [7 * i for i in range(len(x))]
    batch = batch_of(columns, x=x, id=ids).slice(cut)
    starts = range(0, max(batch.num_rows, 1), page_rows)
    pages = [batch.slice(start, page_rows) for start in starts]

    expected: dict[int, Any] = dict(list(zip(ids, map(_outcome_of_picky, x), strict=True))[cut:])
    outcome = score_all(scorer, spec, *pages)
    codes = {key: code for key, code in expected.items() if isinstance(code, str)}
    assert outcome.reject_codes == codes
    scores = {key: score for key, score in expected.items() if key not in codes}
    # As text, for NaN; in order, for the keys come as they were read.
    assert repr(outcome.scores("y")) == repr(scores)


def _outcome_of_picky(x: float | None) -> float | str:
    """The score of the model `picky` as float32, or the reject code."""
    if x is None:
        return "NULL_VALUE"
    if math.isfinite(x) and abs(x) > 3.5e38:
        return "OUT_OF_RANGE"
    # NaN is not "non-negative" either.
    return 2.0 * float(np.float32(x)) if x >= 0 else "CALL_FAILED"


def test_pages_longer_than_a_call_are_cut_in_order(loaded: Any) -> None:
    model = loaded(saved_models.doubled)
    scorer, counted = counted_scorer(model, [ID, X], max_batch_rows=4)
    spec = scoring_spec(model.signature, [ID, X], max_batch_rows=4)
    batch = batch_of([ID, X], x=[float(i) for i in range(10)])
    outcome = score_all(scorer, spec, batch)
    assert list(outcome.scores("y").items()) == [(i, 2.0 * i) for i in range(10)]
    assert counted.rows == [4, 4, 2]


def test_wide_rows_are_cut_by_bytes(loaded: Any) -> None:
    columns = [ID, Field("data", "BYTES")]
    model = loaded(saved_models.echoed_bytes)
    scorer, counted = counted_scorer(model, columns)
    data = [bytes([65 + i]) * (5 * 2**20) for i in range(7)]
    outcome = score_all(
        scorer, scoring_spec(model.signature, columns), batch_of(columns, data=data)
    )
    # Three rows of 5 MiB fit into 16 MiB.
    assert counted.rows == [3, 3, 1]
    assert outcome.scores("same") == {i: d.decode() for i, d in enumerate(data)}


def test_a_row_wider_than_the_limit_is_called_alone(loaded: Any) -> None:
    columns = [ID, Field("data", "BYTES")]
    model = loaded(saved_models.echoed_bytes)
    scorer, counted = counted_scorer(model, columns)
    batch = batch_of(columns, data=[b"a" * (17 * 2**20), b"b" * (17 * 2**20)])
    assert [call.scored.num_rows for call in scorer.score(batch)] == [1, 1]
    assert counted.rows == [1, 1]


def test_faults_of_all_stages_keep_their_rows_apart(loaded: Any) -> None:
    columns = [ID, Field("size", "INTEGER")]
    model = loaded(saved_models.batch_wide)
    scorer, _ = counted_scorer(model, columns)
    batch = batch_of(columns, size=[1, None, -1, 2**31, 3, -2, 0, None])
    outcome = score_all(scorer, scoring_spec(model.signature, columns), batch)
    assert outcome.reject_codes == {
        1: "NULL_VALUE",
        2: "CALL_FAILED",
        3: "OUT_OF_RANGE",
        5: "CALL_FAILED",
        7: "NULL_VALUE",
    }
    # The width is that of the call: [0], then [4], then [6]; what failed was called in halves.
    assert outcome.scores("ones") == {0: [1.0], 4: [1.0, 1.0, 1.0], 6: []}


def test_outputs_that_fit_no_column_reject_their_rows(loaded: Any) -> None:
    columns = [ID, Field("x", "INTEGER")]
    model = loaded(saved_models.unsigned)
    scorer, counted = counted_scorer(model, columns)
    batch = batch_of(columns, x=[5, None, -1, 7, -(2**63)])
    outcome = score_all(scorer, scoring_spec(model.signature, columns), batch)
    assert outcome.scores("y") == {0: 5, 3: 7}
    assert outcome.reject_codes == {
        1: "NULL_VALUE",
        2: "OUTPUT_OUT_OF_RANGE",
        4: "OUTPUT_OUT_OF_RANGE",
    }
    assert counted.rows == [4]


def test_outputs_that_fit_no_column_are_found_after_failed_calls(loaded: Any) -> None:
    columns = [ID, Field("data", "BYTES")]
    model = loaded(saved_models.picky_bytes)
    scorer, counted = counted_scorer(model, columns)
    batch = batch_of(columns, data=[b"a", None, b"", b"\xff", b"b", b"c", b"\xfe", b"d"])
    outcome = score_all(scorer, scoring_spec(model.signature, columns), batch)
    assert outcome.scores("same") == {0: "a", 4: "b", 5: "c", 7: "d"}
    assert outcome.scores("twice") == {0: "aa", 4: "bb", 5: "cc", 7: "dd"}
    # Both outputs of rows 3 and 6 do not fit; the first one is named.
    assert {row["key"]["id"]: row["message"] for row in outcome.rejected} == {
        1: "column 'data' is NULL; input 'data' needs a value",
        2: "assertion failed: [data is empty.  ] [Condition x > 0 did not hold element-wise:] "
        "[x (Min:0) = ] [0]",
        3: "output 'same' is not valid UTF-8",
        6: "output 'same' is not valid UTF-8",
    }
    assert counted.rows == [7, 3, 1, 2, 1, 1, 4]


def test_a_batch_whose_every_output_fits_no_column_is_rejected(loaded: Any) -> None:
    columns = [ID, Field("data", "BYTES")]
    model = loaded(saved_models.echoed_bytes)
    scorer, _ = counted_scorer(model, columns)
    batch = batch_of(columns, data=[b"\xff", b"\xfe"])
    (call,) = scorer.score(batch)
    assert call.scored is None
    assert call.rejected.to_pylist() == [
        {
            "run_id": "run-1",
            "model_digest": "abc",
            "key": {"id": i},
            "stage": "outputs",
            "code": "OUTPUT_NOT_UTF8",
            "message": "output 'same' is not valid UTF-8",
            "row": f'{{"data": "{text}"}}',
            "at": NOW,
        }
        for i, text in enumerate(["/w==", "/g=="])
    ]


def test_carried_columns_come_through_as_they_were_read(loaded: Any) -> None:
    note = Field("note", "STRING")
    point = Field("point", "RECORD", "REPEATED", (Field("a", "INTEGER"), Field("b", "DATE")))
    columns = [Field("id", "INTEGER", "REQUIRED"), X, note, point]
    model = loaded(saved_models.picky)
    spec = scoring_spec(model.signature, columns[:2], carried=(columns[0], note, point))
    scorer, _ = counted_scorer(model, columns[:2], carried=spec.carried)
    points = [[{"a": 1, "b": None}], [], [{"a": 2, "b": None}, {"a": 3, "b": None}]]
    batch = batch_of(columns, x=[1.0, -1.0, 3.0], note=["p", "q", None], point=points)
    outcome = score_all(scorer, spec, batch)
    assert [(r["id"], r["note"], r["point"], r["y"]) for r in outcome.scored] == [
        (0, "p", points[0], 2.0),
        (2, None, points[2], 6.0),
    ]
    assert outcome.reject_codes == {1: "CALL_FAILED"}
    assert [f.name for f in spec.output_fields] == [
        "id",
        "note",
        "point",
        "y",
        "run_id",
        "model_digest",
    ]


def test_without_a_key_rejects_have_none(loaded: Any) -> None:
    model = loaded(saved_models.picky)
    spec = scoring_spec(model.signature, [ID, X], key=(), carried=())
    scorer, _ = counted_scorer(model, [ID, X], key=(), carried=())
    outcome = score_all(scorer, spec, batch_of([ID, X], x=[1.0, -1.0]))
    assert [r["y"] for r in outcome.scored] == [2.0]
    assert ["key" in r for r in outcome.rejected] == [False]
    assert [r["row"] for r in outcome.rejected] == ['{"x": -1.0}']
    assert spec.output_fields == (
        Field("y", "FLOAT"),
        Field("run_id", "STRING"),
        Field("model_digest", "STRING"),
    )


@pytest.mark.parametrize("rows", [1, 2, 4, 9])
@pytest.mark.parametrize(
    ("builder", "fixed"),
    [(saved_models.fixed_batch_of_1, 1), (saved_models.fixed_batch_of_4, 4)],
    ids=["1", "4"],
)
def test_a_fixed_batch_is_padded(
    loaded: Any, builder: saved_models.Builder, fixed: int, rows: int
) -> None:
    model = loaded(builder)
    scorer, counted = counted_scorer(model, [ID, X])
    batch = batch_of([ID, X], x=[float(i) for i in range(rows)])
    outcome = score_all(scorer, scoring_spec(model.signature, [ID, X]), batch)
    assert list(outcome.scores("y").items()) == [(i, 2.0 * i) for i in range(rows)]
    assert counted.rows == [fixed] * math.ceil(rows / fixed)


def test_a_fixed_batch_is_padded_around_rows_that_cannot_be_fed(loaded: Any) -> None:
    model = loaded(saved_models.fixed_batch_of_4)
    scorer, counted = counted_scorer(model, [ID, X])
    batch = batch_of([ID, X], x=[0.0, None, 2.0, None, 4.0, 5.0])
    outcome = score_all(scorer, scoring_spec(model.signature, [ID, X]), batch)
    assert outcome.scores("y") == {0: 0.0, 2: 4.0, 4: 8.0, 5: 10.0}
    assert outcome.reject_codes == {1: "NULL_VALUE", 3: "NULL_VALUE"}
    assert counted.rows == [4, 4]


def test_arrays_and_tensors_go_in_and_out(loaded: Any) -> None:
    columns = [ID, Field("x", "FLOAT", "REPEATED")]
    model = loaded(saved_models.vectors)
    scorer, _ = counted_scorer(model, columns)
    x = [[1.0, 2.0, 3.0, 4.0], [1.0], [], [1.0, None, 3.0, 4.0], [0.0, 0.0, 0.0, 1.0]]
    outcome = score_all(scorer, scoring_spec(model.signature, columns), batch_of(columns, x=x))
    assert outcome.scores("y") == {0: [4.0, 6.0, 5.0], 4: [0.0, 1.0, 0.5]}
    assert outcome.reject_codes == {1: "WRONG_LENGTH", 2: "WRONG_LENGTH", 3: "NULL_ELEMENT"}


def test_tensors_of_rank_3_come_out_with_their_shape(loaded: Any) -> None:
    model = loaded(saved_models.matrices)
    scorer, _ = counted_scorer(model, [ID, X])
    outcome = score_all(scorer, scoring_spec(model.signature, [ID, X]), batch_of([ID, X], x=[3.0]))
    assert outcome.scores("grid") == {0: {"shape": [2, 2], "values": [3.0, 0.0, 0.0, 3.0]}}


def test_output_columns_load_into_the_fields_that_the_spec_names(loaded: Any) -> None:
    columns = [
        ID,
        Field("count", "INTEGER"),
        Field("offset", "INTEGER"),
        Field("price", "FLOAT"),
        Field("active", "BOOLEAN"),
        Field("name", "STRING"),
    ]
    model = loaded(saved_models.mixed_inputs)
    spec = scoring_spec(model.signature, columns)
    scorer, _ = counted_scorer(model, columns)
    batch = batch_of(columns, count=[2], offset=[2**40], price=[0.5], active=[False], name=["ß"])
    (call,) = scorer.score(batch)
    assert call.scored.drop_columns(["run_id", "model_digest"]).to_pylist() == [
        {"id": 0, "label": "ß!", "total": -(1.0 + 2**40)}
    ]
    assert call.scored.schema.names == [f.name for f in spec.output_fields]
    assert [f.sql_type for f in spec.output_fields] == [
        "INT64",
        "STRING",
        "FLOAT64",
        "STRING",
        "STRING",
    ]
    assert call.scored.schema.field("run_id").type == pa.dictionary(pa.int8(), pa.string())

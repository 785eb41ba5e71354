"""What a scorer learns from running out of memory, and what it must not learn."""

import pytest
from scorers import ID, CountedModel, SmallModel, batch_of, score_all, scoring_spec, ticking_clock

from scoring.batch import Scorer
from scoring.schema import Field
from scoring.signature import Signature, TensorSpec

X = Field("x", "FLOAT")
COLUMNS = [ID, X]


def _signature(rows: int | None = None) -> Signature:
    return Signature(
        "serving_default",
        (TensorSpec("x", "float32", (rows,)),),
        (TensorSpec("y", "float32", (rows,)),),
    )


SPEC = scoring_spec(_signature(), COLUMNS, max_batch_rows=64)


def _scorer(limit: int) -> tuple[Scorer, CountedModel]:
    model = CountedModel(SmallModel(limit))
    return Scorer(SPEC, model, ticking_clock(), first_call_rows=64), model


def test_a_batch_too_large_for_memory_is_scored_in_smaller_ones_for_good() -> None:
    scorer, model = _scorer(20)
    batch = batch_of(COLUMNS, x=[float(i) for i in range(64)])
    outcome = score_all(scorer, SPEC, batch)
    assert list(outcome.scores("y").items()) == [(i, 2.0 * i) for i in range(64)]
    # Each size that failed is tried once.
    assert model.rows == [64, 32, 16, 16, 16, 16]

    model.rows.clear()
    assert len(score_all(scorer, SPEC, batch).scored) == 64
    assert model.rows == [16, 16, 16, 16]


def test_the_rest_of_a_page_is_cut_by_the_lowered_limit() -> None:
    scorer, model = _scorer(40)
    batch = batch_of(COLUMNS, x=[1.0] * 100)
    assert len(score_all(scorer, SPEC, batch).scored) == 100
    assert model.rows == [64, 32, 32, 32, 4]


def test_memory_for_one_row_is_enough() -> None:
    scorer, model = _scorer(1)
    outcome = score_all(scorer, SPEC, batch_of(COLUMNS, x=[1.0, 2.0, 3.0]))
    assert outcome.scores("y") == {0: 2.0, 1: 4.0, 2: 6.0}
    assert model.rows == [3, 1, 1, 1]


@pytest.mark.parametrize("heavy", [0, 31, 40, 63])
def test_a_row_that_is_too_large_by_itself_does_not_lower_the_limit(heavy: int) -> None:
    scorer, model = _scorer(64)
    x = [float(i) for i in range(64)]
    x[heavy] = -1.0
    outcome = score_all(scorer, SPEC, batch_of(COLUMNS, x=x))
    assert outcome.reject_codes == {heavy: "OUT_OF_MEMORY"}
    assert list(outcome.scores("y").items()) == [(i, 2.0 * i) for i in range(64) if i != heavy]
    assert len(model.rows) <= 1 + 2 * 6

    model.rows.clear()
    assert len(score_all(scorer, SPEC, batch_of(COLUMNS, x=[1.0] * 128)).scored) == 128
    assert model.rows == [64, 64]


def test_no_memory_at_all_rejects_every_row() -> None:
    scorer, _ = _scorer(0)
    outcome = score_all(scorer, SPEC, batch_of(COLUMNS, x=[1.0] * 5))
    assert outcome.reject_codes == dict.fromkeys(range(5), "OUT_OF_MEMORY")
    assert {(r["stage"], r["message"]) for r in outcome.rejected} == {("call", "no memory left")}


def test_a_fixed_batch_cannot_become_smaller() -> None:
    spec = scoring_spec(_signature(rows=4), COLUMNS)
    model = CountedModel(SmallModel(limit=3))
    scorer = Scorer(spec, model, ticking_clock())
    outcome = score_all(scorer, spec, batch_of(COLUMNS, x=[1.0] * 5))
    assert outcome.reject_codes == dict.fromkeys(range(5), "OUT_OF_MEMORY")
    assert set(model.rows) == {4}

"""Slices of one batch that are scored at the same time."""

import itertools
from collections.abc import Mapping
from threading import Barrier, current_thread
from typing import Any

import pyarrow as pa
import pytest
import saved_models
from scorers import ID, NOW, SmallModel, batch_of, scoring_spec

from scoring.batch import MAX_FEED_BYTES, Clock, Scorer
from scoring.conversions import Values
from scoring.errors import ModelError
from scoring.schema import Field
from scoring.signature import Signature, TensorSpec

# Nothing waits as long unless it is broken.
_PATIENCE_S = 60.0

COLUMNS = [ID, Field("x", "FLOAT")]
SIGNATURE = Signature(
    "serving_default",
    (TensorSpec("x", "float32", (None,)),),
    (TensorSpec("y", "float32", (None,)),),
)
CLOCK = Clock(seconds=lambda: 0.0, now=lambda: NOW)


def _scorer(model: Any, max_batch_rows: int) -> Scorer:
    spec = scoring_spec(SIGNATURE, COLUMNS, max_batch_rows=max_batch_rows)
    return Scorer(spec, model, CLOCK, calls_at_once=2, first_call_rows=max_batch_rows)


def test_two_slices_are_called_at_once_and_come_in_order() -> None:
    both = Barrier(2)
    threads = set()

    def model(feed: Mapping[str, Values]) -> dict[str, Values]:
        both.wait(_PATIENCE_S)
        threads.add(current_thread().name)
        return {"y": feed["x"] * 2}

    batch = batch_of(COLUMNS, x=[float(i) for i in range(40)])
    outcomes = list(_scorer(model, 4).score(batch))

    scored = [o.scored.num_rows for o in outcomes if o.scored is not None]
    assert scored == [4] * 7 + [3, 3, 2, 1, 1, 1, 1]
    rows = [row for o in outcomes if o.scored is not None for row in o.scored.to_pylist()]
    assert [(row["id"], row["y"]) for row in rows] == [(i, 2.0 * i) for i in range(40)]
    assert len(threads) == 2


def test_slices_under_way_share_what_ran_out_of_memory() -> None:
    scorer = _scorer(SmallModel(limit=10), 64)
    x = [float(i) for i in range(1000)]
    x[500] = -1.0
    outcomes = list(scorer.score(batch_of(COLUMNS, x=x)))

    ids = [i for o in outcomes if o.scored is not None for i in o.scored["id"].to_pylist()]
    assert ids == [i for i in range(1000) if i != 500]
    rejected = [row for o in outcomes if o.rejected is not None for row in o.rejected.to_pylist()]
    assert [(row["key"], row["code"]) for row in rejected] == [({"id": 500}, "OUT_OF_MEMORY")]


def test_a_model_that_cannot_be_called_ends_the_batch() -> None:
    def model(feed: Mapping[str, Values]) -> dict[str, Values]:
        raise ModelError("there is no kernel")

    with pytest.raises(ModelError, match="no kernel"):
        list(_scorer(model, 4).score(batch_of(COLUMNS, x=[1.0] * 100)))


def test_a_real_model_gives_the_same_in_threads(loaded: Any) -> None:
    model = loaded(saved_models.picky)
    x = [-1.0 if i in (3, 100) else float(i) for i in range(200)]
    batch = batch_of(COLUMNS, x=x)
    spec = scoring_spec(model.signature, COLUMNS, max_batch_rows=32)
    one, two = (
        list(Scorer(spec, model, CLOCK, calls_at_once=calls).score(batch)) for calls in (1, 2)
    )

    assert [o.called_rows for o in one] == [32] * 6 + [8]
    scored, rejected = (
        [[b for o in outcomes if (b := of(o)) is not None] for outcomes in (one, two)]
        for of in (lambda o: o.scored, lambda o: o.rejected)
    )
    for single, threaded in (scored, rejected):
        assert pa.Table.from_batches(single) == pa.Table.from_batches(threaded)


def test_slices_become_smaller_towards_the_end_of_a_batch() -> None:
    """Once the size of calls is known, so that both threads end at about the same time."""
    scorer = _scorer(lambda feed: {"y": feed["x"] * 2}, 32)
    batch = batch_of(COLUMNS, x=[1.0] * 100)
    list(scorer.score(batch))
    rows = [o.called_rows for o in scorer.score(batch)]
    assert rows == [25, 19, 14, 11, 8, 6, 5, 4, 4, 4]


def test_slices_of_wide_rows_become_smaller_before_any_call_is_judged() -> None:
    """Their calls never have as many rows as the search would try."""
    scorer = _scorer(lambda feed: {"y": feed["x"] * 2}, 32)
    rows = 20
    payload = pa.array([bytes(MAX_FEED_BYTES // 8)] * rows)
    batch = batch_of(COLUMNS, x=[1.0] * rows).append_column("payload", payload)
    # Seven of them with their other columns are a call.
    assert [o.called_rows for o in scorer.score(batch)] == [5, 4, 3, 2, 2, 1, 1, 1, 1]


@pytest.mark.parametrize(("seconds", "rows"), [(0.04, [32]), (0.4, [8, 6, 5, 4, 4, 4, 1])])
def test_a_batch_that_fits_a_call_is_cut_if_that_takes_long(
    seconds: float, rows: list[int]
) -> None:
    times = itertools.count()
    # Read five times a slice, of which the first and the last make its seconds.
    clock = Clock(seconds=lambda: next(times) * seconds / 3, now=lambda: NOW)
    spec = scoring_spec(SIGNATURE, COLUMNS, max_batch_rows=32)
    scorer = Scorer(spec, lambda feed: {"y": feed["x"]}, clock, calls_at_once=2, first_call_rows=32)
    batch = batch_of(COLUMNS, x=[1.0] * 32)
    for _ in range(5):
        assert [o.called_rows for o in scorer.score(batch)] == [32]
    assert [o.called_rows for o in scorer.score(batch)] == rows

"""Rows scored alone and together: which outputs differ, and what is said about them."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import saved_models
from misbehaving_models import (
    dropout,
    ragged_of_the_call,
    ranked,
    training_norm,
    training_norm_of_4,
    width_counted,
)
from scorers import ID, NOW, CountedModel, batch_of, scoring_spec, ticking_clock

from scoring.batch import Clock
from scoring.conversions import Values
from scoring.errors import BatchCallError
from scoring.grouping import grouping_warnings
from scoring.schema import Field

X = Field("x", "FLOAT")
XS = Field("x", "FLOAT", "REPEATED")

_STILL = Clock(seconds=lambda: 0.0, now=lambda: NOW)


def _warnings(
    model: Any, columns: list[Field], sample: pa.RecordBatch, **changes: Any
) -> tuple[str, ...]:
    spec = scoring_spec(model.signature, columns, **changes)
    return grouping_warnings(spec, model, _STILL, sample)


@pytest.mark.parametrize(
    "builder",
    [
        saved_models.doubled,
        saved_models.fixed_batch_of_1,
        saved_models.fixed_batch_of_4,
        saved_models.picky,
    ],
)
def test_outputs_that_a_row_alone_decides(loaded: Any, builder: saved_models.Builder) -> None:
    numbers = [float("nan"), 1e30, 0.0, -1.0, None, 0.5, 7.0, 8.0, 9.0, 10.0]
    assert _warnings(loaded(builder), [ID, X], batch_of([ID, X], x=numbers)) == ()


def test_texts_and_whole_numbers_that_a_row_alone_decides(loaded: Any) -> None:
    columns = [ID, Field("text", "STRING")]
    sample = batch_of(columns, text=["a", "", "längste", "b"])
    assert _warnings(loaded(saved_models.texts), columns, sample) == ()


def test_an_output_that_depends_on_the_call(loaded: Any) -> None:
    sample = batch_of([ID, X], x=[1.0, 2.0, 6.0])
    (warning,) = _warnings(loaded(training_norm), [ID, X], sample)
    assert warning == (
        "output 'y' of a row depends on the rows beside it (differs by 3): the model may have been "
        "exported in training mode (batch normalisation, dropout). Scores will depend on how rows "
        "are grouped; export it with training=False."
    )


def test_rows_far_apart_are_compared(loaded: Any) -> None:
    # The first hundred rows of a sorted table: neighbours are the same.
    sample = batch_of([ID, X], x=[1.0] * 50 + [2.0] * 50)
    (warning,) = _warnings(loaded(training_norm), [ID, X], sample)
    assert "(differs by 0.5)" in warning


def test_a_difference_within_the_tolerance_is_none(loaded: Any) -> None:
    model = loaded(training_norm)
    assert _warnings(model, [ID, X], batch_of([ID, X], x=[1.0, 1.0018])) == ()
    assert len(_warnings(model, [ID, X], batch_of([ID, X], x=[1.0, 1.0022]))) == 1


def test_a_fixed_batch_size(loaded: Any) -> None:
    model = loaded(training_norm_of_4)
    (warning,) = _warnings(model, [ID, X], batch_of([ID, X], x=[0.0, 0.0, 0.0, 4.0, 1.0]))
    assert "output 'y' of a row depends on the rows beside it" in warning


def test_rows_that_never_share_a_call_cannot_depend_on_each_other(loaded: Any) -> None:
    sample = batch_of([ID, X], x=[1.0, 2.0, 6.0])
    assert _warnings(loaded(training_norm), [ID, X], sample, max_batch_rows=1) == ()


@pytest.mark.parametrize("rows", [1, 20])
def test_chance_is_told_from_dependence(loaded: Any, rows: int) -> None:
    (warning,) = _warnings(loaded(dropout), [ID, X], batch_of([ID, X], x=[1.0] * rows))
    assert warning.startswith(
        "output 'y' of a row is not the same when called twice (differs by 4): the model uses "
        "random numbers (dropout left in training mode, sampling) or keeps a state."
    )


def test_whole_numbers_and_texts_are_compared_exactly(loaded: Any) -> None:
    sample = batch_of([ID, X], x=[5.0, 4.0])
    name, rank = _warnings(loaded(ranked), [ID, X], sample)
    assert "output 'name' of a row depends on the rows beside it ('0' and '1')" in name
    assert "output 'rank' of a row depends on the rows beside it (0 and 1)" in rank


def test_padding_that_the_model_does_not_mask(loaded: Any) -> None:
    columns = [ID, XS]
    model = loaded(width_counted)
    (warning,) = _warnings(model, columns, batch_of(columns, x=[[4.0], [1.0, 2.0]]))
    assert warning == (
        "output 'mean' of a row depends on the rows beside it (differs by 2): input 'x' is padded "
        "to the longest row of a call, which the model may not mask, or the model may have been "
        "exported in training mode. Scores will depend on how rows are grouped; "
        "--max_batch_size=1 scores each row by itself."
    )
    assert _warnings(model, columns, batch_of(columns, x=[[4.0, 0.5], [1.0, 2.0]])) == ()


def test_a_width_of_the_call_is_no_difference(loaded: Any) -> None:
    columns = [ID, Field("size", "INTEGER")]
    sample = batch_of(columns, size=[1, 3, 0, 2])
    assert _warnings(loaded(saved_models.batch_wide), columns, sample) == ()


def test_ragged_rows(loaded: Any) -> None:
    sample = batch_of([ID, X], x=[5.0, 0.0, 4.0])
    assert _warnings(loaded(saved_models.composite_outputs), [ID, X], sample) == ()
    (warning,) = _warnings(loaded(ragged_of_the_call), [ID, X], sample)
    assert "output 'all' of a row depends on the rows beside it (1 and 3)" in warning


def test_a_sample_without_rows_that_can_be_scored(loaded: Any) -> None:
    model = loaded(saved_models.picky)
    assert _warnings(model, [ID, X], batch_of([ID, X], x=[-1.0, None, -2.0])) == ()
    assert _warnings(model, [ID, X], batch_of([ID, X], x=[])) == ()


def test_eight_rows_are_compared_in_few_calls(loaded: Any) -> None:
    model = loaded(saved_models.doubled)
    counted = CountedModel(model)
    spec = scoring_spec(model.signature, [ID, X])
    sample = batch_of([ID, X], x=[float(i) for i in range(100)])
    grouping_warnings(spec, counted, _STILL, sample)
    assert counted.rows == [1] * 16 + [8] * 2


def test_a_slow_model_is_called_with_two_rows(loaded: Any) -> None:
    model = loaded(saved_models.doubled)
    counted = CountedModel(model)
    spec = scoring_spec(model.signature, [ID, X])
    clock = ticking_clock()
    slow = Clock(seconds=lambda: 60.0 * clock.seconds(), now=clock.now)
    grouping_warnings(spec, counted, slow, batch_of([ID, X], x=[0.0, 1.0, 2.0, 3.0]))
    assert counted.rows == [1] * 4 + [2] * 2


def test_a_row_that_fails_by_chance_takes_no_part(loaded: Any) -> None:
    model = loaded(saved_models.doubled)
    calls = 0

    def failing(feed: dict[str, Values]) -> dict[str, Values]:
        nonlocal calls
        calls += 1
        if calls % 2:
            raise BatchCallError("CALL_FAILED", "not this time")
        return {"y": np.zeros(len(feed["x"]), np.float32)}

    spec = scoring_spec(model.signature, [ID, X])
    assert grouping_warnings(spec, failing, _STILL, batch_of([ID, X], x=[1.0, 2.0])) == ()

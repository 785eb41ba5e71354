"""Models compiled by XLA: the same results in calls of few sizes, and sentences for all others."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import exported_models
import numpy as np
import pytest
import saved_models
from hypothesis import given, settings
from hypothesis import strategies as st
from scorers import (
    ID,
    NOW,
    CountedModel,
    SmallModel,
    batch_of,
    score_all,
    scoring_spec,
    ticking_clock,
)

from scoring.batch import Clock, Scorer
from scoring.compiled import check_compilable
from scoring.conversions import Values
from scoring.errors import ModelError
from scoring.savedmodel import LoadedModel, call_with_zeros
from scoring.schema import Field
from scoring.signature import Signature, TensorSpec, choose_signature, read_saved_model

X = Field("x", "FLOAT")
VECTOR = Field("x", "FLOAT", "REPEATED")
WORDS = TensorSpec("x", "string", (None,))
NUMBERS = TensorSpec("x", "float32", (None,))
LISTS = TensorSpec("x", "float32", (None, None))
SCORES = TensorSpec("y", "float32", (None,))


def _compiled(folder: Path) -> LoadedModel:
    info = read_saved_model(folder)
    return LoadedModel(str(folder), info.tags, choose_signature(info, None), xla=True)


def _signature(inputs: list[TensorSpec], *outputs: TensorSpec) -> Signature:
    return Signature("serving_default", tuple(inputs), outputs or (SCORES,))


@pytest.mark.parametrize(
    "builder",
    [
        saved_models.vectors,
        saved_models.weighted,
        saved_models.half_floats,
        saved_models.images,
        saved_models.fixed_batch_of_4,
        # TensorFlow 1 without variables, and a model without signatures.
        saved_models.untagged,
        exported_models.called,
    ],
)
def test_compiled_models_return_the_same(loaded: Any, saved: Any, builder: Any) -> None:
    plain, compiled = loaded(builder), _compiled(saved(builder))
    random = np.random.default_rng(1)
    for rows in {spec.shape[0] for spec in plain.signature.inputs if spec.shape[0]} or {1, 7}:
        feed = {
            spec.name: random.integers(0, 9, (rows, *spec.shape[1:])).astype(spec.dtype)
            for spec in plain.signature.inputs
        }
        expected, results = plain(feed), compiled(feed)
        assert results.keys() == expected.keys()
        for name, values in results.items():
            assert values.dtype == expected[name].dtype
            np.testing.assert_allclose(values, expected[name], rtol=1e-6)


@pytest.fixture(scope="module")
def vectors(saved: Any) -> LoadedModel:
    return _compiled(saved(saved_models.vectors))


def test_calls_from_several_threads_compile_and_return_their_own_rows(vectors: LoadedModel) -> None:
    def right(number: int) -> bool:
        x = np.full((number % 4 + 1, 4), number, np.float32)
        return bool((vectors({"x": x})["y"] == 2 * number).all())

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(right, range(40)))


@settings(deadline=None, max_examples=30)
@given(rows=st.sampled_from([1, 2, 3, 1000]) | st.integers(1, 300))
def test_any_number_of_rows_is_scored_as_without(
    loaded: Any, vectors: LoadedModel, rows: int
) -> None:
    columns = [ID, Field("x", "FLOAT", "REPEATED")]
    spec = scoring_spec(vectors.signature, columns, xla=True)
    model = CountedModel(vectors)
    x = np.random.default_rng(rows).random((rows, 4), np.float32)
    scorer = Scorer(spec, model, ticking_clock())
    scores = score_all(scorer, spec, batch_of(columns, x=list(x))).scores("y")

    assert list(scores) == list(range(rows))
    expected = loaded(saved_models.vectors)({"x": x})["y"]
    np.testing.assert_allclose(list(scores.values()), expected, rtol=1e-6)
    assert set(model.rows) <= {32, 64, 128, 256, 512, 1024}


@pytest.mark.parametrize(
    ("most", "rows", "called"),
    [
        (1024, 1, [32]),
        (1024, 33, [64]),
        (1024, 1000, [1024]),
        (1000, 1000, [512, 512]),
        (1000, 10, [32]),
        (20, 37, [16, 16, 16]),
        (1, 2, [1, 1]),
    ],
)
def test_calls_have_a_power_of_two_of_rows_and_never_too_many(
    most: int, rows: int, called: list[int]
) -> None:
    spec = scoring_spec(_signature([NUMBERS]), [ID, X], max_batch_rows=most, xla=True)
    model = CountedModel(SmallModel(limit=most))
    scorer = Scorer(spec, model, ticking_clock(), first_call_rows=most)
    outcome = score_all(scorer, spec, batch_of([ID, X], x=[float(i) for i in range(rows)]))
    assert list(outcome.scores("y").values()) == [2.0 * i for i in range(rows)]
    assert model.rows == called


@pytest.mark.parametrize("limit", [1, 5, 20, 40])
def test_padding_takes_no_memory_that_is_not_there(limit: int) -> None:
    spec = scoring_spec(_signature([NUMBERS]), [ID, X], max_batch_rows=64, xla=True)
    scorer = Scorer(spec, SmallModel(limit), ticking_clock(), first_call_rows=64)
    for _ in range(2):
        outcome = score_all(scorer, spec, batch_of([ID, X], x=[float(i) for i in range(83)]))
        assert list(outcome.scores("y").values()) == [2.0 * i for i in range(83)]


def test_rows_of_which_few_fit_into_a_call_are_not_padded_to_more() -> None:
    # 27 such rows are 16 MiB.
    images = TensorSpec("x", "float32", (None, 224 * 224 * 3))
    columns = [ID, Field("x", "FLOAT", "REPEATED")]
    spec = scoring_spec(_signature([images], SCORES), columns, xla=True)
    model = CountedModel(lambda feed: {"y": feed["x"][:, 0]})
    scorer = Scorer(spec, model, ticking_clock())
    batch = batch_of(columns, x=[np.full(224 * 224 * 3, i, np.float32) for i in range(3)])
    assert list(score_all(scorer, spec, batch).scores("y").values()) == [0.0, 1.0, 2.0]
    assert model.rows == [16]


@dataclass
class SlowlyCompiled:
    """x -> y = x; a call takes `call_s` and `row_s` for each row, the first of a size 10 s more."""

    call_s: float = 0.0
    row_s: float = 0.0
    now: float = 0.0
    rows: list[int] = field(default_factory=list)

    def __call__(self, feed: Mapping[str, Values]) -> dict[str, Values]:
        rows = len(feed["x"])
        self.now += self.call_s + rows * self.row_s + 10.0 * (rows not in self.rows)
        self.rows.append(rows)
        return {"y": feed["x"]}


@pytest.mark.parametrize(
    ("model", "last"),
    [
        (SlowlyCompiled(), 1024),
        (SlowlyCompiled(call_s=0.5), 1024),
        (SlowlyCompiled(call_s=0.5, row_s=0.01), 512),
        (SlowlyCompiled(row_s=0.5), 32),
    ],
)
def test_the_search_for_the_size_of_calls_looks_past_compilations(
    model: SlowlyCompiled, last: int
) -> None:
    spec = scoring_spec(_signature([NUMBERS]), [ID, X], xla=True)
    clock = Clock(seconds=lambda: model.now, now=lambda: NOW)
    scorer = Scorer(spec, model, clock)
    batch = batch_of([ID, X], x=[1.0] * 20_000)
    list(scorer.score(batch))
    assert scorer.call_rows(batch) == last


@pytest.mark.parametrize(
    ("builder", "op"),
    [(saved_models.tf1, "VariableV2"), (exported_models.python_function, "PyFunc")],
)
def test_a_model_that_xla_cannot_compile_is_told_from_a_row_that_fails(
    saved: Any, builder: Any, op: str
) -> None:
    model = _compiled(saved(builder))
    with pytest.raises(ModelError) as raised:
        call_with_zeros(model)
    assert str(raised.value) == (
        f"Model {saved(builder)} loads, but XLA cannot compile signature 'serving_default': "
        f"it cannot do {op}. Leave --xla out."
    )


def test_a_model_with_checks_that_xla_would_leave_out_is_refused(saved: Any) -> None:
    with pytest.raises(ModelError, match=r"checks its values with the op Assert.*Leave --xla out"):
        _compiled(saved(saved_models.picky))


@pytest.mark.parametrize(
    ("saved_as", "fed", "said"),
    [
        (
            _signature([WORDS]),
            _signature([WORDS]),
            "Input x: string[None] cannot be used with --xla: XLA does not compute with strings. "
            "Leave --xla out.",
        ),
        (
            _signature([NUMBERS], TensorSpec("label", "string", (None,)), SCORES),
            _signature([NUMBERS], TensorSpec("label", "string", (None,)), SCORES),
            "Output label: string[None] cannot be used with --xla: XLA does not compute with "
            "strings. Leave --xla out, or the output out of --output_columns.",
        ),
        (
            _signature([NUMBERS], TensorSpec("y", "float32", (None, None), "ragged", 1)),
            _signature([NUMBERS], TensorSpec("y", "float32", (None, None), "ragged", 1)),
            "Output y: ragged float32[None, None] cannot be used with --xla: XLA does not compute "
            "with ragged tensors. Leave --xla out, or the output out of --output_columns.",
        ),
        (
            _signature([LISTS]),
            _signature([LISTS]),
            "Input x: float32[None, None] cannot be used with --xla, which would compile the model "
            "anew for each shape of a row. State the one shape that all rows have, "
            "--input_shapes x=[SIZE,...], or leave --xla out.",
        ),
        (
            _signature([NUMBERS], TensorSpec("y", "float32", (None, None))),
            _signature([NUMBERS], TensorSpec("y", "float32", (None, None))),
            "Output y: float32[None, None] cannot be used with --xla: its width depends on the "
            "values, and the model would be compiled anew for most calls. Leave --xla out, or the "
            "output out of --output_columns.",
        ),
    ],
    ids=["string input", "string output", "ragged", "lists", "wide output"],
)
def test_what_xla_never_compiles_is_known_from_the_signature(
    saved_as: Signature, fed: Signature, said: str
) -> None:
    with pytest.raises(ModelError) as raised:
        check_compilable(saved_as, fed)
    assert str(raised.value) == said


def test_stated_shapes_and_outputs_left_out_make_a_model_one_to_compile() -> None:
    label = TensorSpec("label", "string", (None,))
    follows = TensorSpec("y", "float32", (None, None))
    stated = TensorSpec("x", "float32", (None, 7))
    check_compilable(_signature([LISTS], follows, label), _signature([stated], follows))

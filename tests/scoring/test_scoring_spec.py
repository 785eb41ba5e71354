"""How much a batch may be, and what its scored rows hold on to."""

from collections.abc import Mapping
from dataclasses import replace

import pyarrow as pa
import pytest
from scorers import ID, batch_of, scoring_spec, ticking_clock

from scoring.batch import Results, Scorer
from scoring.conversions import Values
from scoring.schema import Field
from scoring.signature import Signature, TensorSpec

X = Field("x", "FLOAT")
MIB = 2**20


def _signature(*outputs: TensorSpec) -> Signature:
    return Signature("serving_default", (TensorSpec("x", "float32", (None,)),), outputs)


@pytest.mark.parametrize(
    ("shape", "dtype", "rows"),
    [
        ((None,), "float32", 65_536),
        ((None, 512), "float32", 16 * MIB // 2048),
        ((None, 512), "float64", 16 * MIB // 4096),
        ((None, None, 768), "float32", 16 * MIB // (128 * 768 * 4)),
        (None, "int64", 16 * MIB // (128 * 8)),
        ((None, 4096, 4096), "float32", 1),
    ],
)
def test_the_results_of_a_batch_fit_in_memory(
    shape: tuple[int | None, ...] | None, dtype: str, rows: int
) -> None:
    signature = _signature(TensorSpec("y", dtype, shape))
    assert scoring_spec(signature, [ID, X], max_batch_rows=65_536).batch_rows == rows


@pytest.mark.parametrize(("size", "rows"), [(1024, 4096), (1000, 4160), (2**20, 64), (2**24, 64)])
def test_a_batch_is_whole_calls_of_a_model_that_insists_on_a_number(size: int, rows: int) -> None:
    """A rest would be padded, and that in every batch."""
    inputs = (TensorSpec("x", "float32", (64,)),)
    outputs = (TensorSpec("y", "float32", (64, size)),)
    signature = Signature("serving_default", inputs, outputs)
    assert scoring_spec(signature, [ID, X], max_batch_rows=4095).batch_rows == rows


def test_calls_may_have_more_rows_than_a_batch_usually_has() -> None:
    signature = _signature(TensorSpec("y", "float32", (None,)))
    assert scoring_spec(signature, [ID, X], max_batch_rows=200_000).batch_rows == 200_000


def test_a_batch_is_many_calls_where_these_have_few_rows() -> None:
    signature = _signature(TensorSpec("y", "float32", (None,)))
    spec = scoring_spec(signature, [ID, X], max_batch_rows=8)
    called: list[int] = []

    def model(feed: Mapping[str, Values]) -> Results:
        called.append(len(feed["x"]))
        return {"y": feed["x"]}

    assert spec.batch_rows == 64 * 8
    list(Scorer(spec, model, ticking_clock()).score(batch_of([ID, X], x=[0.5] * 20)))
    assert called == [8, 8, 4]


def test_sparse_rows_are_not_taken_for_full_ones() -> None:
    tensor = TensorSpec("y", "float32", (None, 2**20), "sparse")
    spec = scoring_spec(_signature(tensor), [ID, X], max_batch_rows=65_536)
    assert spec.batch_rows == 16 * MIB // (128 * (4 + 8))


def test_calls_grow_no_further_than_to_a_batch() -> None:
    spec = scoring_spec(_signature(TensorSpec("y", "float32", (None, 2**16))), [ID, X])
    page = batch_of([ID, X], x=[0.5] * 64)
    scorer = Scorer(spec, lambda feed: {"y": feed["x"]}, ticking_clock(), first_call_rows=1024)
    assert scorer.call_rows(page) == spec.batch_rows == 64


def test_all_outputs_count() -> None:
    signature = _signature(*(TensorSpec(n, "float32", (None, 1024)) for n in ("y", "z")))
    assert scoring_spec(signature, [ID, X], max_batch_rows=65_536).batch_rows == 2048


def test_scored_rows_do_not_keep_the_page_that_they_were_read_from() -> None:
    """Of an uncompressed page all columns are views of one message."""
    page = _wide_page()
    message = page.serialize()
    read = pa.ipc.read_record_batch(message, page.schema)
    spec = scoring_spec(_signature(TensorSpec("y", "float32", (None,))), [ID, X])
    scorer = Scorer(spec, lambda feed: {"y": feed["x"]}, ticking_clock(), first_call_rows=100)

    ((scored),) = [outcome.scored for outcome in scorer.score(read)]
    assert scored is not None
    assert scored["id"].to_pylist() == list(range(100))
    held = range(message.address, message.address + message.size)
    buffers = [b for column in scored.columns for b in column.buffers() if b is not None]
    assert not [b for b in buffers if b.address in held]


def test_columns_of_dictionaries_are_carried() -> None:
    labels = pa.array(["a", "b"] * 50).dictionary_encode()
    page = _wide_page().append_column("label", labels)
    spec = scoring_spec(_signature(TensorSpec("y", "float32", (None,))), [ID, X])
    spec = replace(spec, carried=(ID, Field("label", "STRING")))
    scorer = Scorer(spec, lambda feed: {"y": feed["x"]}, ticking_clock(), first_call_rows=100)

    ((scored),) = [outcome.scored for outcome in scorer.score(page)]
    assert scored is not None
    assert scored["label"].equals(labels)


def _wide_page() -> pa.RecordBatch:
    """100 rows, of which what is carried is the smaller part."""
    page = batch_of([ID, X], x=[0.5] * 100)
    for i in range(8):
        page = page.append_column(f"wide_{i}", pa.array([0.0] * 100))
    return page

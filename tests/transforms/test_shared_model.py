"""A model that lives in another process than the rows: every call crosses as pickles."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import exported_models
import pyarrow as pa
import pytest
from apache_beam.utils.multi_process_shared import MultiProcessShared
from saved_models import Builder, composite_outputs, greedy, picky, picky_bytes

from scoring.batch import Model, ScoredBatch
from scoring.errors import ModelError
from scoring.matching import match_inputs
from scoring.naming import match_outputs
from scoring.schema import Field, arrow_schema
from scoring.signature import choose_signature, read_saved_model
from scoring.spec import ScoringSpec
from transforms.resources import ScoringResources
from transforms.score import ModelSource, SavedModelHandler

_ID = Field("id", "INTEGER")


def _handler(folder: Path, column: Field, resources: ScoringResources) -> SavedModelHandler:
    """A handler for a model with one input, fed by the column of its name."""
    info = read_saved_model(folder)
    signature = choose_signature(info, None)
    spec = ScoringSpec(
        inputs=match_inputs(signature, [_ID, column], chosen={}, reserved=["id"]),
        outputs=match_outputs(signature, chosen={}, taken={"id": "the key"}),
        key=(_ID,),
        carried=(_ID,),
        max_batch_rows=1024,
        fixed_batch_rows=None,
        run_id="run-1",
        model_digest="abc",
        metadata=(),
    )
    source = ModelSource(str(folder), "abc", info.tags, signature)
    return SavedModelHandler(spec, source, resources)


def _shared(handler: SavedModelHandler, folder: Path) -> Model:
    """The model as RunInference hands it to a process that has no copy of its own."""
    # Tags are Beam's for the whole process, and those of pytest's folders differ.
    handle = MultiProcessShared(
        handler.load_model, folder.name, path=str(folder), always_proxy=True
    )
    model: Model = handle.acquire()
    return model


def _batch(column: Field, values: list[Any]) -> pa.RecordBatch:
    arrays = [pa.array(range(len(values))), pa.array(values, column.arrow_type)]
    return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema([_ID, column]))


def _rows(outcomes: Sequence[ScoredBatch]) -> list[Any]:
    """What became of the rows, as plain values; times of rejects left out."""
    scored = [r for o in outcomes if o.scored is not None for r in o.scored.to_pylist()]
    rejected = [r for o in outcomes if o.rejected is not None for r in o.rejected.to_pylist()]
    return [scored, [(r["key"]["id"], r["code"], r["message"]) for r in rejected]]


@pytest.mark.parametrize(
    ("builder", "column", "values", "rejected"),
    [
        (picky, Field("x", "FLOAT"), [1.5, -1.0, None, 2.0], {1: "CALL_FAILED", 2: "NULL_VALUE"}),
        (greedy, Field("bytes", "INTEGER"), [8, 2**62, 16], {1: "OUT_OF_MEMORY"}),
        (picky_bytes, Field("data", "BYTES"), [b"a", b"", b"\xc3\xa9"], {1: "CALL_FAILED"}),
        (composite_outputs, Field("x", "FLOAT"), [1.0, 2.0, 3.0], {}),
    ],
    ids=["failing calls", "out of memory", "strings", "ragged and sparse"],
)
def test_a_shared_model_scores_and_fails_like_one_in_the_same_process(
    builder: Builder, column: Field, values: list[Any], rejected: dict[int, str], tmp_path: Path
) -> None:
    handler = _handler(builder(tmp_path / "model"), column, ScoringResources(model_copies=1))
    batch = _batch(column, values)

    across = list(handler.run_inference([batch], _shared(handler, tmp_path)))
    here = list(handler.run_inference([batch], handler.load_model()))

    assert _rows(across) == _rows(here)
    assert {i: code for i, code, _ in _rows(across)[1]} == rejected
    assert [o.called_rows for o in across] == [o.called_rows for o in here]
    assert all(o.call_seconds > 0 for o in across)


def test_the_reason_why_a_shared_model_cannot_be_called_arrives(tmp_path: Path) -> None:
    column = Field("x", "FLOAT")
    folder = exported_models.without_kernel(tmp_path / "model")
    handler = _handler(folder, column, ScoringResources(model_copies=1))
    model = _shared(handler, tmp_path)
    with pytest.raises(ModelError, match="op CudnnRNN has no kernel for CPU"):
        handler.run_inference([_batch(column, [1.0])], model)


def test_a_shared_model_that_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    folder = picky(tmp_path / "model")
    handler = _handler(folder, Field("x", "FLOAT"), ScoringResources(model_copies=1))
    (folder / "variables" / "variables.index").unlink()
    with pytest.raises(ModelError, match=r"variables\.index"):
        _shared(handler, tmp_path)


def test_copies_are_shared_only_where_they_are_asked_for(tmp_path: Path) -> None:
    folder = picky(tmp_path / "model")
    column = Field("x", "FLOAT")
    alone = _handler(folder, column, ScoringResources())
    assert not alone.share_model_across_processes()
    shared = _handler(folder, column, ScoringResources(model_copies=2))
    assert (shared.share_model_across_processes(), shared.model_copies()) == (True, 2)

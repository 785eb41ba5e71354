"""A model that is loaded before the pipeline asks for it: once, and for its own run alone."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from saved_models import vectors

from scoring.errors import ModelError
from scoring.matching import match_inputs
from scoring.naming import match_outputs
from scoring.savedmodel import LoadedModel
from scoring.schema import Field
from scoring.signature import choose_signature, read_saved_model
from scoring.spec import ScoringSpec
from transforms import score
from transforms.resources import ScoringResources
from transforms.score import ModelSource, SavedModelHandler

_FIELDS = [Field("id", "INTEGER"), Field("x", "FLOAT", "REPEATED")]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return vectors(tmp_path_factory.mktemp("vectors"))


@pytest.fixture
def spec(model: Path) -> ScoringSpec:
    signature = choose_signature(read_saved_model(model), None)
    return ScoringSpec(
        inputs=match_inputs(signature, _FIELDS, chosen={}, reserved=["id"]),
        outputs=match_outputs(signature, chosen={}, taken={"id": "the key"}),
        key=(_FIELDS[0],),
        carried=(_FIELDS[0],),
        max_batch_rows=1024,
        fixed_batch_rows=None,
        run_id="run-1",
        model_digest="abc",
        metadata=(),
    )


def _handler(spec: ScoringSpec, folder: Path, uri: str | None = None) -> SavedModelHandler:
    info = read_saved_model(folder)
    source = ModelSource(uri or str(folder), "abc", info.tags, choose_signature(info, None))
    return SavedModelHandler(spec, source, ScoringResources(None, None, ()))


def _arrived(handler: SavedModelHandler) -> SavedModelHandler:
    """The handler as a bundle gets it."""
    copy: SavedModelHandler = pickle.loads(pickle.dumps(handler))
    return copy


def test_in_the_block_the_model_is_loaded_and_prepared_once(
    spec: ScoringSpec,
    model: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepare, prepared = LoadedModel.prepare, list[LoadedModel]()

    def watched(loaded: LoadedModel) -> None:
        prepared.append(loaded)
        prepare(loaded)

    monkeypatch.setattr(LoadedModel, "prepare", watched)
    handler = _handler(spec, model)
    with caplog.at_level("INFO", "transforms.score"), handler.loading():
        begun = score._loading[spec.run_id]
        assert _arrived(handler).load_model() is begun.result()
        assert prepared == [begun.result()]
    assert caplog.text.count("Loaded model") == 1
    assert not score._loading


def test_another_run_loads_its_own(spec: ScoringSpec, model: Path) -> None:
    handler = _handler(spec, model)
    other = _handler(replace(spec, run_id="run-2"), model)
    with handler.loading():
        begun = score._loading[spec.run_id]
        assert other.load_model() is not begun.result()


def test_what_nobody_asks_for_is_given_up(spec: ScoringSpec, model: Path) -> None:
    with _handler(spec, model).loading():
        pass
    assert not score._loading


def test_what_cannot_be_loaded_fails_where_it_is_asked_for(
    spec: ScoringSpec, model: Path, tmp_path: Path
) -> None:
    handler = _handler(spec, model, uri=str(tmp_path / "gone"))
    with handler.loading(), pytest.raises(ModelError, match="gone"):
        handler.load_model()

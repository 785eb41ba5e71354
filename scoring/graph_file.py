"""The graph file of a SavedModel: which graph to score with, and which files that one needs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from scoring.errors import ModelError
from scoring.runtime import tensorflow

GRAPH_FILE = "saved_model.pb"
# Lies beside the graph file of a hub.Module, the format of TF Hub in the days of TensorFlow 1.
_HUB_MODULE_FILE = "tfhub_module.pb"
_INDEX_FILE = "variables/variables.index"
# Where graphs that say nothing in `asset_file_def` name their asset files.
_ASSETS_COLLECTION = "saved_model_assets"

ModelFormat = Literal["TF2 SavedModel", "TF1 SavedModel", "TF1 hub.Module"]


def read_graph(folder: Path) -> Any:
    """The MetaGraphDef to score with: the one tagged `serve`, or without tags, or the only one.

    Raises:
      ModelError: `folder` holds no SavedModel, or one without a graph to choose.
    """
    tensorflow()
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString((folder / GRAPH_FILE).read_bytes())
    except (FileNotFoundError, NotADirectoryError) as e:
        raise ModelError(_not_a_model(folder)) from e
    except DecodeError as e:
        raise ModelError(
            f"Model {folder}: {GRAPH_FILE} is damaged, it cannot be parsed as a SavedModel. "
            "Copy or export the model again."
        ) from e
    except OSError as e:
        cure = "Check its permissions." if isinstance(e, PermissionError) else "Check --model."
        raise ModelError(
            f"Model {folder}: {GRAPH_FILE} cannot be read: {e.strerror}. {cure}"
        ) from e
    if not model.meta_graphs:
        raise ModelError(
            f"Model {folder}: {GRAPH_FILE} holds no graph, it is empty or cut short. "
            "Copy or export the model again."
        )
    return _choose_graph(folder, list(model.meta_graphs))


def graph_tags(graph: Any) -> tuple[str, ...]:
    """The tags of a MetaGraphDef in order."""
    return tuple(sorted(graph.meta_info_def.tags))


def model_format(folder: Path, graph: Any) -> ModelFormat:
    """What wrote the model: only TensorFlow 2 saves objects with their functions."""
    if graph.HasField("object_graph_def"):
        return "TF2 SavedModel"
    return "TF1 hub.Module" if (folder / _HUB_MODULE_FILE).exists() else "TF1 SavedModel"


def check_files(folder: Path, graph: Any) -> None:
    """Looks for the files of variables and assets that the graph reads when it is loaded.

    Raises:
      ModelError: one is missing.
    """
    for name, holds in _needed_files(folder, graph):
        if not (folder / name).exists():
            raise ModelError(
                f"Model {folder} has no file {name}, which holds {holds}. Copy or export the model "
                "again, with all files of its folder."
            )


def _needed_files(folder: Path, graph: Any) -> Iterator[tuple[str, str]]:
    # What is restored: the graph says so, or TensorFlow infers it from the variables listed.
    has_variables = graph.HasField("saver_def") or "variables" in graph.collection_def
    # The checkpoints of TensorFlow before 1.0 have other names.
    if has_variables and not (folder / "variables" / "variables").exists():
        yield _INDEX_FILE, "the index of its variables"
        for shard in _variable_shards(folder):
            yield shard, "values of its variables"
    for asset in _assets(graph):
        yield f"assets/{asset}", "an asset of its graph, a vocabulary say"


def _variable_shards(folder: Path) -> list[str]:
    """The names of all data files, of which at least one tells how many there are."""
    found = sorted(path.name for path in (folder / "variables").glob("variables.data-*-of-*"))
    count = found[0].rpartition("-")[2] if found else "00001"
    return [f"variables/variables.data-{i:05d}-of-{count}" for i in range(int(count))]


def _assets(graph: Any) -> list[str]:
    from tensorflow.core.protobuf import meta_graph_pb2

    if graph.asset_file_def or _ASSETS_COLLECTION not in graph.collection_def:
        return [asset.filename for asset in graph.asset_file_def]
    packed = graph.collection_def[_ASSETS_COLLECTION].any_list.value
    return [meta_graph_pb2.AssetFileDef.FromString(p.value).filename for p in packed]


def _not_a_model(folder: Path) -> str:
    if not folder.exists():
        return f"Model {folder}: there is no such folder. Check --model."
    if folder.is_dir():
        names = sorted(p.name for p in folder.iterdir())[:8]
        found = ", ".join(names) or "an empty folder"
    else:
        found = "a file"
    return (
        f"Model {folder} is not a SavedModel: expected a folder with the file {GRAPH_FILE}, "
        f"got {found}. A Keras .keras or .h5 file must be exported first with "
        "model.export(folder)."
    )


def _choose_graph(folder: Path, graphs: list[Any]) -> Any:
    tagged = [(graph_tags(graph), graph) for graph in graphs]
    serving = [(tags, graph) for tags, graph in tagged if "serve" in tags]
    # A hub.Module has a graph without tags, and may have one more for training.
    for candidates in (
        [graph for tags, graph in serving if tags == ("serve",)],
        [graph for _, graph in serving],
        [graph for tags, graph in tagged if not tags],
        graphs,
    ):
        if candidates:
            break
    if len(candidates) != 1:
        listing = [list(tags) for tags, _ in tagged]
        raise ModelError(
            f"Model {folder} holds {len(graphs)} graphs with the tags {listing}; expected exactly "
            "one tagged 'serve'. Export it again with that tag alone."
        )
    return candidates[0]

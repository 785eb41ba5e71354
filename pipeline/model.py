"""The model: found wherever the user has it, described, digested, staged for workers."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from options.config import Config
from pipeline.errors import PlanError
from scoring.errors import ModelError
from scoring.graph_file import check_files, read_graph
from scoring.handle import (
    ARCHIVE_SUFFIXES,
    digest_folder,
    download_hub_model,
    is_url,
    unpack_archive,
)
from scoring.ops import import_op_packages, op_needs
from scoring.signature import SavedModelInfo, Signature, choose_signature, read_saved_model

_GCS = "gs://"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True)
class FoundModel:
    """A model as a folder on this machine."""

    folder: Path
    digest: str
    info: SavedModelInfo
    signature: Signature

    @property
    def size_bytes(self) -> int:
        """Bytes of its files: graph, variables and assets."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


def find_model(config: Config, workspace: Path) -> FoundModel:
    """Brings the model of `config` to this machine and reads its signature.

    The packages that hold the ops of its graph are imported into this process.

    Args:
      workspace: folder for downloads and unpacked archives; it must outlive the run.

    Raises:
      ModelError: there is no such model, or not the signature that is asked for; or the model
        needs a file or an op that is not there.
      PlanError: Cloud Storage cannot be read.
    """
    folder = model_folder(config.model, workspace)
    info = read_saved_model(folder)
    signature = choose_signature(info, config.signature)
    graph = read_graph(folder)
    check_files(folder, graph)
    import_op_packages(folder, op_needs(graph))
    return FoundModel(folder, digest_folder(folder), info, signature)


def stage_model(model: FoundModel, temp_location: str) -> str:
    """Copies the model to Cloud Storage for remote workers; returns its URI."""
    from transforms.model_files import upload_folder

    uri = f"{temp_location.rstrip('/')}/models/{model.digest}"
    with _storage_explained(f"staging the model at {uri}"):
        upload_folder(model.folder, uri)
    return uri


def model_folder(handle: str, workspace: Path) -> Path:
    """The folder on this machine of the model that a user names, downloaded if need be.

    Raises:
      ModelError: there is no such model.
      PlanError: Cloud Storage cannot be read.
    """
    if is_url(handle):
        return download_hub_model(handle)
    if handle.startswith(_GCS):
        return _download(handle, workspace)
    if _SCHEME.match(handle):
        raise ModelError(
            f"Model {handle}: models are read from folders and .tar.gz files on this machine or "
            "on gs://, and from http:// and https:// URLs. Copy it to one of these, or check "
            "--model."
        )
    try:
        path = Path(handle).expanduser()
        if handle.endswith(ARCHIVE_SUFFIXES):
            return unpack_archive(path, workspace / "unpacked")
        return path.resolve()
    # Of pathlib: no such user's home, a loop of links, a NUL character.
    except (RuntimeError, ValueError) as e:
        reason = str(e).rstrip(".")
        raise ModelError(
            f"Model {handle} is no path on this machine: {reason}. Check --model."
        ) from e


def _download(handle: str, workspace: Path) -> Path:
    # Beam takes seconds to import, which a model on this machine does not need.
    from transforms.clients import is_redirected, redirect_beam
    from transforms.model_files import download_file, download_folder

    if is_redirected():
        redirect_beam()
    target = workspace / "downloaded"
    target.mkdir(parents=True)
    if handle.endswith(ARCHIVE_SUFFIXES):
        archive = target / "model.tar.gz"
        with _storage_explained(f"downloading {handle}"):
            download_file(handle, archive)
        return unpack_archive(archive, workspace / "unpacked", name=handle)
    with _storage_explained(f"downloading {handle}"):
        download_folder(handle, target)
    return target


@contextmanager
def _storage_explained(doing: str) -> Iterator[None]:
    from pipeline.services import STORAGE_ERRORS

    try:
        yield
    except STORAGE_ERRORS as e:
        raise PlanError(
            f"{doing[:1].upper()}{doing[1:]} failed: {_cause(e)}. Check the path, and that the "
            "account of this job may use it."
        ) from e


def _cause(error: BaseException) -> BaseException:
    """What Beam's errors about files hold, each in another: the service's own one."""
    details = getattr(error, "exception_details", None)
    inner = next(iter(details.values()), None) if isinstance(details, Mapping) else None
    return _cause(inner) if isinstance(inner, BaseException) else error

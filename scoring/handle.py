"""From a model handle to a folder on this machine, and from a folder to a digest."""

import hashlib
import os
import tarfile
import warnings
import zlib
from pathlib import Path

from scoring.errors import ModelError
from scoring.runtime import tensorflow

ARCHIVE_SUFFIXES = (".tar.gz", ".tgz")
# An archive that unpacks to more is taken for a decompression bomb.
MAX_UNPACKED_BYTES = 64 * 2**30
_CHUNK_BYTES = 2**20


def is_url(handle: str) -> bool:
    """Whether the handle names a TF Hub or Kaggle model, or an archive on a web server."""
    return handle.startswith(("https://", "http://"))


def download_hub_model(url: str) -> Path:
    """The folder of a TF Hub or Kaggle model, downloaded by tensorflow-hub or from its cache.

    tensorflow-hub keeps models in `TFHUB_CACHE_DIR`.

    Raises:
      ModelError: there is no such model, or it cannot be reached.
    """
    tf = tensorflow()
    with warnings.catch_warnings():
        # tensorflow-hub 0.16 imports pkg_resources, which warns of its own end.
        warnings.filterwarnings("ignore", ".*pkg_resources")
        import tensorflow_hub as hub

    try:
        return Path(hub.resolve(url))
    except (OSError, ValueError, RuntimeError, tarfile.TarError, tf.errors.OpError) as e:
        raise ModelError(
            f"Model {url} cannot be downloaded: {e}. Check the URL and this machine's network; "
            "a model in a folder, a .tar.gz or on gs:// needs no hub."
        ) from e


def unpack_archive(archive: Path, target: Path, *, name: str | None = None) -> Path:
    """Unpacks a .tar.gz with a SavedModel into `target` and returns the model's folder.

    The SavedModel may lie at the archive's top or one folder below.

    Args:
      name: the archive as the user knows it, if that is not `archive`.

    Raises:
      ModelError: no such file, no tar archive, an entry outside of `target`, a link or a
        device in it, or more than MAX_UNPACKED_BYTES.
    """
    name = name or str(archive)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            tar.extractall(target, _checked_members(tar, target, name), filter="data")
    except FileNotFoundError as e:
        raise ModelError(f"Model {name}: there is no such file. Check --model.") from e
    except PermissionError as e:
        raise ModelError(f"Model {name} cannot be read: {e.strerror}. Check --model.") from e
    except (tarfile.TarError, zlib.error, OSError, EOFError) as e:
        raise ModelError(
            f"Model {name} is not a .tar.gz that can be unpacked: {e}. Pack or copy it again."
        ) from e
    graphs = sorted(target.glob("saved_model.pb")) or sorted(target.glob("*/saved_model.pb"))
    if len(graphs) != 1:
        raise ModelError(
            f"Model {name} holds {len(graphs)} files saved_model.pb at its top or one folder "
            "below; expected exactly one."
        )
    return graphs[0].parent


def _checked_members(tar: tarfile.TarFile, target: Path, name: str) -> list[tarfile.TarInfo]:
    """All members, read to the first that is refused: a bomb is not inflated to its end."""
    members: list[tarfile.TarInfo] = []
    size = 0
    for member in tar:
        size += member.size
        if size > MAX_UNPACKED_BYTES:
            raise ModelError(
                f"Model {name} unpacks to more than {MAX_UNPACKED_BYTES:,} bytes, which is the "
                "limit. Unpack it yourself and give --model the folder."
            )
        if not (member.isfile() or member.isdir()):
            raise ModelError(
                f"Model {name} holds {member.name!r}, which is neither a file nor a folder. "
                "Pack it again without links (tar --dereference)."
            )
        try:
            tarfile.data_filter(member, str(target))
        except tarfile.FilterError as e:
            raise ModelError(
                f"Model {name} holds {member.name!r}, which leads out of the archive's folder. "
                "Pack it again with paths below the model's folder."
            ) from e
        members.append(member)
    return members


def digest_folder(folder: Path) -> str:
    """SHA-256 over the names and contents of all files below `folder`, as 64 hex digits.

    Equal for equal content, wherever the folder is and whenever it was written.

    Raises:
      ModelError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        # As the file system has it, which need not be UTF-8.
        name = os.fsencode(path.relative_to(folder).as_posix())
        try:
            digest.update(f"{len(name)}:{path.stat().st_size}:".encode() + name)
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    digest.update(chunk)
        except OSError as e:
            raise ModelError(
                f"Model {folder}: {path.relative_to(folder)} cannot be read: {e.strerror}. "
                "Check its permissions."
            ) from e
    return digest.hexdigest()

"""Models that are none, or not whole, and archives that cannot be trusted."""

from __future__ import annotations

import io
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bad_inputs import BadCommand, command, file_of
from saved_models import doubled, no_inputs, no_signature, two_signatures, weighted

if TYPE_CHECKING:
    from saved_models import Builder
    from workbench import Saved, Workbench

Make = Callable[["Workbench"], "Path | str"]

_MODEL = {"saved_model.pb": b"graph"}
_INDEX = "variables/variables.index"
_DATA = "variables/variables.data-00000-of-00001"


def _place(wrong: str, message: str, make: Make) -> BadCommand:
    """A case of what --model names."""
    return BadCommand(wrong, lambda bench, saved: command(bench, make(bench)), message)


def _saved(wrong: str, message: str, builder: Builder, *flags: str) -> BadCommand:
    return BadCommand(wrong, lambda bench, saved: command(bench, saved(builder), *flags), message)


def _damaged(wrong: str, message: str, damage: Callable[[Path], object]) -> BadCommand:
    """A case of a model with variables, of which something is missing or changed."""

    def make(bench: Workbench, saved: Saved) -> list[str]:
        folder = bench.folder / "model"
        shutil.copytree(saved(weighted), folder)
        damage(folder)
        return command(bench, folder, name="check")

    return BadCommand(wrong, make, message)


def _link_to_itself(bench: Workbench) -> Path:
    link = bench.folder / "loop"
    link.symlink_to(link)
    return link


def _with_folder_as_graph(bench: Workbench) -> Path:
    (bench.folder / "m" / "saved_model.pb").mkdir(parents=True)
    return bench.folder / "m"


MODELS = (
    _place(
        "a folder that is not there",
        "Model FOLDER/none: there is no such folder. Check --model.",
        lambda b: b.folder / "none",
    ),
    _place(
        "a folder without a model",
        "Model FOLDER/m is not a SavedModel: expected a folder with the file "
        "saved_model.pb, got model.keras. A Keras .keras or .h5 file must be "
        "exported first with model.export(folder).",
        lambda b: file_of(b, "m/model.keras", b"PK").parent,
    ),
    _place(
        "a file of Keras",
        "Model FOLDER/model.h5 is not a SavedModel: expected a folder with the "
        "file saved_model.pb, got a file. A Keras .keras or .h5 file must be "
        "exported first with model.export(folder).",
        lambda b: file_of(b, "model.h5", b"HDF"),
    ),
    _place(
        "an empty saved_model.pb",
        "Model FOLDER/m: saved_model.pb holds no graph, it is empty or cut "
        "short. Copy or export the model again.",
        lambda b: file_of(b, "m/saved_model.pb", b"").parent,
    ),
    _place(
        "a saved_model.pb that is none",
        "Model FOLDER/m: saved_model.pb is damaged, it cannot be parsed as a "
        "SavedModel. Copy or export the model again.",
        lambda b: file_of(b, "m/saved_model.pb", b"\x0a\xff").parent,
    ),
    _place(
        "a folder called saved_model.pb",
        "Model FOLDER/m: saved_model.pb cannot be read: Is a directory. Check --model.",
        _with_folder_as_graph,
    ),
    _place(
        "a link that leads to itself",
        "Model FOLDER/loop is no path on this machine: Symlink loop from "
        "'FOLDER/loop'. Check --model.",
        _link_to_itself,
    ),
    _place(
        "the home of a user who is not there",
        "Model ~nobody_of_that_name/model is no path on this machine: Could "
        "not determine home directory. Check --model.",
        lambda b: "~nobody_of_that_name/model",
    ),
    _place(
        "a model on another cloud",
        "Model s3://bucket/model: models are read from folders and .tar.gz "
        "files on this machine or on gs://, and from http:// and https:// "
        "URLs. Copy it to one of these, or check --model.",
        lambda b: "s3://bucket/model",
    ),
    _place(
        "a bucket that is not there",
        "Downloading gs://no-such-bucket/model failed: 404 GET "
        "http://127.0.0.1:PORT/storage/v1/b/no-such-bucket/o?projection=noAcl&prefix=model%2F"
        "&prettyPrint=false: "
        "Not Found. Check the path, and that the account of this job may use "
        "it.",
        lambda b: "gs://no-such-bucket/model",
    ),
    _place(
        "a gs:// folder without files",
        "Model gs://BUCKET/empty: there are no files in this folder. Check --model.",
        lambda b: f"gs://{b.cloud.bucket}/empty",
    ),
    _place(
        "a URL that nobody answers",
        "Model http://127.0.0.1:PORT/model.tar.gz cannot be downloaded: "
        "<urlopen error [Errno 111] Connection refused>. Check the URL and "
        "this machine's network; a model in a folder, a .tar.gz or on gs:// "
        "needs no hub.",
        lambda b: "http://127.0.0.1:9/model.tar.gz",
    ),
    _saved(
        "a signature that is not there",
        "Model FOLDER/doubled has no signature 'predict'. Give --signature one "
        "of:\n"
        "  serving_default (x: float32[None] -> y: float32[None])",
        doubled,
        "--signature=predict",
    ),
    _saved(
        "several signatures and none chosen",
        "Model FOLDER/two_signatures has several signatures and no "
        "'serving_default'. Choose one with --signature:\n"
        "  plus_one (x: float32[None] -> y: float32[None])\n"
        "  twice (x: float32[None] -> y: float32[None])",
        two_signatures,
    ),
    _saved(
        "a model without signatures",
        "Model FOLDER/no_signature has no signatures, so its inputs and "
        "outputs are unknown. Export it again with signatures=… "
        "(tf.saved_model.save) or model.export() (Keras).",
        no_signature,
    ),
    _saved(
        "a signature without inputs",
        "Signature 'serving_default' has no inputs, so no column can be scored "
        "with it. Choose another one with --signature.",
        no_inputs,
    ),
    _damaged(
        "a model without the index of its variables",
        "Model FOLDER/model has no file variables/variables.index, which holds "
        "the index of its variables. Copy or export the model again, with all "
        "files of its folder.",
        lambda m: (m / _INDEX).unlink(),
    ),
    _damaged(
        "a model without the values of its variables",
        "Model FOLDER/model has no file "
        "variables/variables.data-00000-of-00001, which holds values of its "
        "variables. Copy or export the model again, with all files of its "
        "folder.",
        lambda m: (m / _DATA).unlink(),
    ),
    _damaged(
        "variables that are cut short",
        "Model FOLDER/model: the files in its folder variables are damaged: "
        "Read less bytes than requested. Copy or export the model again.",
        lambda m: (m / _DATA).write_bytes(b"\0"),
    ),
)


def _packed(files: Mapping[str, bytes], *others: tarfile.TarInfo) -> Make:
    """Makes an archive of the files, then of members without content."""

    def make(bench: Workbench) -> Path:
        path = bench.folder / "model.tar.gz"
        with tarfile.open(path, "w:gz") as tar:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
            for member in others:
                tar.addfile(member)
        return path

    return make


def _member(name: str, kind: bytes, *, link: str = "", size: int = 0) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, link, size
    return member


def _half(bench: Workbench) -> Path:
    path = _packed({"saved_model.pb": bytes(range(256)) * 4096})(bench)
    assert isinstance(path, Path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def _zip(bench: Workbench) -> Path:
    path = bench.folder / "model.tar.gz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("saved_model.pb", b"graph")
    return path


ARCHIVES = (
    _place(
        "an archive that is not there",
        "Model FOLDER/gone.tar.gz: there is no such file. Check --model.",
        lambda b: b.folder / "gone.tar.gz",
    ),
    _place(
        "an empty file",
        "Model FOLDER/model.tar.gz is not a .tar.gz that can be unpacked: "
        "empty file. Pack or copy it again.",
        lambda b: file_of(b, "model.tar.gz", b""),
    ),
    _place(
        "a text",
        "Model FOLDER/model.tar.gz is not a .tar.gz that can be unpacked: not "
        "a gzip file. Pack or copy it again.",
        lambda b: file_of(b, "model.tar.gz", "this is no archive"),
    ),
    _place(
        "a zip called .tar.gz",
        "Model FOLDER/model.tar.gz is not a .tar.gz that can be unpacked: not "
        "a gzip file. Pack or copy it again.",
        _zip,
    ),
    _place(
        "a zip",
        "Model FOLDER/model.zip is not a SavedModel: expected a folder with "
        "the file saved_model.pb, got a file. A Keras .keras or .h5 file must "
        "be exported first with model.export(folder).",
        lambda b: _zip(b).rename(b.folder / "model.zip"),
    ),
    _place(
        "an archive cut in half",
        "Model FOLDER/model.tar.gz is not a .tar.gz that can be unpacked: "
        "Compressed file ended before the end-of-stream marker was reached. "
        "Pack or copy it again.",
        _half,
    ),
    _place(
        "an archive on Cloud Storage that is none",
        "Model gs://BUCKET/DATASET/m.tar.gz is not a .tar.gz that can be "
        "unpacked: not a gzip file. Pack or copy it again.",
        lambda b: b.upload("m.tar.gz", b"no"),
    ),
    _place(
        "an archive without a model",
        "Model FOLDER/model.tar.gz holds 0 files saved_model.pb at its top or "
        "one folder below; expected exactly one.",
        _packed({"weights.h5": b""}),
    ),
    _place(
        "an archive with two models",
        "Model FOLDER/model.tar.gz holds 2 files saved_model.pb at its top or "
        "one folder below; expected exactly one.",
        _packed({"a/saved_model.pb": b"", "b/saved_model.pb": b""}),
    ),
    _place(
        "a path that leaves the folder",
        "Model FOLDER/model.tar.gz holds '../evil', which leads out of the "
        "archive's folder. Pack it again with paths below the model's folder.",
        _packed({**_MODEL, "../evil": b"evil"}),
    ),
    _place(
        "a symbolic link out of the folder",
        "Model FOLDER/model.tar.gz holds 'assets/a', which is neither a file "
        "nor a folder. Pack it again without links (tar --dereference).",
        _packed(_MODEL, _member("assets/a", tarfile.SYMTYPE, link="/etc/passwd")),
    ),
    _place(
        "a hard link out of the folder",
        "Model FOLDER/model.tar.gz holds 'assets/a', which is neither a file "
        "nor a folder. Pack it again without links (tar --dereference).",
        _packed(_MODEL, _member("assets/a", tarfile.LNKTYPE, link="/etc/passwd")),
    ),
    _place(
        "a device",
        "Model FOLDER/model.tar.gz holds 'assets/a', which is neither a file "
        "nor a folder. Pack it again without links (tar --dereference).",
        _packed(_MODEL, _member("assets/a", tarfile.CHRTYPE)),
    ),
    _place(
        "a pipe",
        "Model FOLDER/model.tar.gz holds 'assets/a', which is neither a file "
        "nor a folder. Pack it again without links (tar --dereference).",
        _packed(_MODEL, _member("assets/a", tarfile.FIFOTYPE)),
    ),
    _place(
        "a bomb: a file that says it has 100 GiB",
        "Model FOLDER/model.tar.gz unpacks to more than 68,719,476,736 bytes, "
        "which is the limit. Unpack it yourself and give --model the folder.",
        _packed(_MODEL, _member("assets/a", tarfile.REGTYPE, size=100 * 2**30)),
    ),
)

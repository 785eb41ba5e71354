"""From a handle to a folder and its digest: archives good and bad, a hub on loopback."""

import hashlib
import importlib
import io
import shutil
import tarfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring import handle
from scoring.errors import ModelError
from scoring.handle import digest_folder, download_hub_model, is_url, unpack_archive

_FILES = {"saved_model.pb": b"graph", "variables/variables.index": b"", "assets/words": b"a\nb"}


def _folder(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def _archive(path: Path, files: dict[str, bytes], *others: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for member in others:
            tar.addfile(member)
    return path


def _refusal(archive: Path, target: Path) -> str:
    with pytest.raises(ModelError) as raised:
        unpack_archive(archive, target)
    return str(raised.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://tfhub.dev/google/nnlm/1", True),
        ("http://localhost:8000/m.tar.gz", True),
        ("gs://bucket/model", False),
        ("/models/m", False),
        ("models/https://x", False),
    ],
)
def test_only_web_addresses_are_urls(text: str, expected: bool) -> None:
    assert is_url(text) is expected


def test_equal_content_elsewhere_has_the_same_digest(tmp_path: Path) -> None:
    one = _folder(tmp_path / "one", _FILES)
    other = _folder(tmp_path / "deep" / "er", dict(reversed(_FILES.items())))
    assert digest_folder(one) == digest_folder(other)


def test_the_digest_is_that_of_lengths_names_and_contents_in_name_order(tmp_path: Path) -> None:
    # Held to the byte: a changed format would make every known model look new.
    expected = hashlib.sha256(
        b"12:3:assets/wordsa\nb14:5:saved_model.pbgraph25:0:variables/variables.index"
    )
    assert digest_folder(_folder(tmp_path, _FILES)) == expected.hexdigest()


@pytest.mark.parametrize(
    "files",
    [
        {**_FILES, "saved_model.pb": b"grapi"},
        {**_FILES, "saved_model.pb": b"graph\0"},
        {**_FILES, "extra": b""},
        {name: content for name, content in _FILES.items() if name != "assets/words"},
        {name.replace("words", "Words"): content for name, content in _FILES.items()},
        {name.replace("assets/", "assets.extra/"): content for name, content in _FILES.items()},
    ],
    ids=["byte changed", "byte added", "file added", "file removed", "renamed", "moved"],
)
def test_other_content_or_names_have_another_digest(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    original = _folder(tmp_path / "original", _FILES)
    changed = _folder(tmp_path / "changed", files)
    assert digest_folder(original) != digest_folder(changed)


_names = st.sampled_from(["a", "b", "ab", "a1", "d/a", "d/b", "d1/a"])
_folders = st.dictionaries(_names, st.binary(max_size=3), max_size=4)


@settings(deadline=None, max_examples=60)
@given(one=_folders, other=_folders)
def test_digests_are_equal_exactly_when_folders_are(
    tmp_path_factory: pytest.TempPathFactory, one: dict[str, bytes], other: dict[str, bytes]
) -> None:
    root = tmp_path_factory.mktemp("digest")
    digests = [
        digest_folder(_folder(root / name, files)) for name, files in (("1", one), ("2", other))
    ]
    assert (digests[0] == digests[1]) == (one == other)


@pytest.mark.parametrize("below", ["", "model/"])
def test_an_archive_is_unpacked_whether_or_not_the_model_has_a_folder(
    tmp_path: Path, below: str
) -> None:
    files = {below + name: content for name, content in _FILES.items()}
    target = tmp_path / "unpacked"
    folder = unpack_archive(_archive(tmp_path / "m.tar.gz", files), target)
    assert folder == target / below
    assert digest_folder(folder) == digest_folder(_folder(tmp_path / "plain", _FILES))


def test_a_model_at_the_top_wins_over_one_below(tmp_path: Path) -> None:
    files = {**_FILES, "assets.extra/saved_model.pb": b"an asset"}
    archive = _archive(tmp_path / "m.tar.gz", files)
    assert unpack_archive(archive, tmp_path / "unpacked") == tmp_path / "unpacked"


def test_absolute_names_are_unpacked_below_the_target(tmp_path: Path) -> None:
    outside = tmp_path / "outside" / "saved_model.pb"
    archive = _archive(tmp_path / "m.tgz", {"/saved_model.pb": b"graph", str(outside): b"evil"})
    target = tmp_path / "unpacked"
    assert unpack_archive(archive, target) == target
    assert (target / "saved_model.pb").read_bytes() == b"graph"
    assert not outside.exists()


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({"weights.h5": b""}, 0),
        ({"a/b/saved_model.pb": b"graph"}, 0),
        ({"a/saved_model.pb": b"graph", "b/saved_model.pb": b"graph"}, 2),
        ({}, 0),
    ],
    ids=["no model", "too deep", "two models", "empty"],
)
def test_an_archive_must_hold_exactly_one_model(
    tmp_path: Path, files: dict[str, bytes], count: int
) -> None:
    archive = _archive(tmp_path / "m.tar.gz", files)
    assert _refusal(archive, tmp_path / "unpacked") == (
        f"Model {archive} holds {count} files saved_model.pb at its top or one folder below; "
        "expected exactly one."
    )


def test_a_name_that_leads_outside_is_refused(tmp_path: Path) -> None:
    archive = _archive(tmp_path / "m.tar.gz", {**_FILES, "../evil": b"evil"})
    assert _refusal(archive, tmp_path / "unpacked") == (
        f"Model {archive} holds '../evil', which leads out of the archive's folder. "
        "Pack it again with paths below the model's folder."
    )
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "unpacked").exists()


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE],
    ids=["symlink", "hard link", "pipe", "device"],
)
def test_links_and_devices_are_refused_before_anything_is_written(
    tmp_path: Path, kind: bytes
) -> None:
    member = tarfile.TarInfo("assets/link")
    member.type = kind
    member.linkname = "/etc/passwd"
    archive = _archive(tmp_path / "m.tar.gz", _FILES, member)
    assert _refusal(archive, tmp_path / "unpacked") == (
        f"Model {archive} holds 'assets/link', which is neither a file nor a folder. "
        "Pack it again without links (tar --dereference)."
    )
    assert not (tmp_path / "unpacked").exists()


def test_an_archive_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handle, "MAX_UNPACKED_BYTES", 1999)
    archive = _archive(tmp_path / "m.tar.gz", {"saved_model.pb": bytes(2000)})
    assert _refusal(archive, tmp_path / "unpacked") == (
        f"Model {archive} unpacks to more than 1,999 bytes, which is the limit. "
        "Unpack it yourself and give --model the folder."
    )
    assert not (tmp_path / "unpacked").exists()


def test_a_missing_archive_is_named(tmp_path: Path) -> None:
    archive = tmp_path / "gone.tar.gz"
    assert _refusal(archive, tmp_path / "unpacked") == (
        f"Model {archive}: there is no such file. Check --model."
    )


def _incompressible() -> bytes:
    return b"".join(i.to_bytes(4, "big") for i in range(0, 2**31, 2**14 + 7))


@pytest.mark.parametrize("damage", ["text", "empty", "plain tar", "truncated", "flipped"])
def test_a_file_that_is_no_whole_archive_is_an_error(tmp_path: Path, damage: str) -> None:
    archive = _archive(tmp_path / "m.tar.gz", {"saved_model.pb": _incompressible()})
    whole = archive.read_bytes()
    middle = len(whole) // 2
    with tarfile.open(tmp_path / "plain.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("saved_model.pb"))
    content = {
        "text": b"this is no archive",
        "empty": b"",
        "plain tar": (tmp_path / "plain.tar").read_bytes(),
        "truncated": whole[:middle],
        "flipped": whole[:middle] + bytes(b ^ 255 for b in whole[middle:]),
    }[damage]
    archive.write_bytes(content)
    prefix = f"Model {archive} is not a .tar.gz that can be unpacked: "
    message = _refusal(archive, tmp_path / "unpacked")
    assert message.startswith(prefix)
    assert len(message) > len(prefix)


def test_a_folder_called_like_an_archive_is_an_error(tmp_path: Path) -> None:
    archive = tmp_path / "m.tar.gz"
    archive.mkdir()
    assert _refusal(archive, tmp_path / "unpacked") == (
        f"Model {archive} is not a .tar.gz that can be unpacked: "
        f"[Errno 21] Is a directory: '{archive}'. Pack or copy it again."
    )


@contextmanager
def _web_server(pages: dict[str, bytes]) -> Iterator[str]:
    """Serves `pages` by path on loopback, everything else is not found; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = pages.get(self.path.partition("?")[0])
            self.send_response(404 if content is None else 200)
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with warnings.catch_warnings():
        # It imports pkg_resources, which setuptools deprecates.
        warnings.simplefilter("ignore")
        importlib.import_module("tensorflow_hub")
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "hub"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "hub"


def test_a_hub_model_is_downloaded_once_and_kept(tmp_path: Path, hub_cache: Path) -> None:
    # tensorflow-hub leaves empty files out.
    plain = _folder(tmp_path / "plain", {k: v for k, v in _FILES.items() if v})
    with tarfile.open(tmp_path / "m.tar.gz", "w:gz") as tar:
        tar.add(plain, arcname=".")
    with _web_server({"/model": (tmp_path / "m.tar.gz").read_bytes()}) as server:
        folder = download_hub_model(f"{server}/model")
    assert folder.is_relative_to(hub_cache)
    assert digest_folder(folder) == digest_folder(plain)
    # The server is gone; the copy is not.
    assert download_hub_model(f"{server}/model") == folder


def test_a_hub_that_cannot_be_reached_is_an_error(hub_cache: Path) -> None:
    with _web_server({}) as server:
        pass
    with pytest.raises(ModelError) as raised:
        download_hub_model(f"{server}/model")
    assert str(raised.value) == (
        f"Model {server}/model cannot be downloaded: <urlopen error [Errno 111] Connection "
        "refused>. Check the URL and this machine's network; a model in a folder, a .tar.gz or "
        "on gs:// needs no hub."
    )
    assert not list(hub_cache.glob("*/*"))


def test_a_copied_model_keeps_its_digest(tmp_path: Path) -> None:
    original = _folder(tmp_path / "original", _FILES)
    shutil.copytree(original, tmp_path / "copy")
    assert digest_folder(tmp_path / "copy") == digest_folder(original)

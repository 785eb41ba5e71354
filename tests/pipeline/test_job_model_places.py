"""The places that a model can come from."""

import functools
import http.server
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest
import saved_models
from workbench import Saved, Workbench

from pipeline import cli


@pytest.fixture
def numbers(bench: Workbench) -> Workbench:
    """Table t: id and x."""
    bench.load("t", pa.table({"id": range(3), "x": [1.0, 2.0, 3.0]}))
    return bench


def _packed(model: Path, archive: Path, *, below: str = "") -> Path:
    """A .tar.gz of the model, with its files in the folder `below`."""
    with tarfile.open(archive, "w:gz") as tar:
        for path in sorted(model.iterdir()):
            tar.add(path, f"{below}{path.name}")
    return archive


def _assert_scored(bench: Workbench, model: str, handle_shown: str) -> None:
    outcome = bench.score(model, "--key_columns=id")

    assert outcome.code == cli.OK, outcome.stderr
    assert bench.rows() == [{"id": 0, "y": 2.0}, {"id": 1, "y": 4.0}, {"id": 2, "y": 6.0}]
    assert bench.run_row()["model"] == handle_shown


@pytest.mark.parametrize("below", ["", "model/"])
def test_a_local_archive(numbers: Workbench, saved: Saved, below: str) -> None:
    archive = _packed(saved(saved_models.doubled), numbers.folder / "m.tar.gz", below=below)

    _assert_scored(numbers, str(archive), str(archive))


def test_a_folder_on_cloud_storage(numbers: Workbench, saved: Saved) -> None:
    model = saved(saved_models.doubled)
    for path in (p for p in model.rglob("*") if p.is_file()):
        numbers.upload(f"m/{path.relative_to(model).as_posix()}", path.read_bytes())
    folder = f"gs://{numbers.cloud.bucket}/{numbers.dataset}/m"

    _assert_scored(numbers, folder, folder)


def test_an_archive_on_cloud_storage(numbers: Workbench, saved: Saved) -> None:
    archive = _packed(saved(saved_models.doubled), numbers.folder / "m.tar.gz")
    uri = numbers.upload("m.tar.gz", archive.read_bytes())

    _assert_scored(numbers, uri, uri)


def test_a_url(numbers: Workbench, saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    served = numbers.folder / "served"
    served.mkdir()
    _packed(saved(saved_models.doubled), served / "doubled.tar.gz")
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(numbers.folder / "cache"))

    with _web_server(served) as address:
        url = f"{address}/doubled.tar.gz"
        _assert_scored(numbers, url, url)

    # The server is gone, the model is in the cache.
    again = numbers.check(url, "--key_columns=id")
    assert again.code == cli.OK, again.stderr
    told = numbers.run_as_given("inspect", f"--model={url}")
    assert told.code == cli.OK, told.stderr
    assert f"bulkscore score --model={url} --input_table=" in told.stdout


def test_the_digest_is_that_of_the_content_wherever_it_lies(
    numbers: Workbench, saved: Saved
) -> None:
    model = saved(saved_models.doubled)
    archive = _packed(model, numbers.folder / "m.tgz", below="any/")

    for place, output in ((model, "p"), (archive, "q")):
        assert numbers.score(place, "--key_columns=id", output=output).code == cli.OK

    first, second = (numbers.run_row(f"{output}__runs")["model_digest"] for output in ("p", "q"))
    assert first == second
    assert set(numbers.arrow("p")["model_digest"].to_pylist()) == {first}


@contextmanager
def _web_server(folder: Path) -> Iterator[str]:
    """A web server of the files in `folder`; gives its address."""
    handler = functools.partial(_QuietHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

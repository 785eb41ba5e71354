"""Large packages are imported without what nothing uses, which can be imported all the same."""

import gc
import importlib
import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scoring.imports import Unimportable, lean_imports

_ROOT = Path(__file__).parents[2]
_TENSORFLOW = """
import sys
from scoring.runtime import tensorflow
tf = tensorflow()
print(*sorted({"keras", "pandas", "scipy", "sklearn", "googleapiclient"}.intersection(sys.modules)))
print(tf.keras.layers.Dense(2).units)
import tensorflow.keras.layers
import scipy.sparse, googleapiclient.discovery
"""
_ARROW = """
import sys
from scoring.imports import settle_arrow
settle_arrow()
import pyarrow as pa
pa.array([1.5]).to_numpy()
pa.array([None, "a"]).to_numpy(zero_copy_only=False)
pa.table({"x": [[1], []]}).to_pydict()
print("pandas" in sys.modules)
import pandas
"""
_MEMORY = """
import transforms.score
import pyarrow as pa
print(pa.default_memory_pool().backend_name)
"""


@pytest.fixture
def extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a package that can be imported and that nobody has imported."""
    name = "bulkscore_test_extra"
    (tmp_path / f"{name}.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)


def test_what_is_left_out_is_found_and_can_be_imported_afterwards(extra: str) -> None:
    with lean_imports(extra):
        assert importlib.util.find_spec(extra) is not None
        with pytest.raises(ModuleNotFoundError, match=f"{extra} is left out"):
            importlib.import_module(extra)
        assert extra not in sys.modules

    assert importlib.import_module(extra).__name__ == extra


def test_what_is_imported_already_stays(extra: str) -> None:
    module = importlib.import_module(extra)
    with lean_imports(extra):
        assert importlib.import_module(extra) is module


def test_other_threads_import_what_they_like(extra: str) -> None:
    with lean_imports(extra):
        other = threading.Thread(target=importlib.import_module, args=[extra])
        other.start()
        other.join()
        assert extra in sys.modules


def test_a_package_that_is_not_installed_is_not_found() -> None:
    with lean_imports("bulkscore_test_nowhere"):
        assert importlib.util.find_spec("bulkscore_test_nowhere") is None


@pytest.mark.parametrize("collects", [True, False])
def test_garbage_is_collected_afterwards_if_it_was_before(collects: bool) -> None:
    def fail_within() -> None:
        with lean_imports():
            assert not gc.isenabled()
            raise ZeroDivisionError

    before = gc.isenabled()
    (gc.enable if collects else gc.disable)()
    try:
        with pytest.raises(ZeroDivisionError):
            fail_within()
        assert gc.isenabled() == collects
        assert not any(isinstance(finder, Unimportable) for finder in sys.meta_path)
    finally:
        (gc.enable if before else gc.disable)()


def _printed(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_tensorflow_comes_without_keras_until_it_is_used() -> None:
    assert _printed(_TENSORFLOW) == "\n2\n"


def test_arrow_does_without_pandas() -> None:
    assert _printed(_ARROW) == "False\n"


@pytest.mark.parametrize(
    ("chosen", "used"),
    [({}, "jemalloc"), ({"ARROW_DEFAULT_MEMORY_POOL": "system"}, "system")],
)
def test_arrow_takes_its_memory_from_jemalloc_unless_somebody_chose(
    chosen: dict[str, str], used: str
) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "ARROW_DEFAULT_MEMORY_POOL"}
    printed = subprocess.run(
        [sys.executable, "-c", _MEMORY],
        cwd=_ROOT,
        env=environment | chosen,
        capture_output=True,
        check=True,
        text=True,
    )
    assert printed.stdout.strip() == used

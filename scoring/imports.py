"""Importing large packages without what they import beside it and nothing here uses."""

import gc
import importlib.abc
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

import pyarrow as pa

_DECAY_MS = 100


@contextmanager
def lean_imports(*unused: str) -> Iterator[None]:
    """A block that imports large packages, to which those called `unused` are optional.

    This thread finds them, but fails to import them (ImportError), unless they were imported
    before; after the block it can.

    No garbage is collected meanwhile, which takes a tenth of the time, nor ever among what there
    is at the end: a pass through it takes long, and the end of the process makes several.
    """
    finder = Unimportable(unused, only_thread=threading.get_ident())
    collects = gc.isenabled()
    sys.meta_path.insert(0, finder)
    gc.disable()
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        gc.freeze()
        if collects:
            gc.enable()


def settle_arrow() -> None:
    """Has Arrow import in this process what it needs for numpy's arrays, and not pandas.

    It looks for pandas once, when it first makes numpy's arrays, and takes seconds if it finds it.
    After this, what makes pandas' objects of Arrow's fails in this process.
    """
    with lean_imports("pandas"):
        pa.array(pa.array([0]).to_numpy())


def use_jemalloc() -> None:
    """Has Arrow take its memory from jemalloc, where it was built with it and nobody chose.

    With mimalloc, Arrow's default, scoring 20 million light rows took a tenth more CPU time and 6 %
    more memory.  What is free is given back after a tenth of a second: by Arrow's default it would
    be a second, for which these rows took 5 % more memory.
    """
    is_chosen = "ARROW_DEFAULT_MEMORY_POOL" in os.environ
    if not is_chosen and "jemalloc" in pa.supported_memory_backends():
        pa.set_memory_pool(pa.jemalloc_memory_pool())
        pa.jemalloc_set_decay_ms(_DECAY_MS)


class Unimportable(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds some packages where they are, and fails to load them.

    None in `sys.modules` would not do: Arrow takes that for pandas.
    """

    def __init__(self, packages: Sequence[str], *, only_thread: int | None = None) -> None:
        """Takes names without dots; if a thread is given, others import the packages as ever."""
        self._packages = frozenset(packages)
        self._only_thread = only_thread

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Where a package is that cannot be loaded; None for all others."""
        if fullname not in self._packages or self._only_thread not in (None, threading.get_ident()):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None:
            spec.loader = self
        return spec

    def exec_module(self, module: ModuleType) -> None:
        """
        Raises:
          ModuleNotFoundError: always.
        """
        raise ModuleNotFoundError(
            f"{module.__name__} is left out: nothing here uses it", name=module.__name__
        )

"""Work that Beam does over and over for a graph, done once.

None of it depends on the rows, so that it is a good part of a small job: without shortcuts one of
2 million light rows takes 1.14 s, with them 0.91 s.  Beam has no settings for it.
"""

import functools
from types import MethodType
from typing import Any, cast
from weakref import WeakKeyDictionary

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.worker.statesampler import StateSampler
from apache_beam.transforms import core, userstate

_SAMPLING_MS = 2


class ParsedOptions(PipelineOptions):  # type: ignore[misc]
    """Options whose views are made once: Beam asks for some 300, and parses arguments for each."""

    def view_as(self, cls: type[Any]) -> Any:
        """These options as those of class `cls`; all views share their values."""
        views: dict[type[Any], Any] = self.__dict__.setdefault("_views", {})
        if cls not in views:
            views[cls] = super().view_as(cls)
        return views[cls]

    def __getstate__(self) -> dict[str, Any]:
        # A copy makes its own: those here might get values of their own on the way.
        return {k: v for k, v in super().__getstate__().items() if k != "_views"}


@functools.cache
def take_shortcuts() -> None:
    """Lets the pipelines of this process take them."""
    _inspect_methods_once()
    _inspect_dofns_once()
    _read_no_sources()
    _end_bundles_at_once()


def _inspect_methods_once() -> None:
    """Remembers the arguments of a method, which most DoFns have from the same base class.

    Beam asks for those of 30 methods of each DoFn.
    """
    module = cast(Any, core)
    original = module.get_function_args_defaults
    known: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()

    @functools.wraps(original)
    def get_function_args_defaults(function: Any) -> Any:
        if not isinstance(function, MethodType):
            return original(function)
        if function.__func__ not in known:
            known[function.__func__] = original(function)
        arguments, defaults = known[function.__func__]
        return list(arguments), list(defaults)

    module.get_function_args_defaults = get_function_args_defaults


def _inspect_dofns_once() -> None:
    """Remembers what state and timers a DoFn has, for which Beam looks at each of its methods.

    It does so six times for a graph, and three times for each bundle.
    """
    module = cast(Any, userstate)
    original = module.get_dofn_specs
    known: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()

    @functools.wraps(original)
    def get_dofn_specs(dofn: Any) -> Any:
        if dofn not in known:
            known[dofn] = original(dofn)
        return known[dofn]

    module.get_dofn_specs = get_dofn_specs


def _read_no_sources() -> None:
    """Spares Beam parsing the source of each DoFn for functions with both yield and return.

    It would warn of them; those here are checked when they are written.
    """
    cast(Any, core)._check_fn_use_yield_and_return = lambda _function: False


def _end_bundles_at_once() -> None:
    """Has the thread that samples what a bundle is at sleep shortly: the bundle's end waits for it.

    By default it sleeps up to 200 ms.
    """
    cast(Any, StateSampler).__init__.__defaults__ = (_SAMPLING_MS,)

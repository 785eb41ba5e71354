"""Takes from root the right to read and write files whatever their modes say."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

# linux/capability.h: the version with two words a set, and the bits of the first word.
_VERSION = 0x20080522
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1 << 1, 1 << 2


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


@contextmanager
def without_override() -> Iterator[None]:
    """In this thread and its children, root may do what an owner may; others are as they were."""
    before, limited = _capabilities(), _capabilities()
    limited[0].effective &= ~(_DAC_OVERRIDE | _DAC_READ_SEARCH)
    _call("capset", limited)
    try:
        yield
    finally:
        _call("capset", before)


def _capabilities() -> "ctypes.Array[_Sets]":
    sets = (_Sets * 2)()
    _call("capget", sets)
    return sets


def _call(name: str, sets: "ctypes.Array[_Sets]") -> None:
    header = _Header(_VERSION, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(ctypes.byref(header), sets) != 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")

"""How much memory this process takes."""

import ctypes
import os
import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")

# glibc gives threads up to 8 heaps for each core, and each keeps what was freed in it: scoring
# 20 million rows of numbers then takes a tenth more memory ("mallopt(3)").
_M_ARENA_MAX = -8
_HEAPS = 2


def share_heaps() -> None:
    """Lets threads that start from now on share two heaps, where the C library is glibc.

    Not for models that take strings: each is a piece of memory of its own, and threads that wait
    for each other's heap took a tenth longer.  A number in the environment stays as it is.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and "MALLOC_ARENA_MAX" not in os.environ:
        mallopt(_M_ARENA_MAX, _HEAPS)


def peak_memory_bytes() -> int:
    """The largest resident size of this process until now.

    Of its own program alone: on Linux the number that `getrusage` gives begins with the size of
    the process that started this one ("getrusage(2)", ru_maxrss is kept over execve).
    """
    if _STATUS.exists():
        lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

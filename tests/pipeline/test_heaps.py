"""The heaps of glibc that the threads of a process use, in fresh processes."""

import os

import pytest
from fresh_process import run_fresh

_THREADS = 6
_PROGRAM = f"""
import ctypes, sys, threading
from pipeline.memory import share_heaps
if "share" in sys.argv:
    share_heaps()
all_here = threading.Barrier({_THREADS})
def work():
    kept = bytearray(4096)
    all_here.wait()
threads = [threading.Thread(target=work) for _ in range({_THREADS})]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
ctypes.CDLL(None).malloc_stats()
"""


@pytest.mark.parametrize(
    ("choice", "given", "heaps"),
    [
        # The threads' and the main one's.
        ("own", None, _THREADS + 1),
        ("share", None, 2),
        ("share", "4", 4),
    ],
)
def test_threads_share_two_heaps_unless_told_otherwise(
    choice: str, given: str | None, heaps: int
) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "MALLOC_ARENA_MAX"}
    if given is not None:
        environment["MALLOC_ARENA_MAX"] = given
    done = run_fresh(_PROGRAM, choice, environment=environment)
    # malloc_stats writes to the standard error ("malloc_stats(3)").
    assert done.stderr.count("Arena ") == heaps

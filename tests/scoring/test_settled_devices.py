"""What TensorFlow computes with, settled in fresh processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PROGRAM = """
import sys
from scoring.runtime import settle_devices, tensorflow
tf = tensorflow()
if "computed" in sys.argv:
    tf.constant([1.0]) + 1.0
settle_devices({threads}, {calls_at_once})
threading = tf.config.threading
print(threading.get_intra_op_parallelism_threads(), threading.get_inter_op_parallelism_threads())
"""
_HALF = max(1, (os.cpu_count() or 1) // 2)


@pytest.mark.parametrize(
    ("threads", "calls_at_once", "state", "settled"),
    [
        # 0 is all processors.
        (None, 1, "new", "0 0"),
        (None, 2, "new", f"{_HALF} 0"),
        (3, 2, "new", "3 3"),
        (None, 2, "computed", "0 0"),
    ],
)
def test_calls_at_the_same_time_share_the_processors(
    threads: int | None, calls_at_once: int, state: str, settled: str
) -> None:
    program = _PROGRAM.format(threads=threads, calls_at_once=calls_at_once)
    printed = subprocess.run(
        [sys.executable, "-c", program, state],
        cwd=_ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    assert printed.stdout.strip() == settled

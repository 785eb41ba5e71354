"""What TensorFlow computes with, settled in fresh processes."""

import os

import pytest
from fresh_process import run_fresh

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
_PROCESSORS = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("threads", "calls_at_once", "state", "settled"),
    [
        # 0 is all processors.
        (None, _PROCESSORS - 1, "new", "0 0"),
        (None, _PROCESSORS, "new", "1 0"),
        (None, _PROCESSORS + 1, "new", "1 0"),
        (3, _PROCESSORS, "new", "3 3"),
        (None, _PROCESSORS, "computed", "0 0"),
    ],
)
def test_an_op_has_one_processor_where_calls_use_all(
    threads: int | None, calls_at_once: int, state: str, settled: str
) -> None:
    program = _PROGRAM.format(threads=threads, calls_at_once=calls_at_once)
    assert run_fresh(program, state).stdout.strip() == settled

"""TensorFlow, imported where it is needed and without its start-up chatter."""

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from scoring.errors import ModelError
from scoring.imports import lean_imports

# Written by TensorFlow's native code before any log level applies: which CPU instructions it
# uses, that there is no GPU.
_CHATTER = re.compile(
    rb"[IWE]\d{4} [\d:.]+ +\d+ [\w./]+:\d+\] |WARNING: All log messages before absl"
)
_STDERR = 2
# TensorFlow imports them where they are installed, which takes about as long as all the rest.
# SavedModels do without Keras, and `tf.keras` still imports it when it is used; the others serve
# training and the search for TPUs.
_UNUSED = ("keras", "tf_keras", "scipy", "googleapiclient")
_lock = threading.Lock()


def tensorflow() -> Any:
    """The TensorFlow module.

    The first call takes seconds.  Errors of TensorFlow's native code come as exceptions, so its
    own log is off unless TF_CPP_MIN_LOG_LEVEL says otherwise.
    """
    module = sys.modules.get("tensorflow")
    # While another thread imports it, the module is there but not complete.
    if module is not None and hasattr(module, "saved_model"):
        return module
    with _lock:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with _without_chatter(), lean_imports(*_UNUSED):
            import tensorflow as tf
    return tf


def settle_devices(threads: int | None, calls_at_once: int = 1) -> None:
    """Sets what TensorFlow computes with in this process, before it does so for the first time.

    GPU memory is taken as it is needed, so that several processes can share a GPU.

    Args:
      threads: at most so many for one op, and so many ops at once; None for all processors.
      calls_at_once: calls of the model at the same time. Where they are enough to keep all
        processors busy, one op uses one of them: with more, convolutions and operations on strings
        took up to 15 % more CPU time on two processors.

    Raises:
      ModelError: TensorFlow has computed already, with other settings.
    """
    tf = tensorflow()
    try:
        if threads is not None:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        elif calls_at_once >= len(os.sched_getaffinity(0)):
            # With fewer calls no number but all will do: the threads for ops are those of the
            # process, not of one call. A process that has computed goes on with what it has, which
            # is no less right.
            with suppress(RuntimeError):
                tf.config.threading.set_intra_op_parallelism_threads(1)
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, enable=True)
    except RuntimeError as e:
        raise ModelError(
            f"TensorFlow has computed in this process already, so that its threads and GPUs are "
            f"settled: {e} Score in a fresh process, or leave --tf_threads out."
        ) from e


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Holds back what is written to the standard error, then writes all but the chatter."""
    sys.stderr.flush()
    kept = os.dup(_STDERR)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), _STDERR)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, _STDERR)
            os.close(kept)
            held.seek(0)
            for line in held:
                if not _CHATTER.match(line):
                    os.write(_STDERR, line)

"""What XLA makes of models of several kinds, call by call: `python -m benchmarks.xla [MODEL…]`.

Each model is loaded twice, with XLA and without, and both are called with the same rows in turn, in
one thread.  Prints medians over the rounds.  CPU time says most where other programs run, too.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from benchmarks.workloads import tabular
from scoring.conversions import numpy_dtype
from scoring.runtime import tensorflow
from scoring.savedmodel import LoadedModel
from scoring.signature import choose_signature, read_saved_model

_FOLDER = Path("build/bench/xla")
_SEED = 20_240_304
_ROWS = (32, 1024)
_ROUNDS = 7
# What one round of calls takes at least.
_ROUND_S = 0.2

Network = Callable[[Any, Callable[..., Any], Any], Any]
"""(TensorFlow, the next weight by its shape, inputs) -> outputs."""


def _elementwise(tf: Any, weight: Callable[..., Any], x: Any) -> Any:
    for _ in range(4):
        hidden = x @ weight(30, 30)
        mean, variance = tf.nn.moments(hidden, [1], keepdims=True)
        hidden = (hidden - mean) * tf.math.rsqrt(variance + 1e-3)
        x = x + tf.nn.gelu(hidden) * tf.sigmoid(hidden)
    return tf.nn.softmax(x)


def _attention(tf: Any, weight: Callable[..., Any], x: Any) -> Any:
    for _ in range(2):
        queries, keys, values = (tf.tensordot(x, weight(64, 64), 1) for _ in range(3))
        shares = tf.nn.softmax(tf.matmul(queries, keys, transpose_b=True) / 8.0)
        x = x + tf.tensordot(shares @ values, weight(64, 64), 1)
        mean, variance = tf.nn.moments(x, [2], keepdims=True)
        x = (x - mean) * tf.math.rsqrt(variance + 1e-3)
        hidden = tf.nn.gelu(tf.tensordot(x, weight(64, 256), 1))
        x = x + tf.tensordot(hidden, weight(256, 64), 1)
    return tf.reduce_mean(x, axis=1)


def _recurrent(tf: Any, weight: Callable[..., Any], x: Any) -> Any:
    kernel, state = weight(16 + 64, 3 * 64), tf.zeros([tf.shape(x)[0], 64])

    def step(i: Any, state: Any) -> tuple[Any, Any]:
        joined = tf.concat([x[:, i], state], axis=1) @ kernel
        gate, kept, new = tf.split(joined, 3, axis=1)
        state = tf.sigmoid(gate) * tf.tanh(new) + tf.sigmoid(kept) * state
        return i + 1, state

    return tf.while_loop(lambda i, _: i < 50, step, (0, state))[1]


def _dense(tf: Any, weight: Callable[..., Any], x: Any) -> Any:
    for width in (64, 512, 512):
        x = tf.nn.relu(x @ weight(width, 512))
    return x


def _convolutions(tf: Any, weight: Callable[..., Any], x: Any) -> Any:
    for channels in (1, 16, 32):
        x = tf.nn.relu(tf.nn.conv2d(x, weight(3, 3, channels, 2 * max(channels, 8)), 1, "SAME"))
    return tf.reduce_mean(x, axis=[1, 2])


NETWORKS: dict[str, tuple[tuple[int, ...], Network]] = {
    "elementwise": ((30,), _elementwise),
    "attention": ((32, 64), _attention),
    "recurrent": ((50, 16), _recurrent),
    "dense": ((64,), _dense),
    "convolutions": ((28, 28, 1), _convolutions),
}
"""Networks with random weights by name, each with the shape of a row of its only input."""


def save(row: tuple[int, ...], network: Network, folder: Path) -> None:
    """Saves the network: x: float32[None, …] -> y."""
    tf = tensorflow()
    random = np.random.default_rng(_SEED)
    module = tf.Module()
    module.weights = []

    def made(*shape: int) -> Any:
        values = random.standard_normal(shape) * np.prod(shape[:-1]) ** -0.5
        module.weights.append(tf.Variable(values, dtype=tf.float32))
        return module.weights[-1]

    def score(x: Any) -> dict[str, Any]:
        given = iter(module.weights)
        return {"y": network(tf, lambda *shape: next(given), x)}

    # A traced function may not make variables.
    network(tf, made, tf.zeros([1, *row]))
    module.score = tf.function(score)
    spec = tf.TensorSpec([None, *row], tf.float32, name="x")
    signature = module.score.get_concrete_function(x=spec)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": signature})


def compare(name: str, folder: Path, rows: int, rounds: int) -> tuple[Any, ...]:
    """A row of the table; see `_HEADERS`."""
    info = read_saved_model(folder)
    signature = choose_signature(info, None)
    plain, compiled = (
        LoadedModel(str(folder), info.tags, signature, xla=xla) for xla in (False, True)
    )
    random = np.random.default_rng(_SEED)
    feed: dict[str, Any] = {}
    for spec in signature.inputs:
        row = [size or 1 for size in (spec.shape or ())[1:]]
        feed[spec.name] = random.standard_normal((rows, *row)).astype(numpy_dtype(spec.dtype))
    plain(feed)
    started = time.perf_counter()
    compiled(feed)
    compile_s = time.perf_counter() - started
    pairs = [(_call_time(plain, feed), _call_time(compiled, feed)) for _ in range(rounds)]
    ratios = [[without[i] / with_xla[i] for without, with_xla in pairs] for i in (0, 1)]
    wall, cpu = map(statistics.median, ratios)
    milliseconds = [1000 * statistics.median(pair[i][0] for pair in pairs) for i in (0, 1)]
    return name, rows, *milliseconds, wall, cpu, compile_s


_HEADERS = ("model", "rows", "ms", "ms with XLA", "times faster", "by CPU time", "compiled in s")


def _call_time(model: LoadedModel, feed: dict[str, Any]) -> tuple[float, float]:
    """Seconds of a call, and those that the process computed."""
    calls = 0
    started, cpu_started = time.perf_counter(), time.process_time()
    while (elapsed := time.perf_counter() - started) < _ROUND_S:
        model(feed)
        calls += 1
    return elapsed / calls, (time.process_time() - cpu_started) / calls


def main() -> int:
    """Compares the models that are named, or all."""
    makers: dict[str, Callable[[Path], None]] = {
        "a8": partial(tabular.save_network, 8),
        "a100": partial(tabular.save_network, 100),
        **{name: partial(save, *made) for name, made in NETWORKS.items()},
    }
    parser = argparse.ArgumentParser(prog="python -m benchmarks.xla", description=__doc__)
    parser.add_argument(
        "models", nargs="*", help=f"{', '.join(makers)}, or folders of SavedModels of floats"
    )
    parser.add_argument("--rows", type=int, nargs="+", default=_ROWS, help="of a call")
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="of calls without and with XLA")
    given = parser.parse_args()
    results = []
    for name in given.models or makers:
        folder = _FOLDER / name if name in makers else Path(name)
        if name in makers and not folder.exists():
            makers[name](folder)
        results += [compare(name, folder, rows, given.rounds) for rows in given.rows]
    print(tabulate(results, headers=_HEADERS, floatfmt=".2f"))
    return 0


if __name__ == "__main__":
    sys.exit(main())

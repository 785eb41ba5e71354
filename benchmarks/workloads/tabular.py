"""Floats into a small network: light for the model, so that moving the rows is what counts."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.task import Output, Scoring
from benchmarks.workload import Workload
from scoring.runtime import tensorflow

KEY = "id"
SCORE = "score"
_HIDDEN_UNITS = 16
_SEED = 20_240_229
# Prime and larger than any table: multiples of it, modulo the rows, are each number once.
_STRIDE = 2_654_435_761
# Scores lie in 0 … 1; in batches of another size they differ in the last bits of a float32.
_TOLERANCE = 1e-6

_CARRIED = {
    "i": (12, "integers"),
    "x": (12, "floats"),
    "s": (12, "texts"),
    "b": (4, "booleans"),
    "d": (4, "dates"),
    "t": (4, "times"),
    "n": (2, "decimals"),
}
"""Passthrough columns: how many of each kind, by the first letter of their names."""

_WORDS = pa.array([f"{'word' * (i % 7)}-{i}" for i in range(10_000)])
_NULL_TEXTS = 0.05


def ids(first: int, end: int, rows: int) -> npt.NDArray[np.int64]:
    """The keys of some rows: 0 … rows - 1 in an order without order."""
    return np.arange(first, end, dtype=np.int64) * _STRIDE % rows


def feature_rows(width: int, first: int, end: int, rows: int) -> pa.Table:
    """`id` and `width` standard normal features f0, f1, …"""
    random = np.random.default_rng([_SEED, first])
    columns: dict[str, Any] = {KEY: ids(first, end, rows)}
    columns |= {name: random.standard_normal(end - first) for name in _features(width)}
    return pa.table(columns)


def mixed_rows(first: int, end: int, rows: int) -> pa.Table:
    """The same with eight features, and 50 columns of mixed types that are only carried along."""
    table = feature_rows(8, first, end, rows)
    random = np.random.default_rng([_SEED, 1, first])
    for name in _carried():
        table = table.append_column(name, _carried_column(name[0], random, end - first))
    return table


def _carried_column(kind: str, random: np.random.Generator, rows: int) -> pa.Array:
    integers = random.integers(0, 2**31, rows)
    match kind:
        case "i":
            return pa.array(integers)
        case "x":
            return pa.array(random.standard_normal(rows))
        case "s":
            texts = _WORDS.take(pa.array(integers % len(_WORDS)))
            nulls = pa.array(random.random(rows) < _NULL_TEXTS)
            return pc.if_else(nulls, pa.scalar(None, pa.string()), texts)
        case "b":
            return pa.array(integers % 2 == 0)
        case "d":
            return pa.array((integers % 20_000).astype(np.int32)).cast(pa.date32())
        case "t":
            return pa.array(integers * 1_000_003 % 10**15).cast(pa.timestamp("us", "UTC"))
        case _:
            # Sixteen bytes each, the lower half first, in units of 10^-9.
            halves = np.stack([integers * 10**7, np.zeros_like(integers)], axis=1)
            return pa.Array.from_buffers(
                pa.decimal128(38, 9), rows, [None, pa.py_buffer(np.ascontiguousarray(halves))]
            )


def save_network(width: int, folder: Path) -> None:
    """Saves a two-layer network: inputs f0, f1, … float32[None] -> score float32[None], 0 … 1."""
    tf = tensorflow()
    random = np.random.default_rng(_SEED)
    module = tf.Module()
    module.hidden = _weights(tf, random, (width, _HIDDEN_UNITS))
    module.output = _weights(tf, random, (_HIDDEN_UNITS, 1))

    @tf.function(input_signature=None)
    def score(**inputs: Any) -> dict[str, Any]:
        features = tf.stack([inputs[name] for name in _features(width)], axis=1)
        logits = tf.nn.relu(features @ module.hidden) @ module.output
        return {SCORE: tf.squeeze(tf.sigmoid(logits), axis=1)}

    specs = {name: tf.TensorSpec([None], tf.float32, name=name) for name in _features(width)}
    tf.saved_model.save(module, str(folder), signatures=score.get_concrete_function(**specs))


def _weights(tf: Any, random: np.random.Generator, shape: tuple[int, int]) -> Any:
    # Scaled so that the scores spread over the sigmoid instead of sticking to its ends.
    scale = shape[0] ** -0.5
    return tf.Variable(scale * random.standard_normal(shape), dtype=tf.float32)


def _features(width: int) -> list[str]:
    return [f"f{i}" for i in range(width)]


def _carried() -> tuple[str, ...]:
    return tuple(f"{kind}{i}" for kind, (count, _) in _CARRIED.items() for i in range(count))


def _workload(
    name: str,
    title: str,
    rows: int,
    width: int,
    make_rows: Callable[[int, int, int], pa.Table] | None = None,
    carried: tuple[str, ...] = (),
) -> Workload:
    features = {feature: feature for feature in _features(width)}
    return Workload(
        name=name,
        title=title,
        rows=rows,
        scoring=Scoring(features, (Output(SCORE, SCORE),), KEY, passthrough=carried),
        make_rows=make_rows or partial(feature_rows, width),
        make_model=partial(save_network, width),
        tolerance=_TOLERANCE,
    )


_A8 = _workload("a8", "8 floats", 2_000_000, 8)

WORKLOADS = (
    _A8,
    replace(_A8, name="a8_20m", rows=20_000_000),
    _workload("a100", "100 floats", 2_000_000, 100),
    _workload("e", "8 floats, 50 mixed columns carried", 500_000, 8, mixed_rows, _carried()),
    replace(_A8, name="f", title="8 floats, start-up", rows=1_000, is_local=True),
)

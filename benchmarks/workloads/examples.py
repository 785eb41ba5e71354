"""Columns of mixed types into a model that parses tf.train.Examples."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.task import Output, Scoring
from benchmarks.workload import Workload
from benchmarks.workloads.tabular import KEY, ids
from scoring.runtime import tensorflow

FLOATS = tuple(f"f{i}" for i in range(12))
INTEGERS = tuple(f"i{i}" for i in range(4))
TEXTS = tuple(f"s{i}" for i in range(4))
SCORE = "score"

_SEED = 20_240_303
_BUCKETS = 1000
_EMBEDDING = 8
_HIDDEN_UNITS = 32
_TOLERANCE = 1e-6
_WORDS = pa.array([f"{'word' * (i % 5)}-{i}" for i in range(5000)])


def mixed_rows(first: int, end: int, rows: int) -> pa.Table:
    """`id`, 12 floats, 4 integers and 4 texts."""
    random = np.random.default_rng([_SEED, first])
    count = end - first
    columns: dict[str, Any] = {KEY: ids(first, end, rows)}
    columns |= {name: random.standard_normal(count) for name in FLOATS}
    columns |= {name: random.integers(0, _BUCKETS, count) for name in INTEGERS}
    columns |= {
        name: _WORDS.take(pa.array(random.integers(0, len(_WORDS), count))) for name in TEXTS
    }
    return pa.table(columns)


def save_network(folder: Path) -> None:
    """Saves a network: examples string[None], tf.train.Examples -> score float32[None], 0 … 1.

    Integers and the hashes of texts choose vectors, which join the floats.
    """
    tf = tensorflow()
    random = np.random.default_rng(_SEED)
    features = {
        **{name: tf.io.FixedLenFeature([], tf.float32) for name in FLOATS},
        **{name: tf.io.FixedLenFeature([], tf.int64) for name in INTEGERS},
        **{name: tf.io.FixedLenFeature([], tf.string) for name in TEXTS},
    }
    chosen = len(INTEGERS) + len(TEXTS)
    module = tf.Module()
    module.vectors = _weights(tf, random, (chosen, _BUCKETS, _EMBEDDING))
    module.hidden = _weights(tf, random, (len(FLOATS) + chosen * _EMBEDDING, _HIDDEN_UNITS))
    module.output = _weights(tf, random, (_HIDDEN_UNITS, 1))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve(examples: Any) -> dict[str, Any]:
        parsed = tf.io.parse_example(examples, features)
        buckets = [parsed[name] for name in INTEGERS]
        buckets += [tf.strings.to_hash_bucket_fast(parsed[name], _BUCKETS) for name in TEXTS]
        vectors = [tf.gather(module.vectors[i], places) for i, places in enumerate(buckets)]
        floats = tf.stack([parsed[name] for name in FLOATS], axis=1)
        hidden = tf.nn.relu(tf.concat([floats, *vectors], axis=1) @ module.hidden)
        return {SCORE: tf.squeeze(tf.sigmoid(hidden @ module.output), axis=1)}

    tf.saved_model.save(module, str(folder), signatures={"serving_default": serve})


def _weights(tf: Any, random: np.random.Generator, shape: tuple[int, ...]) -> Any:
    scale = shape[-2] ** -0.5
    return tf.Variable(scale * random.standard_normal(shape), dtype=tf.float32)


WORKLOADS = (
    Workload(
        name="d",
        title="tf.Examples of 20 columns",
        rows=500_000,
        scoring=Scoring(
            {name: name for name in (*FLOATS, *INTEGERS, *TEXTS)},
            (Output(SCORE, SCORE),),
            KEY,
            feed="examples",
            batch_rows=8192,
            calls_at_once=2,
        ),
        make_rows=mixed_rows,
        make_model=save_network,
        tolerance=_TOLERANCE,
    ),
)

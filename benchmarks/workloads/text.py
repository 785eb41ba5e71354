"""Text: source files whose language is recognised, and short strings that become vectors."""

from functools import cache
from itertools import pairwise
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.task import Output, Scoring
from benchmarks.workload import Workload
from benchmarks.workloads.tabular import KEY, ids
from demo.corpus import collect
from scoring.runtime import tensorflow

GUESSLANG = Path("build/models/guesslang")
_SEED = 20_240_301
# Floats of the same model in batches of another size differ in the last bits.
_TOLERANCE = 1e-5

# The vectors of words and their mean as in the deep averaging networks that sentence encoders
# are; the weights are random, which changes what the vectors mean and not how long they take.
_VOCABULARY = 50_000
_WIDTH = 512
_HIDDEN_UNITS = 2048
_MIN_WORDS, _MAX_WORDS = 3, 20


def source_rows(first: int, end: int, rows: int) -> pa.Table:
    """`id`, and the texts of real source files of this machine, again and again."""
    files = _source_files()
    positions = np.arange(first, end, dtype=np.int64) % len(files)
    return pa.table({KEY: ids(first, end, rows), "content": files.take(pa.array(positions))})


@cache
def _source_files() -> pa.Array:
    """All texts in an order without order: neighbours are of different languages and lengths."""
    texts = collect()["content"].combine_chunks()
    return texts.take(pa.array(np.random.default_rng(_SEED).permutation(len(texts))))


def copy_guesslang(folder: Path) -> None:
    """Copies the SavedModel of guesslang, which `make build/models` has unpacked.

    Raises:
      FileNotFoundError: it has not.
    """
    copytree(GUESSLANG, folder)


def string_rows(first: int, end: int, rows: int) -> pa.Table:
    """`id`, and strings of 3 to 20 words, few of them common and many rare."""
    random = np.random.default_rng([_SEED, first])
    lengths = random.integers(_MIN_WORDS, _MAX_WORDS + 1, end - first)
    words = _words().take(pa.array(random.zipf(1.3, int(lengths.sum())) % len(_words())))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(offsets), words)
    texts = pa.compute.binary_join(lists, " ")
    return pa.table({KEY: ids(first, end, rows), "text": texts})


@cache
def _words() -> pa.Array:
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    random = np.random.default_rng(_SEED)
    return pa.array(["".join(random.choice(letters, n)) for n in random.integers(2, 11, 20_000)])


def save_encoder(folder: Path) -> None:
    """Saves a sentence encoder: text string[None] -> embedding float32[None, 512] of length 1."""
    tf = tensorflow()
    random = np.random.default_rng(_SEED)
    module = tf.Module()
    module.words = tf.Variable(_weights(random, _VOCABULARY, _WIDTH), name="words")
    sizes = (_WIDTH, _HIDDEN_UNITS, _HIDDEN_UNITS, _WIDTH)
    module.layers = [tf.Variable(_weights(random, *shape)) for shape in pairwise(sizes)]

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def serve(text: Any) -> dict[str, Any]:
        words = tf.strings.split(tf.strings.lower(text))
        buckets = tf.strings.to_hash_bucket_fast(words.flat_values, _VOCABULARY)
        sums = tf.math.unsorted_segment_sum(
            tf.gather(module.words, buckets), words.value_rowids(), words.nrows()
        )
        lengths = tf.cast(tf.maximum(words.row_lengths(), 1), tf.float32)
        values = sums / tf.sqrt(lengths)[:, None]
        for layer in module.layers:
            values = tf.tanh(values @ layer)
        return {"embedding": tf.math.l2_normalize(values, axis=1)}

    tf.saved_model.save(module, str(folder), signatures={"serving_default": serve})


def _weights(random: np.random.Generator, inputs: int, outputs: int) -> Any:
    return (random.standard_normal((inputs, outputs)) / np.sqrt(outputs)).astype(np.float32)


WORKLOADS = (
    Workload(
        name="b_code",
        title="source files, guesslang",
        rows=100_000,
        scoring=Scoring(
            {"content": "content"},
            (
                Output("class_ids", "language_id", "INTEGER"),
                Output("probabilities", "probabilities", repeated=True),
            ),
            KEY,
            feed="texts",
            signature="predict",
            batch_rows=128,
            calls_at_once=2,
        ),
        make_rows=source_rows,
        make_model=copy_guesslang,
        flags=("--output_columns=class_ids=language_id,probabilities",),
        tolerance=_TOLERANCE,
        part_rows=20_000,
    ),
    Workload(
        name="b_strings",
        title="short strings, 512 floats out",
        rows=500_000,
        scoring=Scoring(
            {"text": "text"},
            (Output("embedding", "embedding", repeated=True),),
            KEY,
            feed="texts",
            batch_rows=1024,
            calls_at_once=2,
        ),
        make_rows=string_rows,
        make_model=save_encoder,
        tolerance=_TOLERANCE,
    ),
)

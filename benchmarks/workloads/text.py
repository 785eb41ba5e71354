"""Text: source files whose language is recognised, and short strings that become vectors.

Sentence encoders with 512 floats out come in two kinds (Cer et al., "Universal Sentence Encoder",
2018): deep averaging networks, which are light, and transformers, which are not.  Here are one of
each.  Their weights are random, which changes what the vectors mean and not how long they take.
"""

from collections.abc import Callable
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

_VOCABULARY = 50_000
_WIDTH = 512
_HIDDEN_UNITS = 2048
# The base model of Vaswani et al., "Attention Is All You Need", 2017.
_LAYERS, _HEADS = 6, 8
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


def save_averaging_encoder(folder: Path) -> None:
    """Saves a deep averaging network: text string[None] -> embedding float32[None, 512]."""
    tf = tensorflow()
    random = np.random.default_rng(_SEED)
    sizes = (_WIDTH, _HIDDEN_UNITS, _HIDDEN_UNITS, _WIDTH)
    layers = [tf.Variable(_weights(random, *shape)) for shape in pairwise(sizes)]

    def encode(vectors: Any) -> Any:
        values = _sum_of_words(vectors)
        for layer in layers:
            values = tf.tanh(values @ layer)
        return values

    _save_encoder(folder, random, layers, encode)


def save_transformer_encoder(folder: Path) -> None:
    """Saves a transformer: text string[None] -> embedding float32[None, 512]."""
    tf = tensorflow()
    random = np.random.default_rng(_SEED)
    shapes = [*[(_WIDTH, _WIDTH)] * 4, (_WIDTH, _HIDDEN_UNITS), (_HIDDEN_UNITS, _WIDTH)]
    layers = [[tf.Variable(_weights(random, *shape)) for shape in shapes] for _ in range(_LAYERS)]

    def encode(vectors: Any) -> Any:
        lengths = vectors.row_lengths()
        values = vectors.to_tensor()
        values += _positions(tf.shape(values)[1])
        # Added to the attention that words pay to what only fills a row up.
        unseen = (tf.sequence_mask(lengths, dtype=tf.float32) - 1.0)[:, None, None] * 1e9
        for *attention, rise, fall in layers:
            values += _attention(_normalized(values), unseen, *attention)
            hidden = tf.nn.relu(tf.tensordot(_normalized(values), rise, 1))
            values += tf.tensordot(hidden, fall, 1)
        return _sum_of_words(tf.RaggedTensor.from_tensor(values, lengths=lengths))

    _save_encoder(folder, random, layers, encode)


def _attention(values: Any, unseen: Any, *weights: Any) -> Any:
    """Of each word to all of its text; the weights are of queries, keys, values and results."""
    tf = tensorflow()
    rows, words, size = tf.shape(values)[0], tf.shape(values)[1], _WIDTH // _HEADS

    def heads(weight: Any) -> Any:
        split = tf.reshape(tf.tensordot(values, weight, 1), [rows, words, _HEADS, size])
        return tf.transpose(split, [0, 2, 1, 3])

    queries, keys, contents = map(heads, weights[:3])
    scores = tf.matmul(queries, keys, transpose_b=True) / np.sqrt(size).astype(np.float32)
    seen = tf.transpose(tf.nn.softmax(scores + unseen) @ contents, [0, 2, 1, 3])
    return tf.tensordot(tf.reshape(seen, [rows, words, _WIDTH]), weights[3], 1)


def _normalized(values: Any) -> Any:
    tf = tensorflow()
    mean, variance = tf.nn.moments(values, [2], keepdims=True)
    return (values - mean) * tf.math.rsqrt(variance + 1e-6)


def _positions(words: Any) -> Any:
    """Sines and cosines of the places of words."""
    tf = tensorflow()
    rates = np.exp(np.arange(_WIDTH // 2) * -np.log(10_000.0) / (_WIDTH // 2)).astype(np.float32)
    angles = tf.cast(tf.range(words), tf.float32)[:, None] * rates
    return tf.concat([tf.sin(angles), tf.cos(angles)], 1)


def _save_encoder(
    folder: Path, random: np.random.Generator, layers: Any, encode: Callable[[Any], Any]
) -> None:
    """Saves a model that looks up the vectors of a text's words and scales what is made of them.

    Args:
      encode: float32[None, (words), 512] -> float32[None, 512], of the `layers`.
    """
    tf = tensorflow()
    module = tf.Module()
    module.words = tf.Variable(_weights(random, _VOCABULARY, _WIDTH), name="words")
    module.layers = layers

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def serve(text: Any) -> dict[str, Any]:
        words = tf.strings.split(tf.strings.lower(text))
        buckets = tf.strings.to_hash_bucket_fast(words.flat_values, _VOCABULARY)
        vectors = words.with_flat_values(tf.gather(module.words, buckets))
        return {"embedding": tf.math.l2_normalize(encode(vectors), axis=1)}

    tf.saved_model.save(module, str(folder), signatures={"serving_default": serve})


def _sum_of_words(vectors: Any) -> Any:
    """The sums of the vectors of each text, over the square roots of its words."""
    tf = tensorflow()
    rows = vectors.nrows()
    sums = tf.math.unsorted_segment_sum(vectors.flat_values, vectors.value_rowids(), rows)
    words = tf.cast(tf.maximum(vectors.row_lengths(), 1), tf.float32)
    return sums / tf.sqrt(words)[:, None]


def _weights(random: np.random.Generator, inputs: int, outputs: int) -> Any:
    return (random.standard_normal((inputs, outputs)) / np.sqrt(outputs)).astype(np.float32)


def _encoding(batch_rows: int) -> Scoring:
    return Scoring(
        {"text": "text"},
        (Output("embedding", "embedding", repeated=True),),
        KEY,
        feed="texts",
        batch_rows=batch_rows,
        calls_at_once=2,
    )


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
        title="short strings, averaging encoder, 512 floats out",
        rows=500_000,
        scoring=_encoding(batch_rows=1024),
        make_rows=string_rows,
        make_model=save_averaging_encoder,
        tolerance=_TOLERANCE,
    ),
    Workload(
        name="b_sentences",
        title="short strings, transformer, 512 floats out",
        rows=10_000,
        scoring=_encoding(batch_rows=128),
        make_rows=string_rows,
        make_model=save_transformer_encoder,
        tolerance=_TOLERANCE,
    ),
)

"""Outputs whose rows differ in size, through a whole job."""

from pathlib import Path
from typing import Any

import pyarrow as pa
from workbench import Saved, Workbench

from pipeline import cli


def words(folder: Path) -> Path:
    """text: string[None] -> words, letters of words, word ids: ragged, twice ragged, sparse."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])  # type: ignore[untyped-decorator]
    def split(text: Any) -> dict[str, Any]:
        found = tf.strings.split(text)
        return {
            "words": found,
            "letters": tf.strings.unicode_split(found, "UTF-8"),
            "lengths": found.with_values(tf.strings.length(found.values)).to_sparse(),
            "padded": found.to_tensor(),
        }

    module = tf.Module()
    module.split = split
    tf.saved_model.save(module, str(folder), signatures=split)
    return folder


def test_rows_of_any_size_become_arrays(bench: Workbench, saved: Saved) -> None:
    bench.load("t", pa.table({"id": [1, 2, 3], "text": ["ab c", "", "d"]}))

    outcome = bench.score(saved(words), "--key_columns=id")

    assert outcome.code == cli.OK, outcome.stderr
    assert "ARRAY<STRUCT<values ARRAY<STRING>>>" in outcome.stdout
    assert bench.rows() == [
        {
            "id": 1,
            "words": ["ab", "c"],
            "letters": [{"values": ["a", "b"]}, {"values": ["c"]}],
            "lengths": [{"index": 0, "value": 2}, {"index": 1, "value": 1}],
            "padded": ["ab", "c"],
        },
        {"id": 2, "words": [], "letters": [], "lengths": [], "padded": ["", ""]},
        {
            "id": 3,
            "words": ["d"],
            "letters": [{"values": ["d"]}],
            "lengths": [{"index": 0, "value": 1}],
            "padded": ["d", ""],
        },
    ]

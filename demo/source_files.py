"""First part of the demo: which programming language is a source file written in?"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from tabulate import tabulate

from demo.command import FOLDER, count_different, score
from demo.corpus import collect
from scoring.runtime import tensorflow

_MODEL = Path("build/models/guesslang")
_SAMPLE_ROWS = 10
# Floats of the same model in batches of another size differ in the last bits.
_TOLERANCE = 1e-5

_Direct = tuple[str, int, npt.NDArray[np.float32]]


def run() -> int:
    """Scores source files of this machine; returns how many differ from plain TensorFlow."""
    table = collect()
    languages = len(set(table["expected"].to_pylist()))
    print(
        f"Collected {table.num_rows:,} source files in {languages} languages: "
        f"{FOLDER}/files.parquet\n"
    )
    predictions = score(
        table,
        "files",
        "predictions",
        [
            f"--model={_MODEL}",
            "--signature=predict",
            "--key_columns=key",
            "--passthrough_columns=path,expected",
            "--output_columns=classes=language,class_ids=language_id,probabilities",
        ],
    )
    _report(predictions)
    different = count_different(predictions, _called_directly(table), _same)
    print(f"\nCompared with plain TensorFlow, row by row: {different} rows differ\n")
    return different


def _report(predictions: pa.Table) -> None:
    share = pc.mean(pc.equal(predictions["language"], predictions["expected"])).as_py()
    print(f"Agreement with the file's extension: {share:.1%} of {predictions.num_rows:,} rows")
    sample = predictions.take(np.linspace(0, predictions.num_rows - 1, _SAMPLE_ROWS, dtype=int))
    rows = [
        ("…" + row["path"][-48:], row["expected"], row["language"], max(row["probabilities"]))
        for row in sample.to_pylist()
    ]
    print(tabulate(rows, headers=("path", "expected", "language", "probability"), floatfmt=".3f"))


def _called_directly(table: pa.Table) -> Iterator[tuple[str, _Direct]]:
    tf = tensorflow()
    model = tf.saved_model.load(str(_MODEL))
    for batch in table.to_batches(max_chunksize=500):
        said = model.signatures["predict"](content=tf.constant(batch["content"].to_pylist()))
        languages = (name.decode() for name in said["classes"].numpy()[:, 0])
        ids = said["class_ids"].numpy()[:, 0].tolist()
        results = zip(languages, ids, said["probabilities"].numpy(), strict=True)
        yield from zip(batch["key"].to_pylist(), results, strict=True)


def _same(row: dict[str, Any], direct: _Direct) -> bool:
    language, language_id, probabilities = direct
    return (
        row["language"] == language
        and row["language_id"] == language_id
        and np.allclose(row["probabilities"], probabilities, rtol=0, atol=_TOLERANCE)
    )

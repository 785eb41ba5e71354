"""Second part of the demo: what is in a photograph? Its bytes lie in the table."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image
from tabulate import tabulate

from demo.command import FOLDER, count_different, score
from demo.fetch_photographs import PACKAGE, fetch, has_apt
from scoring.runtime import tensorflow

_PHOTOGRAPHS = Path("build/photographs")
_MODEL = Path("build/models/efficientnet_lite0")
_CLASSES = Path("build/models/imagenet_classes.json")
_SIDE = 224
_SAMPLE_ROWS = 12
# Less than this, blown up to the model's size, is a blur.
_MIN_PIXELS = 96 * 96
# bulkscore resizes in whole levels and puts the result on white, TensorFlow does it in fractions
# and the other way round: most pixels are equal, some differ by up to 3 of 255 levels.
_TOLERANCE = 0.1

_Probabilities = npt.NDArray[np.float32]


def run() -> int:
    """Scores photographs; returns how many differ from TensorFlow, which decodes them itself.

    Where there is no apt-get, which the photographs come with, it says so and returns 0.

    Raises:
      SystemExit: the photographs cannot be fetched, or the command failed.
    """
    if not _PHOTOGRAPHS.exists():
        if not has_apt():
            print(f"No photographs: they are in Debian's {PACKAGE}, and apt-get is not here.")
            return 0
        fetch(_PHOTOGRAPHS)
    table = _collect()
    print(f"Collected {table.num_rows:,} photographs: {FOLDER}/photographs.parquet\n")
    predictions = score(
        table,
        "photographs",
        "labels",
        [
            f"--model={_MODEL}",
            "--key_columns=name",
            "--passthrough_columns=caption",
            "--image_scaling=0..255;mean=127;std=128",
            "--softmax",
            "--top_k=3",
            f"--class_labels={_CLASSES}",
            "--output_columns=logits=labels",
        ],
    )
    _report(predictions)
    direct = list(_called_directly(table))
    other = count_different(predictions, direct, _same_label)
    different = count_different(predictions, direct, _same_scores)
    print(
        "\nCompared with plain TensorFlow and its own decoding, photograph by photograph: "
        f"{other} have another first label,\n"
        f"{different} have a probability that is off by more than {_TOLERANCE}\n"
    )
    return different


def _collect() -> pa.Table:
    """Name, caption and bytes of every photograph, by name."""
    rows = [
        {
            "name": path.relative_to(_PHOTOGRAPHS).with_suffix("").as_posix(),
            "caption": path.with_suffix(".txt").read_text(encoding="utf-8"),
            "image": path.read_bytes(),
        }
        for path in sorted(_PHOTOGRAPHS.rglob("*.png"))
        if _pixel_count(path) >= _MIN_PIXELS
    ]
    return pa.Table.from_pylist(rows)


def _pixel_count(path: Path) -> int:
    with Image.open(path) as image:
        return image.width * image.height


def _report(predictions: pa.Table) -> None:
    rows = predictions.to_pylist()
    classes = _words(" ".join(_class_names()))
    named = [(row, noun) for row in rows if (noun := _noun(row["caption"])) in classes]
    hits = sum(noun in _words(" ".join(_labels(row))) for row, noun in named)
    print(
        f"Captions that end in a word of a class: {len(named)} of {len(rows)} photographs; "
        f"for {hits / len(named):.1%} of them one of the 3 labels has that word"
    )
    shown = [
        (row["caption"], *(f"{top['label']} {top['score']:.2f}" for top in row["labels"]))
        for row, _ in named[:: max(1, len(named) // _SAMPLE_ROWS)][:_SAMPLE_ROWS]
    ]
    print(tabulate(shown, headers=("caption", "label", "second", "third"), disable_numparse=True))


def _noun(caption: str) -> str:
    """The last word of the caption's first part: heron of `A great blue heron, flying.`"""
    return re.split(r"[^\w\s-]", caption.lower())[0].split()[-1]


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def _labels(row: dict[str, Any]) -> list[str]:
    return [top["label"] for top in row["labels"]]


@cache
def _class_names() -> list[str]:
    names: list[str] = json.loads(_CLASSES.read_text(encoding="utf-8"))
    return names


def _called_directly(table: pa.Table) -> Iterator[tuple[str, _Probabilities]]:
    tf = tensorflow()
    model = tf.saved_model.load(str(_MODEL))
    for batch in table.to_batches(max_chunksize=32):
        images = tf.stack([_pixels(image) for image in batch["image"].to_pylist()])
        logits = model.signatures["serving_default"](image=(images - 127) / 128)["logits"]
        probabilities = tf.nn.softmax(logits).numpy()
        yield from zip(batch["name"].to_pylist(), probabilities, strict=True)


def _pixels(image: bytes) -> Any:
    """The photograph on white, in the model's size, as TensorFlow decodes and resizes it."""
    tf = tensorflow()
    values = tf.cast(tf.io.decode_png(image, channels=4), tf.float32)
    opaque = values[:, :, 3:] / 255
    on_white = values[:, :, :3] * opaque + 255 * (1 - opaque)
    return tf.round(tf.image.resize(on_white, (_SIDE, _SIDE), antialias=True))


def _same_label(row: dict[str, Any], direct: _Probabilities) -> bool:
    return bool(row["labels"][0]["index"] == direct.argmax())


def _same_scores(row: dict[str, Any], direct: _Probabilities) -> bool:
    """Whether no class is missed or scored more than the tolerance beside the direct call."""
    names = _class_names()
    return row["labels"][0]["score"] >= direct.max() - _TOLERANCE and all(
        top["label"] == names[top["index"]]
        and abs(top["score"] - direct[top["index"]]) <= _TOLERANCE
        for top in row["labels"]
    )

"""Photographs as JPEG bytes into convolutional networks of 224 x 224 pixels."""

import io
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from benchmarks.feeds import IMAGE_SIDE
from benchmarks.task import Output, Scoring
from benchmarks.workload import Workload
from benchmarks.workloads.tabular import KEY, ids
from demo.fetch_photographs import fetch
from scoring.runtime import tensorflow

PHOTOGRAPHS = Path("build/photographs")
_SEED = 20_240_302
# So many different JPEGs, again and again; decoders remember nothing.
_JPEGS = 400
# Every fourth is large, as photographs on the web are: 118 and 385 KB in the mean.
_SIZES = ((640, 480), (640, 480), (640, 480), (1280, 960))
_QUALITY = 90
# Without a camera's noise a JPEG is smaller and decoded sooner than a real one.
_NOISE_LEVELS = 4.0
_MIN_SIDE = 150
# Probabilities of 1,000 classes; batches of another size differ in the last bits.
_TOLERANCE = 1e-5


def photograph_rows(first: int, end: int, rows: int) -> pa.Table:
    """`id`, and JPEGs made of the demo's photographs."""
    positions = np.arange(first, end, dtype=np.int64) % _JPEGS
    return pa.table({KEY: ids(first, end, rows), "image": _jpegs().take(pa.array(positions))})


@cache
def _jpegs() -> pa.Array:
    if not PHOTOGRAPHS.exists():
        fetch(PHOTOGRAPHS)
    random = np.random.default_rng(_SEED)
    photographs = [image for path in sorted(PHOTOGRAPHS.rglob("*.png")) if (image := _load(path))]
    return pa.array(
        [
            _jpeg(photographs[i % len(photographs)], _SIZES[i % len(_SIZES)], random)
            for i in range(_JPEGS)
        ],
        pa.binary(),
    )


def _load(path: Path) -> Image.Image | None:
    """The photograph on white, None if it is a small one."""
    with Image.open(path) as image:
        if min(image.size) < _MIN_SIDE:
            return None
        photograph = image.convert("RGBA")
    white = Image.new("RGBA", photograph.size, "white")
    return Image.alpha_composite(white, photograph).convert("RGB")


def _jpeg(photograph: Image.Image, size: tuple[int, int], random: np.random.Generator) -> bytes:
    """A part of the photograph in this size, with noise."""
    scale = max(size[0] / photograph.width, size[1] / photograph.height) * random.uniform(1, 1.3)
    width, height = (round(side * scale) + 1 for side in photograph.size)
    left = int(random.integers(0, width - size[0]))
    top = int(random.integers(0, height - size[1]))
    enlarged = photograph.resize((width, height), Image.Resampling.BICUBIC)
    part = np.asarray(enlarged.crop((left, top, left + size[0], top + size[1])))
    noisy = np.clip(part + random.normal(0, _NOISE_LEVELS, part.shape), 0, 255)
    file = io.BytesIO()
    Image.fromarray(noisy.astype(np.uint8)).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def save_network(name: str, folder: Path) -> None:
    """Saves a network of Keras Applications: image float32[None, 224, 224, 3] -> probabilities.

    Its weights are random: that changes what it answers, not how long it takes.
    """
    tf = tensorflow()
    tf.keras.utils.set_random_seed(_SEED)
    module = tf.Module()
    module.network = getattr(tf.keras.applications, name)(weights=None)
    shape = [None, IMAGE_SIDE, IMAGE_SIDE, 3]

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32, name="image")])
    def serve(image: Any) -> dict[str, Any]:
        return {"probabilities": module.network(image, training=False)}

    tf.saved_model.save(module, str(folder), signatures={"serving_default": serve})


def _workload(name: str, title: str, network: str, rows: int) -> Workload:
    return Workload(
        name=name,
        title=f"JPEGs, {title}",
        rows=rows,
        scoring=Scoring(
            {"image": "image"},
            (Output("probabilities", "probabilities", repeated=True),),
            KEY,
            feed="jpegs",
            batch_rows=16,
            calls_at_once=2,
        ),
        make_rows=photograph_rows,
        make_model=partial(save_network, network),
        flags=("--image_scaling=-1..1",),
        tolerance=_TOLERANCE,
        part_rows=1000,
    )


WORKLOADS = (
    _workload("c_mobilenet", "MobileNetV2", "MobileNetV2", 6000),
    _workload("c_resnet", "ResNet-50", "ResNet50", 1500),
)

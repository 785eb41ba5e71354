"""Images made for the tests, and what decoding them must give."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import sklearn.datasets
from PIL import Image

from scoring.images import ImageSpec, decode_images
from scoring.rejects import Fault

Pixels = npt.NDArray[np.uint8]

PHOTOGRAPHS = sorted((Path(sklearn.datasets.__file__).parent / "images").glob("*.jpg"))
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP")
# How far a lossy format may be from its source, in levels of 255, in the mean.
LOSS = {"JPEG": 3.0, "WEBP": 3.0, "GIF": 0.0, "PNG": 0.0, "BMP": 0.0}


# Where the stored first row and column lie when upright, as the EXIF standard's table says it.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a[:, ::-1].swapaxes(0, 1),
}


def gradient(height: int, width: int) -> Pixels:
    """Red grows to the right, green downwards, blue along both; no symmetry."""
    y, x = np.mgrid[0:height, 0:width]
    red, green = x * 255 // max(1, width - 1), y * 255 // max(1, height - 1)
    return np.stack([red, green, (red + 2 * green) // 3], axis=-1).astype(np.uint8)


def colours() -> Pixels:
    """16 x 24 pixels in 6 colours, which a palette can hold."""
    six = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [9, 99, 199], [0, 0, 0]])
    return np.kron(six.reshape(2, 3, 3), np.ones((8, 8, 1))).astype(np.uint8)


def encoded(
    pixels: Any, image_format: str = "PNG", mode: str | None = None, **options: Any
) -> bytes:
    image = Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
    if mode is not None:
        image = image.convert(mode)
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def decoded(data: bytes, spec: ImageSpec) -> Any:
    """The one image, which must have no fault."""
    values, faults = decode_images(pa.array([data], pa.binary()), spec, "photo", "image")
    assert faults == []
    return values[0]


def fault(data: bytes | None, spec: ImageSpec | None = None) -> Fault:
    spec = spec or ImageSpec(4, 4, 3, "float32")
    values, faults = decode_images(pa.array([data], pa.binary()), spec, "photo", "image")
    assert not values.any()
    (only,) = faults
    return only


def as_is(pixels: npt.NDArray[Any], channels: int = 3, **options: Any) -> ImageSpec:
    """A spec of the pixels' own size, which needs no resize."""
    return ImageSpec(pixels.shape[0], pixels.shape[1], channels, "uint8", **options)


def png(
    width: int, height: int, bit_depth: int, colour: int, *chunks: tuple[bytes, bytes]
) -> bytes:
    """A PNG of the given header and chunks, right or wrong."""
    header = struct.pack(">LLBBBBB", width, height, bit_depth, colour, 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, body in ((b"IHDR", header), *chunks, (b"IEND", b"")):
        check = zlib.crc32(kind + body)
        parts.append(struct.pack(">L", len(body)) + kind + body + struct.pack(">L", check))
    return b"".join(parts)

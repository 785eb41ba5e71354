"""Encoded image bytes to a Pillow image: which bytes are an image, and is all of it there."""

import io
import re
import struct
import warnings
from typing import Any

import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

# Pillow holds 4 bytes a pixel, and 4 more while it resizes an image with alpha: at most 512 MiB
# a thread, which a worker with the usual 4 GB a core can afford; 64-megapixel cameras fit.
MAX_PIXELS = 2**26
# The most that JPEG and GIF can say. A resize's filter table grows with the side.
MAX_SIDE = 2**16 - 1

FORMATS = "JPEG, PNG, GIF, WebP or BMP"

# Each format by how its files begin. The classes are called directly, not through Image.open,
# whose limit on pixels is a variable of the process and half of it a warning.
_FORMATS: tuple[tuple[str, re.Pattern[bytes], type[ImageFile.ImageFile]], ...] = (
    ("JPEG", re.compile(rb"\xff\xd8\xff"), JpegImagePlugin.JpegImageFile),
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n"), PngImagePlugin.PngImageFile),
    ("GIF", re.compile(rb"GIF8[79]a"), GifImagePlugin.GifImageFile),
    ("WebP", re.compile(rb"RIFF....WEBPVP8[ LX]", re.DOTALL), WebPImagePlugin.WebPImageFile),
    # "BM" begins many a text; the header's size, bytes 14 to 17, tells them apart.
    (
        "BMP",
        re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL),
        BmpImagePlugin.BmpImageFile,
    ),
)

_EXIF_ORIENTATION = 0x0112
# What each EXIF orientation needs to stand upright; 1 needs nothing.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_IGNORE_PILLOW: Any = ("ignore", None, Warning, re.compile(r"PIL\."), 0)


class UnreadableImageError(Exception):
    """The bytes are no image that can be scored.

    Attributes:
      code: the reject code.

    The message completes a sentence that begins with the column's name.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def open_image(data: bytes) -> ImageFile.ImageFile:
    """Reads the header of an encoded image, and no pixels.

    Raises:
      UnreadableImageError: NOT_AN_IMAGE, IMAGE_TRUNCATED or IMAGE_TOO_LARGE.
    """
    name, plugin = _format_of(data)
    try:
        image = plugin(io.BytesIO(data))
    except Image.DecompressionBombError as e:
        # A GIF whose first frame reaches beyond its screen, which is then enlarged.
        raise UnreadableImageError("IMAGE_TOO_LARGE", f"holds a {name} too large: {e}") from e
    except MemoryError:
        raise
    # Pillow names no closed set of exceptions for broken files.
    except Exception as e:
        raise _damaged(name, "header", e) from e
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise UnreadableImageError(
            "IMAGE_TOO_LARGE",
            f"holds a {name} of {width} x {height} pixels; "
            f"at most {MAX_PIXELS} pixels and {MAX_SIDE} a side are decoded",
        )
    return image


def load_pixels(image: ImageFile.ImageFile) -> Image.Image:
    """Decodes all pixels, to 8-bit grey ("L"), "RGB", or "RGBA" where any may be transparent.

    The upper 8 bits of 16-bit samples are kept. Colour profiles are not applied.

    Raises:
      UnreadableImageError: IMAGE_TRUNCATED, if not every pixel can be decoded.
    """
    try:
        image.load()
        if image.mode.startswith("I;16"):
            return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        mode = "L" if image.mode in ("1", "L") else "RGB"
        if image.has_transparency_data:
            mode = "RGBA"
        # To convert to the same mode would copy every pixel.
        return image if image.mode == mode else image.convert(mode)
    except MemoryError:
        raise
    except Exception as e:
        raise _damaged(image.format or "image", "pixels", e) from e


def turn_of(image: Image.Image) -> Image.Transpose | None:
    """The turn that sets an image upright, from its EXIF data; None if it already is.

    EXIF data that cannot be read turns nothing, as in browsers. A PNG may hold it behind the
    pixels: ask again after they are loaded.
    """
    exif = image.info.get("exif")
    if not isinstance(exif, bytes):  # A text chunk of a PNG may have that name, too.
        return None
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(f"{order}L", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for entry in range(count):
            at = start + 2 + 12 * entry
            tag, _, _, value = struct.unpack_from(f"{order}HHLH", tiff, at)
            if tag == _EXIF_ORIENTATION:
                return _TURNS.get(value)
    except struct.error:
        return None
    return None


def is_sideways(turn: Image.Transpose | None) -> bool:
    """Whether the turn swaps width and height."""
    return turn in (_TURNS[5], _TURNS[6], _TURNS[7], _TURNS[8])


def ignore_pillow_warnings() -> None:
    """Silences Pillow's warnings about odd files for the process: their images are judged here.

    Added once: every change of the filters makes Python repeat warnings that it has shown.
    """
    if _IGNORE_PILLOW not in warnings.filters:
        warnings.filterwarnings("ignore", module=r"PIL\.")


def _format_of(data: bytes) -> tuple[str, type[ImageFile.ImageFile]]:
    for name, start, plugin in _FORMATS:
        if start.match(data):
            return name, plugin
    found = f"begins with {data[:12]!r}" if data else "is empty"
    raise UnreadableImageError("NOT_AN_IMAGE", f"is not an image: it {found}; expected {FORMATS}")


def _damaged(name: str, part: str, error: Exception) -> UnreadableImageError:
    # What Pillow meets when it reads a number behind the end says nothing of images; of headers
    # it is wrapped.
    is_end = isinstance(error, struct.error) or isinstance(error.__cause__, struct.error)
    reason = "it ends too early" if is_end else error
    message = f"holds a {name} whose {part} cannot be read in full: {reason}"
    return UnreadableImageError("IMAGE_TRUNCATED", message)

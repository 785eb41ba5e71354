"""Images that are odd: each is a reject by itself, or is scored as it should be."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from bad_inputs import SCORED, OddRow, OddRows
from image_samples import colours, encoded, gradient, png
from PIL import Image


def six_pixels(folder: Path) -> Path:
    """image: uint8[None, 2, 3, 3] -> red, green and blue: float32[None], means over the pixels."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None, 2, 3, 3], tf.uint8, name="image")])
    def score(image: Any) -> dict[str, Any]:
        means = tf.reduce_mean(tf.cast(image, tf.float32), axis=[1, 2])
        return {"red": means[:, 0], "green": means[:, 1], "blue": means[:, 2]}

    module = tf.Module()
    module.score = score
    tf.saved_model.save(module, str(folder), signatures={"serving_default": score})
    return folder


def _filled(mode: str, colour: Any, image_format: str, size: int = 8, **options: Any) -> bytes:
    return encoded(Image.new(mode, (size, size), colour), image_format, **options)


def _cut(image_format: str) -> bytes:
    data = encoded(gradient(40, 60), image_format)
    return data[: len(data) // 2]


def _animation() -> bytes:
    second = Image.new("RGB", (8, 8), "blue")
    return _filled("RGB", "red", "GIF", save_all=True, append_images=[second], duration=9)


def _deep() -> bytes:
    """One pixel of 16 bits a channel: the upper byte of each is 200, 100, 50."""
    body = zlib.compress(b"\0" + struct.pack(">3H", 200 << 8, 100 << 8, 50 << 8))
    return png(1, 1, 16, 2, (b"IDAT", body))


def _huge(width: int, height: int) -> bytes:
    return png(width, height, 8, 0, (b"IDAT", zlib.compress(b"\0" * 72)))


def _image(
    wrong: str, make: Callable[[], bytes | None], code: str, message: str, **scores: float
) -> OddRow:
    return OddRow(wrong, "image", make, code, message, scores or None)


IMAGES = OddRows(
    six_pixels,
    {"image": (pa.binary(), encoded(colours()))},
    (
        _image(
            "a NULL",
            lambda: None,
            "NULL_VALUE",
            "column 'image' is NULL; input 'image' needs an image",
        ),
        _image(
            "no bytes",
            lambda: b"",
            "NOT_AN_IMAGE",
            "column 'image' is not an image: it is empty; expected JPEG, PNG, GIF, "
            "WebP or BMP; input 'image' needs a whole image",
        ),
        _image(
            "a text",
            lambda: b"a photograph of a cat",
            "NOT_AN_IMAGE",
            "column 'image' is not an image: it begins with b'a photograph'; "
            "expected JPEG, PNG, GIF, WebP or BMP; input 'image' needs a whole "
            "image",
        ),
        _image(
            "an SVG",
            lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            "NOT_AN_IMAGE",
            "column 'image' is not an image: it begins with b\"<svg xmlns='\"; "
            "expected JPEG, PNG, GIF, WebP or BMP; input 'image' needs a whole "
            "image",
        ),
        _image(
            "a PDF",
            lambda: b"%PDF-1.7 and the rest",
            "NOT_AN_IMAGE",
            "column 'image' is not an image: it begins with b'%PDF-1.7 and'; "
            "expected JPEG, PNG, GIF, WebP or BMP; input 'image' needs a whole "
            "image",
        ),
        _image(
            "a TIFF",
            lambda: encoded(colours(), "TIFF"),
            "NOT_AN_IMAGE",
            "column 'image' is not an image: it begins with "
            "b'II*\\x00\\x08\\x00\\x00\\x00\\n\\x00\\x00\\x01'; expected JPEG, PNG, GIF, "
            "WebP or BMP; input 'image' needs a whole image",
        ),
        _image(
            "a text that begins like a BMP",
            lambda: b"BM is not only a bitmap",
            "NOT_AN_IMAGE",
            "column 'image' is not an image: it begins with b'BM is not on'; "
            "expected JPEG, PNG, GIF, WebP or BMP; input 'image' needs a whole "
            "image",
        ),
        _image(
            "a JPEG cut in half",
            lambda: _cut("JPEG"),
            "IMAGE_TRUNCATED",
            "column 'image' holds a JPEG whose header cannot be read in full: it ends too early; "
            "input 'image' needs a whole image",
        ),
        _image(
            "a PNG cut in half",
            lambda: _cut("PNG"),
            "IMAGE_TRUNCATED",
            "column 'image' holds a PNG whose pixels cannot be read in full: it ends too early; "
            "input 'image' needs a whole image",
        ),
        _image(
            "a GIF cut in half",
            lambda: _cut("GIF"),
            "IMAGE_TRUNCATED",
            "column 'image' holds a GIF whose pixels cannot be read in full: image "
            "file is truncated (171 bytes not processed); input 'image' needs a "
            "whole image",
        ),
        _image(
            "a WebP cut in half",
            lambda: _cut("WEBP"),
            "IMAGE_TRUNCATED",
            "column 'image' holds a WebP whose header cannot be read in full: "
            "could not create decoder object; input 'image' needs a whole image",
        ),
        _image(
            "a BMP cut in half",
            lambda: _cut("BMP"),
            "IMAGE_TRUNCATED",
            "column 'image' holds a BMP whose pixels cannot be read in full: image "
            "file is truncated (153 bytes not processed); input 'image' needs a "
            "whole image",
        ),
        _image(
            "a PNG without pixels",
            lambda: _huge(0, 8),
            "IMAGE_TRUNCATED",
            "column 'image' holds a PNG whose header cannot be read in full: not "
            "identified by this driver; input 'image' needs a whole image",
        ),
        _image(
            "a PNG that says it has 10^9 pixels",
            lambda: _huge(40_000, 25_000),
            "IMAGE_TOO_LARGE",
            "column 'image' holds a PNG of 40000 x 25000 pixels; at most 67108864 "
            "pixels and 65535 a side are decoded; input 'image' needs a whole image",
        ),
        _image(
            "a PNG one pixel high and too wide",
            lambda: _huge(70_000, 1),
            "IMAGE_TOO_LARGE",
            "column 'image' holds a PNG of 70000 x 1 pixels; at most 67108864 "
            "pixels and 65535 a side are decoded; input 'image' needs a whole image",
        ),
        _image(
            "a GIF of one pixel",
            lambda: _filled("RGB", "red", "GIF", size=1),
            SCORED,
            "the pixel is enlarged",
            red=255.0,
            green=0.0,
            blue=0.0,
        ),
        _image(
            "an animated GIF",
            _animation,
            SCORED,
            "its first frame counts",
            red=255.0,
            green=0.0,
            blue=0.0,
        ),
        _image(
            "a BMP of one bit a pixel",
            lambda: _filled("1", 1, "BMP"),
            SCORED,
            "black and white become 0 and 255",
            red=255.0,
            green=255.0,
            blue=255.0,
        ),
        _image(
            "a CMYK JPEG",
            lambda: _filled("CMYK", (0, 255, 255, 0), "JPEG", quality=100),
            SCORED,
            "its colours become RGB",
            red=255.0,
            green=0.0,
            blue=0.0,
        ),
        _image(
            "a PNG of 16 bits a channel",
            _deep,
            SCORED,
            "the upper 8 bits are kept",
            red=200.0,
            green=100.0,
            blue=50.0,
        ),
        _image(
            "a transparent PNG",
            lambda: _filled("RGBA", (9, 9, 9, 0), "PNG"),
            SCORED,
            "what is transparent shows white",
            red=255.0,
            green=255.0,
            blue=255.0,
        ),
    ),
)

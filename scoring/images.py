"""Encoded images to a model's input: decode, upright, resize, scale; one thread an image."""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image

from scoring.conversions import FLOAT_DTYPES, INT_DTYPES, Values, numpy_dtype
from scoring.image_files import (
    UnreadableImageError,
    ignore_pillow_warnings,
    is_sideways,
    load_pixels,
    open_image,
    turn_of,
)
from scoring.rejects import FEED, Fault

Fit = Literal["stretch", "crop", "pad"]
Resample = Literal["bilinear", "bicubic"]
ChannelOrder = Literal["RGB", "BGR"]

_Pixels = npt.NDArray[np.uint8]
_Size = tuple[int, int]
_Extent = tuple[float, float]
_Box = tuple[float, float, float, float]

_RANGES = {"0..1": (0.0, 1.0), "-1..1": (-1.0, 1.0), "0..255": (0.0, 255.0)}
_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}

# A JPEG is decoded at 1/2, 1/4 or 1/8 of its size while what is left is at least this many times
# the size asked for: some 3 times faster for large ones. On sharp photographs, in levels of 255,
# 3 differs by 0.3 in the mean and 10 at most from the full size, 2 by 0.8 and 17, 1 by 3 and 41.
_DRAFT_MARGIN = 3


@dataclass(frozen=True)
class Scaling:
    """How a pixel of 0 to 255 becomes a value: `(pixel - shift) / divisor`.

    Both hold one number for every channel, in the model's order, or one for all.
    """

    shift: tuple[float, ...] = (0.0,)
    divisor: tuple[float, ...] = (1.0,)


AS_IT_IS = Scaling()


def parse_scaling(text: str) -> Scaling:
    """Reads a scaling: a range, then optionally a mean and a standard deviation.

    `0..1`, `-1..1` or `0..255` (0..1 where only mean or std is given), then `mean=` and `std=`
    with one number or one per channel: `mean=0.485,0.456,0.406;std=0.229,0.224,0.225`, or, for
    models of Caffe's kind, `0..255;mean=103.939,116.779,123.68`.

    Raises:
      ValueError: the text is none of these.
    """
    first, *rest = (part.strip() for part in text.split(";"))
    if "=" in first:
        first, rest = "0..1", [first, *rest]
    if first not in _RANGES:
        expected = ", ".join(_RANGES)
        raise ValueError(f"{text!r} is not a scaling; expected {expected} or mean=...;std=...")
    low, high = _RANGES[first]
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    for part in rest:
        name, _, numbers = part.partition("=")
        if name == "mean":
            mean = _numbers(numbers, text)
        elif name == "std":
            std = _numbers(numbers, text)
        else:
            raise ValueError(f"{part!r} in the scaling {text!r} is neither mean=... nor std=...")
    if len(mean) != len(std) and 1 not in (len(mean), len(std)):
        raise ValueError(
            f"the scaling {text!r} has {len(mean)} numbers for the mean and {len(std)} for the std"
        )
    if any(not low <= m <= high for m in mean):
        raise ValueError(
            f"the mean in the scaling {text!r} is outside {first}; "
            "write a mean of pixels from 0 to 255 as 0..255;mean=..."
        )
    if any(not 0 < s < math.inf for s in std):
        raise ValueError(f"the std in the scaling {text!r} must be above 0")
    return _scaling(low, high, mean, std)


@dataclass(frozen=True)
class ImageSpec:
    """The images that a model wants.

    Attributes:
      height, width, channels: of one image; 1 channel is grey.
      dtype: TensorFlow's name of the input's dtype, a float or an integer one.
      fit: `stretch` ignores the image's proportions; `crop` keeps its middle so that the
        shorter side fits; `pad` keeps all of it, centred on black.
      resample: the filter; both average over all pixels when they reduce (antialias).
      channel_order: ignored with 1 channel.

    Raises:
      ValueError: a field has a value that it cannot have, or dtype cannot hold the scaling.
    """

    height: int
    width: int
    channels: int
    dtype: str
    scaling: Scaling = AS_IT_IS
    fit: Fit = "stretch"
    resample: Resample = "bilinear"
    channel_order: ChannelOrder = "RGB"

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError(f"an image of {self.height} x {self.width} pixels cannot be fed")
        if self.channels not in (1, 3):
            raise ValueError(f"images have 1 or 3 channels, not {self.channels}")
        for name, value, allowed in (
            ("dtype", self.dtype, INT_DTYPES + FLOAT_DTYPES),
            ("fit", self.fit, get_args(Fit)),
            ("resample", self.resample, get_args(Resample)),
            ("channel_order", self.channel_order, get_args(ChannelOrder)),
        ):
            if value not in allowed:
                raise ValueError(f"{name} {value!r} is none of {', '.join(allowed)}")
        for values in (self.scaling.shift, self.scaling.divisor):
            if len(values) not in (1, self.channels):
                raise ValueError(
                    f"the scaling has {len(values)} numbers for {self.channels} channels"
                )
        self._check_integers()

    def _check_integers(self) -> None:
        if self.dtype not in INT_DTYPES:
            return
        bounds = np.iinfo(self.dtype)
        every = np.empty((256, max(len(self.scaling.shift), len(self.scaling.divisor))))
        _scale(np.arange(256, dtype=np.uint8)[:, None], self.scaling, every)
        fits = (every == np.trunc(every)) & (every >= bounds.min) & (every <= bounds.max)
        if not fits.all():
            raise ValueError(
                f"{self.dtype} cannot hold the scaled pixels, which are {every.min():g} to "
                f"{every.max():g} and must be whole; scale to 0..255, or to 0..255;mean=128 "
                "for int8"
            )


def decode_images(
    column: pa.Array, spec: ImageSpec, column_name: str, input_name: str
) -> tuple[Values, list[Fault]]:
    """Decodes a binary column of n encoded images to `[n, height, width, channels]`.

    JPEG, PNG, GIF (its first frame), WebP and BMP are read, and set upright as their EXIF data
    says. What is transparent shows white. Rows that cannot be decoded are listed as faults
    and hold zeros. Besides the result, one full-size image a thread is held at any time.
    """
    ignore_pillow_warnings()
    shape = (len(column), spec.height, spec.width, spec.channels)
    values: Values = np.zeros(shape, dtype=numpy_dtype(spec.dtype))

    def decode_row(row: int) -> Fault | None:
        value = column[row]
        if not value.is_valid:
            message = f"column {column_name!r} is NULL; input {input_name!r} needs an image"
            return Fault(row, FEED, "NULL_VALUE", message)
        try:
            pixels = _decode(value.as_py(), spec)
        except UnreadableImageError as e:
            message = f"column {column_name!r} {e}; input {input_name!r} needs a whole image"
            return Fault(row, FEED, e.code, message)
        _scale(pixels, spec.scaling, values[row])
        return None

    found = _threads().map(decode_row, range(len(column)))
    return values, [fault for fault in found if fault is not None]


@cache
def _threads() -> ThreadPoolExecutor:
    """The process's threads for images: Pillow lets others run while it decodes and resizes."""
    return ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="images")


def _decode(data: bytes, spec: ImageSpec) -> _Pixels:
    """One image as pixels of the model's size, in its channel order, not scaled."""
    source = open_image(data)
    extent = _draft(source, spec)
    image = load_pixels(source)
    # Asked after loading, which may have found EXIF data.
    box, size = _placed(extent, _stored_target(source, spec), spec.fit)
    image = image.resize(size, _RESAMPLING[spec.resample], box)
    turn = turn_of(source)
    if turn is not None:
        image = image.transpose(turn)
    if image.mode == "RGBA":
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    pixels = np.asarray(image.convert("L" if spec.channels == 1 else "RGB")).reshape(
        image.height, image.width, spec.channels
    )
    if spec.channel_order == "BGR":
        pixels = pixels[:, :, ::-1]
    return _padded(pixels, spec)


def _draft(source: Image.Image, spec: ImageSpec) -> _Extent:
    """Prepares a JPEG to be decoded at a part of its size, and as grey if that is all it is for.

    Returns the width and height that the decoded pixels cover. They are no whole numbers where
    the size is no multiple of the reduction: the last column or row then covers less.
    """
    _, size = _placed(source.size, _stored_target(source, spec), spec.fit)
    mode = "L" if spec.channels == 1 else None
    drafted = source.draft(mode, (size[0] * _DRAFT_MARGIN, size[1] * _DRAFT_MARGIN))
    return source.size if drafted is None else drafted[1][2:]


def _stored_target(source: Image.Image, spec: ImageSpec) -> _Size:
    """Width and height to resize to, before the image is set upright."""
    if is_sideways(turn_of(source)):
        return spec.height, spec.width
    return spec.width, spec.height


def _placed(source: _Extent, target: _Size, fit: Fit) -> tuple[_Box, _Size]:
    """Which box of the source to resize, and to which size, at most the target's."""
    width, height = source
    whole = (0.0, 0.0, width, height)
    across, down = target[0] / width, target[1] / height
    match fit:
        case "stretch":
            return whole, target
        case "pad":
            ratio = min(across, down)
            return whole, (max(1, round(width * ratio)), max(1, round(height * ratio)))
        case "crop":
            ratio = max(across, down)
            left = (width - target[0] / ratio) / 2
            top = (height - target[1] / ratio) / 2
            # Rounding must not put the box's edge beyond the image's.
            left, top = max(0.0, left), max(0.0, top)
            return (left, top, width - left, height - top), target


def _padded(pixels: _Pixels, spec: ImageSpec) -> _Pixels:
    """The pixels in the middle of a black image of the model's size."""
    height, width, channels = pixels.shape
    if (height, width) == (spec.height, spec.width):
        return pixels
    canvas = np.zeros((spec.height, spec.width, channels), dtype=np.uint8)
    top, left = (spec.height - height) // 2, (spec.width - width) // 2
    canvas[top : top + height, left : left + width] = pixels
    return canvas


def _scale(pixels: _Pixels, scaling: Scaling, values: Values) -> None:
    """Writes `(pixel - shift) / divisor` to `values`, in float64 if it is that, else in float32."""
    if scaling == AS_IT_IS:
        values[...] = pixels
        return
    work = np.float64 if values.dtype == np.float64 else np.float32
    scaled = values if values.dtype == work else np.empty(values.shape, work)
    np.subtract(pixels, np.array(scaling.shift, work), out=scaled)
    np.divide(scaled, np.array(scaling.divisor, work), out=scaled)
    if scaled is not values:
        values[...] = scaled


def _scaling(low: float, high: float, mean: tuple[float, ...], std: tuple[float, ...]) -> Scaling:
    """`(low + pixel * (high - low) / 255 - mean) / std`, rearranged."""
    per_unit = 255 / (high - low)
    size = max(len(mean), len(std))
    means, stds = (v * size if len(v) == 1 else v for v in (mean, std))
    return Scaling(tuple((m - low) * per_unit for m in means), tuple(s * per_unit for s in stds))


def _numbers(text: str, scaling: str) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError:
        raise ValueError(f"{text!r} in the scaling {scaling!r} is not a list of numbers") from None

"""How one input is fed: the columns found for it and what the user asked for, as a binding."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import pyarrow as pa

from scoring.bindings import ImageBinding, SparseBinding, StackedBinding, stacked
from scoring.conversions import FLOAT_DTYPES, empty_value, find_conversion, numpy_dtype
from scoring.errors import ColumnError
from scoring.examples import ParsedFeatures
from scoring.feed import InputBinding
from scoring.images import ChannelOrder, Fit, ImageSpec, parse_scaling
from scoring.objects import ObjectField
from scoring.schema import Field
from scoring.signature import TensorSpec

OnNull = Literal["reject", "default"]

# Dimensions of an image input: batch, height, width, channels.
_IMAGE_RANK = 4
_IMAGE_CHANNELS = (1, 3)


@dataclass(frozen=True)
class FeedOptions:
    """How inputs are fed where their dtype and shape leave a choice.

    Attributes:
      defaults: input name -> text of the value that a NULL counts as.
      on_null: what a NULL does in the other inputs: it rejects the row, or counts as 0, false
        or the empty text.
      shapes: input name -> dimensions of one row, where the model leaves them free.
      pad_value: fills the shorter rows of an input of variable length; strings get "".
      image_scaling: see `images.parse_scaling`; None is 0..1 for floats, 0..255 for integers.
      image_fit, image_channel_order: see `images.ImageSpec`.
      uri_columns: names of columns of URIs whose objects are fed; a STRING column that feeds an
        image input is one without being named.
      examples: what the one string input parses, if it takes serialized tf.train.Examples.
    """

    defaults: Mapping[str, str] | None = None
    on_null: OnNull = "reject"
    shapes: Mapping[str, tuple[int, ...]] | None = None
    pad_value: float = 0
    image_scaling: str | None = None
    image_fit: Fit = "stretch"
    image_channel_order: ChannelOrder = "RGB"
    uri_columns: tuple[str, ...] = ()
    examples: ParsedFeatures | None = None

    def source_of(self, column: Field) -> Field:
        """What the values come from: the column, or the objects that it names."""
        return ObjectField.at(column) if column.name in self.uri_columns else column


def bound(
    model_spec: TensorSpec, column: Field | tuple[Field, ...], options: FeedOptions
) -> InputBinding | SparseBinding | StackedBinding | ImageBinding:
    """The binding of the column or columns found for an input; `feed_problem` may refuse it.

    Raises:
      ColumnError: an option contradicts the input or its column.
    """
    spec = _stated(model_spec, (options.shapes or {}).get(model_spec.name))
    if isinstance(column, tuple):
        columns = [options.source_of(c) for c in column]
        return stacked(spec, columns, [_default(spec, c, options) for c in columns])
    column = options.source_of(column)
    if column.type == "STRING" and not column.rank and _is_image(spec):
        column = ObjectField.at(column)
    if column.type == "BYTES" and not column.rank and _is_image(spec):
        return _image_binding(spec, column, options)
    binding = InputBinding(spec, column, _default(spec, column, options))
    if spec.encoding == "sparse":
        return SparseBinding(spec, binding)
    return replace(binding, pad=_pad(binding, options.pad_value))


def _stated(spec: TensorSpec, dims: tuple[int, ...] | None) -> TensorSpec:
    """The input with the dimensions of a row as stated, which the model may leave free."""
    if dims is None or spec.shape == ():
        return spec
    if spec.shape is None:
        return replace(spec, shape=(None, *dims))
    batch, *free = spec.shape
    if len(free) != len(dims) or any(f not in (None, d) for f, d in zip(free, dims, strict=True)):
        stated = ",".join(map(str, dims))
        raise ColumnError(
            f"--input_shapes gives [{stated}] for a row of input {spec}, which contradicts it. "
            "State a size for each None after the batch, and the others as they are."
        )
    return replace(spec, shape=(batch, *dims))


def _default(spec: TensorSpec, column: Field, options: FeedOptions) -> Any:
    """What a NULL counts as, in the column's own type; None if it rejects the row."""
    if find_conversion(column.type, spec.dtype) is None:
        # Said by `feed_problem`, for all inputs at once.
        return None
    text = (options.defaults or {}).get(spec.name)
    if text is not None and isinstance(column, ObjectField):
        raise ColumnError(_no_default(spec, column, "object"))
    if text is not None:
        return _default_value(spec, column, text)
    return empty_value(column.element_type) if options.on_null == "default" else None


def _is_image(spec: TensorSpec) -> bool:
    shape = spec.shape
    return (
        spec.encoding == "dense"
        and spec.dtype not in ("string", "bool")
        and shape is not None
        and len(shape) == _IMAGE_RANK
        and None not in shape[1:]
        and shape[-1] in _IMAGE_CHANNELS
    )


def _image_binding(spec: TensorSpec, column: Field, options: FeedOptions) -> ImageBinding:
    if spec.name in (options.defaults or {}):
        raise ColumnError(_no_default(spec, column, "image"))
    return ImageBinding(spec, column, _image_spec(spec, options))


def _no_default(spec: TensorSpec, column: Field, what: str) -> str:
    return (
        f"--default_values names input {spec}, which column {column.name!r} feeds with "
        f"{what}s, and no value stands for an {what}. Leave the input out."
    )


def _image_spec(spec: TensorSpec, options: FeedOptions) -> ImageSpec:
    height, width, channels = (int(d or 0) for d in (spec.shape or ())[1:])
    scaling = options.image_scaling or ("0..1" if spec.dtype in FLOAT_DTYPES else "0..255")
    try:
        return ImageSpec(
            height,
            width,
            channels,
            spec.dtype,
            scaling=parse_scaling(scaling),
            fit=options.image_fit,
            channel_order=options.image_channel_order,
        )
    except ValueError as e:
        raise ColumnError(
            f"Input {spec} cannot be fed with images: {e}. Check --image_scaling."
        ) from e


def _default_value(spec: TensorSpec, column: Field, text: str) -> Any:
    try:
        value = pa.scalar(text).cast(column.element_type).as_py()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as e:
        raise ColumnError(
            f"--default_values gives {text!r} for input {spec.name!r}, which is fed by column "
            f"{column.name!r} ({column.sql_type}): expected a value of that type."
        ) from e
    return value


def _pad(binding: InputBinding, value: float) -> Any:
    spec = binding.tensor
    if not binding.is_variable or find_conversion(binding.column.type, spec.dtype) is None:
        return None
    if spec.dtype == "string":
        return b""
    padded = numpy_dtype(spec.dtype).type(value)
    if float(padded) != value and spec.dtype not in FLOAT_DTYPES:
        raise ColumnError(
            f"--pad_value {value:g} does not fit input {spec}. Give a value that does."
        )
    return padded

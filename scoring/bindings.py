"""Inputs that are fed by more than the values of one column."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from scoring.conversions import numpy_dtype
from scoring.examples import FeatureBinding, encode_features
from scoring.feed import Fed, InputBinding, feed_column
from scoring.images import ImageSpec, decode_images
from scoring.layout import Layout, list_sizes
from scoring.objects import described
from scoring.packed import packed
from scoring.rejects import Fault
from scoring.schema import Field
from scoring.signature import TensorSpec


@dataclass(frozen=True)
class StackedBinding:
    """Several scalar columns that become the elements of one vector, in their order."""

    tensor: TensorSpec
    parts: tuple[InputBinding, ...]

    @property
    def columns(self) -> tuple[Field, ...]:
        """The columns of the parts."""
        return tuple(part.column for part in self.parts)

    @property
    def rule(self) -> str:
        """What happens to each value, in words."""
        return "; ".join(dict.fromkeys(part.rule for part in self.parts))

    @property
    def row_bytes(self) -> int:
        """Bytes of one row in the tensor; 0 for strings."""
        return sum(part.row_bytes for part in self.parts)

    @property
    def layout(self) -> Layout:
        """How the elements fill the dimensions of a row."""
        return Layout(1, (None,) if self.tensor.shape is None else self.tensor.shape[1:])

    def feed(self, batch: pa.RecordBatch) -> Fed:
        """The tensor of n rows, `[n, d]` or `[n, …]` of as many elements."""
        faults: dict[int, Fault] = {}
        fed = [part.feed(batch) for part in self.parts]
        for fault in (f for part in fed for f in part.faults):
            faults.setdefault(fault.row, fault)
        masks = [part.defaulted for part in fed if part.defaulted is not None]
        defaulted = np.logical_or.reduce(masks) if masks else None
        sizes, _ = self.layout.fitted(np.array([[len(fed)]]))
        values = np.stack([part.values for part in fed], axis=1)
        shaped = values.reshape(batch.num_rows, *sizes[0])
        return Fed(shaped, [faults[row] for row in sorted(faults)], defaulted)


def stacked(
    tensor: TensorSpec, columns: Sequence[Field], defaults: Sequence[Any]
) -> StackedBinding:
    """The binding of `columns` to one input.

    Args:
      defaults: for each column, see `InputBinding`.
    """
    element = replace(tensor, shape=(None,))
    parts = (InputBinding(element, c, d) for c, d in zip(columns, defaults, strict=True))
    return StackedBinding(tensor, tuple(parts))


@dataclass(frozen=True)
class SparseBinding:
    """An ARRAY column that feeds a sparse input: its elements are the entries, at their places.

    Attributes:
      dense: how the column would feed a dense input of the same shape.
    """

    tensor: TensorSpec
    dense: InputBinding

    @property
    def columns(self) -> tuple[Field, ...]:
        """The one column."""
        return self.dense.columns

    @property
    def rule(self) -> str:
        """What happens to each value, in words."""
        return self.dense.rule

    @property
    def row_bytes(self) -> int:
        """Bytes of one row in the tensor; 0 for strings and variable lengths."""
        return self.dense.row_bytes

    def feed(self, batch: pa.RecordBatch) -> Fed:
        """n packed rows."""
        column, dense = self.dense.column.values(batch), self.dense
        fed = feed_column(column, dense)
        if dense.is_variable:
            sizes, _ = dense.layout.fitted(list_sizes(column, dense.column.rank).sizes)
        else:
            sizes = np.tile(np.array(dense.row_shape, np.int64), (len(column), 1))
        return fed._replace(values=packed(fed.values, sizes))


@dataclass(frozen=True)
class ImageBinding:
    """A column of encoded images that are decoded to the input's height and width."""

    tensor: TensorSpec
    column: Field
    image: ImageSpec

    @property
    def columns(self) -> tuple[Field, ...]:
        """The one column."""
        return (self.column,)

    @property
    def rule(self) -> str:
        """What happens to each image, in words."""
        size = f"{self.image.width} x {self.image.height}"
        rule = f"decoded, {self.image.fit} to {size}, {self.image.channel_order}"
        return described(self.column, rule)

    @property
    def row_bytes(self) -> int:
        """Bytes of one decoded image."""
        image = self.image
        pixels = image.height * image.width * image.channels
        return pixels * numpy_dtype(image.dtype).itemsize

    def feed(self, batch: pa.RecordBatch) -> Fed:
        """The tensor of n images, `[n, height, width, channels]`."""
        column = self.column.values(batch)
        return Fed(*decode_images(column, self.image, self.column.name, self.tensor.name))


@dataclass(frozen=True)
class ExampleBinding:
    """Columns that become the features of serialized tf.train.Examples."""

    tensor: TensorSpec
    features: tuple[FeatureBinding, ...]

    @property
    def columns(self) -> tuple[Field, ...]:
        """The columns of the features."""
        return tuple(dict.fromkeys(f.column for f in self.features))

    @property
    def rule(self) -> str:
        """What happens to each row, in words."""
        return "together a serialized tf.Example; NULL is a missing feature"

    @property
    def row_bytes(self) -> int:
        """0: the columns' own size tells."""
        return 0

    def feed(self, batch: pa.RecordBatch) -> Fed:
        """One serialized Example for each of n rows, `[n]` or `[n, 1]`."""
        values, faults = encode_features(batch, self.features)
        inner = (self.tensor.shape or ())[1:]
        return Fed(values.reshape(batch.num_rows, *(1 for _ in inner)), faults)

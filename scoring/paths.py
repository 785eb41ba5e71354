"""Fields within STRUCT columns, by their paths."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scoring.schema import Field


@dataclass(frozen=True)
class NestedField(Field):
    """A field within STRUCTs as a column of its own, whose name is its path: `a.b.c`.

    The field of a NULL STRUCT is NULL.  Every ARRAY on the way is one of the value's
    dimensions: `items.v` of ARRAY<STRUCT<v FLOAT64>> is a vector, `rows.v` of
    ARRAY<STRUCT<v ARRAY<FLOAT64>>> a matrix.

    Attributes:
      steps: the column of the table, then the field within each STRUCT.
    """

    steps: tuple[Field, ...] = ()

    @classmethod
    def along(cls, steps: Sequence[Field]) -> Self:
        """The last of the steps as a column."""
        repeated = any(step.mode == "REPEATED" for step in steps)
        return cls(
            name=".".join(step.name for step in steps),
            type=steps[-1].type,
            mode="REPEATED" if repeated else "NULLABLE",
            fields=steps[-1].fields,
            steps=tuple(steps),
        )

    @property
    def rank(self) -> int:
        """How many ARRAYs a value lies in."""
        return sum(step.rank for step in self.steps)

    @property
    def top(self) -> Field:
        """The column of the table that holds the values."""
        return self.steps[0]

    def values(self, batch: pa.RecordBatch) -> pa.Array:
        """The values in a batch of the table's columns, in lists as deep as `rank`."""
        return _within(batch[self.top.name], [step.name for step in self.steps[1:]])


def _within(array: pa.Array, names: Sequence[str]) -> pa.Array:
    """The field at the end of the path `names` within STRUCTs and lists of them."""
    if not names:
        return array
    if not pa.types.is_list(array.type):
        # Unlike StructArray.field, this makes the fields of a NULL STRUCT NULL.
        return _within(pc.struct_field(array, names[0]), names[1:])
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy()
    offsets = np.concatenate([np.zeros(1, np.int32), np.cumsum(lengths, dtype=np.int32)])
    # Only what `flatten` gives honours slices and skips what lies under a NULL.
    elements = _within(array.flatten(), names)
    mask = array.is_null() if array.null_count else None
    return pa.ListArray.from_arrays(pa.array(offsets), elements, mask=mask)

"""How the lists of a row become the dimensions of a tensor."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from scoring.conversions import Values

Dims = tuple[int | None, ...]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

# The length of lists that are not there because those around them are empty.
_UNKNOWN = -1


def counted(elements: int) -> str:
    """`1 element`, `3 elements`."""
    return f"{elements} element{'' if elements == 1 else 's'}"


@dataclass(frozen=True)
class ListSizes:
    """How long the lists of n rows are.

    Attributes:
      sizes: `[n, rank]`, the length of a row's lists from the outside in; below 0 where the
        lists around them are empty.
      ragged: `[n]`, whether lists of the row at one depth differ in length.
      null: `[n]`, whether the row is NULL; it is measured as an empty list.
      holed: `[n]`, whether a list within the row is NULL.
    """

    sizes: Ints
    ragged: Mask
    null: Mask
    holed: Mask


def list_sizes(column: pa.Array, rank: int) -> ListSizes:
    """Measures a column of lists nested `rank` deep."""
    n = len(column)
    sizes = np.full((n, rank), _UNKNOWN, dtype=np.int64)
    ragged, null, holed = (np.zeros(n, dtype=np.bool_) for _ in range(3))
    # The row that each list at this depth belongs to.
    rows: Ints = np.arange(n)
    for depth in range(rank):
        lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int64)
        if column.null_count:
            missing = column.is_null().to_numpy(zero_copy_only=False)
            (holed if depth else null)[rows[missing]] = True
        # One list's length stays; the others of the row are compared with it.
        sizes[rows, depth] = lengths
        ragged[rows[sizes[rows, depth] != lengths]] = True
        if depth + 1 < rank:
            rows = rows.repeat(lengths)
            column = column.flatten()
    return ListSizes(sizes, ragged, null, holed)


def elements_of(column: pa.Array, rank: int) -> pa.Array:
    """The elements of lists nested `rank` deep, in order."""
    for _ in range(rank):
        column = column.flatten()
    return column


@dataclass(frozen=True)
class Layout:
    """How lists nested `rank` deep fill the dimensions of one row.

    A flat list (rank 1) holds all elements in row-major order.  Nested ones are the
    dimensions themselves, those of size 1 perhaps left out.

    Attributes:
      dims: of one row; None for a dimension that is as long as the row's own.
    """

    rank: int
    dims: Dims

    @property
    def is_possible(self) -> bool:
        """Whether any list can fill the dimensions."""
        if self.rank == 1:
            return self.dims.count(None) <= 1
        return self.rank in (len(self.dims), len(self._wide))

    @property
    def _wide(self) -> Dims:
        return tuple(d for d in self.dims if d != 1)

    @property
    def levels(self) -> Dims:
        """How long the lists are at each depth; None where any length will do."""
        if self.rank == 1:
            return (None if None in self.dims else self._known,)
        return self.dims if len(self.dims) == self.rank else self._wide

    @property
    def _known(self) -> int:
        return prod(d for d in self.dims if d is not None)

    @property
    def needs(self) -> str:
        """What a row must have, in words."""
        if self.rank == 1:
            return f"{'a multiple of' if None in self.dims else 'exactly'} {self._known}"
        return _times("any" if d is None else d for d in self.levels)

    def takes(self, count: int) -> bool:
        """Whether a flat list of this many elements fills the dimensions."""
        _, fits = self.fitted(np.array([[count]]))
        return bool(fits[0])

    def got(self, sizes: Ints) -> str:
        """What one row of these list sizes has, in the same words."""
        if self.rank == 1:
            return counted(int(sizes[0]))
        return f"{_times(max(0, int(size)) for size in sizes)} elements"

    def fitted(self, sizes: Ints) -> tuple[Ints, Mask]:
        """The sizes `[n, len(dims)]` of rows in the tensor, and which rows fit.

        Args:
          sizes: see `ListSizes`.
        """
        full = np.array([d or 0 for d in self.dims], np.int64) + np.zeros((len(sizes), 1), np.int64)
        if self.rank == 1:
            lengths = sizes[:, 0]
            if None not in self.dims:
                return full, lengths == self._known
            full[:, self.dims.index(None)] = lengths // max(1, self._known)
            return full, full.prod(axis=1) == lengths
        squeezed = len(self.dims) != self.rank
        full[:, [not (squeezed and d == 1) for d in self.dims]] = np.maximum(sizes, 0)
        fits = np.ones(len(sizes), dtype=np.bool_)
        for depth, level in enumerate(self.levels):
            if level is not None:
                fits &= (sizes[:, depth] == level) | (sizes[:, depth] == _UNKNOWN)
        return full, fits

    def placed(self, elements: Values, sizes: Ints, fit: Mask, pad: Any) -> Values:
        """The tensor `[n, …]` of the rows that fit; what it holds for others means nothing.

        A free dimension is as long as the longest row, but has one element at least.  Shorter
        rows are filled with `pad` at the end of each dimension.

        Args:
          elements: those of the rows that fit, row after row.
          sizes: of all rows, see `fitted`.
        """
        longest = sizes[fit].max(axis=0, initial=0)
        shape = tuple(
            max(1, int(size)) if dim is None else dim
            for dim, size in zip(self.dims, longest, strict=True)
        )
        if fit.all() and (sizes == shape).all():
            return elements.reshape(len(sizes), *shape)
        inside = within(sizes, shape) & fit.reshape(-1, *(1 for _ in shape))
        values: Values = np.full((len(sizes), *shape), pad, dtype=elements.dtype)
        values[inside] = elements
        return values


def within(sizes: Ints, shape: tuple[int, ...]) -> Mask:
    """`[n, *shape]`, what lies within rows of these sizes `[n, len(shape)]`."""
    limits = sizes.reshape(*sizes.shape, *(1 for _ in shape))
    return np.asarray((np.indices(shape) < limits).all(axis=1))


def _times(sizes: Any) -> str:
    return " x ".join(map(str, sizes))

"""Models that take serialized tf.train.Examples: found by their graph, fed from columns.

Every row becomes one Example with a feature for each column.  A NULL cell becomes a missing
feature, so the default that the model's parsing op states decides what it counts as.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from scoring.columns import column_at, conversion_advice
from scoring.conversions import Values, find_conversion, numpy_dtype, shown
from scoring.errors import ColumnError
from scoring.layout import counted
from scoring.rejects import FEED, Fault
from scoring.schema import Field

Layout = Literal["dense", "sparse", "ragged"]
_Ints = npt.NDArray[np.int64]
_Mask = npt.NDArray[np.bool_]

# The list of tf.train.Feature that holds a column's values when no model says otherwise.
_LIST_DTYPES = {
    "INTEGER": "int64",
    "FLOAT": "float32",
    "NUMERIC": "float32",
    "BIGNUMERIC": "float32",
    "BOOLEAN": "int64",
    "STRING": "string",
    "BYTES": "string",
}


@dataclass(frozen=True)
class ExampleFeature:
    """One feature of an Example.

    Attributes:
      name: its key in the Example.
      dtype: int64, float32 or string, for the three lists of tf.train.Feature.
      layout: sparse and ragged features take any number of values, dense ones fill `shape`.
      shape: of one row of a dense feature; its first dimension may be free (None).  None as a
        whole for the other layouts.
      required: whether parsing fails for an Example without it.
    """

    name: str
    dtype: str
    layout: Layout = "sparse"
    shape: tuple[int | None, ...] | None = None
    required: bool = False

    def __str__(self) -> str:
        if self.shape is None:
            return f"{self.name}: {self.layout} {self.dtype}"
        dims = ", ".join("None" if d is None else str(d) for d in self.shape)
        return f"{self.name}: {self.dtype}[{dims}]"

    def takes(self, lengths: _Ints) -> _Mask:
        """Which of these numbers of values the feature can hold."""
        if self.shape is None:
            return np.ones(len(lengths), dtype=np.bool_)
        size = self._size
        fits: _Mask = lengths % max(size, 1) == 0 if None in self.shape else lengths == size
        return fits

    @property
    def needs(self) -> str:
        """The numbers of values that it can hold, in words; only dense features are choosy."""
        multiple = self.shape is not None and None in self.shape
        return f"a multiple of {self._size}" if multiple else f"exactly {self._size}"

    @property
    def _size(self) -> int:
        return prod(d for d in self.shape or () if d is not None)


@dataclass(frozen=True)
class ParsedFeatures:
    """What a model parses out of the Examples that it is given.

    Attributes:
      op: the TensorFlow op that parses them.
      features: in name order; None when an op parses the input but the graph does not state
        which features, or does not state them in one way.
    """

    op: str
    features: tuple[ExampleFeature, ...] | None


@dataclass(frozen=True)
class FeatureBinding:
    """One feature and the column that fills it; the plan has made sure that it can."""

    feature: ExampleFeature
    column: Field


def example_problem(columns: Sequence[Field]) -> str | None:
    """Why these columns cannot become Examples, or None if they can."""
    if not columns:
        return "A tf.Example needs at least one column; select some with --input_query."
    for column in columns:
        if column.fields or column.type not in _LIST_DTYPES:
            return (
                f"Column {column.name!r} ({column.sql_type}) has no place in a tf.Example, which "
                f"holds numbers, BOOL, STRING, BYTES and ARRAYs of them; {_cure(column)}."
            )
    return None


def own_features(columns: Sequence[Field]) -> tuple[FeatureBinding, ...]:
    """Each column as a feature of its name and of the list that fits its type."""
    return tuple(FeatureBinding(ExampleFeature(c.name, _LIST_DTYPES[c.type]), c) for c in columns)


def encode_features(
    batch: pa.RecordBatch, bindings: Sequence[FeatureBinding]
) -> tuple[Values, list[Fault]]:
    """Encodes every row as a serialized tf.train.Example.

    A NULL cell is a feature without a value, which TensorFlow treats as missing; it is a fault
    only where the model requires the feature.  An empty ARRAY is a feature with no values.

    Returns:
      An object array of bytes of shape [n], and at most one fault for each row that cannot be
      encoded; what the array holds for those means nothing.
    """
    faults: dict[int, Fault] = {}
    lists = [_feature_lists(b.column.values(batch), b, faults) for b in bindings]
    features = pa.RecordBatch.from_arrays(lists, names=[b.feature.name for b in bindings])
    examples: Values = np.empty(batch.num_rows, dtype=object)
    examples[:] = _encoder().encode(features)
    return examples, [faults[row] for row in sorted(faults)]


@cache
def _encoder() -> Any:
    # Takes a second to import, and only models that parse Examples need it.
    from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

    return RecordBatchToExamplesEncoder()


def _feature_lists(column: pa.Array, binding: FeatureBinding, faults: dict[int, Fault]) -> pa.Array:
    """The column as lists of one of the three types that the encoder takes, NULL where it is."""
    feature = binding.feature
    repeated = binding.column.mode == "REPEATED"
    nulls = column.is_null().to_numpy(zero_copy_only=False)
    if repeated:
        lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int64)
        # Honours slices and leaves out whatever lies under a NULL.
        elements = column.flatten()
        for row in _positions(~(feature.takes(lengths) | nulls)):
            got = f"column {binding.column.name!r} has {counted(int(lengths[row]))}"
            _add(faults, row, "WRONG_LENGTH", f"{got}; {_named(binding)} needs {feature.needs}")
    else:
        lengths = np.ones(len(column), dtype=np.int64)
        elements = column
    if feature.required:
        for row in _positions(nulls):
            message = f"column {binding.column.name!r} is NULL; {_named(binding)} has no default"
            _add(faults, row, "NULL_VALUE", message)
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
    values = _feature_values(elements, binding, offsets, faults)
    mask = pa.array(nulls) if nulls.any() else None
    return pa.LargeListArray.from_arrays(pa.array(offsets), values, mask=mask)


def _feature_values(
    elements: pa.Array, binding: FeatureBinding, offsets: _Ints, faults: dict[int, Fault]
) -> pa.Array:
    """Converts elements; those of row i lie at offsets[i] to offsets[i + 1]."""
    column, dtype = binding.column, binding.feature.dtype
    if pa.types.is_dictionary(elements.type):
        elements = elements.dictionary_decode()
    kind = pa.binary() if dtype == "string" else column.element_type
    if elements.type != kind:
        elements = elements.cast(kind)
    if elements.null_count:
        if column.mode == "REPEATED":
            for i in _positions(elements.is_null().to_numpy(zero_copy_only=False)):
                row = _row_of(i, offsets)
                message = f"element {i - offsets[row]} of column {column.name!r} is NULL; "
                _add(faults, row, "NULL_ELEMENT", message + "a tf.Example cannot hold that")
        elements = pc.fill_null(elements, pa.scalar(b"" if dtype == "string" else 0).cast(kind))
    if dtype == "string":
        return elements
    conversion = find_conversion(column.type, dtype)
    if conversion is None:
        raise AssertionError(f"the plan let {column} fill {binding.feature}")
    values, faulty = conversion.convert(elements, numpy_dtype(dtype))
    for i in () if faulty is None else _positions(faulty):
        message = (
            f"column {column.name!r} holds {shown(elements[i].as_py())}; {_named(binding)} is "
            f"{dtype}: {conversion.rule}"
        )
        _add(faults, _row_of(i, offsets), "OUT_OF_RANGE", message)
    return pa.array(values)


def _positions(mask: _Mask) -> list[int]:
    return [int(i) for i in np.flatnonzero(mask)]


def _row_of(element: int, offsets: _Ints) -> int:
    return int(np.searchsorted(offsets, element, side="right")) - 1


def _add(faults: dict[int, Fault], row: int, code: str, message: str) -> None:
    faults.setdefault(row, Fault(row, FEED, code, message))


def _named(binding: FeatureBinding) -> str:
    return f"feature {binding.feature.name!r}"


def match_features(
    parsed: ParsedFeatures, columns: Sequence[Field], *, chosen: Mapping[str, str] | None = None
) -> tuple[FeatureBinding, ...]:
    """Finds the column for each feature that the model parses.

    A feature takes the column chosen for it, else the column of its name, else the only one
    whose name differs in case alone.  A feature that is not required may go without: it is then
    missing in every Example, and absent from the result.

    Args:
      chosen: feature name -> column name, as the user gave them.

    Raises:
      ColumnError: a required feature has no column, a column cannot fill its feature, or no
        feature has a column at all.
    """
    if parsed.features is None:
        raise ColumnError(
            f"The model parses tf.Examples with {parsed.op}, but its graph does not state which "
            "features it needs. Name the columns with --input_query and give "
            "--input_format tf_example to encode each as the feature of its name."
        )
    found = _named_features(parsed.features, columns, chosen or {})
    missing = [f for f in parsed.features if f.required and f.name not in found]
    if missing or not found:
        wanted = missing or parsed.features
        have = ", ".join(f"{c.name} {c.sql_type}" for c in columns)
        lines = "".join(f"\n  no column for feature {f}" for f in wanted)
        example = ",".join(f"{f.name}=COLUMN" for f in wanted)
        raise ColumnError(
            f"The tf.Examples that the model parses cannot be filled:{lines}\nThe source has: "
            f"{have}. Say which column fills which feature: --input_columns {example}"
        )
    bindings = tuple(FeatureBinding(f, found[f.name]) for f in parsed.features if f.name in found)
    problems = [p for b in bindings if (p := _feature_problem(b))]
    if problems:
        lines = "".join(f"\n  {p}" for p in problems)
        raise ColumnError(f"The tf.Examples that the model parses cannot be filled:{lines}")
    return bindings


def _named_features(
    features: Sequence[ExampleFeature], columns: Sequence[Field], chosen: Mapping[str, str]
) -> dict[str, Field]:
    names = {f.name for f in features}
    for name in chosen:
        if name not in names:
            listing = ", ".join(map(str, features))
            raise ColumnError(
                f"The model parses no feature {name!r}. "
                f"Check --input_columns; its features are: {listing}."
            )
    found = {name: column_at("--input_columns", c, columns) for name, c in chosen.items()}
    for feature in features:
        # A column that is another feature's exactly is not taken for this one by its case.
        alike = [c for c in columns if c.name.lower() == feature.name.lower()]
        exact = [c for c in alike if c.name == feature.name]
        likely = exact or [c for c in alike if c.name not in names]
        if len(likely) == 1:
            found.setdefault(feature.name, likely[0])
    return found


def _feature_problem(binding: FeatureBinding) -> str | None:
    feature, column = binding.feature, binding.column
    where = f"feature {feature} from column {column.name!r} ({column.sql_type})"
    if column.fields or find_conversion(column.type, feature.dtype) is None:
        reason = f"no conversion from {column.sql_type} to {feature.dtype} keeps the values"
        return f"{where}: {reason}; {_cure(column)}"
    if column.rank > 1:
        return f"{where}: a feature holds one list a row, not lists of lists"
    if column.rank == 0 and not feature.takes(np.ones(1, dtype=np.int64)).all():
        return f"{where}: it needs {feature.needs} values, got one; feed it an ARRAY"
    return None


def _cure(column: Field) -> str:
    advice = conversion_advice(column)
    return advice or "leave it out with --input_query, or select the parts that the model needs"

"""What a NULL counts as, what cannot stand for it, and how often it had to."""

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from conversion_oracle import ARROW_TYPES, PAIRS, VALUES, as_python, describe
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.errors import ColumnError
from scoring.examples import ExampleFeature, ParsedFeatures
from scoring.feed import Binding, feed_batch
from scoring.feeding import FeedOptions
from scoring.matching import match_inputs
from scoring.schema import Field
from scoring.signature import Signature, TensorSpec

Shape = tuple[int | None, ...] | None


def match(spec: TensorSpec, *columns: Field, **options: Any) -> Binding:
    chosen = {spec.name: tuple(c.name for c in columns) if len(columns) > 1 else columns[0].name}
    (binding,) = match_inputs(
        Signature("serving_default", (spec,), ()),
        columns,
        chosen=chosen,
        options=FeedOptions(**options),
    )
    return binding


def zeroed(shape: Shape, column: Field, dtype: str = "float32", **options: Any) -> Binding:
    return match(TensorSpec("x", dtype, shape), column, on_null="default", **options)


def batch(column: Field, rows: list[Any]) -> pa.RecordBatch:
    return pa.record_batch([pa.array(rows, column.arrow_type)], names=[column.name])


@pytest.mark.parametrize(("column_type", "dtype"), PAIRS)
@settings(deadline=None, max_examples=10)
@given(data=st.data())
def test_a_null_feeds_as_the_empty_value_of_every_dtype(
    column_type: str, dtype: str, data: st.DataObject
) -> None:
    rows = data.draw(st.lists(st.none() | VALUES[column_type], max_size=8))
    column = pa.array([*rows, None], ARROW_TYPES[column_type])
    fed = zeroed((None,), Field("c", column_type), dtype).feed(pa.record_batch({"c": column}))
    assert fed.defaulted is not None
    assert fed.defaulted.tolist() == [*(row is None for row in rows), True]
    empty: Any = {"string": b"", "bool": False}.get(dtype, 0.0 if "float" in dtype else 0)
    assert describe(as_python(fed.values[-1:])) == describe([empty])
    assert all(rows[fault.row] is not None for fault in fed.faults)


@pytest.mark.parametrize(
    ("column", "rule"),
    [
        (Field("c", "INTEGER"), "rounded to the nearest float; must be in range; NULL is 0"),
        (Field("c", "NUMERIC"), "rounded to the nearest float; must be in range; NULL is 0"),
        (Field("c", "BOOLEAN"), "false is 0, true is 1; NULL is False"),
        (Field("c", "FLOAT"), "rounded to the nearest float; must be in range; NULL is 0.0"),
    ],
)
def test_the_plan_says_what_a_null_is(column: Field, rule: str) -> None:
    assert zeroed((None,), column).rule == rule


def test_a_named_value_comes_before_the_empty_one() -> None:
    binding = zeroed((None,), Field("c", "NUMERIC"), defaults={"x": "1.50"})
    assert binding.rule.endswith("; NULL is 1.5")
    assert binding.feed(batch(Field("c", "NUMERIC"), [None])).values.tolist() == [1.5]


def test_null_elements_and_null_arrays_are_zeros() -> None:
    column = Field("c", "INTEGER", "REPEATED")
    binding = zeroed((None, 2), column)
    assert binding.rule.endswith("NULL is 0, an empty ARRAY as many")
    rows = [[1, 2], [3, None], None, [], [4], [None, None]]
    arrays, faults, defaulted_rows = feed_batch(batch(column, rows), [binding])
    assert arrays["x"].tolist() == [[1, 2], [3, 0], [0, 0], [0, 0], [0, 0]]
    assert [(f.row, f.code) for f in faults] == [(4, "WRONG_LENGTH")]
    assert defaulted_rows == 4


def test_a_named_value_fills_whole_arrays_too() -> None:
    column = Field("c", "STRING", "REPEATED")
    binding = match(TensorSpec("x", "string", (None, 2)), column, defaults={"x": "?"})
    arrays, faults, defaulted_rows = feed_batch(batch(column, [None, ["a", "b"], []]), [binding])
    assert faults == []
    assert arrays["x"].tolist() == [[b"?", b"?"], [b"a", b"b"], [b"?", b"?"]]
    assert defaulted_rows == 2


def test_a_null_array_of_variable_length_is_empty() -> None:
    column = Field("c", "INTEGER", "REPEATED")
    binding = zeroed((None, None), column, pad_value=7)
    arrays, faults, defaulted_rows = feed_batch(batch(column, [None, [1, None], []]), [binding])
    assert faults == []
    assert arrays["x"].tolist() == [[7, 7], [1, 0], [7, 7]]
    # An empty ARRAY is what it says here: nothing stands in for it.
    assert defaulted_rows == 2


def test_a_null_matrix_is_zeros() -> None:
    rows = Field("rows", "RECORD", "REPEATED", (Field("v", "FLOAT", "REPEATED"),))
    spec = TensorSpec("x", "float32", (None, 2, 2))
    (binding,) = match_inputs(
        Signature("s", (spec,), ()),
        [rows],
        chosen={"x": "rows.v"},
        options=FeedOptions(on_null="default"),
    )
    cells = [None, [], [{"v": [1, None]}, {"v": [3, 4]}], [{"v": None}, {"v": [1, 2]}]]
    arrays, faults, defaulted_rows = feed_batch(batch(rows, cells), [binding])
    assert arrays["x"].tolist() == [[[0, 0], [0, 0]], [[0, 0], [0, 0]], [[1, 0], [3, 4]]]
    assert [(f.row, f.code) for f in faults] == [(3, "NULL_ELEMENT")]
    assert defaulted_rows == 3


def test_one_value_stands_for_the_nulls_of_all_stacked_columns() -> None:
    columns = [Field("a", "INTEGER"), Field("b", "FLOAT"), Field("c", "NUMERIC")]
    binding = match(TensorSpec("x", "float32", (None, 3)), *columns, defaults={"x": "5"})
    rows = pa.record_batch(
        {
            "a": pa.array([1, None, None], pa.int64()),
            "b": pa.array([1.5, 2.5, None]),
            "c": pa.array([Decimal("0.5"), Decimal(1), None], pa.decimal128(38, 9)),
        }
    )
    arrays, faults, defaulted_rows = feed_batch(rows, [binding])
    assert faults == []
    assert arrays["x"].tolist() == [[1, 1.5, 0.5], [5, 2.5, 1], [5, 5, 5]]
    assert defaulted_rows == 2


def test_a_value_that_one_stacked_column_cannot_hold_is_refused() -> None:
    columns = [Field("a", "FLOAT"), Field("b", "INTEGER")]
    with pytest.raises(ColumnError) as caught:
        match(TensorSpec("x", "float32", (None, 2)), *columns, defaults={"x": "0.5"})
    assert str(caught.value) == (
        "--default_values gives '0.5' for input 'x', which is fed by column 'b' (INT64): expected "
        "a value of that type."
    )


def test_no_value_can_be_named_for_images() -> None:
    spec = TensorSpec("x", "uint8", (None, 2, 2, 3))
    with pytest.raises(ColumnError) as caught:
        match(spec, Field("c", "BYTES"), defaults={"x": "0"})
    assert str(caught.value) == (
        "--default_values names input x: uint8[None, 2, 2, 3], which column 'c' feeds with images, "
        "and no value stands for an image. Leave the input out."
    )


def test_images_have_no_value_for_null() -> None:
    column = Field("c", "BYTES")
    binding = zeroed((None, 2, 2, 3), column, "uint8")
    fed = binding.feed(batch(column, [None]))
    assert [f.code for f in fed.faults] == ["NULL_VALUE"]
    assert fed.defaulted is None


@pytest.mark.parametrize(
    ("flag", "options"),
    [("--default_values", {"defaults": {"f": "1"}}), ("--input_shapes", {"shapes": {"f": (1,)}})],
)
def test_the_features_of_examples_have_their_own_defaults_and_shapes(
    flag: str, options: dict[str, Any]
) -> None:
    parsed = ParsedFeatures("ParseExampleV2", (ExampleFeature("f", "float32"),))
    with pytest.raises(ColumnError) as caught:
        match_inputs(
            Signature("s", (TensorSpec("x", "string", (None,)),), ()),
            [Field("f", "FLOAT")],
            chosen={},
            options=FeedOptions(examples=parsed, **options),
        )
    assert str(caught.value) == (
        f"{flag} does not apply to input x: string[None], which takes serialized tf.Examples: a "
        f"NULL is a missing feature, and the model states the shapes. Drop {flag}."
    )


def test_rows_that_are_rejected_anyway_are_not_counted() -> None:
    bindings = [
        zeroed((None,), Field("a", "INTEGER"), "int8"),
        match(TensorSpec("y", "int8", (None,)), Field("b", "INTEGER")),
    ]
    rows = pa.record_batch(
        {
            "a": pa.array([None, None, 1, 300, None], pa.int64()),
            "b": pa.array([1, None, 1, 1, 300], pa.int64()),
        }
    )
    arrays, faults, defaulted_rows = feed_batch(rows, bindings)
    assert {name: values.tolist() for name, values in arrays.items()} == {"x": [0, 1], "y": [1, 1]}
    assert [f.row for f in faults] == [1, 3, 4]
    assert defaulted_rows == 1


def test_without_nulls_nothing_is_counted() -> None:
    binding = zeroed((None,), Field("a", "FLOAT"))
    rows = pa.record_batch({"a": np.arange(3.0)})
    assert feed_batch(rows, [binding]).defaulted_rows == 0
    assert feed_batch(rows.slice(0, 0), [binding]).defaulted_rows == 0


def test_a_value_with_more_digits_than_the_column_declares_stands_for_null() -> None:
    column = Field("c", "NUMERIC", "REPEATED")
    binding = match(TensorSpec("x", "float32", (None, 2)), column, defaults={"x": "0.125"})
    declared = pa.list_(pa.decimal128(4, 1))
    rows = pa.record_batch({"c": pa.array([None, [Decimal("1.5"), None]], declared)})
    assert binding.feed(rows).values.tolist() == [[0.125, 0.125], [1.5, 0.125]]

"""Inputs fed by more than one column's values: stacks, defaults, padding, images, tf.Examples."""

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from scoring.bindings import ExampleBinding, ImageBinding, StackedBinding
from scoring.errors import ColumnError
from scoring.examples import ExampleFeature, ParsedFeatures
from scoring.feed import Binding, InputBinding, feed_batch
from scoring.feeding import FeedOptions
from scoring.matching import match_inputs
from scoring.rejects import Fault
from scoring.schema import Field
from scoring.signature import Signature, TensorSpec

ROWS = st.lists(st.lists(st.integers(-(2**40), 2**40), max_size=5), max_size=6)


def match(
    spec: TensorSpec, columns: list[Field], chosen: dict[str, Any] | None = None, **options: Any
) -> Binding:
    signature = Signature("serving_default", (spec,), ())
    (binding,) = match_inputs(
        signature, columns, chosen=chosen or {}, options=FeedOptions(**options)
    )
    return binding


def refusal(*arguments: Any, **options: Any) -> str:
    with pytest.raises(ColumnError) as caught:
        match(*arguments, **options)
    return str(caught.value)


def test_scalar_columns_are_stacked_in_the_order_given() -> None:
    columns = [Field("a", "FLOAT"), Field("b", "INTEGER"), Field("c", "BOOLEAN")]
    binding = match(TensorSpec("x", "float32", (None, 3)), columns, {"x": ("c", "a", "b")})
    assert isinstance(binding, StackedBinding)
    assert [c.name for c in binding.columns] == ["c", "a", "b"]
    assert binding.row_bytes == 12
    batch = pa.record_batch(
        {
            "a": [1.5, None, 2.0, 1e300],
            "b": pa.array([2, 3, None, 4], pa.int64()),
            "c": [True, False, True, False],
        }
    )
    values, faults, _ = binding.feed(batch)
    assert values.dtype == np.float32
    assert values.shape == (4, 3)
    assert values[0].tolist() == [1.0, 1.5, 2.0]
    assert [(f.row, f.code) for f in faults] == [
        (1, "NULL_VALUE"),
        (2, "NULL_VALUE"),
        (3, "OUT_OF_RANGE"),
    ]


def test_a_stack_fills_a_free_dimension_and_a_matrix() -> None:
    columns = [Field(name, "INTEGER") for name in "abcd"]
    batch = pa.record_batch({name: [i, 10 + i] for i, name in enumerate("abcd")})
    free = match(TensorSpec("x", "int32", (None, None)), columns, {"x": tuple("abcd")})
    assert free.feed(batch)[0].tolist() == [[0, 1, 2, 3], [10, 11, 12, 13]]
    matrix = match(TensorSpec("x", "int32", (None, 2, 2)), columns, {"x": tuple("abcd")})
    assert matrix.feed(batch)[0].tolist() == [[[0, 1], [2, 3]], [[10, 11], [12, 13]]]


@pytest.mark.parametrize(
    ("shape", "columns", "problem"),
    [
        (
            (None, 3),
            [Field("a", "FLOAT"), Field("b", "FLOAT")],
            "input x: float32[None, 3] from columns [a, b]: a row needs exactly 3, got 2 columns",
        ),
        (
            (None,),
            [Field("a", "FLOAT"), Field("b", "FLOAT")],
            "input x: float32[None] from columns [a, b]: a row needs exactly 1, got 2 columns",
        ),
        (
            (None, 2),
            [Field("a", "FLOAT"), Field("b", "FLOAT", "REPEATED")],
            "input x: float32[None, 2] from columns [a, b]: column 'b' is ARRAY<FLOAT64>; "
            "only scalars are stacked",
        ),
        (
            (None, 2),
            [Field("a", "FLOAT"), Field("b", "STRING")],
            "input x: float32[None, 2] from columns [a, b]: column 'b': no conversion from STRING "
            "to float32 keeps the values; convert it with --input_query, "
            "SAFE_CAST(b AS FLOAT64) say",
        ),
    ],
)
def test_stacks_that_cannot_feed(
    shape: tuple[int | None, ...], columns: list[Field], problem: str
) -> None:
    spec = TensorSpec("x", "float32", shape)
    assert refusal(spec, columns, {"x": ("a", "b")}) == (
        f"Signature 'serving_default' cannot be fed:\n  {problem}"
    )


def test_a_default_stands_in_for_null_and_nothing_else() -> None:
    columns = [Field("x", "INTEGER")]
    binding = match(TensorSpec("x", "int8", (None,)), columns, defaults={"x": "-1"})
    assert binding.rule == "must fit the dtype; NULL is -1"
    values, faults, _ = binding.feed(pa.record_batch({"x": pa.array([5, None, 300], pa.int64())}))
    assert values[:2].tolist() == [5, -1]
    assert [(f.row, f.code) for f in faults] == [(2, "OUT_OF_RANGE")]


def test_a_default_that_does_not_fit_the_dtype_rejects_its_rows() -> None:
    binding = match(
        TensorSpec("x", "int8", (None,)), [Field("x", "INTEGER")], defaults={"x": "300"}
    )
    _, faults, _ = binding.feed(pa.record_batch({"x": pa.array([5, None], pa.int64())}))
    assert [(f.row, f.code) for f in faults] == [(1, "OUT_OF_RANGE")]


def test_a_default_stands_in_for_null_elements() -> None:
    columns = [Field("x", "STRING", "REPEATED")]
    binding = match(TensorSpec("x", "string", (None, 2)), columns, defaults={"x": "none"})
    batch = pa.record_batch({"x": [["a", None], [None, "b"]]})
    assert binding.feed(batch)[0].tolist() == [[b"a", b"none"], [b"none", b"b"]]


@pytest.mark.parametrize(
    ("column", "text"), [(Field("x", "INTEGER"), "one"), (Field("x", "BOOLEAN"), "2.5")]
)
def test_a_default_must_be_of_the_columns_type(column: Field, text: str) -> None:
    spec = TensorSpec("x", "int32", (None,))
    assert refusal(spec, [column], defaults={"x": text}) == (
        f"--default_values gives {text!r} for input 'x', which is fed by column 'x' "
        f"({column.sql_type}): expected a value of that type."
    )


def test_a_default_for_an_unknown_input_is_refused() -> None:
    spec = TensorSpec("x", "int32", (None,))
    assert refusal(spec, [Field("x", "INTEGER")], defaults={"y": "0"}) == (
        "Signature 'serving_default' has no input 'y'. "
        "Check --default_values; its inputs are: x: int32[None]."
    )


@given(rows=ROWS, pad=st.integers(-5, 5))
def test_variable_lengths_are_padded_to_the_longest(rows: list[list[int]], pad: int) -> None:
    spec = TensorSpec("x", "int64", (None, None))
    binding = match(spec, [Field("x", "INTEGER", "REPEATED")], pad_value=pad)
    values, faults, _ = binding.feed(
        pa.record_batch({"x": pa.array(rows, pa.list_(pa.int64()))}).slice(0)
    )
    width = max([1, *map(len, rows)])
    assert faults == []
    assert values.shape == (len(rows), width)
    assert values.tolist() == [row + [pad] * (width - len(row)) for row in rows]


def test_variable_lengths_name_the_faulty_row() -> None:
    spec = TensorSpec("x", "int8", (None, None))
    binding = match(spec, [Field("x", "INTEGER", "REPEATED")])
    batch = pa.record_batch({"x": [[1], [2, None], [], [3, 4, 300]]})
    values, faults, _ = binding.feed(batch)
    assert [(f.row, f.code) for f in faults] == [(1, "NULL_ELEMENT"), (3, "OUT_OF_RANGE")]
    assert "element 1 of column 'x' is NULL" in faults[0].message
    assert values[[0, 2]].tolist() == [[1, 0, 0], [0, 0, 0]]


def test_a_pad_value_must_fit_the_input() -> None:
    spec = TensorSpec("x", "int8", (None, None))
    assert refusal(spec, [Field("x", "INTEGER", "REPEATED")], pad_value=0.5) == (
        "--pad_value 0.5 does not fit input x: int8[None, None]. Give a value that does."
    )


def png(red: int, size: tuple[int, int] = (4, 4)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (red, 0, 255)).save(file, "PNG")
    return file.getvalue()


def test_bytes_feed_an_image_input_as_pixels() -> None:
    columns = [Field("photo", "BYTES")]
    binding = match(TensorSpec("x", "float32", (None, 2, 3, 3)), columns)
    assert isinstance(binding, ImageBinding)
    assert binding.rule == "decoded, stretch to 3 x 2, RGB"
    assert binding.row_bytes == 2 * 3 * 3 * 4
    batch = pa.record_batch({"photo": pa.array([png(51), b"no image", None], pa.binary())})
    arrays, faults, _ = feed_batch(batch, [binding])
    assert [(f.row, f.code) for f in faults] == [(1, "NOT_AN_IMAGE"), (2, "NULL_VALUE")]
    expected = np.broadcast_to(np.array([0.2, 0, 1], np.float32), (1, 2, 3, 3))
    np.testing.assert_allclose(arrays["x"], expected, rtol=0, atol=1e-6)


def test_image_flags_reach_the_pixels() -> None:
    spec = TensorSpec("x", "uint8", (None, 2, 2, 3))
    binding = match(spec, [Field("x", "BYTES")], image_channel_order="BGR", image_fit="crop")
    values, _, _ = binding.feed(pa.record_batch({"x": pa.array([png(51)], pa.binary())}))
    assert values[0, 0, 0].tolist() == [255, 0, 51]


def test_a_scaling_that_cannot_be_is_refused() -> None:
    spec = TensorSpec("x", "float32", (None, 2, 2, 3))
    message = refusal(spec, [Field("x", "BYTES")], image_scaling="0..7")
    assert message.startswith("Input x: float32[None, 2, 2, 3] cannot be fed with images: '0..7'")
    assert message.endswith("Check --image_scaling.")


def test_encoded_images_go_to_a_string_input_as_they_are() -> None:
    binding = match(TensorSpec("x", "string", (None,)), [Field("x", "BYTES")])
    assert isinstance(binding, InputBinding)


def test_columns_become_examples_for_an_input_that_parses_them() -> None:
    from tensorflow.core.example.example_pb2 import Example

    parsed = ParsedFeatures("ParseExampleV2", (ExampleFeature("a", "float32"),))
    binding = match(
        TensorSpec("examples", "string", (None,)),
        [Field("other", "STRING"), Field("A", "FLOAT")],
        examples=parsed,
    )
    assert isinstance(binding, ExampleBinding)
    assert [c.name for c in binding.columns] == ["A"]
    values, faults, _ = binding.feed(pa.record_batch({"other": ["x"], "A": [0.5]}))
    assert faults == []
    assert Example.FromString(values[0]).features.feature["a"].float_list.value == [0.5]


def test_serialized_examples_in_a_column_are_fed_as_they_are() -> None:
    parsed = ParsedFeatures("ParseExampleV2", (ExampleFeature("a", "float32"),))
    binding = match(
        TensorSpec("examples", "string", (None,)),
        [Field("serialized", "BYTES")],
        {"examples": "serialized"},
        examples=parsed,
    )
    assert binding == InputBinding(
        TensorSpec("examples", "string", (None,)), Field("serialized", "BYTES")
    )


def test_a_stack_cannot_be_a_feature() -> None:
    parsed = ParsedFeatures("ParseExampleV2", (ExampleFeature("a", "float32"),))
    message = refusal(
        TensorSpec("examples", "string", (None,)),
        [Field("a", "FLOAT"), Field("b", "FLOAT")],
        {"a": ("a", "b")},
        examples=parsed,
    )
    assert message == (
        "--input_columns stacks columns into 'a', a feature of a tf.Example. "
        "Name one ARRAY column for it."
    )


def test_faults_of_several_inputs_are_one_a_row() -> None:
    first = InputBinding(TensorSpec("a", "int8", (None,)), Field("a", "INTEGER"))
    second = InputBinding(TensorSpec("b", "int8", (None,)), Field("b", "INTEGER"))
    batch = pa.record_batch({"a": [300, 1, 2], "b": [300, 300, 3]})
    arrays, faults, _ = feed_batch(batch, [first, second])
    assert {name: values.tolist() for name, values in arrays.items()} == {"a": [2], "b": [3]}
    assert [(f.row, f.message[:10]) for f in faults] == [(0, "column 'a'"), (1, "column 'b'")]
    assert isinstance(faults[0], Fault)

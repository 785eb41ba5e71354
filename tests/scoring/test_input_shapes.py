"""Lists that fill tensors: flat and nested, of sizes that the model or the user states."""

import io
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from scoring.bindings import ImageBinding
from scoring.errors import ColumnError
from scoring.feed import Binding, InputBinding
from scoring.feeding import FeedOptions
from scoring.matching import match_inputs
from scoring.paths import NestedField
from scoring.schema import Field
from scoring.signature import Signature, TensorSpec

Shape = tuple[int | None, ...] | None


def lists_of_depth(rank: int) -> Field:
    """The only lists within lists that BigQuery has: c ARRAY<STRUCT<c ARRAY<…>>>, c.c and so on."""
    steps = [Field("c", "INTEGER", "REPEATED")]
    for _ in range(rank - 1):
        steps.insert(0, Field("c", "RECORD", "REPEATED", (steps[0],)))
    return NestedField.along(steps) if rank > 1 else steps[0]


def as_structs(value: Any, rank: int) -> Any:
    """Lists as deep as `rank` as a cell of such a column."""
    return [{"c": as_structs(v, rank - 1)} for v in value] if rank > 1 else value


FLAT, MATRIX, CUBE = (lists_of_depth(rank) for rank in (1, 2, 3))


def match(shape: Shape, column: Field, dtype: str = "float32", **options: Any) -> Binding:
    signature = Signature("serving_default", (TensorSpec("x", dtype, shape),), ())
    (binding,) = match_inputs(
        signature, [column.top], chosen={"x": column.name}, options=FeedOptions(**options)
    )
    return binding


def refusal(shape: Shape, column: Field, dtype: str = "float32", **options: Any) -> str:
    with pytest.raises(ColumnError) as caught:
        match(shape, column, dtype, **options)
    return str(caught.value).removeprefix("Signature 'serving_default' cannot be fed:\n  ")


def fed(binding: Binding, rows: list[Any]) -> tuple[Any, list[str]]:
    (column,) = binding.columns
    cells = pa.array([as_structs(row, column.rank) for row in rows], column.top.arrow_type)
    values, faults, _ = binding.feed(pa.record_batch([cells], names=["c"]))
    return values, [f"{f.row} {f.code}: {f.message}" for f in faults]


@pytest.mark.parametrize(
    ("model", "stated", "expected"),
    [
        ((None, None, None, 1), (2, 2, 1), (None, 2, 2, 1)),
        (None, (2, 2), (None, 2, 2)),
        ((None, None), (4,), (None, 4)),
        ((3, None, 2), (2, 2), (3, 2, 2)),
        ((None, 4), (4,), (None, 4)),
    ],
)
def test_stated_shapes_are_stricter_than_the_model(
    model: Shape, stated: tuple[int, ...], expected: Shape
) -> None:
    binding = match(model, FLAT, shapes={"x": stated})
    assert binding.tensor == TensorSpec("x", "float32", expected)
    assert binding.row_bytes == 16
    values, faults = fed(binding, [[1, 2, 3, 4], [1, 2, 3]])
    assert values[0].tolist() == np.arange(1, 5).reshape(stated).tolist()
    assert faults == [
        "1 WRONG_LENGTH: column 'c' has 3 elements; input 'x' needs exactly 4",
    ]


@pytest.mark.parametrize(
    ("model", "stated"),
    [
        ((None, None, 3), (4, 4)),
        ((None, None, 3), (4,)),
        ((None, None), (4, 4)),
        ((None,), (1,)),
        ((None, 4), (2, 2)),
    ],
)
def test_stated_shapes_must_not_contradict_the_model(model: Shape, stated: tuple[int, ...]) -> None:
    sizes = ",".join(map(str, stated))
    spec = TensorSpec("x", "float32", model)
    assert refusal(model, FLAT, shapes={"x": stated}) == (
        f"--input_shapes gives [{sizes}] for a row of input {spec}, which contradicts it. State a "
        "size for each None after the batch, and the others as they are."
    )


def test_a_shape_for_an_unknown_input_is_refused() -> None:
    assert refusal((None,), FLAT, shapes={"y": (1,)}).startswith(
        "Signature 'serving_default' has no input 'y'. Check --input_shapes;"
    )


@pytest.mark.parametrize(("column", "rank"), [(Field("c", "INTEGER"), 0), (FLAT, 1), (MATRIX, 2)])
def test_an_input_of_unknown_rank_takes_the_rank_of_its_column(column: Field, rank: int) -> None:
    binding = match(None, column, pad_value=-1)
    rows: list[Any] = [[1, 2], [[1], [2, 3]], [[[1, 2]], [[3], [4]]]][rank]
    values, faults = fed(binding, rows)
    assert faults == []
    assert (
        values.tolist()
        == (
            [1, 2],
            [[1, -1], [2, 3]],
            [[[1, 2], [-1, -1]], [[3, -1], [4, -1]]],
        )[rank]
    )


def test_one_value_can_stand_for_a_row_of_one_element() -> None:
    binding = match((None, None), Field("c", "INTEGER"), shapes={"x": (1,)})
    assert fed(binding, [5, 6])[0].tolist() == [[5], [6]]


@pytest.mark.parametrize(
    ("shape", "row", "expected"),
    [
        ((None, None, 2), [1, 2, 3, 4], [[1, 2], [3, 4]]),
        ((None, 2, None), [1, 2, 3, 4], [[1, 2], [3, 4]]),
        ((None, 2, None), [1, 2], [[1, 0], [2, 0]]),
        ((None, None, 2), [1, 2], [[1, 2], [0, 0]]),
        ((None, None, 2), [], [[0, 0], [0, 0]]),
    ],
)
def test_a_flat_list_tells_one_free_dimension(
    shape: Shape, row: list[int], expected: list[list[int]]
) -> None:
    values, faults = fed(match(shape, FLAT), [row, [9] * 4, [9] * 3])
    assert values[0].tolist() == expected
    assert faults == [
        "2 WRONG_LENGTH: column 'c' has 3 elements; input 'x' needs a multiple of 2",
    ]


def test_nested_lists_are_padded_in_each_free_dimension() -> None:
    rows = [[[1, 2, 3]], [[1], [2]], [], [[1, 2], [3]], [[]]]
    values, faults = fed(match((None, None, None), MATRIX, pad_value=7), rows)
    assert values.shape == (5, 2, 3)
    assert values[[0, 1, 2, 4]].tolist() == [
        [[1, 2, 3], [7, 7, 7]],
        [[1, 7, 7], [2, 7, 7]],
        [[7, 7, 7], [7, 7, 7]],
        [[7, 7, 7], [7, 7, 7]],
    ]
    assert faults == [
        "3 WRONG_LENGTH: column 'c.c' has lists of different lengths; input 'x' needs any x any",
    ]


def test_nested_lists_may_leave_dimensions_of_one_out() -> None:
    values, faults = fed(match((None, 1, 2, 2, 1), MATRIX), [[[1, 2], [3, 4]]])
    assert faults == []
    assert values.tolist() == [[[[[1], [2]], [[3], [4]]]]]


def test_nested_lists_are_three_deep() -> None:
    cube = np.arange(8).reshape(2, 2, 2).tolist()
    values, faults = fed(match((None, 2, 2, 2), CUBE), [cube, [cube[0]]])
    assert values[0].tolist() == cube
    assert faults == [
        "1 WRONG_LENGTH: column 'c.c.c' has 1 x 2 x 2 elements; input 'x' needs 2 x 2 x 2"
    ]


@pytest.mark.parametrize(
    ("shape", "column", "problem"),
    [
        (
            (None, None, None, 3),
            FLAT,
            "it leaves several dimensions of a row free, of which a flat ARRAY tells one; state "
            "them: --input_shapes x=[SIZE,SIZE,3]",
        ),
        (
            (None, 6),
            MATRIX,
            "a row of it has 1 dimensions, the column ARRAYs within ARRAYs, 2 deep; feed it a flat "
            "ARRAY",
        ),
        (
            (None, None),
            Field("c", "INTEGER"),
            "it leaves dimensions of a row free, which one value does not tell; feed it an ARRAY, "
            "or state them: --input_shapes x=[SIZE]",
        ),
        (
            (None, None, None, 3),
            Field("c", "BYTES"),
            "no conversion from BYTES to float32 keeps the values; for images state their size, "
            "--input_shapes x=[HEIGHT,WIDTH,3]",
        ),
    ],
)
def test_what_cannot_fill_an_input_names_the_flag(
    shape: Shape, column: Field, problem: str
) -> None:
    where = (
        f"input {TensorSpec('x', 'float32', shape)} from column {column.name!r} ({column.sql_type})"
    )
    assert refusal(shape, column) == f"{where}: {problem}"


def test_a_stack_fills_a_stated_shape() -> None:
    columns = [Field(name, "INTEGER") for name in "abcd"]
    spec = TensorSpec("x", "float32", None)
    for shapes, expected in (({"x": (2, 2)}, [[1, 2], [3, 4]]), ({}, [1, 2, 3, 4])):
        (binding,) = match_inputs(
            Signature("s", (spec,), ()),
            columns,
            chosen={"x": tuple("abcd")},
            options=FeedOptions(shapes=shapes),
        )
        batch = pa.record_batch({name: [i + 1] for i, name in enumerate("abcd")})
        assert binding.feed(batch).values[0].tolist() == expected


def test_a_stack_does_not_tell_two_free_dimensions() -> None:
    columns = [Field(name, "INTEGER") for name in "abcd"]
    signature = Signature("s", (TensorSpec("x", "float32", (None, None, None)),), ())
    with pytest.raises(ColumnError) as caught:
        match_inputs(signature, columns, chosen={"x": tuple("abcd")})
    assert str(caught.value).endswith(
        "it leaves several dimensions of a row free; state them: --input_shapes x=[SIZE,SIZE]"
    )


def test_images_are_decoded_to_a_stated_size() -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 6), (255, 0, 0)).save(file, "PNG")
    binding = match((None, None, None, 3), Field("c", "BYTES"), shapes={"x": (2, 3, 3)})
    assert isinstance(binding, ImageBinding)
    values, faults = fed(binding, [file.getvalue()])
    assert faults == []
    assert values.shape == (1, 2, 3, 3)
    assert values[0, 0, 0].tolist() == [1, 0, 0]


def padded(value: Any, shape: tuple[int, ...], pad: int) -> Any:
    """The slow way to fill nested lists up to a shape."""
    if not shape:
        return value
    rows = [padded(v, shape[1:], pad) for v in value]
    return rows + [np.full(shape[1:], pad).tolist()] * (shape[0] - len(rows))


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_any_sizes_in_any_dimensions_equal_the_slow_way(data: st.DataObject) -> None:
    column = data.draw(st.sampled_from([FLAT, MATRIX, CUBE]))
    fixed = data.draw(
        st.lists(st.none() | st.integers(1, 3), min_size=column.rank, max_size=column.rank)
    )
    sizes = st.tuples(*(st.integers(0, 3) if d is None else st.just(d) for d in fixed))
    shapes = data.draw(st.lists(sizes, min_size=1, max_size=5))
    rows = [np.arange(np.prod(s)).reshape(s).tolist() for s in shapes]
    # A list that is not there does not say how long those within it would be.
    shapes = [tuple(0 if 0 in s[:i] else d for i, d in enumerate(s)) for s in shapes]
    binding = match((None, *fixed), column, "int64", pad_value=-1)
    values, faults = fed(binding, rows)
    assert faults == []
    longest = [max(1, *(s[i] for s in shapes)) for i in range(column.rank)]
    shape = tuple(m if d is None else d for d, m in zip(fixed, longest, strict=True))
    assert values.shape == (len(rows), *shape)
    for got, row in zip(values, rows, strict=True):
        assert got.tolist() == padded(row, shape, -1)
    assert isinstance(binding, InputBinding)


@pytest.mark.parametrize(("free", "other"), list(product([0, 1, 2], [1, 2])))
def test_a_flat_list_and_nested_ones_give_the_same_tensor(free: int, other: int) -> None:
    dims = [other] * 3
    shape = (None, *(None if i == free else d for i, d in enumerate(dims)))
    cubes = [
        np.arange(other * other * n).reshape([n if i == free else d for i, d in enumerate(dims)])
        for n in (1, 3, 2)
    ]
    flat, _ = fed(match(shape, FLAT), [cube.ravel().tolist() for cube in cubes])
    deep, _ = fed(match(shape, CUBE), [cube.tolist() for cube in cubes])
    assert flat.tolist() == deep.tolist()

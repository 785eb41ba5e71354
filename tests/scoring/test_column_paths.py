"""Fields within STRUCTs as columns: found by their path, read as nested lists of values."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.columns import column_at, named_column
from scoring.errors import ColumnError
from scoring.examples import ExampleFeature, ParsedFeatures
from scoring.feed import Binding, feed_batch
from scoring.feeding import FeedOptions
from scoring.matching import match_inputs
from scoring.schema import Field, arrow_schema
from scoring.signature import Signature, TensorSpec

ITEMS = Field("items", "RECORD", "REPEATED", (Field("v", "FLOAT"), Field("name", "STRING")))
ROWS = Field("rows", "RECORD", "REPEATED", (Field("v", "FLOAT", "REPEATED"),))
DEEP = Field(
    "a",
    "RECORD",
    fields=(Field("B", "RECORD", fields=(Field("c", "INTEGER"), Field("d", "STRING"))),),
)
COLUMNS = [Field("id", "INTEGER"), ITEMS, ROWS, DEEP]


def match(spec: TensorSpec, chosen: dict[str, Any], **options: Any) -> Binding:
    signature = Signature("serving_default", (spec,), ())
    (binding,) = match_inputs(signature, COLUMNS, chosen=chosen, options=FeedOptions(**options))
    return binding


def batch_of(column: Field, values: list[Any]) -> pa.RecordBatch:
    return pa.record_batch([pa.array(values, column.arrow_type)], schema=arrow_schema([column]))


@pytest.mark.parametrize(
    ("path", "name", "kind", "rank", "top"),
    [
        ("a.B.c", "a.B.c", "INT64", 0, DEEP),
        ("A.b.C", "a.B.c", "INT64", 0, DEEP),
        ("items.v", "items.v", "ARRAY<FLOAT64>", 1, ITEMS),
        ("rows.v", "rows.v", "ARRAY<ARRAY<FLOAT64>>", 2, ROWS),
        ("a.B", "a.B", "STRUCT<c INT64, d STRING>", 0, DEEP),
        ("ID", "id", "INT64", 0, COLUMNS[0]),
    ],
)
def test_a_path_is_found_in_any_case(
    path: str, name: str, kind: str, rank: int, top: Field
) -> None:
    found = column_at("--input_columns", path, COLUMNS)
    assert (found.name, found.sql_type, found.rank, found.top) == (name, kind, rank, top)


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        (
            "b.c",
            "column 'b', which the source does not have. Its columns are: id, items, rows, a.",
        ),
        ("id.x", "'id.x', but 'id' is INT64, which has no fields."),
        ("items.v.x", "'items.v.x', but 'items.v' is FLOAT64, which has no fields."),
        ("a.B.x", "'a.B.x', but 'a.B' has no field 'x'. Its fields are: c, d."),
    ],
)
def test_a_path_that_leads_nowhere_is_explained(path: str, problem: str) -> None:
    with pytest.raises(ColumnError) as caught:
        column_at("--input_columns", path, COLUMNS)
    assert str(caught.value) == f"--input_columns names {problem}"


def test_keys_and_copied_columns_are_whole_columns() -> None:
    with pytest.raises(ColumnError) as caught:
        named_column("--key_columns", "A.b", COLUMNS)
    assert str(caught.value) == (
        "--key_columns names 'A.b', a field within column 'a', and takes whole columns alone. "
        "Name that column, or select the field under a name of its own with --input_query."
    )


def test_nothing_is_taken_from_within_a_struct_unasked() -> None:
    with pytest.raises(ColumnError) as caught:
        match(TensorSpec("c", "int64", (None,)), {})
    assert str(caught.value).endswith("which input: --input_columns c=a.B.c")


def test_a_field_that_is_there_twice_is_not_proposed() -> None:
    with pytest.raises(ColumnError, match=r"--input_columns v=COLUMN$"):
        match(TensorSpec("v", "float32", (None,)), {})


def test_a_struct_itself_feeds_nothing() -> None:
    with pytest.raises(ColumnError) as caught:
        match(TensorSpec("x", "int64", (None,)), {"x": "a.B"})
    assert str(caught.value).endswith("choose one of its fields, --input_columns x=a.B.c say")


def test_a_null_struct_makes_its_fields_null() -> None:
    binding = match(TensorSpec("x", "int8", (None,)), {"x": "a.b.c"})
    rows = [{"B": {"c": 1}}, None, {"B": None}, {"B": {"c": None}}, {"B": {"c": 300}}]
    arrays, faults, _ = feed_batch(batch_of(DEEP, rows), [binding])
    assert arrays["x"].tolist() == [1]
    null = "column 'a.B.c' is NULL; input 'x' needs a value"
    assert [(f.row, f.code, f.message) for f in faults] == [
        (1, "NULL_VALUE", null),
        (2, "NULL_VALUE", null),
        (3, "NULL_VALUE", null),
        (
            4,
            "OUT_OF_RANGE",
            "column 'a.B.c' holds 300; input 'x' is int8: must fit the dtype",
        ),
    ]


def test_a_field_of_an_array_of_structs_is_a_vector() -> None:
    binding = match(TensorSpec("x", "float32", (None, 2)), {"x": "items.v"})
    rows = [[{"v": 1.0}, {"v": 2.0}], [{"v": 3.0}], [{"v": 4.0}, {"v": None}], None]
    arrays, faults, _ = feed_batch(batch_of(ITEMS, rows), [binding])
    assert arrays["x"].tolist() == [[1, 2]]
    assert [(f.row, f.code, f.message) for f in faults] == [
        (1, "WRONG_LENGTH", "column 'items.v' has 1 element; input 'x' needs exactly 2"),
        (2, "NULL_ELEMENT", "element 1 of column 'items.v' is NULL; input 'x' needs a value"),
        (3, "NULL_VALUE", "column 'items.v' is NULL; input 'x' needs a value"),
    ]


def matrix(*lists: list[float | None]) -> list[dict[str, Any]]:
    return [{"v": values} for values in lists]


def test_arrays_within_an_array_of_structs_are_a_matrix() -> None:
    binding = match(TensorSpec("x", "float32", (None, 2, 3)), {"x": "rows.v"})
    rows = [
        matrix([1, 2, 3], [4, 5, 6]),
        matrix([1, 2, 3], [4, 5]),
        matrix([1, 2], [3, 4], [5, 6]),
        [],
        matrix([1, 2, None], [4, 5, 6]),
        [{"v": [1, 2, 3]}, {"v": None}],
        matrix([7, 8, 9], [10, 11, 12]),
    ]
    arrays, faults, _ = feed_batch(batch_of(ROWS, rows), [binding])
    assert arrays["x"].tolist() == [[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]]
    has = "column 'rows.v' has"
    assert [(f.row, f.code, f.message) for f in faults] == [
        (1, "WRONG_LENGTH", f"{has} lists of different lengths; input 'x' needs 2 x 3"),
        (2, "WRONG_LENGTH", f"{has} 3 x 2 elements; input 'x' needs 2 x 3"),
        (3, "WRONG_LENGTH", f"{has} 0 x 0 elements; input 'x' needs 2 x 3"),
        (4, "NULL_ELEMENT", "element 2 of column 'rows.v' is NULL; input 'x' needs a value"),
        (5, "NULL_ELEMENT", "a list of column 'rows.v' is NULL; input 'x' needs a value"),
    ]


def test_fields_of_structs_are_stacked() -> None:
    binding = match(TensorSpec("x", "float32", (None, 2)), {"x": ("a.B.c", "a.b.C")})
    assert [c.name for c in binding.columns] == ["a.B.c", "a.B.c"]
    fed = binding.feed(batch_of(DEEP, [{"B": {"c": 2}}]))
    assert fed.values.tolist() == [[2, 2]]


def test_features_of_examples_are_chosen_by_path() -> None:
    from tensorflow.core.example.example_pb2 import Example

    parsed = ParsedFeatures("ParseExampleV2", (ExampleFeature("f", "float32"),))
    spec = TensorSpec("examples", "string", (None,))
    binding = match(spec, {"f": "items.v"}, examples=parsed)
    rows = [[{"v": 0.5}, {"v": 1.5}], []]
    values, faults, _ = binding.feed(batch_of(ITEMS, rows))
    assert faults == []
    features = [Example.FromString(value).features.feature["f"] for value in values]
    assert [list(feature.float_list.value) for feature in features] == [[0.5, 1.5], []]


def test_a_matrix_is_no_feature_of_an_example() -> None:
    parsed = ParsedFeatures("ParseExampleV2", (ExampleFeature("f", "float32"),))
    with pytest.raises(ColumnError, match="a feature holds one list a row, not lists of lists"):
        match(TensorSpec("examples", "string", (None,)), {"f": "rows.v"}, examples=parsed)


@st.composite
def nested(draw: st.DrawFn) -> tuple[Field, list[str]]:
    """A column and the names on the way to a number in it."""
    depth = draw(st.integers(1, 4))
    modes = draw(
        st.lists(st.sampled_from(["NULLABLE", "REPEATED"]), min_size=depth, max_size=depth)
    )
    names = [f"f{i}" for i in range(depth)]
    field = Field(names[-1], "INTEGER", modes[-1])
    for name, mode in reversed(list(zip(names[:-1], modes[:-1], strict=True))):
        field = Field(name, "RECORD", mode, (Field("other", "STRING"), field))
    return field, names


def values_of(field: Field) -> st.SearchStrategy[Any]:
    kinds = {"INTEGER": st.integers(-9, 9), "STRING": st.text(max_size=2)}
    if field.fields:
        value = st.fixed_dictionaries({f.name: values_of(f) for f in field.fields})
    else:
        value = kinds[field.type]
    return st.none() | (st.lists(st.none() | value, max_size=3) if field.rank else value)


def within(value: Any, names: list[str]) -> Any:
    """The slow way along a path; a NULL ends it."""
    if value is None or not names:
        return value
    if isinstance(value, list):
        return [within(v, names) for v in value]
    return within(value[names[0]], names[1:])


@settings(deadline=None, max_examples=200)
@given(data=st.data(), column=nested())
def test_values_along_any_path_equal_a_walk_through_python_values(
    data: st.DataObject, column: tuple[Field, list[str]]
) -> None:
    field, names = column
    rows = data.draw(st.lists(values_of(field), max_size=6))
    before = data.draw(st.integers(0, len(rows)))
    found = column_at("--input_columns", ".".join(names), [field])
    values = found.values(batch_of(field, rows).slice(before))
    values.validate(full=True)
    assert values.to_pylist() == [within(row, names[1:]) for row in rows[before:]]
    assert values.type == found.arrow_type

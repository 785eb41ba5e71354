"""BigQuery columns as values: REST resources, SQL names and Arrow types, both ways."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.schema import Field, arrow_schema, unportable_type

_SCALARS = [
    "INTEGER",
    "FLOAT",
    "BOOLEAN",
    "STRING",
    "BYTES",
    "DATE",
    "DATETIME",
    "TIMESTAMP",
    "TIME",
    "NUMERIC",
    "BIGNUMERIC",
    "JSON",
    "GEOGRAPHY",
]
_names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
_modes = st.sampled_from(["NULLABLE", "REQUIRED", "REPEATED"])
_scalar_fields = st.builds(Field, _names, st.sampled_from(_SCALARS), _modes)


def _records(inner: st.SearchStrategy[Field]) -> st.SearchStrategy[Field]:
    fields = st.lists(inner, min_size=1, max_size=3, unique_by=lambda f: f.name).map(tuple)
    return st.builds(Field, _names, st.just("RECORD"), _modes, fields)


_fields = st.recursive(_scalar_fields, _records, max_leaves=5)


@given(_fields)
def test_a_field_survives_the_rest_resource(field: Field) -> None:
    assert Field.from_api(field.to_api()) == field


@given(_fields)
def test_the_arrow_type_has_the_fields_names_and_nullability(field: Field) -> None:
    def check(field: Field, arrow: pa.Field) -> None:
        assert arrow.name == field.name
        assert arrow.nullable is (field.mode != "REQUIRED")
        assert pa.types.is_list(arrow.type) is (field.mode == "REPEATED")
        item = arrow.type.value_type if field.mode == "REPEATED" else arrow.type
        assert pa.types.is_struct(item) is bool(field.fields)
        for i, inner in enumerate(field.fields):
            check(inner, item.field(i))

    check(field, field.arrow_field)


@pytest.mark.parametrize(
    ("resource", "field"),
    [
        ({"name": "a", "type": "INTEGER"}, Field("a", "INTEGER")),
        ({"name": "a", "type": "INT64", "mode": "REQUIRED"}, Field("a", "INTEGER", "REQUIRED")),
        ({"name": "a", "type": "FLOAT64", "mode": "REPEATED"}, Field("a", "FLOAT", "REPEATED")),
        ({"name": "a", "type": "bool", "mode": "nullable"}, Field("a", "BOOLEAN")),
        ({"name": "a", "type": "DECIMAL", "mode": ""}, Field("a", "NUMERIC")),
        ({"name": "a", "type": "BIGDECIMAL", "mode": None}, Field("a", "BIGNUMERIC")),
        ({"name": "a", "type": "INTERVAL", "fields": []}, Field("a", "INTERVAL")),
        (
            {"name": "a", "type": "STRUCT", "fields": [{"name": "b", "type": "INT64"}]},
            Field("a", "RECORD", fields=(Field("b", "INTEGER"),)),
        ),
    ],
)
def test_rest_resources_are_read_with_either_type_name(
    resource: dict[str, Any], field: Field
) -> None:
    assert Field.from_api(resource) == field


def test_the_rest_resource_is_written_in_full() -> None:
    field = Field("a", "RECORD", "REPEATED", (Field("b", "INTEGER", "REQUIRED"),))
    assert field.to_api() == {
        "name": "a",
        "type": "RECORD",
        "mode": "REPEATED",
        "fields": [{"name": "b", "type": "INTEGER", "mode": "REQUIRED"}],
    }
    assert Field("b", "DATE").to_api() == {"name": "b", "type": "DATE", "mode": "NULLABLE"}


@pytest.mark.parametrize(
    ("field", "sql"),
    [
        (Field("a", "INTEGER"), "INT64"),
        (Field("a", "FLOAT", "REPEATED"), "ARRAY<FLOAT64>"),
        (Field("a", "BOOLEAN", "REQUIRED"), "BOOL"),
        (Field("a", "TIMESTAMP"), "TIMESTAMP"),
        (
            Field(
                "a",
                "RECORD",
                "REPEATED",
                (Field("b", "STRING"), Field("c", "INTEGER", "REPEATED")),
            ),
            "ARRAY<STRUCT<b STRING, c ARRAY<INT64>>>",
        ),
    ],
)
def test_types_are_written_as_sql(field: Field, sql: str) -> None:
    assert field.sql_type == sql


@pytest.mark.parametrize(
    ("kind", "arrow"),
    [
        ("INTEGER", pa.int64()),
        ("FLOAT", pa.float64()),
        ("BOOLEAN", pa.bool_()),
        ("STRING", pa.string()),
        ("BYTES", pa.binary()),
        ("DATE", pa.date32()),
        ("DATETIME", pa.timestamp("us")),
        ("TIMESTAMP", pa.timestamp("us", "UTC")),
        ("TIME", pa.time64("us")),
        ("NUMERIC", pa.decimal128(38, 9)),
        ("BIGNUMERIC", pa.decimal256(76, 38)),
        ("JSON", pa.string()),
        ("GEOGRAPHY", pa.string()),
    ],
)
def test_arrow_types_are_those_of_the_storage_read_api(kind: str, arrow: pa.DataType) -> None:
    assert Field("a", kind).arrow_type == arrow
    assert Field("a", kind, "REPEATED").arrow_type == pa.list_(arrow)


def test_a_type_without_an_arrow_type_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        _ = Field("a", "INTERVAL").arrow_type


@pytest.mark.parametrize(
    ("field", "found"),
    [
        (Field("a", "NUMERIC"), None),
        (Field("a", "JSON"), None),
        (Field("a", "GEOGRAPHY", "REPEATED"), None),
        (Field("a", "INTERVAL"), "INTERVAL"),
        (Field("a", "RANGE"), "RANGE"),
        (Field("a", "NOVELTY"), "NOVELTY"),
        (Field("a", "RECORD"), "RECORD"),
        (Field("a", "RECORD", fields=(Field("b", "DATE"),)), None),
        (
            Field(
                "a",
                "RECORD",
                fields=(Field("b", "DATE"), Field("c", "RECORD", fields=(Field("d", "RANGE"),))),
            ),
            "RANGE",
        ),
    ],
)
def test_the_first_type_that_cannot_be_carried_is_found(field: Field, found: str | None) -> None:
    assert unportable_type(field) == found


def test_the_arrow_schema_of_a_table() -> None:
    fields = [Field("id", "INTEGER", "REQUIRED"), Field("tags", "STRING", "REPEATED")]
    assert arrow_schema(fields) == pa.schema(
        [pa.field("id", pa.int64(), nullable=False), pa.field("tags", pa.list_(pa.string()))]
    )

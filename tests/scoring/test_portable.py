"""JSON and GEOGRAPHY as text, and the SQL that restores them."""

import pytest

from scoring.portable import loaded_field, restoring_query
from scoring.schema import Field

_ID = Field("id", "INTEGER")
_ROUND = "wide_number_mode=>'round'"


def _restored(*fields: Field) -> str | None:
    return restoring_query("p.d.t", (_ID, *fields))


@pytest.mark.parametrize("kind", ["STRING", "BIGNUMERIC", "TIMESTAMP"])
def test_other_types_are_loaded_as_they_are(kind: str) -> None:
    field = Field("s", "RECORD", "REPEATED", (Field("a", kind), Field("b", kind, "REPEATED")))
    assert loaded_field(field) == field
    assert _restored(field) is None


def test_the_loaded_column_differs_in_the_types_alone() -> None:
    inner = (Field("j", "JSON", "REQUIRED"), Field("n", "INTEGER"), Field("g", "GEOGRAPHY"))
    assert loaded_field(Field("s", "RECORD", "REPEATED", inner)) == Field(
        "s",
        "RECORD",
        "REPEATED",
        (Field("j", "STRING", "REQUIRED"), Field("n", "INTEGER"), Field("g", "STRING")),
    )


def test_columns_are_parsed_in_place() -> None:
    assert _restored(Field("my column", "JSON"), Field("g", "GEOGRAPHY", "REQUIRED")) == (
        f"SELECT * REPLACE (PARSE_JSON(`my column`, {_ROUND}) AS `my column`, "
        "ST_GEOGFROMTEXT(`g`, oriented=>TRUE) AS `g`) FROM `p.d.t`"
    )


def test_arrays_keep_their_order() -> None:
    assert _restored(Field("js", "JSON", "REPEATED")) == (
        f"SELECT * REPLACE (ARRAY(SELECT PARSE_JSON(item0, {_ROUND}) FROM UNNEST(`js`) AS item0 "
        "WITH OFFSET AS position0 ORDER BY position0) AS `js`) FROM `p.d.t`"
    )


def test_structs_keep_their_other_fields_and_stay_null() -> None:
    inner = Field("in", "RECORD", fields=(Field("g", "GEOGRAPHY"),))
    assert _restored(Field("s", "RECORD", fields=(Field("n", "INTEGER"), inner))) == (
        "SELECT * REPLACE (IF(`s` IS NULL, NULL, STRUCT(`s`.`n` AS `n`, "
        "IF(`s`.`in` IS NULL, NULL, STRUCT(ST_GEOGFROMTEXT(`s`.`in`.`g`, oriented=>TRUE) AS `g`)) "
        "AS `in`)) AS `s`) FROM `p.d.t`"
    )


def test_arrays_within_arrays_have_names_of_their_own() -> None:
    inner = Field("js", "JSON", "REPEATED")
    assert _restored(Field("ss", "RECORD", "REPEATED", (inner,))) == (
        "SELECT * REPLACE (ARRAY(SELECT IF(item0 IS NULL, NULL, STRUCT("
        f"ARRAY(SELECT PARSE_JSON(item1, {_ROUND}) FROM UNNEST(item0.`js`) AS item1 "
        "WITH OFFSET AS position1 ORDER BY position1) AS `js`)) FROM UNNEST(`ss`) AS item0 "
        "WITH OFFSET AS position0 ORDER BY position0) AS `ss`) FROM `p.d.t`"
    )

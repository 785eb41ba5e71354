"""Types that load jobs take from no Parquet file: they travel as text, and a query restores them.

The texts are those of the Storage Read API: JSON as such, GEOGRAPHY as WKT.
"""

from collections.abc import Sequence
from dataclasses import replace

from scoring.schema import Field

# JSON holds numbers as INT64, UINT64 or FLOAT64.  A text that came from a JSON column names one of
# these, which 'round' gives back; 'exact' would refuse 1e100 and the like.
# Polygons in texts that come from a GEOGRAPHY column have their inside on the left: without
# `oriented` one larger than a hemisphere would come back as the rest of the earth.
_PARSERS = {
    "JSON": "PARSE_JSON({text}, wide_number_mode=>'round')",
    "GEOGRAPHY": "ST_GEOGFROMTEXT({text}, oriented=>TRUE)",
}


def loaded_field(field: Field) -> Field:
    """The column as load jobs take it: STRING where a query restores the type."""
    kind = "STRING" if field.type in _PARSERS else field.type
    return replace(field, type=kind, fields=tuple(loaded_field(f) for f in field.fields))


def restoring_query(table: str, fields: Sequence[Field]) -> str | None:
    """GoogleSQL that selects the columns `fields`, restored, from the table they were loaded into.

    NULLs, the order of ARRAYs and of columns stay.  None if nothing is to be restored.

    Args:
      table: `project.dataset.table`.
    """
    restored = [f for f in fields if loaded_field(f) != f]
    if not restored:
        return None
    replaced = ", ".join(f"{_restored(f, _quoted(f.name))} AS {_quoted(f.name)}" for f in restored)
    return f"SELECT * REPLACE ({replaced}) FROM {_quoted(table)}"  # noqa: S608


def _restored(field: Field, value: str, depth: int = 0) -> str:
    """An expression for the field, given one for what was loaded of it."""
    if loaded_field(field) == field:
        return value
    if field.mode == "REPEATED":
        item, position = f"item{depth}", f"position{depth}"
        element = _restored(replace(field, mode="NULLABLE"), item, depth + 1)
        return (
            f"ARRAY(SELECT {element} FROM UNNEST({value}) AS {item} "  # noqa: S608
            f"WITH OFFSET AS {position} ORDER BY {position})"
        )
    if field.fields:
        members = ", ".join(
            f"{_restored(f, f'{value}.{_quoted(f.name)}', depth)} AS {_quoted(f.name)}"
            for f in field.fields
        )
        return f"IF({value} IS NULL, NULL, STRUCT({members}))"
    return _PARSERS[field.type].format(text=value)


def _quoted(name: str) -> str:
    return f"`{name}`"

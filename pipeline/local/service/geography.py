"""GEOGRAPHY as WKT text, wherever a table has it.

The Storage Read API and extract jobs send it as text ("Arrow schema details", "Exporting table
data"); DuckDB would send its own binary form, or none.
"""

from __future__ import annotations

from pipeline.local.service.schema import Field, is_repeated, quoted, rest_type


def sent(field: Field) -> str:
    """The column as DuckDB SQL selects it to be sent, under its name."""
    name = quoted(field["name"])
    return f"{_text(field, name)} AS {name}" if has_geography(field) else name


def has_geography(field: Field) -> bool:
    """Whether the column holds GEOGRAPHY, in itself or in a STRUCT."""
    return rest_type(field["type"]) == "GEOGRAPHY" or any(
        has_geography(member) for member in field.get("fields", ())
    )


def _text(field: Field, value: str, depth: int = 0) -> str:
    if not has_geography(field):
        return value
    if is_repeated(field):
        item = f"item{depth}"
        text = _text({**field, "mode": "NULLABLE"}, item, depth + 1)
        return f"list_transform({value}, lambda {item}: {text})"
    if rest_type(field["type"]) == "GEOGRAPHY":
        return f"ST_AsText({value})"
    named = [(quoted(member["name"]), member) for member in field["fields"]]
    members = ", ".join(f"{name} := {_text(sub, f'{value}.{name}', depth)}" for name, sub in named)
    return f"CASE WHEN {value} IS NOT NULL THEN struct_pack({members}) END"

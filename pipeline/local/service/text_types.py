"""Query jobs that write JSON and GEOGRAPHY, also within STRUCTs and ARRAYs.

bqemulator takes nested JSON for STRING and GEOGRAPHY for BYTES, and refuses the named argument of
ST_GEOGFROMTEXT. The real service types both wherever they are ("JSON functions", PARSE_JSON;
"Geography functions", ST_GEOGFROMTEXT). Here the query computes the texts, and DuckDB parses them
when they are written to columns of the right types. Its geometry is planar: `oriented` says
nothing there, and neither does `wide_number_mode` of JSON that is kept as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlglot
from sqlglot import exp

from pipeline.local.service.schema import Field

_GEOGRAPHY_PARSER = "ST_GEOGFROMTEXT"


@dataclass(frozen=True)
class TextQuery:
    """A query without the functions that parse texts, and the columns that had some."""

    sql: str
    columns: Mapping[str, exp.Expr]

    def typed(self, fields: Sequence[Field]) -> list[Field]:
        """The columns of the query's result, with the types that the functions would give."""
        return [
            _typed(field, self.columns[field["name"]]) if field["name"] in self.columns else field
            for field in fields
        ]


def text_query(sql: str) -> TextQuery:
    """The query that computes the texts instead of what is parsed from them."""
    try:
        tree = sqlglot.parse_one(sql, read="bigquery")
    except sqlglot.ParseError:
        # The engine says what is wrong.
        return TextQuery(sql, {})
    if not isinstance(tree, exp.Select) or not any(_parsed_type(node) for node in tree.walk()):
        return TextQuery(sql, {})
    replaced = [column for star in tree.find_all(exp.Star) for column in star.args["replace"] or ()]
    columns = {
        column.alias: column.this
        for column in (*tree.expressions, *replaced)
        if isinstance(column, exp.Alias)
    }
    return TextQuery(tree.transform(_text).sql("bigquery"), columns)


def _parsed_type(node: exp.Expr) -> str | None:
    if isinstance(node, exp.ParseJSON):
        return "JSON"
    is_function = isinstance(node, exp.Anonymous) and node.name.upper() == _GEOGRAPHY_PARSER
    return "GEOGRAPHY" if is_function else None


def _text(node: exp.Expr) -> exp.Expr:
    if _parsed_type(node) is None:
        return node
    text: exp.Expr = node.this if isinstance(node, exp.ParseJSON) else node.expressions[0]
    return text


def _typed(field: Field, value: exp.Expr) -> Field:
    """The column that holds `value`, given the column that holds its texts."""
    parsed = _parsed_type(value)
    if parsed is not None:
        return {**field, "type": parsed}
    match value:
        case exp.If():
            return _typed(field, value.args["false"])
        case exp.Array(expressions=[exp.Select() as items]):
            return _typed(field, items.expressions[0])
        case exp.Struct():
            members = {member.name: member.expression for member in value.expressions}
            typed = [_typed(sub, members[sub["name"]]) for sub in field["fields"]]
            return {**field, "fields": typed}
        case _:
            return field

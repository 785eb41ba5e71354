"""MERGE and UPDATE: at most one source row for a target row.

DuckDB takes any one of several. The real service: "Data manipulation language (DML) statements in
GoogleSQL", "MERGE statement" and "UPDATE statement" ("if a row in the table to be updated joins
with more than one row from the source, then a runtime error is returned").
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import duckdb
import sqlglot
from bqemulator.domain.errors import InvalidQueryError
from sqlglot import expressions

_SEVERAL = "UPDATE/MERGE must match at most one source row for each target row"
_STATEMENT = re.compile(r"\s*(MERGE|UPDATE)\b", re.IGNORECASE)


def check_statement(
    connection: duckdb.DuckDBPyConnection, statement: str, values: Sequence[Any]
) -> None:
    """`check_matches` for a statement in DuckDB's SQL of any kind.

    Raises:
        InvalidQueryError: a row that would be updated or deleted matches several source rows.
    """
    if not _STATEMENT.match(statement):
        return
    tree = sqlglot.parse_one(statement, read="duckdb")
    if isinstance(tree, expressions.Merge | expressions.Update):
        check_matches(connection, tree, values)


def check_matches(
    connection: duckdb.DuckDBPyConnection,
    tree: expressions.Merge | expressions.Update,
    values: Sequence[Any],
) -> None:
    """
    Raises:
        InvalidQueryError: a row that would be updated or deleted matches several source rows.
    """
    parts = _matching(tree)
    if parts is None:
        return
    target, source, condition = parts
    placeholders = list(tree.find_all(expressions.Placeholder, bfs=False))
    used = [
        values[_position(placeholders, found)]
        for part in (source, condition)
        for found in part.find_all(expressions.Placeholder, bfs=False)
    ]
    name = target.alias_or_name
    several = connection.execute(
        f"SELECT 1 FROM {target.sql('duckdb')}, {source.sql('duckdb')} "
        f"WHERE {condition.sql('duckdb')} "
        f'GROUP BY "{name}".rowid HAVING count(*) > 1 LIMIT 1',
        used,
    ).fetchone()
    if several:
        raise InvalidQueryError(_SEVERAL)


def _matching(
    tree: expressions.Merge | expressions.Update,
) -> tuple[Any, Any, Any] | None:
    """The target, the source, and when a row of one changes because of a row of the other."""
    if isinstance(tree, expressions.Update):
        source = tree.args.get("from_")
        where = tree.args.get("where")
        if source is None or where is None:
            return None
        return tree.this, source.this, where.this
    changing = [
        clause.args.get("condition") or expressions.true()
        for clause in tree.args["whens"].expressions
        if clause.args.get("matched")
    ]
    if not changing:
        return None
    condition = expressions.and_(
        tree.args["on"], expressions.or_(*changing, copy=False), copy=False
    )
    return tree.this, tree.args["using"], condition


def _position(placeholders: Sequence[object], wanted: object) -> int:
    """By identity: placeholders are all equal."""
    return next(index for index, found in enumerate(placeholders) if found is wanted)

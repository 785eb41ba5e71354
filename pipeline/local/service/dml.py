"""INSERT, UPDATE, DELETE and MERGE: all or nothing, with statistics, and no guessing.

DuckDB accepts NULL in REQUIRED columns, and bqemulator runs statements side by side with load jobs
and counts all changes as one. The real service: "Data manipulation language (DML) statements in
GoogleSQL"; DmlStats in "REST Resource: jobs".
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

import duckdb
import pyarrow as pa
import sqlglot
from bqemulator.api.dependencies import AppContext
from bqemulator.domain.errors import DomainError, InvalidQueryError, ValidationError
from bqemulator.jobs import executor
from bqemulator.jobs.error_mapper import translate_runtime_error
from bqemulator.row_access.identity import CallerIdentity
from bqemulator.sql import inner_query
from bqemulator.sql.parameters import bind_parameters
from bqemulator.sql.table_rewriter import rewrite_table_refs
from sqlglot import expressions

from pipeline.local.service.destinations import check_required
from pipeline.local.service.matches import check_matches
from pipeline.local.service.tables import TableName, before_change, fields_of, find_table

_STATEMENTS = ("INSERT", "UPDATE", "DELETE", "MERGE")
_COUNTERS = {
    "INSERT": "insertedRowCount",
    "UPDATE": "updatedRowCount",
    "DELETE": "deletedRowCount",
}

STATISTICS: ContextVar[dict[str, str] | None] = ContextVar("dml_statistics", default=None)
"""`dmlStats` of the statement that the current request ran, None when it ran no DML."""

_run_other = executor._run_single_sql


async def run_single_sql(
    project: str,
    sql: str,
    parameters: list[dict[str, Any]] | None,
    context: AppContext,
    *,
    caller: CallerIdentity,
) -> pa.Table:
    """Stands in for bqemulator's function: DML waits for its turn and runs in a thread.

    Raises:
        DomainError: the statement failed, nothing was changed.
    """
    if executor.classify_statement_type(sql) not in _STATEMENTS:
        return await _run_other(project, sql, parameters, context, caller=caller)
    target = _target(project, sql)
    translated = await inner_query.rewrite_and_translate_statement(
        sql,
        project_id=project,
        ctx=context,
        caller=caller,
        translator=executor._translator,
    )
    try:
        statement = rewrite_table_refs(translated, project)
        statement, values = bind_parameters(statement, parameters)
        async with context.engine.write_lock():
            counts = await asyncio.to_thread(_execute, context, statement, values, target)
    except (DomainError, duckdb.Error) as error:
        # The original's shape for what DuckDB says.
        mapped = translate_runtime_error(error)
        if isinstance(mapped, DomainError) and mapped is not error:
            raise mapped from error
        raise
    STATISTICS.set({_COUNTERS[action]: str(counts.get(action, 0)) for action in _COUNTERS})
    return pa.table({"Count": [sum(counts.values())]})


def _target(project: str, sql: str) -> TableName:
    """The table that the statement changes.

    Raises:
        InvalidQueryError: the statement cannot be parsed.
    """
    try:
        tree = sqlglot.parse_one(sql, read="bigquery")
    except sqlglot.errors.SqlglotError as error:
        raise InvalidQueryError(f"Syntax error: {error}") from error
    targets = executor._dml_target_tables(tree, project)
    if len(targets) != 1:
        raise InvalidQueryError(f"Expected one table to change, found {len(targets)}")
    return TableName(*targets[0])


def _execute(
    context: AppContext, statement: str, values: list[Any], target: TableName
) -> dict[str, int]:
    """Runs the statement in a transaction of its own and returns the rows by action."""
    connection = context.engine.connection
    before_change(context, target)
    connection.execute("BEGIN")
    try:
        counts = _change(connection, statement, values)
        table = find_table(context, target)
        if table is not None:
            check_required(connection, target, fields_of(table))
        connection.execute("COMMIT")
    except ValidationError as error:
        connection.execute("ROLLBACK")
        raise InvalidQueryError(error.message) from error
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return counts


def _change(
    connection: duckdb.DuckDBPyConnection, statement: str, values: list[Any]
) -> dict[str, int]:
    tree = sqlglot.parse_one(statement, read="duckdb")
    if isinstance(tree, expressions.Merge):
        check_matches(connection, tree, values)
        merged = connection.execute(
            f"{_by_position(tree, statement)} RETURNING merge_action", values
        )
        actions = merged.to_arrow_table()["merge_action"].value_counts()
        return {pair["values"].as_py(): pair["counts"].as_py() for pair in actions}
    if isinstance(tree, expressions.Update):
        check_matches(connection, tree, values)
    changed = connection.execute(statement, values).fetchone()
    return {type(tree).__name__.upper(): int(changed[0]) if changed else 0}


def _by_position(tree: expressions.Merge, statement: str) -> str:
    """The statement with ``INSERT ROW``, which DuckDB does not know, as it spells that."""
    rows = [
        clause.args["then"]
        for clause in tree.args["whens"].expressions
        if isinstance(clause.args["then"], expressions.Insert)
        and isinstance(clause.args["then"].this, expressions.Var)
    ]
    for insert in rows:
        insert.set("this", expressions.var("BY POSITION"))
    return tree.sql("duckdb") if rows else statement.rstrip().rstrip(";")

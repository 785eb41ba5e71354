"""Tables that want a filter on their partitioning column are not read without one.

bqemulator stores `requirePartitionFilter` at most. The real service: "Query partitioned tables",
"Require a partition filter in queries" ("the filter can be used for partition elimination"), and
for DML "Using DML with partitioned tables".
"""

from __future__ import annotations

from typing import Any

import sqlglot
from bqemulator.api.dependencies import AppContext
from bqemulator.domain.errors import InvalidQueryError
from bqemulator.row_access.identity import CallerIdentity
from bqemulator.sql import inner_query
from bqemulator.sql.translator import SQLTranslator
from sqlglot import expressions

from pipeline.local.service.layouts import IntegerRange, TimeUnit, partitioning
from pipeline.local.service.tables import TableName, fields_of, find_table, layout_of

_translate = inner_query.rewrite_and_translate_statement
_OPTION = "require_partition_filter"


async def translate(
    sql: str,
    *,
    project_id: str,
    ctx: AppContext,
    caller: CallerIdentity,
    translator: SQLTranslator,
) -> str:
    """bqemulator's function of this purpose, for statements that have the filters they need.

    Raises:
        InvalidQueryError: a filter is missing.
    """
    if any(getattr(table, _OPTION, False) for table in _tables(ctx, project_id)):
        _check(ctx, project_id, sql)
    translated: str = await _translate(
        sql, project_id=project_id, ctx=ctx, caller=caller, translator=translator
    )
    return translated


def _tables(context: AppContext, project: str) -> list[Any]:
    datasets = context.catalog.list_datasets(project)
    return [
        table
        for dataset in datasets
        for table in context.catalog.list_tables(project, dataset.dataset_id)
    ]


def _check(context: AppContext, project: str, sql: str) -> None:
    try:
        tree = sqlglot.parse_one(sql, read="bigquery")
    except sqlglot.errors.SqlglotError:
        return  # translating it fails, too, and says why
    for table in tree.find_all(expressions.Table):
        if isinstance(table.parent, expressions.Insert | expressions.Schema) or not table.db:
            continue
        name = TableName(table.catalog or project, table.db, table.name)
        found = find_table(context, name)
        if found is None or not getattr(found, _OPTION, False):
            continue
        divided = partitioning(layout_of(found), fields_of(found))
        if isinstance(divided, TimeUnit | IntegerRange) and not _filtered(table, divided.column):
            raise InvalidQueryError(
                f"Cannot query over table '{name.project}.{name.dataset}.{name.table}' without a "
                f"filter over column(s) '{divided.column}' that can be used for partition "
                "elimination"
            )


def _filtered(table: Any, column: str) -> bool:
    """Whether a condition on rows around the table names the column."""
    around = table.parent
    while around is not None:
        conditions = [around.args.get("where"), around.args.get("on")]
        conditions += [join.args.get("on") for join in around.args.get("joins") or []]
        whens = around.args.get("whens")
        if whens is not None:
            conditions += [clause.args.get("condition") for clause in whens.expressions]
        for condition in conditions:
            if condition is not None and any(
                found.name.lower() == column.lower()
                for found in condition.find_all(expressions.Column)
            ):
                return True
        around = around.parent
    return False

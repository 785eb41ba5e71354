"""Dry runs: what a query would give, without running it.

bqemulator runs a query to learn its columns, a script with all its statements, too.  The real
service executes nothing ("Run a query", "Dry run") and calls several statements a SCRIPT ("REST
Resource: jobs", JobStatistics2.statementType).  It refuses a result with two columns of one name,
which is an error of the query and not of its destination ("Duplicate column names in the result
are not supported").
"""

from __future__ import annotations

from collections import Counter

import sqlglot
from bqemulator.domain.errors import DomainError, InvalidQueryError
from bqemulator.jobs.executor import classify_statement_type
from bqemulator.scripting.ast import SqlStmt
from bqemulator.scripting.parser import parse_script
from sqlglot import exp
from sqlglot.errors import SqlglotError

SCRIPT_STATISTICS = {"query": {"statementType": "SCRIPT", "totalBytesProcessed": "0"}}
_READS = ("SELECT", "")


def is_script(sql: str) -> bool:
    """Whether the text is more, or something else, than one statement of SQL."""
    try:
        statements = parse_script(sql).statements
    except DomainError:
        # Not even that: bqemulator says what is wrong with it.
        return False
    if len(statements) == 1 and not isinstance(statements[0], SqlStmt):
        # CREATE FUNCTION and the like are statements of their own kind, which are not run.
        return classify_statement_type(sql) in _READS
    return len(statements) != 1


def check_columns(sql: str) -> None:
    """Looks at the columns that the query lists; those that a star stands for are not known here.

    Raises:
        InvalidQueryError: two columns of the result differ at most in case.
    """
    try:
        tree = sqlglot.parse_one(sql, read="bigquery")
    except SqlglotError:
        # bqemulator has run it, and knows better.
        return
    names = tree.named_selects if isinstance(tree, exp.Query) else []
    counts = Counter(name.lower() for name in names if name not in ("", "*"))
    repeated = [name for name, n in counts.items() if n > 1]
    if repeated:
        raise InvalidQueryError(
            "Duplicate column names in the result are not supported. Found duplicate(s): "
            + ", ".join(repeated)
        )

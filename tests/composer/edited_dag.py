"""The DAG's file as a user has it: other values for the constants at its top."""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DAG_FILE = ROOT / "templates" / "composer" / "bulkscore_dag.py"


def edited(source: str, values: Mapping[str, Any]) -> str:
    """The source with these constants replaced; what else it has stays where it is.

    Args:
      values: the constants' new values, which `repr` has to give as Python takes them.

    Raises:
      ValueError: a constant is not assigned at the top level of the source.
    """
    places = {
        statement.targets[0].id: (statement.lineno - 1, statement.end_lineno)
        for statement in ast.parse(source).body
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
    }
    missing = sorted(values.keys() - places.keys())
    if missing:
        raise ValueError(f"the file has no constants {', '.join(missing)}")
    lines = source.splitlines()
    # From the last one on, as an assignment of several lines becomes one.
    for name in sorted(values, key=lambda name: places[name], reverse=True):
        start, end = places[name]
        lines[start:end] = [f"{name} = {values[name]!r}"]
    return "\n".join([*lines, ""])

"""The DAG's file as a user has it, with other constants, and what it sends, without Airflow."""

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DAG_FILE = ROOT / "templates" / "composer" / "bulkscore_dag.py"


def edited(source: str, values: Mapping[str, Any]) -> str:
    """The source with these constants replaced; what else it has stays as it is.

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


def names_before_airflow(source: str) -> dict[str, Any]:
    """What the file defines before it needs Airflow: constants, the launch, SQL."""
    body = ast.parse(source).body
    end = next(
        index
        for index, statement in enumerate(body)
        if isinstance(statement, ast.Assign) and "'Asset'" in ast.dump(statement.value)
    )
    kept = [s for s in body[:end] if not isinstance(s, ast.Try) and not _is_of_airflow(s)]
    names: dict[str, Any] = {}
    exec(compile(ast.Module(kept, []), str(DAG_FILE), "exec"), names)
    return names


def launch_of(source: str, day: str, next_day: str) -> dict[str, Any]:
    """The body of the launch for a day, rendered as Airflow does, in version 1."""
    rendered = {
        "{{ params.day or data_interval_start | ds }}": day,
        "{{ macros.ds_add(params.day or data_interval_start | ds, 1) }}": next_day,
        "{{ (params.day or data_interval_start | ds) | replace('-', '') }}": day.replace("-", ""),
        "{{ params.version }}": "1",
    }
    text = json.dumps(names_before_airflow(source)["LAUNCH"])
    for template, value in rendered.items():
        text = text.replace(template, value)
    if "{{" in text:
        raise ValueError(f"a template is not known here: {text}")
    launch: dict[str, Any] = json.loads(text)
    return launch


def _is_of_airflow(statement: ast.stmt) -> bool:
    module = statement.module if isinstance(statement, ast.ImportFrom) else None
    return module is not None and module.partition(".")[0] in {"airflow", "googleapiclient"}

"""The settings of a launch as docs/dataflow.md tells them: fields, examples, options of gcloud."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "dataflow.md"
_HEADING = "| Field of `environment` |"


@dataclass(frozen=True)
class Setting:
    """One row: a field of FlexTemplateRuntimeEnvironment and the same for gcloud, if it can."""

    field: str
    example: Any
    option: str | None


def settings() -> list[Setting]:
    """All rows of the page's table, in order."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    (first,) = [i for i, line in enumerate(lines) if line.startswith(_HEADING)]
    rows = lines[first + 2 : lines.index("", first)]
    return [_setting(*(cell.strip() for cell in row.strip("|").split("|")[:3])) for row in rows]


def _setting(field: str, example: str, option: str) -> Setting:
    return Setting(
        field.strip("`"), json.loads(example.strip("`")), option.strip("`") if option else None
    )

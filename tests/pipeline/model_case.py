"""A model, a table and what must come of them: one case of a table of cases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from saved_models import Builder

from pipeline import cli


@dataclass(frozen=True)
class Scored:
    """What a run leaves behind.

    Attributes:
      columns: of the output table, beside the key.
      rejects: stage, code and message of the rows that are not there, by their key.
      signature: the one that was called.
    """

    columns: Mapping[str, Sequence[Any]]
    rejects: Mapping[int, str] = field(default_factory=dict)
    signature: str = "serving_default"


@dataclass(frozen=True)
class Refused:
    """All that is said, with the model's folder as {model}, and the exit code."""

    message: str
    code: int = cli.USAGE


@dataclass(frozen=True)
class Case:
    """What `command` makes of a model and a table with `columns` and the key `id`: 1, 2, 3, …

    The value of `kind` says what is unusual about the model, `about` what about the case.
    """

    kind: Enum
    builder: Builder
    columns: Mapping[str, Any]
    expected: Scored | Refused
    flags: tuple[str, ...] = ()
    about: str = ""
    command: Literal["score", "check"] = "score"

    def __str__(self) -> str:
        return f"{self.kind.value}; {self.about}" if self.about else str(self.kind.value)

"""Bad inputs and what they get: one table that the tests run and that the page in docs prints.

A case says what is wrong in plain words, how to make it, and the outcome: an exit code or a reject
code, and the message, in which what differs from run to run is masked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from workbench import Saved, Workbench

SCORED = "scored"

_VOLATILE = (
    (re.compile(r"gs://bulkscore-local\b"), "gs://BUCKET"),
    (re.compile(r"\bbulkscore-local\b"), "PROJECT"),
    # Where the tests keep the models that they save once.
    (re.compile(r"/[^ ]*/models\d+/"), "FOLDER/"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:PORT"),
    (re.compile(r"\b\d{8}T\d{6}_[0-9a-f]{6}\b"), "RUN"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "DIGEST"),
    (re.compile(r"\bTensorFlow \d+\.\d+\.\d+"), "TensorFlow VERSION"),
)


@dataclass(frozen=True)
class BadCommand:
    """A command that cannot work, whose run is refused, or which is odd and works.

    Attributes:
      make: makes what is needed and returns the command line, without the flags that name the
        embedded services.
      message: all that is said, masked, or where nothing is wrong the last line of the report;
        the page prints its first sentence.
      exit_code: 2 unless the case says otherwise.
    """

    wrong: str
    make: Callable[[Workbench, Saved], Sequence[str]]
    message: str
    exit_code: int = 2


@dataclass(frozen=True)
class OddRow:
    """A row that differs from the good one in one column.

    Attributes:
      column: the column; `value` makes what it holds.
      code: the reject code, or SCORED.
      message: of the reject; for a row that is scored, what the page says of it.
      scores: what the row's outputs must be if it is scored.
    """

    wrong: str
    column: str
    value: Callable[[], Any]
    code: str
    message: str
    scores: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class OddRows:
    """Rows of one table that one job scores.

    Attributes:
      model: builder of the model.
      good: Arrow type and value of each column in a row that is scored.
      arguments: further flags.
    """

    model: Callable[[Path], Path]
    good: Mapping[str, tuple[pa.DataType, Any]]
    rows: tuple[OddRow, ...]
    arguments: tuple[str, ...] = ()

    def table(self) -> pa.Table:
        """The good row with the id 0, then each odd one."""
        columns: dict[str, pa.Array] = {"id": pa.array(range(len(self.rows) + 1))}
        for name, (kind, value) in self.good.items():
            odd = [row.value() if row.column == name else value for row in self.rows]
            columns[name] = pa.array([value, *odd], kind)
        return pa.table(columns)


def command(bench: Workbench, model: Path | str, *changes: str, name: str = "score") -> list[str]:
    """A command line that would score table `t`, but for the changes."""
    usual = {
        "--input_table": bench.name("t"),
        "--output_table": bench.name("p"),
        "--model": str(model),
    }
    if any(change.startswith("--input_query") for change in changes):
        del usual["--input_table"]
    given = {change.partition("=")[0] for change in changes}
    kept = [f"{flag}={value}" for flag, value in usual.items() if flag not in given]
    return [name, *kept, *changes]


def file_of(bench: Workbench, name: str, content: bytes | str) -> Path:
    """A file in the folder of the test."""
    path = bench.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def masked(text: str, bench: Workbench) -> str:
    """The text with names in capitals for what differs from run to run."""
    text = text.replace(str(bench.folder), "FOLDER").replace(bench.dataset, "DATASET")
    for pattern, name in _VOLATILE:
        text = pattern.sub(name, text)
    return text.strip()

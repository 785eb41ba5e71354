"""What `score --resume` was asked to do, as a value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

from options.config import RESUME
from options.errors import UsageError
from options.flags import FLAGS_BY_NAME
from options.names import TableName, check_project
from options.values import value_of


@dataclass(frozen=True)
class Resumption:
    """One field a flag, of the same name; `options.flags` explains each."""

    resume: str
    output_table: TableName
    runs_table: TableName | None
    max_rejected_fraction: float

    @classmethod
    def is_asked(cls, texts: Mapping[str, Sequence[str]]) -> bool:
        """Whether --resume is among the flags that were given."""
        return any(text.strip() for text in texts.get(RESUME, ()))

    @classmethod
    def from_texts(cls, texts: Mapping[str, Sequence[str]]) -> Self:
        """Builds the value from the texts given for each flag; absent flags take their default.

        Raises:
          UsageError: a text is not valid, --output_table is missing, or a flag is given of which
            the run itself has decided.
        """
        names = [field.name for field in fields(cls)]
        for name, given in texts.items():
            if name not in names and any(text.strip() for text in given):
                raise UsageError(
                    f"--{name} does not go with --{RESUME}, which publishes a run as it was "
                    f"planned. Drop --{name}, or drop --{RESUME} to score again."
                )
        return cls(**{n: value_of(FLAGS_BY_NAME[n], texts.get(n, ())) for n in names})

    def with_default_project(self, project: str) -> Self:
        """The same with every table in `project` unless it names its own.

        Raises:
          UsageError: `project` is not valid.
        """
        try:
            check_project(project)
        except ValueError as e:
            raise UsageError(f"The default project: {e}. Check --project.") from e
        runs_table = self.runs_table
        return replace(
            self,
            output_table=self.output_table.with_default_project(project),
            runs_table=runs_table.with_default_project(project) if runs_table else None,
        )

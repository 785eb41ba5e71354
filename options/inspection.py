"""What `inspect` was asked to do, as a value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from options.flags import FLAGS
from options.values import value_of


@dataclass(frozen=True)
class Inspection:
    """One field a flag of `inspect`, of the same name; `options.flags` explains each."""

    model: str
    signature: str | None
    json: bool

    @classmethod
    def from_texts(cls, texts: Mapping[str, Sequence[str]]) -> Self:
        """Builds the value from the texts given for each flag; absent flags take their default.

        Raises:
          UsageError: a text is not valid, or --model is missing.
        """
        flags = [flag for flag in FLAGS if "inspect" in flag.commands]
        return cls(**{flag.name: value_of(flag, texts.get(flag.name, ())) for flag in flags})

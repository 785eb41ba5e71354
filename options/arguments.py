"""Splits the arguments of a command into bulkscore's own flags and those that go to Beam."""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from options.beam_flags import BEAM_FLAGS
from options.beam_option import beam_argument
from options.errors import UsageError
from options.flag import Command, Kind
from options.flags import FLAGS_BY_NAME

_OPTION = re.compile(r"--[A-Za-z]")

_Arity = Literal["none", "optional", "needed"]


@dataclass(frozen=True)
class Arguments:
    """`own` holds each text given for a flag of ours; `beam` is ready for PipelineOptions."""

    own: dict[str, tuple[str, ...]]
    beam: tuple[str, ...]


def split_arguments(argv: Sequence[str], command: Command) -> Arguments:
    """Reads `--name=value`, `--name value` and bare switches, of any command.

    What goes to Beam keeps its order and is joined to `--name=value`, so that a value which
    starts with a dash stays a value.

    Raises:
      UsageError: an argument is no known option, lacks its value, or is not an option at all.
    """
    own: dict[str, tuple[str, ...]] = {}
    beam: list[str] = []
    rest = list(reversed(argv))
    before: str | None = None
    while rest:
        token = rest.pop()
        if not _OPTION.match(token):
            raise _stray(token, before, command)
        name, equals, joined = token.removeprefix("--").partition("=")
        if name not in FLAGS_BY_NAME and name not in BEAM_FLAGS:
            raise UsageError(f"There is no option --{name}. {_suggestion(name, command)}")
        arity = _arity(name)
        text = joined if equals else _separate_value(name, arity, rest)
        if name in FLAGS_BY_NAME:
            own[name] = (*own.get(name, ()), "true" if text is None else text)
        else:
            argument = beam_argument(name, BEAM_FLAGS[name], text)
            beam += [] if argument is None else [argument]
        before = name
    return Arguments(own, tuple(beam))


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` is most likely a slip of the hand for, if any."""
    close = difflib.get_close_matches(word.lower().replace("-", "_"), list(known), n=1)
    return close[0] if close else None


def _arity(name: str) -> _Arity:
    if name in FLAGS_BY_NAME:
        return "none" if FLAGS_BY_NAME[name].kind is Kind.SWITCH else "needed"
    match BEAM_FLAGS[name].value:
        case "switch":
            return "none"
        case "optional_text":
            return "optional"
        case _:
            return "needed"


def _separate_value(name: str, arity: _Arity, rest: list[str]) -> str | None:
    """Takes the value of `--name` from the end of `rest`; None if the option stands bare."""
    if arity == "none":
        return None
    if rest and not _OPTION.match(rest[-1]):
        return rest.pop()
    if arity == "optional":
        return None
    found = f"the next option {rest[-1]!r}" if rest else "the end of the command line"
    raise UsageError(f"--{name} needs a value, got {found}. Write --{name}=VALUE.")


def _stray(token: str, before: str | None, command: Command) -> UsageError:
    if re.match(r"-[A-Za-z]", token):
        name = token.lstrip("-").partition("=")[0]
        return UsageError(
            f"Options start with two dashes, got {token!r}. {_suggestion(name, command)}"
        )
    if before is not None and _arity(before) == "none" and token.lower() in ("true", "false"):
        return UsageError(
            f"The value {token!r} stands apart from --{before}. Write --{before}={token}."
        )
    return UsageError(
        f"Unexpected argument {token!r}: it follows no option that takes a value. "
        "Put quotes around a value that holds blanks."
    )


def _suggestion(name: str, command: Command) -> str:
    own = [flag.name for flag in FLAGS_BY_NAME.values() if command in flag.commands]
    match = nearest(name, own if command == "inspect" else (*own, *BEAM_FLAGS))
    if match is None:
        return f"See bulkscore {command} --help for the options."
    origin = "" if match in FLAGS_BY_NAME else ", an option of Beam"
    return f"Did you mean --{match}{origin}?"

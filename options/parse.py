"""argv in, `Parsed` out: the entry of this package."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from options.arguments import nearest, split_arguments
from options.config import Config
from options.errors import UsageError
from options.flag import COMMANDS, Command
from options.flags import FLAGS_BY_NAME
from options.inspection import Inspection
from options.resumption import Resumption

_HELP = ("-h", "--help")


@dataclass(frozen=True)
class Parsed:
    """A command, what it is to do, and the arguments for Beam's PipelineOptions.

    `config` is an Inspection if the command is `inspect`, and only then; it is a Resumption if the
    command is `score` and --resume is given.
    """

    command: Command
    config: Config | Inspection | Resumption
    beam_args: tuple[str, ...]


def parse(argv: Sequence[str]) -> Parsed:
    """Reads a command line, without the program's name.

    Raises:
      UsageError: the command line is wrong; the message says where and how to put it right.
      SystemExit: help or the version was asked for and has been printed; the code is 0.
    """
    if not argv:
        raise UsageError(f"The command is missing. Give {_commands()} first.")
    if argv[0] in _HELP:
        from options.help import top_help

        _print_and_exit(top_help())
    if argv[0] == "--version":
        _print_and_exit(f"bulkscore {_version()}\n")
    command = _command(argv[0])
    if any(token in _HELP for token in argv[1:]):
        from options.help import command_help

        _print_and_exit(command_help(command))
    arguments = split_arguments(argv[1:], command)
    for name in arguments.own:
        if command not in FLAGS_BY_NAME[name].commands:
            raise UsageError(f"--{name} is not an option of {command}. Drop it.")
    if command == "inspect":
        _refuse_beam(arguments.beam)
        return Parsed(command, Inspection.from_texts(arguments.own), ())
    if Resumption.is_asked(arguments.own):
        return Parsed(command, Resumption.from_texts(arguments.own), arguments.beam)
    config = Config.from_texts(arguments.own)
    _check_runner(config, arguments.beam)
    return Parsed(command, config, arguments.beam)


def _command(word: str) -> Command:
    if word in COMMANDS:
        return word
    if word.startswith("-"):
        raise UsageError(f"The command is missing before {word!r}. Give {_commands()} first.")
    match = nearest(word, COMMANDS)
    cure = f"Did you mean {match}?" if match else f"Expected {_commands()}."
    raise UsageError(f"There is no command {word!r}. {cure}")


def _commands() -> str:
    *first, last = COMMANDS
    return f"{', '.join(first)} or {last}"


def _refuse_beam(beam_args: Sequence[str]) -> None:
    if beam_args:
        option = beam_args[0].partition("=")[0]
        raise UsageError(f"{option} is not an option of inspect, which runs no pipeline. Drop it.")


def _check_runner(config: Config, beam_args: Sequence[str]) -> None:
    for argument in beam_args:
        name, _, value = argument.partition("=")
        runner = value.lower() if name == "--runner" else ""
        if "dask" in runner:
            raise UsageError(
                f"{argument} cannot be used: Beam's DaskRunner loses the last rows of each "
                "bundle. Choose another runner."
            )
        if config.local and (name == "--template_location" or "dataflow" in runner):
            raise UsageError(
                f"--local runs on this machine, but {argument} asks for Dataflow. Drop one of them."
            )


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("bulkscore")
    except PackageNotFoundError:
        return "(version unknown: not installed, running from its source folder)"


def _print_and_exit(text: str) -> NoReturn:
    print(text, end="")
    raise SystemExit(0)

"""The texts of `--help`, laid out by argparse to the width of the terminal."""

import argparse

from options.flag import COMMANDS, Command, Flag, Group, Kind
from options.flags import FLAGS

PROGRAM = "bulkscore"

_EXAMPLE_ON_TABLES = """\
example:
  bulkscore {command} \\
    --input_table=my-project.shop.customers --key_columns=id \\
    --model=gs://my-bucket/models/churn \\
    --output_table=my-project.shop.churn_scores
  bulkscore {command} --local --local_tables=shop.customers=customers.parquet \\
    --input_table=shop.customers --key_columns=id --model=./churn \\
    --output_table=shop.churn_scores --local_output=results

Options of Apache Beam and Dataflow (--runner, --project, --region, --temp_location, ...) are
accepted as well and passed on. An empty value means that an option is not given.
"""
_EXAMPLE_OF_INSPECT = """\
example:
  bulkscore inspect --model=./churn
  bulkscore inspect --model=gs://my-bucket/models/churn --signature=predict --json
"""


def top_help() -> str:
    """The help of the program as a whole."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        usage=f"{PROGRAM} COMMAND [OPTIONS]",
        description="Score a BigQuery table with a TensorFlow SavedModel.",
        epilog=f"{PROGRAM} COMMAND --help shows the options of a command.",
        add_help=False,
    )
    commands = parser.add_argument_group("commands")
    for name, text in COMMANDS.items():
        commands.add_argument(name, help=text)
    general = parser.add_argument_group("options")
    general.add_argument("-h", "--help", action="store_true", help="show this help and exit")
    general.add_argument("--version", action="store_true", help="print the version and exit")
    return parser.format_help()


def command_help(command: Command) -> str:
    """The help of one command: its flags by group, with defaults, and an example."""
    example = _EXAMPLE_OF_INSPECT if command == "inspect" else _EXAMPLE_ON_TABLES
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} {command}",
        usage=f"{PROGRAM} {command} [OPTIONS]",
        description=COMMANDS[command].capitalize() + ".",
        epilog=example.format(command=command),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    for group in Group:
        flags = [flag for flag in FLAGS if flag.group is group and command in flag.commands]
        if flags:
            section = parser.add_argument_group(group.value)
            for flag in flags:
                _add(section, flag)
    return parser.format_help()


def _add(section: "argparse._ArgumentGroup", flag: Flag) -> None:
    text = f"{flag.help}{_note(flag)}".replace("%", "%%")
    if flag.kind is Kind.SWITCH:
        section.add_argument(f"--{flag.name}", action="store_true", help=text)
    else:
        metavar = "{" + ",".join(flag.choices) + "}" if flag.choices else flag.metavar
        section.add_argument(f"--{flag.name}", metavar=metavar, help=text)


def _note(flag: Flag) -> str:
    if flag.required:
        return " (required)"
    if flag.kind is Kind.SWITCH or flag.default is None:
        return ""
    return f" (default: {flag.default})"

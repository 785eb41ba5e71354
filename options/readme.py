"""The README's table of flags.

python -m options.readme
"""

import sys

from options.flag import Flag, Group, Kind
from options.flags import FLAGS


def flag_table() -> str:
    """Markdown: one table for each group of flags, under the name of the group."""
    return "\n".join(_section(group) for group in Group)


def _section(group: Group) -> str:
    rows = [_row(flag) for flag in FLAGS if flag.group is group]
    header = f"**{group.value}**\n\n| Flag | Meaning | Default |\n|---|---|---|\n"
    return header + "".join(rows)


def _row(flag: Flag) -> str:
    form = f"`--{flag.name}`"
    if flag.metavar:
        form = f"`--{flag.name} {flag.metavar}`"
    if flag.choices:
        form = f"`--{flag.name}` " + " or ".join(f"`{choice}`" for choice in flag.choices)
    return f"| {form} | {flag.help.replace('|', chr(92) + '|')} | {_default(flag)} |\n"


def _default(flag: Flag) -> str:
    if flag.required:
        return "required"
    if flag.kind is Kind.SWITCH:
        return "off"
    return f"`{flag.default}`" if flag.default is not None else ""


if __name__ == "__main__":
    sys.stdout.write(flag_table())

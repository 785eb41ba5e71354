r"""The regular expression that a template's parameter of each kind must match as a whole.

Dataflow applies them before it starts a machine, so that a slip costs seconds instead of minutes,
and shows them to whom they refuse: they are kept short.  All that `options.values` accepts they
match; the rest of its rules come first thing in the launch.

They are written in what RE2, Java, JavaScript and Python read alike: no \w, \d or \s, which
differ beyond ASCII, no look-around, and no repetition above RE2's 1000.
"""

from collections.abc import Callable

from options.flag import Flag, Kind
from options.values import NO_COLUMNS, PARTITION_UNITS

_PROJECT = "([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]"
# Everything beyond ASCII, and of ASCII: letters, digits, blank, _ and -.
_TABLE = "[^!-,./:-@\\[-^`{-~]+"
_COLUMN = "[^,\\[\\]]+"
# Of an input or an output, save those with a comma in brackets, which no model is known to have.
_NAME = "[^,=]+"
_SIZE = " *[1-9][0-9]{0,8} *"
# Lower-case letters and everything beyond ASCII, then also digits, _ and -.
_LABEL_VALUE = "[^ -,./:-^`{-~]*"
_LABEL = f" *[^ -`{{-~]{_LABEL_VALUE} *= *{_LABEL_VALUE} *"


def pattern(flag: Flag) -> str | None:
    """The expression for a flag's text; None if any text will do."""
    make = _PATTERNS.get(flag.kind)
    return None if make is None else anchored(make(flag), required=flag.required)


def anchored(expression: str, *, required: bool) -> str:
    """`expression` for the whole text.

    A parameter that may be left out arrives as the empty text, which matches then.
    """
    return f"^({expression})$" if required else f"^({expression})?$"


def _items(item: str) -> str:
    return f"{item}(,{item})*"


def _integer(flag: Flag) -> str:
    digits = len(str(flag.maximum))
    if flag.minimum > 0:
        return f"0*[1-9][0-9]{{0,{digits - 1}}}"
    return f"0*[0-9]{{1,{digits}}}"


def _metadata_mapping(flag: Flag) -> str:
    names = "|".join(flag.choices)
    return f"{_any_case(NO_COLUMNS)}|" + _items(f" *({names}) *(={_COLUMN})?")


def _any_case(word: str) -> str:
    return "".join(f"[{c.upper()}{c.lower()}]" for c in word)


_PATTERNS: dict[Kind, Callable[[Flag], str]] = {
    Kind.INTEGER: _integer,
    # Plain decimals from 0 to 1, and whatever has an exponent.
    Kind.FRACTION: lambda _: "0*1(\\.0+)?|0+|0*\\.[0-9]+|[0-9]*\\.?[0-9]+[eE][+-]?[0-9]{1,3}",
    Kind.NUMBER: lambda _: "[+-]?[0-9]*\\.?[0-9]+([eE][+-]?[0-9]{1,2})?",
    # ISO 8601 with an offset from UTC.
    Kind.TIME: lambda _: "[0-9]{4}[0-9W-]+[^0-9][0-9:.,]+(Z|[+-][0-9:.,]+)",
    Kind.PROJECT: lambda _: _PROJECT,
    Kind.RUN_ID: lambda _: "[A-Za-z0-9_]{1,64}",
    Kind.TABLE: lambda _: f"({_PROJECT}[.:])?[A-Za-z0-9_]+\\.{_TABLE}",
    Kind.COLUMNS: lambda _: _items(_COLUMN),
    Kind.COLUMNS_OR_ALL: lambda _: _items(_COLUMN),
    Kind.INPUT_MAPPING: lambda _: _items(f"{_NAME}=({_COLUMN}| *\\[{_items(_COLUMN)}\\] *)"),
    Kind.INPUT_VALUES: lambda _: "[^=]+=[^,]([^,]|,)*",
    Kind.INPUT_SHAPES: lambda _: _items(f"{_NAME}= *\\[{_SIZE}(,{_SIZE}){{0,7}}\\] *"),
    Kind.OUTPUT_MAPPING: lambda _: _items(f"{_NAME}(={_COLUMN})?"),
    Kind.METADATA_MAPPING: _metadata_mapping,
    Kind.PARTITION: lambda _: "-?[0-9]{1,19}",
    Kind.PARTITIONING: lambda _: f"[^:]+|.+: *({'|'.join(map(_any_case, PARTITION_UNITS))})",
    Kind.LABELS: lambda _: _items(_LABEL),
    Kind.KMS_KEY: lambda _: (
        "projects/[^/ ]+/locations/[a-z0-9-]+/keyRings/[A-Za-z0-9_-]{1,63}"
        "/cryptoKeys/[A-Za-z0-9_-]{1,63}"
    ),
    Kind.MEMORY: lambda _: (
        "[0-9]{0,8}[1-9][0-9]{0,8}(\\.[0-9]{1,3})? ?([KMGTP]i?)?B"
        "|0+\\.[0-9]{0,2}[1-9][0-9]{0,2} ?([KMGTP]i?)?B"
    ),
    Kind.ACCELERATOR: lambda _: (
        "type:[a-z0-9-]+;count:[1-9][0-9]?(;[a-z][a-z0-9_-]*(:[A-Za-z0-9._-]+)?){0,8}"
    ),
}

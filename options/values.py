"""From the text of one flag to its typed value."""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from options.errors import UsageError
from options.flag import LIST_KINDS, Flag, Kind
from options.names import TableName, check_column, check_column_path, check_project

ALL_COLUMNS = "*"
NO_COLUMNS = "none"
PARTITION_UNITS = ("HOUR", "DAY", "MONTH", "YEAR")
_RUN_ID = re.compile(r"[A-Za-z0-9_]{1,64}")
# An id of one of the four units, or of an INT64.
_PARTITION = re.compile(r"-?[0-9]{1,19}")
# "Creating and managing labels", "Requirements for labels" in BigQuery's documentation.
_LABEL_KEY = re.compile(r"[^\W\d_][\w-]{0,62}")
_LABEL_VALUE = re.compile(r"[\w-]{0,63}")
# "Customer-managed Cloud KMS keys", "Create a key and ring"; a key's version is not part of it.
_KMS_KEY = re.compile(
    r"projects/[^/\s]+/locations/[a-z0-9-]+/keyRings/[\w-]{1,63}/cryptoKeys/[\w-]{1,63}",
    re.ASCII,
)
# What Beam 2.77 takes for the hint min_ram (apache_beam/transforms/resources.py).
_MEMORY = re.compile(r"[0-9]{1,9}(\.[0-9]{1,3})? ?([KMGTP]i?)?B")
# "Run a pipeline with GPUs" in Dataflow's documentation; options have a value or none.
_ACCELERATOR = re.compile(
    r"type:[a-z0-9-]+;count:[1-9][0-9]?(;[a-z][a-z0-9_-]*(:[A-Za-z0-9._-]+)?){0,8}"
)
_DURATION = re.compile(r"([1-9][0-9]{0,4})([mhd])")
_DURATION_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_SHAPE = re.compile(r"\[ *[1-9][0-9]{0,8} *(, *[1-9][0-9]{0,8} *){0,7}\]")
_INTEGER = re.compile(r"[0-9]{1,18}")
_SIGNED = re.compile(r"[+-]?[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]{1,2})?")
_NUMBER = re.compile(r"[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]{1,3})?")


def value_of(flag: Flag, texts: Sequence[str]) -> Any:
    """The value of `flag`, given each text that was typed for it.

    A blank text counts as not given, which is how a template passes an optional parameter.

    Raises:
      UsageError: a text is not valid, or there are several and the flag takes one.
    """
    given = [text.strip() for text in texts if text.strip()]
    if any("\udc80" <= c <= "\udcff" for text in given for c in text):
        # How Python shows bytes of the command line that are no text.
        raise UsageError(f"--{flag.name} holds bytes that are not UTF-8. Type it again.")
    if not given and flag.required:
        raise UsageError(f"--{flag.name} is missing. Add --{flag.name}={flag.metavar}: {flag.help}")
    if not given and flag.default is not None:
        given = [flag.default]
    if len(given) > 1 and not flag.repeatable:
        cure = " Separate the items with commas." if flag.kind in LIST_KINDS else ""
        raise UsageError(
            f"--{flag.name} is given {len(given)} times, expected once: {given}.{cure}"
        )
    try:
        if flag.kind in LIST_KINDS:
            return tuple(item for text in given for item in _CONVERT[flag.kind](flag, text))
        return _CONVERT[flag.kind](flag, given[0]) if given else None
    except ValueError as e:
        raise UsageError(f"--{flag.name}: {e}.") from e


def split_items(text: str) -> Iterator[str]:
    """Splits at the commas that are outside square brackets, and trims blanks.

    Raises:
      ValueError: there is nothing between two commas, or before or after one.
    """
    depth = start = 0
    for end, character in enumerate(text + ","):
        depth += (character == "[") - (character == "]")
        if character == "," and (depth <= 0 or end == len(text)):
            item = text[start:end].strip()
            if not item:
                raise ValueError(f"got {text!r}, which has an empty item: check its commas")
            yield item
            start = end + 1


def _text(flag: Flag, text: str) -> str:
    return text


def _choice(flag: Flag, text: str) -> str:
    if text not in flag.choices:
        raise ValueError(f"got {text!r}, expected {' or '.join(flag.choices)}")
    return text


def _switch(flag: Flag, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"got {text!r}, expected true or false")
    return text.lower() == "true"


def _integer(flag: Flag, text: str) -> int:
    if not _INTEGER.fullmatch(text) or not flag.minimum <= int(text) <= flag.maximum:
        raise ValueError(
            f"got {text!r}, expected a whole number from {flag.minimum} to {flag.maximum}"
        )
    return int(text)


def _fraction(flag: Flag, text: str) -> float:
    if not _NUMBER.fullmatch(text) or not flag.minimum <= float(text) <= flag.maximum:
        raise ValueError(
            f"got {text!r}, expected a number from {flag.minimum} to {flag.maximum}, "
            "such as 0.05 for 5 %"
        )
    return float(text)


def _number(flag: Flag, text: str) -> float:
    if not _SIGNED.fullmatch(text):
        raise ValueError(f"got {text!r}, expected a number such as -1 or 0.5")
    return float(text)


def _time(flag: Flag, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError) as e:
        raise ValueError(f"got {text!r}, expected a time such as 2025-01-31T06:00:00Z") from e
    raise ValueError(
        f"got {text!r} without an offset from UTC: add Z for UTC, or an offset such as +01:00"
    )


def _duration(flag: Flag, text: str) -> timedelta:
    found = _DURATION.fullmatch(text)
    if not found:
        raise ValueError(
            f"got {text!r}, expected a whole number of minutes, hours or days such as 90m, 2h or 1d"
        )
    return timedelta(**{_DURATION_UNITS[found[2]]: int(found[1])})


def _project(flag: Flag, text: str) -> str:
    return check_project(text)


def _run_id(flag: Flag, text: str) -> str:
    # Letters, digits and underscores are legal in table names and in job ids alike; a hyphen
    # would need quoting in SQL.
    if not _RUN_ID.fullmatch(text):
        raise ValueError(f"got {text!r}, expected 1 to 64 ASCII letters, digits and underscores")
    return text


def _table(flag: Flag, text: str) -> TableName:
    return TableName.parse(text)


def _columns(flag: Flag, text: str) -> tuple[str, ...]:
    return tuple(_column_path(item) for item in split_items(text))


def _columns_or_all(flag: Flag, text: str) -> tuple[str, ...]:
    items = tuple(split_items(text))
    if items == (ALL_COLUMNS,):
        return items
    if ALL_COLUMNS in items:
        raise ValueError(f"got {text!r}: * means all columns already, give it alone")
    return _columns(flag, text)


def _input_mapping(flag: Flag, text: str) -> tuple[tuple[str, str | tuple[str, ...]], ...]:
    pairs = [_pair(item, "input=column") for item in split_items(text)]
    return tuple((name, _column_or_stack(column)) for name, column in pairs)


def _column_or_stack(text: str) -> str | tuple[str, ...]:
    if not (text.startswith("[") and text.endswith("]")):
        return _column_path(text)
    return tuple(_column_path(item) for item in split_items(text[1:-1]))


def _input_values(flag: Flag, text: str) -> tuple[tuple[str, str], ...]:
    return tuple(_pair(item, "input=value") for item in split_items(text))


def _input_shapes(flag: Flag, text: str) -> tuple[tuple[str, tuple[int, ...]], ...]:
    pairs = [_pair(item, "input=[size,...]") for item in split_items(text)]
    return tuple((name, _shape(shape)) for name, shape in pairs)


def _shape(text: str) -> tuple[int, ...]:
    if not _SHAPE.fullmatch(text):
        raise ValueError(f"got {text!r}, expected sizes above 0 in brackets, such as [28,28,1]")
    return tuple(int(size) for size in text[1:-1].split(","))


def _metadata_mapping(flag: Flag, text: str) -> tuple[tuple[str, str], ...]:
    if text.lower() == NO_COLUMNS:
        return ()
    pairs = _output_mapping(flag, text)
    for name, _ in pairs:
        if name not in flag.choices:
            raise ValueError(
                f"got {name!r}, expected {' or '.join(flag.choices)}, or {NO_COLUMNS} alone"
            )
    return pairs


def _output_mapping(flag: Flag, text: str) -> tuple[tuple[str, str], ...]:
    return tuple(_output(item) for item in split_items(text))


def _output(item: str) -> tuple[str, str]:
    if "=" not in item:
        return item, item
    name, column = _pair(item, "output=column")
    return name, check_column(column)


def _table_files(flag: Flag, text: str) -> tuple[tuple[TableName, str], ...]:
    pairs = [_pair(item.strip(), "dataset.table=path") for item in text.split(",")]
    return tuple((TableName.parse(name), path) for name, path in pairs)


def _partition(flag: Flag, text: str) -> str:
    if not _PARTITION.fullmatch(text):
        raise ValueError(
            f"got {text!r}, expected YYYY, YYYYMM, YYYYMMDD or YYYYMMDDHH, or the start of an "
            "integer range"
        )
    return text


def _partitioning(flag: Flag, text: str) -> tuple[str, str]:
    # A column's name may hold a colon, so the last one counts.
    column, colon, unit = text.rpartition(":")
    if not colon:
        return check_column(text), "DAY"
    if unit.strip().upper() not in PARTITION_UNITS:
        raise ValueError(
            f"got {unit!r} after the colon, expected {', '.join(PARTITION_UNITS[:-1])} or "
            f"{PARTITION_UNITS[-1]}"
        )
    return check_column(column.strip()), unit.strip().upper()


def _labels(flag: Flag, text: str) -> tuple[tuple[str, str], ...]:
    return tuple(_label(item) for item in split_items(text))


def _label(item: str) -> tuple[str, str]:
    key, equals, value = (part.strip() for part in item.partition("="))
    if not equals:
        raise ValueError(f"got {item!r}, expected key=value")
    if not _LABEL_KEY.fullmatch(key) or key != key.lower():
        raise ValueError(
            f"the key {key!r} is not valid: expected a lower-case letter, then up to 62 lower-case "
            "letters, digits, underscores and hyphens"
        )
    if not _LABEL_VALUE.fullmatch(value) or value != value.lower():
        raise ValueError(
            f"the value {value!r} is not valid: expected up to 63 lower-case letters, digits, "
            "underscores and hyphens"
        )
    return key, value


def _kms_key(flag: Flag, text: str) -> str:
    if not _KMS_KEY.fullmatch(text):
        raise ValueError(f"got {text!r}, expected {flag.metavar}")
    return text


def _pair(item: str, form: str) -> tuple[str, str]:
    left, _, right = item.partition("=")
    if not left.strip() or not right.strip():
        raise ValueError(f"got {item!r}, expected {form}")
    return left.strip(), right.strip()


def _column_path(text: str) -> str:
    if "[" in text or "]" in text:
        raise ValueError(
            f"got {text!r}: square brackets stack several columns into one input of the model, "
            "as in --input_columns x=[a,b]"
        )
    return check_column_path(text)


def _memory(flag: Flag, text: str) -> str:
    if not _MEMORY.fullmatch(text) or not float(text.rstrip(" BKMGTPi")):
        raise ValueError(f"got {text!r}, expected a size above 0 such as 16GB or 7.5GiB")
    return text.replace(" ", "")


def _accelerator(flag: Flag, text: str) -> str:
    if not _ACCELERATOR.fullmatch(text):
        raise ValueError(
            f"got {text!r}, expected type, count and options between semicolons without blanks, "
            "such as type:nvidia-l4;count:1;install-nvidia-driver"
        )
    return text


_CONVERT: dict[Kind, Callable[[Flag, str], Any]] = {
    Kind.TEXT: _text,
    Kind.CHOICE: _choice,
    Kind.SWITCH: _switch,
    Kind.INTEGER: _integer,
    Kind.FRACTION: _fraction,
    Kind.NUMBER: _number,
    Kind.TIME: _time,
    Kind.DURATION: _duration,
    Kind.PROJECT: _project,
    Kind.RUN_ID: _run_id,
    Kind.TABLE: _table,
    Kind.COLUMNS: _columns,
    Kind.COLUMNS_OR_ALL: _columns_or_all,
    Kind.INPUT_MAPPING: _input_mapping,
    Kind.INPUT_VALUES: _input_values,
    Kind.INPUT_SHAPES: _input_shapes,
    Kind.OUTPUT_MAPPING: _output_mapping,
    Kind.METADATA_MAPPING: _metadata_mapping,
    Kind.TABLE_FILES: _table_files,
    Kind.PARTITION: _partition,
    Kind.PARTITIONING: _partitioning,
    Kind.LABELS: _labels,
    Kind.KMS_KEY: _kms_key,
    Kind.MEMORY: _memory,
    Kind.ACCELERATOR: _accelerator,
}

"""Finding columns by name, and what to advise for one that cannot be used as it is."""

from collections.abc import Sequence

from scoring.conversions import REFUSAL_HINTS
from scoring.errors import ColumnError
from scoring.paths import NestedField
from scoring.schema import Field

# GoogleSQL that converts an ARRAY element by element.
_PER_ELEMENT = "ARRAY(SELECT {element} FROM UNNEST({column}) AS v)"


def named_column(flag: str, name: str, columns: Sequence[Field]) -> Field:
    """The column that a flag names, in any case if that is unambiguous.

    Raises:
      ColumnError: the source has no such column, or the name is a path into a STRUCT.
    """
    column = column_like(name, columns)
    if column is not None:
        return column
    outer = column_like(name.partition(".")[0], columns)
    if outer is not None:
        raise ColumnError(
            f"{flag} names {name!r}, a field within column {outer.name!r}, and takes whole columns "
            "alone. Name that column, or select the field under a name of its own with "
            "--input_query."
        )
    raise ColumnError(_unknown_message(flag, name, columns))


def column_at(flag: str, path: str, columns: Sequence[Field]) -> Field:
    """The column, or the field within STRUCTs, that a flag names by its path `a.b.c`.

    Each part is found in any case if that is unambiguous.

    Raises:
      ColumnError: there is no such column or field.
    """
    first, *rest = path.split(".")
    column = column_like(first, columns)
    if column is None:
        raise ColumnError(_unknown_message(flag, first, columns))
    steps = [column]
    for name in rest:
        outer = steps[-1]
        where = f"{flag} names {path!r}, but {'.'.join(step.name for step in steps)!r}"
        if not outer.fields:
            raise ColumnError(f"{where} is {outer.sql_type}, which has no fields.")
        inner = column_like(name, outer.fields)
        if inner is None:
            known = ", ".join(f.name for f in outer.fields)
            raise ColumnError(f"{where} has no field {name!r}. Its fields are: {known}.")
        steps.append(inner)
    return NestedField.along(steps) if rest else column


def column_like(name: str, columns: Sequence[Field]) -> Field | None:
    """The column called `name`, else the only one whose name differs in case alone."""
    alike = [c for c in columns if c.name.lower() == name.lower()]
    exact = [c for c in alike if c.name == name]
    return exact[0] if exact else alike[0] if len(alike) == 1 else None


def paths_to(name: str, columns: Sequence[Field]) -> list[str]:
    """The paths of all fields called `name`, in any case, within the columns' STRUCTs."""
    found = []
    for column in columns:
        inner = [f.name for f in column.fields if f.name.lower() == name.lower() and not f.fields]
        inner += paths_to(name, column.fields)
        found += [f"{column.name}.{path}" for path in inner]
    return found


def conversion_advice(column: Field) -> str | None:
    """How to convert the column in SQL, if there is a usual way."""
    hint = REFUSAL_HINTS.get(column.type)
    if hint is None or column.rank > 1 or (column.rank and column.top is not column):
        # An ARRAY of STRUCTs needs a query that no template writes.
        return None
    if column.rank:
        hint = _PER_ELEMENT.format(element=hint.format(column="v"), column=column.name)
    else:
        hint = hint.format(column=column.name)
    return f"convert it with --input_query, {hint} say"


def listed(heading: str, lines: Sequence[str]) -> str:
    """A message with one problem a line."""
    return heading + ":" + "".join(f"\n  {line}" for line in lines)


def _unknown_message(flag: str, name: str, columns: Sequence[Field]) -> str:
    known = ", ".join(c.name for c in columns)
    return (
        f"{flag} names column {name!r}, which the source does not have. Its columns are: {known}."
    )

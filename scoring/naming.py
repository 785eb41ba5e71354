"""Naming and typing the columns that receive the model's outputs."""

import re
from collections.abc import Iterable, Mapping, Sequence

from scoring.classes import CLASS_FIELDS, ClassBinding, ClassOptions, class_field
from scoring.conversions import FLOAT_DTYPES
from scoring.errors import ColumnError
from scoring.matching import fixed_batch_rows
from scoring.outputs import NonFinite, OutputBinding, ResultBinding, column_type, output_field
from scoring.schema import Field
from scoring.signature import Signature, TensorSpec, elements_per_row

# "Column names" in BigQuery's documentation of schemas: letters, digits, underscores.
_ILLEGAL_IN_COLUMN = re.compile(r"[^A-Za-z0-9_]+")


def match_outputs(
    signature: Signature,
    *,
    chosen: Mapping[str, str],
    taken: Mapping[str, str],
    classes: ClassOptions | None = None,
    non_finite: NonFinite = "keep",
) -> tuple[ResultBinding, ...]:
    """Names and types the column of each output.

    Without a choice every output becomes a column called like it, with characters that
    BigQuery does not allow in a name replaced by underscores.

    Args:
      chosen: output name -> column name, as the user gave them; selects and renames.  Where both
        are equal no column was named.
      taken: names that the output table has already -> what has them, for messages.
      classes: how the one score vector among the outputs becomes its best classes.
      non_finite: what becomes of NaN and the infinities in outputs of floats.

    Raises:
      ColumnError: there is no such output, it has no BigQuery type or not one value a row, a
        name is taken, or `classes` or `non_finite` do not fit the outputs.
    """
    known = {spec.name: spec for spec in signature.outputs}
    unknown = [name for name in chosen if name not in known]
    if unknown:
        listing = ", ".join(map(str, signature.outputs))
        raise ColumnError(
            f"Signature {signature.name!r} has no output {unknown[0]!r}. "
            f"Check --output_columns; its outputs are: {listing}."
        )
    wanted = [(known[name], column) for name, column in (chosen or {n: n for n in known}).items()]
    scores = _score_output([spec for spec, _ in wanted], classes) if classes else None
    rows = fixed_batch_rows(signature)
    bindings: list[ResultBinding] = []
    for spec, column in wanted:
        name = _legal_name(column) if column == spec.name else column
        field = _output_field(name, spec, rows)
        if classes and spec == scores:
            _check_not_renamed(spec, column, classes)
            field = class_field(CLASS_FIELDS[0].name if classes.explode else name)
            bindings.append(ClassBinding(spec, field, classes, non_finite))
        else:
            bindings.append(_output_binding(spec, field, non_finite))
    _check_names(bindings, taken)
    return tuple(bindings)


def _check_names(bindings: Iterable[ResultBinding], taken: Mapping[str, str]) -> None:
    owners = {name.lower(): owner for name, owner in taken.items()}
    for binding in bindings:
        output = binding.tensor.name
        for field in binding.fields:
            owner = owners.setdefault(field.name.lower(), f"the column for output {output!r}")
            if owner == f"the column for output {output!r}":
                continue
            if binding.fields is CLASS_FIELDS:
                raise ColumnError(
                    f"--explode writes the classes of output {output!r} to the columns "
                    f"{_class_names()}, but {field.name!r} is {owner} already. Rename that one."
                )
            raise ColumnError(
                f"Output {output!r} would be written to column {field.name!r}, which is {owner}. "
                f"Rename it: --output_columns {output}=another_name"
            )


def _check_not_renamed(spec: TensorSpec, column: str, classes: ClassOptions) -> None:
    if classes.explode and column != spec.name:
        raise ColumnError(
            f"--explode writes the classes of output {spec.name!r} to the columns "
            f"{_class_names()}, so they have no column {column!r}. Name the output alone in "
            "--output_columns."
        )


def _class_names() -> str:
    *first, last = (field.name for field in CLASS_FIELDS)
    return f"{', '.join(first)} and {last}"


def _output_binding(spec: TensorSpec, field: Field, non_finite: NonFinite) -> OutputBinding:
    scalar = Field(field.name, "FLOAT")
    if non_finite == "null" and spec.dtype in FLOAT_DTYPES and field != scalar:
        raise ColumnError(
            f"Output {spec} becomes {field.sql_type}, whose elements cannot be NULL. "
            "Give --on_non_finite keep or reject."
        )
    return OutputBinding(spec, field, non_finite)


def _score_output(outputs: Sequence[TensorSpec], classes: ClassOptions) -> TensorSpec:
    """The only output that is a vector of scores."""
    vectors = [spec for spec in outputs if _is_vector(spec)]
    if len(vectors) != 1:
        listing = ", ".join(map(str, outputs))
        flag = "--explode" if classes.explode else "--top_k"
        raise ColumnError(
            f"{flag} needs exactly one output of shape [batch, classes] of floats, got "
            f"{len(vectors)} in: {listing}. Choose one with --output_columns."
        )
    size = elements_per_row(vectors[0])
    if classes.labels and size is not None and size != len(classes.labels):
        raise ColumnError(
            f"--class_labels has {len(classes.labels)} labels, but output {vectors[0]} has {size} "
            "classes. Give one label a class, in the model's order."
        )
    return vectors[0]


def _is_vector(spec: TensorSpec) -> bool:
    if spec.encoding != "dense" or spec.dtype not in FLOAT_DTYPES or spec.shape is None:
        return False
    match spec.shape:
        case (_, classes):
            return classes != 1
        case _:
            return False


def _output_field(column: str, spec: TensorSpec, rows: int | None) -> Field:
    kind = column_type(spec.dtype)
    advice = "Leave it out: name the outputs that you want with --output_columns."
    if kind is None:
        raise ColumnError(f"Output {spec}: BigQuery has no type for {spec.dtype}. {advice}")
    if spec.shape == ():
        raise ColumnError(f"Output {spec} is one value a call, not one a row. {advice}")
    if spec.shape and spec.shape[0] not in (None, rows):
        raise ColumnError(
            f"Output {spec} has {spec.shape[0]} rows whatever the number of input rows. {advice}"
        )
    return output_field(column, spec, kind)


def _legal_name(output: str) -> str:
    name = _ILLEGAL_IN_COLUMN.sub("_", output)
    return f"_{name}" if name[:1].isdigit() else name

"""Matching the table's columns to the model's inputs."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from scoring.bindings import ExampleBinding
from scoring.columns import column_at, column_like, listed, paths_to
from scoring.errors import ColumnError
from scoring.examples import ParsedFeatures, match_features
from scoring.feed import Binding
from scoring.feed_problems import feed_problem
from scoring.feeding import FeedOptions, bound
from scoring.objects import ObjectField
from scoring.schema import Field
from scoring.signature import Signature, TensorSpec

# Columns for one input, as the user chose them by path: one, or several to stack.
Choice = str | tuple[str, ...]


def match_inputs(
    signature: Signature,
    columns: Sequence[Field],
    *,
    chosen: Mapping[str, Choice],
    reserved: Iterable[str] = (),
    options: FeedOptions | None = None,
) -> tuple[Binding, ...]:
    """Finds the column for each input of the signature.

    An input takes the column chosen for it, else the column of its name, else the only one
    whose name differs in case alone.  One input and one column left over belong together, a
    column of `options.uri_columns` before all others.
    A field within a STRUCT is only found where it was chosen by its path.
    An input that takes serialized tf.train.Examples is fed by all columns that it parses.

    Args:
      columns: the columns of the source.
      chosen: input name (for tf.Examples, feature name) -> its column or columns.
      reserved: key and passthrough columns, which feed an input only by name.

    Raises:
      ColumnError: an input has no column, or its column cannot feed it; all such inputs are
        named in one message.  Or there are no inputs.
    """
    options = options or FeedOptions()
    if not signature.inputs:
        raise ColumnError(
            f"Signature {signature.name!r} has no inputs, so no column can be scored with it. "
            "Choose another one with --signature."
        )
    options = replace(options, uri_columns=_uri_columns(options.uri_columns, columns))
    if options.examples is not None and signature.inputs[0].name not in chosen:
        _check_examples(signature.inputs[0], options)
        examples = _example_binding(signature, columns, chosen, options, options.examples)
        _check_fetched(options.uri_columns, [examples])
        return (examples,)
    _check_named("--input_columns", signature, chosen)
    _check_named("--default_values", signature, options.defaults or {})
    _check_named("--input_shapes", signature, options.shapes or {})
    found = _found_columns(signature, columns, chosen, reserved, options.uri_columns)
    bindings: list[Binding] = []
    problems: list[str] = []
    for spec in signature.inputs:
        binding = bound(spec, found[spec.name], options)
        problem = feed_problem(binding)
        bindings.append(binding)
        problems += [problem] if problem else []
    if problems:
        raise ColumnError(listed(f"Signature {signature.name!r} cannot be fed", problems))
    _check_fetched(options.uri_columns, bindings)
    return tuple(bindings)


def _uri_columns(named: Iterable[str], columns: Sequence[Field]) -> tuple[str, ...]:
    """The columns of URIs as the source writes their names.

    Raises:
      ColumnError: a column is not there, or holds something else.
    """
    found = []
    for name in named:
        column = column_at("--uri_columns", name, columns)
        if column.type != "STRING" or column.rank:
            raise ColumnError(
                f"--uri_columns names column {column.name!r} ({column.sql_type}); expected "
                "a STRING column, which has one URI a row. Make one with --input_query."
            )
        found.append(column.name)
    return tuple(found)


def _check_fetched(uri_columns: Iterable[str], bindings: Iterable[Binding]) -> None:
    fed = {c.name for b in bindings for c in b.columns if isinstance(c, ObjectField)}
    for name in uri_columns:
        if name not in fed:
            raise ColumnError(
                f"--uri_columns names column {name!r}, which feeds no input. Say which one, "
                f"--input_columns INPUT={name}, or leave the column out of --uri_columns."
            )


def _found_columns(
    signature: Signature,
    columns: Sequence[Field],
    chosen: Mapping[str, Choice],
    reserved: Iterable[str],
    uri_columns: Collection[str],
) -> dict[str, Field | tuple[Field, ...]]:
    found: dict[str, Field | tuple[Field, ...]] = {}
    for name, choice in chosen.items():
        if isinstance(choice, str):
            found[name] = column_at("--input_columns", choice, columns)
        else:
            found[name] = tuple(column_at("--input_columns", c, columns) for c in choice)
    for spec in signature.inputs:
        if spec.name not in found and (column := column_like(spec.name, columns)) is not None:
            found[spec.name] = column
    missing = [spec for spec in signature.inputs if spec.name not in found]
    used = (c for f in found.values() for c in (f if isinstance(f, tuple) else (f,)))
    taken = {c.top.name for c in used}
    # Named to be fed, they are meant even where they are copied to the output, too.
    free = [c for c in columns if c.name in uri_columns and c.name not in taken]
    if not free:
        taken |= set(reserved)
        free = [c for c in columns if c.name not in taken]
    if len(missing) == 1 and len(free) == 1:
        found[missing[0].name] = free[0]
    elif missing:
        raise ColumnError(_missing_message(signature, missing, columns))
    return found


def _check_examples(spec: TensorSpec, options: FeedOptions) -> None:
    for flag, named in (("--default_values", options.defaults), ("--input_shapes", options.shapes)):
        if named:
            raise ColumnError(
                f"{flag} does not apply to input {spec}, which takes serialized tf.Examples: a "
                f"NULL is a missing feature, and the model states the shapes. Drop {flag}."
            )


def _example_binding(
    signature: Signature,
    columns: Sequence[Field],
    chosen: Mapping[str, Choice],
    options: FeedOptions,
    parsed: ParsedFeatures,
) -> ExampleBinding:
    single: dict[str, str] = {}
    for name, choice in chosen.items():
        if not isinstance(choice, str):
            raise ColumnError(
                f"--input_columns stacks columns into {name!r}, a feature of a tf.Example. "
                "Name one ARRAY column for it."
            )
        single[name] = choice
    features = match_features(parsed, columns, chosen=single)
    sources = tuple(replace(f, column=options.source_of(f.column)) for f in features)
    return ExampleBinding(signature.inputs[0], sources)


def fixed_batch_rows(signature: Signature) -> int | None:
    """The batch size that the inputs insist on, None when it is free.

    Raises:
      ColumnError: two inputs insist on different sizes.
    """
    sizes = {s.shape[0] for s in signature.inputs if s.shape} - {None}
    if len(sizes) > 1:
        raise ColumnError(
            f"The inputs of signature {signature} have different fixed batch sizes "
            f"{sorted(filter(None, sizes))}; expected the same, or a free one. Export it again."
        )
    return next(iter(sizes), None)


def _check_named(flag: str, signature: Signature, named: Iterable[str]) -> None:
    inputs = {spec.name for spec in signature.inputs}
    for name in named:
        if name not in inputs:
            listing = ", ".join(map(str, signature.inputs))
            raise ColumnError(
                f"Signature {signature.name!r} has no input {name!r}. "
                f"Check {flag}; its inputs are: {listing}."
            )


def _missing_message(
    signature: Signature, missing: Sequence[TensorSpec], columns: Sequence[Field]
) -> str:
    have = ", ".join(f"{c.name} {c.sql_type}" for c in columns)
    likely = {spec.name: paths_to(spec.name, columns) for spec in missing}
    example = ",".join(
        f"{name}={paths[0] if len(paths) == 1 else 'COLUMN'}" for name, paths in likely.items()
    )
    lines = [f"no column for input {spec}" for spec in missing]
    return (
        listed(f"Signature {signature.name!r} cannot be fed", lines)
        + f"\nThe source has: {have}. Say which column feeds which input: --input_columns {example}"
    )

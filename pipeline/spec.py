"""How rows are scored: the model's inputs and outputs matched to columns, as the flags ask."""

import json
from collections.abc import Iterable, Sequence

from options.config import Config
from options.values import ALL_COLUMNS
from pipeline.errors import PlanError
from pipeline.files import read_text
from pipeline.model import FoundModel
from pipeline.source import SourceInfo
from scoring.classes import ClassOptions
from scoring.columns import named_column
from scoring.errors import ColumnError
from scoring.example_graph import parses_examples
from scoring.examples import ParsedFeatures, example_problem, own_features
from scoring.feeding import FeedOptions
from scoring.matching import fixed_batch_rows, match_inputs
from scoring.naming import match_outputs
from scoring.schema import Field, unportable_type
from scoring.signature import TensorSpec, elements_per_row
from scoring.spec import ScoringSpec


def scoring_spec(config: Config, info: SourceInfo, model: FoundModel, run_id: str) -> ScoringSpec:
    """Matches columns to inputs and outputs to columns.

    Raises:
      ColumnError: they do not match.
      PlanError: a column cannot be copied to the output.
    """
    keys = [named_column("--key_columns", name, info.columns) for name in config.key_columns]
    if config.passthrough_columns == (ALL_COLUMNS,):
        passed = [c for c in info.columns if c not in keys]
    else:
        passed = [
            named_column("--passthrough_columns", name, info.columns)
            for name in config.passthrough_columns
        ]
    carried = (*keys, *passed)
    origins = {"run_id": run_id, "model_digest": model.digest}
    metadata = tuple((column, origins[name]) for name, column in config.metadata_columns)
    _check_carried(carried, config.metadata_columns)
    names = [c.name for c in carried]
    return ScoringSpec(
        inputs=match_inputs(
            model.signature,
            info.columns,
            chosen=dict(config.input_columns),
            reserved=names,
            options=_feed_options(config, model, [c for c in info.columns if c.name not in names]),
        ),
        outputs=match_outputs(
            model.signature,
            chosen=dict(config.output_columns),
            taken=dict.fromkeys(names, "a key or passthrough column")
            | dict.fromkeys((column for column, _ in metadata), "a column of --metadata_columns"),
            classes=_class_options(config),
            non_finite=config.on_non_finite,
        ),
        key=tuple(keys),
        carried=carried,
        max_batch_rows=config.max_batch_size,
        fixed_batch_rows=fixed_batch_rows(model.signature),
        run_id=run_id,
        model_digest=model.digest,
        metadata=metadata,
        xla=config.xla,
    )


def _check_carried(carried: Iterable[Field], metadata: Iterable[tuple[str, str]]) -> None:
    taken = {column.lower(): name for name, column in metadata}
    for column in carried:
        named = taken.get(column.name.lower())
        if named is not None:
            raise PlanError(
                f"Column {column.name!r} cannot be copied to the output: --metadata_columns adds a "
                "column of that name to every row. Rename that one, --metadata_columns "
                f"{named}=scoring_{named} say, or leave {column.name!r} out of --key_columns "
                "and --passthrough_columns."
            )
        kind = unportable_type(column)
        if kind is not None:
            raise PlanError(
                f"Column {column.name!r} cannot be copied to the output: no file that load jobs "
                f"take carries {kind}. Leave it out of --key_columns and --passthrough_columns, or "
                "convert it to STRING with --input_query."
            )


def _feed_options(config: Config, model: FoundModel, free: Sequence[Field]) -> FeedOptions:
    return FeedOptions(
        defaults=dict(config.default_values),
        on_null=config.on_null,
        shapes=dict(config.input_shapes),
        pad_value=config.pad_value,
        image_scaling=config.image_scaling,
        image_fit=config.image_resize,
        image_channel_order=config.image_channel_order,
        uri_columns=config.uri_columns,
        examples=_parsed_features(config, model, free),
    )


def _class_options(config: Config) -> ClassOptions | None:
    if config.top_k is None and not config.explode:
        return None
    labels = _read_labels(config.class_labels)
    return ClassOptions(config.top_k, labels, config.softmax, config.explode)


def _read_labels(path: str | None) -> tuple[str, ...]:
    if path is None:
        return ()
    text = read_text(path, "--class_labels")
    labels = _json_labels(path, text) if text.lstrip().startswith("[") else text.splitlines()
    if not labels:
        raise PlanError(
            f"The file {path} holds no labels, expected one for each class. Check --class_labels."
        )
    return tuple(labels)


def _json_labels(path: str, text: str) -> list[str]:
    try:
        labels = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as e:
        raise PlanError(f"The file {path} is no JSON list: {e}. Check --class_labels.") from e
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise PlanError(
            f"The file {path} holds a JSON list of more than texts. Check --class_labels."
        )
    return labels


def _parsed_features(
    config: Config, model: FoundModel, free: Sequence[Field]
) -> ParsedFeatures | None:
    """What the input parses if it takes serialized tf.Examples, None if it takes values."""
    signature = model.signature
    if config.input_format == "tf_example":
        if len(signature.inputs) != 1 or not _takes_strings(signature.inputs[0]):
            raise ColumnError(
                "--input_format tf_example needs a signature with one input, of strings; "
                f"{signature} is another one. Drop the flag."
            )
        problem = example_problem(free)
        if problem is not None:
            raise ColumnError(problem)
        return ParsedFeatures("--input_format", tuple(b.feature for b in own_features(free)))
    if config.input_format == "columns":
        return None
    for spec in filter(_takes_strings, signature.inputs):
        parsed = parses_examples(model.folder, signature.name, spec.name)
        if parsed is not None and len(signature.inputs) > 1:
            raise ColumnError(
                f"Input {spec} takes serialized tf.Examples beside other inputs, which is not "
                "supported. Export a signature whose only input it is, or give "
                "--input_format columns and a BYTES column of serialized tf.Examples."
            )
        if parsed is not None:
            return parsed
    return None


def _takes_strings(spec: TensorSpec) -> bool:
    return spec.dtype == "string" and elements_per_row(spec) in (1, None)

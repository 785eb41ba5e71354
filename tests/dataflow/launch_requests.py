"""Launches of Flex Templates, as strictly read as Dataflow reads them.

Nothing starts before a request has passed: its fields, the template's, and the parameters, by what
the template's metadata says of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from apache_beam.io.filesystems import FileSystems
from dataflow_errors import RefusedError
from google.cloud.dataflow_v1beta3 import types
from google.protobuf.json_format import ParseError

# Job.name in the reference of projects.locations.jobs.
_JOB_NAME = re.compile("[a-z]([-a-z0-9]{0,1022}[a-z0-9])?")


@dataclass(frozen=True)
class Launch:
    """A launch that may start.

    Attributes:
      parameters: the user's, as the launcher gets them.
      environment: the template's own, with what the request sets in its place.
    """

    job_name: str
    image: str
    parameters: Mapping[str, str]
    environment: types.FlexTemplateRuntimeEnvironment


def checked_launch(request: types.LaunchFlexTemplateRequest) -> Launch:
    """What a request asks for.

    Raises:
      RefusedError: it names no template, or the parameters are not those of the template.
    """
    asked = request.launch_parameter
    if not _JOB_NAME.fullmatch(asked.job_name):
        raise RefusedError(
            400,
            f"The workflow could not be created. Causes: job name {asked.job_name!r} must match "
            f"the regular expression {_JOB_NAME.pattern}",
        )
    if asked.update or asked.transform_name_mappings:
        raise RefusedError(400, "A batch job cannot be updated.")
    spec = _container_spec(asked)
    violations = list(_violations(spec.metadata, asked.parameters))
    if violations:
        details = types.InvalidTemplateParameters(parameter_violations=violations)
        kind = "type.googleapis.com/google.dataflow.v1beta3.InvalidTemplateParameters"
        raise RefusedError(
            400,
            "The template parameters are invalid. Details: "
            + "; ".join(f"{v.parameter}: {v.description}" for v in violations),
            {"@type": kind, **json.loads(types.InvalidTemplateParameters.to_json(details))},
        )
    environment = types.FlexTemplateRuntimeEnvironment(spec.default_environment)
    types.FlexTemplateRuntimeEnvironment.pb(environment).MergeFrom(
        types.FlexTemplateRuntimeEnvironment.pb(asked.environment)
    )
    return Launch(asked.job_name, spec.image, dict(asked.parameters), environment)


def _container_spec(asked: types.LaunchFlexTemplateParameter) -> types.ContainerSpec:
    path = asked.container_spec_gcs_path
    if not path:
        if not asked.container_spec.image:
            raise RefusedError(400, "Either container_spec or container_spec_gcs_path is required.")
        return asked.container_spec
    if not re.fullmatch("gs://[^/]+/.+", path):
        raise RefusedError(400, f"containerSpecGcsPath: {path!r} is no Cloud Storage path.")
    if not FileSystems.exists(path):
        raise RefusedError(404, f"Unable to open template file: {path}.")
    with FileSystems.open(path, compression_type="uncompressed") as file:
        content = file.read()
    try:
        spec = types.ContainerSpec.from_json(content, ignore_unknown_fields=False)
    except (ParseError, UnicodeDecodeError) as e:
        raise RefusedError(400, f"Template file {path} is not a container spec: {e}") from e
    if not spec.image or spec.sdk_info.language != types.SDKInfo.Language.PYTHON:
        raise RefusedError(400, f"Template file {path} names no image or no SDK language.")
    return spec


def _violations(
    metadata: types.TemplateMetadata, given: Mapping[str, str]
) -> Iterator[types.InvalidTemplateParameters.ParameterViolation]:
    violation = types.InvalidTemplateParameters.ParameterViolation
    known = {parameter.name: parameter for parameter in metadata.parameters}
    for name in sorted(given.keys() - known.keys()):
        yield violation(parameter=name, description="Unrecognized parameter")
    for name, parameter in known.items():
        if name not in given:
            if not parameter.is_optional:
                yield violation(parameter=name, description="Missing required parameter")
            continue
        value = given[name]
        yield from (
            violation(
                parameter=name,
                description=f"Value {value!r} does not match the regular expression {regex}",
            )
            for regex in parameter.regexes
            if not re.fullmatch(regex, value)
        )
        options = [option.value for option in parameter.enum_options]
        if options and value not in options and not (parameter.is_optional and not value):
            text = f"Value {value!r} is not one of {', '.join(options)}"
            yield violation(parameter=name, description=text)

"""What a Dataflow Flex Template says of itself, derived from the table of flags.

    python -m options.template_metadata > templates/flex/metadata.json
    python -m options.template_metadata IMAGE > build/bulkscore.json

The first is the list of parameters. The second is the template itself, which a launch names: the
image, that list, and that workers run the same image as the launcher.
"""

import json
import re
import sys
from typing import Any

from options.flag import Flag, Group, Kind
from options.flags import FLAGS
from options.template_patterns import anchored, pattern

# "Configure Flex Templates", "Metadata parameters" in Dataflow's documentation; the whole list is
# in google.cloud.dataflow_v1beta3.types.ParameterType.
_TYPES: dict[Kind, str] = {
    Kind.CHOICE: "ENUM",
    Kind.SWITCH: "BOOLEAN",
    Kind.INTEGER: "NUMBER",
    Kind.FRACTION: "NUMBER",
    Kind.NUMBER: "NUMBER",
    Kind.TABLE: "BIGQUERY_TABLE",
    Kind.KMS_KEY: "KMS_KEY_NAME",
}
_FILE_TYPES = {"class_labels": "GCS_READ_FILE"}
# No file of the user's is on the launcher's machine.
_PLACES = {"model": "(gs|https?)://.+", "class_labels": "gs://.+"}
_ELSEWHERE = {
    "a local folder or .tar.gz, a gs:// folder, ": "a gs:// folder ",
    "a local or gs:// path": "a gs:// path",
}
_WORDS = {
    "cpu": "CPU",
    "id": "ID",
    "k": "K",
    "kms": "KMS",
    "null": "NULL",
    "ram": "RAM",
    "tf": "TensorFlow",
    "uri": "URI",
}


def template_flags() -> tuple[Flag, ...]:
    """The flags that are a template's parameters.

    Those of local mode are not. Nor is --resume, which publishes without a job: a launch has to
    end with one.
    """
    return tuple(
        flag
        for flag in FLAGS
        if flag.group is not Group.LOCAL and "score" in flag.commands and flag.name != "resume"
    )


def metadata() -> dict[str, Any]:
    """The content of metadata.json."""
    return {
        "name": "bulkscore",
        "description": "Scores a BigQuery table or query in bulk with a TensorFlow SavedModel "
        "and writes the predictions, the rejected rows and a summary of the run to BigQuery.",
        "parameters": [_parameter(flag) for flag in template_flags()],
    }


def container_spec(image: str) -> dict[str, Any]:
    """The template that a launch names, for an image that has been pushed."""
    return {
        "image": image,
        "metadata": metadata(),
        "sdkInfo": {"language": "PYTHON"},
        "defaultEnvironment": {"sdkContainerImage": image},
    }


def render(content: dict[str, Any]) -> str:
    """JSON as it is kept in a file."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _parameter(flag: Flag) -> dict[str, Any]:
    parameter: dict[str, Any] = {
        "name": flag.name,
        "label": _label(flag.name),
        "helpText": _help(flag),
        "groupName": flag.group.value,
        "paramType": _FILE_TYPES.get(flag.name) or _TYPES.get(flag.kind, "TEXT"),
        "isOptional": not flag.required,
    }
    place = _PLACES.get(flag.name)
    expression = anchored(place, required=flag.required) if place else pattern(flag)
    if expression is not None:
        parameter["regexes"] = [expression]
    if flag.kind is Kind.CHOICE:
        parameter["enumOptions"] = [{"value": choice} for choice in flag.choices]
    if flag.default is not None:
        parameter["defaultValue"] = flag.default
    return parameter


def _label(name: str) -> str:
    label = " ".join(_WORDS.get(word, word) for word in name.split("_"))
    return label[0].upper() + label[1:]


def _help(flag: Flag) -> str:
    """The flag's help without dashes before the names of flags, and what the value looks like."""
    text = flag.help
    for here, there in _ELSEWHERE.items():
        text = text.replace(here, there)
    text = re.sub(r"--(?=[a-z])", "", text)
    if flag.kind in (Kind.INTEGER, Kind.FRACTION):
        return f"{text} From {flag.minimum} to {flag.maximum}."
    return f"{text} Form: {flag.metavar}" if _has_form(flag) else text


def _has_form(flag: Flag) -> bool:
    return any(c in flag.metavar for c in "=,./[")


if __name__ == "__main__":
    sys.stdout.write(render(container_spec(sys.argv[1]) if len(sys.argv) > 1 else metadata()))

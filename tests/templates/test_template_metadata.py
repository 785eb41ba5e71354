"""The template's parameters: those of the table of flags, readable by Dataflow, strict enough."""

import re
from pathlib import Path
from typing import Any

import pytest
from google.cloud.dataflow_v1beta3 import types
from hypothesis import given, settings
from hypothesis import strategies as st

from options.errors import UsageError
from options.flag import Group, Kind
from options.flags import FLAGS, FLAGS_BY_NAME
from options.template_metadata import container_spec, metadata, render
from options.values import value_of

_FILE = Path(__file__).parents[2] / "templates" / "flex" / "metadata.json"
_PARAMETERS: dict[str, dict[str, Any]] = {p["name"]: p for p in metadata()["parameters"]}
_REGEXES = {name: p["regexes"][0] for name, p in _PARAMETERS.items() if "regexes" in p}
# What Dataflow gives to every launch itself.
_RESERVED = {"runner", "project", "job_name", "region", "template_location", "service_account"}
# Parameters whose expression asks for more than the command line does: files have to be remote.
_REMOTE_ONLY = {"model", "class_labels"}

# For each kind texts that are right, and texts that are wrong.
_EXAMPLES: dict[Kind, tuple[tuple[str, ...], tuple[str, ...]]] = {
    Kind.TABLE: (
        ("d.t", "my-project.d.t", "my-project:d.t", "example.com:my-project.d.ta ble-ü"),
        ("t", "d.t$20250131", "`d.t`", "My-Project.d.t", "d-x.t", "d.t@1", "gs://b/f", "d."),
    ),
    Kind.INTEGER: (("1", "007", "100"), ("0", "-1", "1.5", "many", "1 000", "99999999")),
    Kind.FRACTION: (
        ("0", "1", "1.0", "0.05", ".5", "00.5", "5e-2"),
        ("5", "1.5", "5 %", "-0.1", "0,5", "1.", "10", "a"),
    ),
    Kind.NUMBER: (("0", "-1", "+1.5", ".5", "1e-3"), ("one", "1,5", "1.", "1e", "--1", "1e100")),
    Kind.TIME: (
        ("2025-01-31T06:00:00Z", "2025-01-31 06:00+01:00", "20250131T060000Z"),
        ("2025-01-31", "2025-01-31T06:00:00", "yesterday", "06:00Z", "1738303200"),
    ),
    Kind.PROJECT: (("my-project", "example.com:my-project"), ("My-Project", "p", "a project")),
    Kind.RUN_ID: (("r", "R_1", "x" * 64), ("r-1", "ü", "x" * 65, "a b")),
    Kind.COLUMNS: (("a", "a,b", "a.b, c d", "größe"), ("a,", ",a", "a,,b", "[a,b]")),
    Kind.COLUMNS_OR_ALL: (("*", "a,b"), ("a,", ",", "[a]")),
    Kind.INPUT_MAPPING: (
        ("x=a", "x=[a,b.c],y=d", "x = [a, b] , y = c"),
        ("x", "=a", "x=", "x=[a", "x=a]", "x=[]", "x=a,", "x=[a,]"),
    ),
    Kind.INPUT_VALUES: (("x=0", "x=[UNK],y=1", "x=a=b", "x=0,\ny=1"), ("x", "=0", "x=", "x=,y=1")),
    Kind.INPUT_SHAPES: (
        ("x=[3]", "x=[28, 28,1],y=[2]"),
        ("x=3", "x=[]", "x=[0]", "x=[-1,2]", "x=[2", "[2]", "x=[1,1,1,1,1,1,1,1,1]"),
    ),
    Kind.OUTPUT_MAPPING: (("y", "y=a,z", "y = a b"), ("y,", "y=", "=a", "y=[a]")),
    Kind.METADATA_MAPPING: (
        ("none", "NONE", "run_id", "run_id=r,model_digest = m"),
        ("all", "run_id,", "run_id=", "none,run_id", "run_id=[a]"),
    ),
    Kind.PARTITION: (("20250131", "-5", "2025"), ("2025-01-31", "__NULL__", "", "20250131*")),
    Kind.PARTITIONING: (("t", "t:HOUR", "a:b:day", "t : Month"), ("t:", "t:WEEK", ":")),
    Kind.LABELS: (
        ("team=a", "team=,cost-centre=0_1", "é=ü", "a = b , c = d"),
        ("team", "Team=a", "team=A", "1=a", "=a", "team=a b", "a=b,"),
    ),
    Kind.KMS_KEY: (
        ("projects/p/locations/eu/keyRings/r/cryptoKeys/k",),
        (
            "k",
            "projects/p/locations/eu/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1",
            "projects/p/locations/EU/keyRings/r/cryptoKeys/k",
        ),
    ),
    Kind.MEMORY: (
        ("16GB", "7.5 GiB", "0.5TB", "1B", "10PiB"),
        ("16", "GB", "0GB", "0.0GB", "16Gb", "-1GB", "1,5GB", "16 G", "1e3MB", "x=1GB"),
    ),
    Kind.ACCELERATOR: (
        (
            "type:nvidia-l4;count:1",
            "type:nvidia-tesla-t4;count:4;install-nvidia-driver:5xx;use_nvidia_mps",
            "type:nvidia-l4;count:1;machine_type:g2-standard-8;install-nvidia-driver",
        ),
        ("nvidia-l4", "type:nvidia-l4", "type:nvidia-l4;count:0", "count:1;type:nvidia-l4")
        + ("type:nvidia-l4; count:1", "type:nvidia-l4;count:1;", "type:a,count:1"),
    ),
}


def _parser_takes(name: str, text: str) -> bool:
    try:
        return bool(value_of(FLAGS_BY_NAME[name], [text]) is not None)
    except UsageError:
        return False


def _matches(name: str, text: str) -> bool:
    return re.fullmatch(_REGEXES[name], text) is not None


def test_the_file_is_what_is_generated() -> None:
    generated = render(metadata())
    assert _FILE.read_text(encoding="utf-8") == generated, (
        "run: python -m options.template_metadata > templates/flex/metadata.json"
    )


def test_parameters_are_the_flags_that_mean_something_on_dataflow() -> None:
    left_out = [flag.name for flag in FLAGS if flag.name not in _PARAMETERS]
    assert left_out == ["json", "resume", "deadline", "local", "local_tables", "local_output"]
    assert list(_PARAMETERS) == [flag.name for flag in FLAGS if flag.name not in left_out]
    assert _RESERVED.isdisjoint(_PARAMETERS)


def test_dataflow_knows_every_field() -> None:
    text = _FILE.read_text(encoding="utf-8")
    read = types.TemplateMetadata.from_json(text, ignore_unknown_fields=False)
    kinds = {p.name: p.param_type for p in read.parameters}
    kind = types.ParameterType
    assert kinds["output_table"] == kind.BIGQUERY_TABLE
    assert kinds["class_labels"] == kind.GCS_READ_FILE
    assert kinds["write_mode"] == kind.ENUM
    assert kinds["only_new"] == kind.BOOLEAN
    assert kinds["top_k"] == kind.NUMBER
    assert kinds["output_kms_key"] == kind.KMS_KEY_NAME
    assert {kinds[flag.name] for flag in FLAGS if flag.kind is Kind.TEXT if flag.name in kinds} == {
        kind.TEXT,
        kind.GCS_READ_FILE,
    }


def test_dataflow_reads_the_container_spec() -> None:
    image = "europe-docker.pkg.dev/my-project/images/bulkscore:1"
    read = types.ContainerSpec.from_json(render(container_spec(image)), ignore_unknown_fields=False)
    assert read.image == read.default_environment.sdk_container_image == image
    assert read.sdk_info.language == types.SDKInfo.Language.PYTHON
    assert [p.name for p in read.metadata.parameters] == list(_PARAMETERS)


def test_every_parameter_says_what_a_person_needs() -> None:
    for name, parameter in _PARAMETERS.items():
        flag = FLAGS_BY_NAME[name]
        assert parameter["label"].strip(), name
        assert parameter["isOptional"] != flag.required, name
        assert parameter["groupName"] in set(Group) - {Group.LOCAL}, name
        assert parameter.get("defaultValue") == flag.default, name
        options = tuple(option["value"] for option in parameter.get("enumOptions", ()))
        assert options == (flag.choices if flag.kind is Kind.CHOICE else ()), name
        # Parameters have no dashes, and nothing of the user's is on the launcher's machine.
        assert len(parameter["helpText"]) >= 20, name
        assert "--" not in parameter["helpText"], name
        assert "local" not in parameter["helpText"].lower(), name


def test_the_patterns_mean_the_same_in_every_language() -> None:
    for name, regex in _REGEXES.items():
        assert not re.search(r"\\[a-zA-Z0-9]|\(\?|&&", regex), name
        counts = [int(n) for n in re.findall(r"\{\d*,?(\d+)\}", regex)]
        assert max(counts, default=0) <= 1000, name
        assert regex.isascii(), name
        assert len(regex) <= 250, name
        assert regex.startswith("^("), name
        assert regex.endswith(")$" if FLAGS_BY_NAME[name].required else ")?$"), name


def test_an_optional_parameter_may_arrive_empty() -> None:
    for name in _REGEXES:
        assert _matches(name, "") != FLAGS_BY_NAME[name].required, name


def test_a_default_is_a_valid_value() -> None:
    for name, parameter in _PARAMETERS.items():
        if "defaultValue" in parameter and "regexes" in parameter:
            assert _matches(name, parameter["defaultValue"]), name


@pytest.mark.parametrize("name", sorted(_REGEXES.keys() - _REMOTE_ONLY))
def test_the_examples(name: str) -> None:
    good, bad = _EXAMPLES[FLAGS_BY_NAME[name].kind]
    for text in good:
        assert _parser_takes(name, text), text
        assert _matches(name, text), text
    for text in filter(None, bad):
        assert not _parser_takes(name, text), text
        assert not _matches(name, text), text


def test_every_kind_that_is_no_free_text_is_checked() -> None:
    kinds = {FLAGS_BY_NAME[name].kind for name in _PARAMETERS}
    checked = {FLAGS_BY_NAME[name].kind for name in _REGEXES}
    assert kinds - checked == {Kind.CHOICE, Kind.SWITCH}


def test_models_and_labels_must_be_remote() -> None:
    for text in ("gs://b/m", "https://tfhub.dev/google/nnlm-en-dim50/2"):
        assert _matches("model", text)
    for text in ("", "/models/m", "model", "gs://"):
        assert not _matches("model", text)
    assert _matches("class_labels", "gs://b/labels.txt")
    assert not _matches("class_labels", "labels.txt")


# Brackets stand after an equals sign: no pattern knows names that hold them, as no model has such.
_TOKENS = st.sampled_from(
    [*"aZ0é_-,=:.*1 e+", "my-project", "none", "run_id", "DAY", "=[1]", "=[a,b]", "x=[1,2]"]
)


@settings(max_examples=300, deadline=None)
@given(tokens=st.lists(_TOKENS, min_size=1, max_size=8))
def test_what_the_parser_takes_no_pattern_refuses(tokens: list[str]) -> None:
    text = "".join(tokens).strip()
    for name in _REGEXES.keys() - _REMOTE_ONLY:
        if text and _parser_takes(name, text):
            assert _matches(name, text), (name, text)

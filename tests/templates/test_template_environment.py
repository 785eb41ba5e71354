"""What a launch can say beside the parameters: the page's table and Dataflow's own type agree."""

import json
import re
from typing import Any

from environment_table import PAGE, settings
from google.cloud.dataflow_v1beta3 import types
from launch_arguments import JobPlace, launch_arguments

from options.parse import parse
from options.template_metadata import metadata
from pipeline.job import pipeline_options

_TYPE = types.FlexTemplateRuntimeEnvironment


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _environment() -> dict[str, Any]:
    return {setting.field: setting.example for setting in settings()}


def test_dataflow_takes_every_example() -> None:
    environment = _environment()
    request = {
        "launchParameter": {
            "jobName": "churn-20250131",
            "containerSpecGcsPath": "gs://my-bucket/bulkscore.json",
            "parameters": {"input_table": "shop.customers"},
            "environment": environment,
        }
    }

    read = types.LaunchFlexTemplateRequest.from_json(
        json.dumps(request), ignore_unknown_fields=False
    )

    written = types.LaunchFlexTemplateRequest.to_json(
        read, always_print_fields_with_no_presence=False, use_integers_for_enums=False
    )
    assert json.loads(written) == request


def test_the_entry_file_takes_what_becomes_of_every_example() -> None:
    environment = _TYPE.from_json(json.dumps(_environment()), ignore_unknown_fields=False)
    parameters = {"input_table": "d.t", "model": "gs://b/m", "output_table": "d.p"}
    place = JobPlace("churn", "my-project", "europe-west1", "gs://b/job_object")

    options = pipeline_options(
        parse(["score", *launch_arguments(parameters, environment, place)]).beam_args
    )

    assert (
        options.get_all_options(drop_default=True).items()
        >= {
            "machine_type": "n2-standard-4",
            "max_num_workers": 20,
            "use_public_ips": False,
            "labels": ["team=growth"],
            "flexrs_goal": "COST_OPTIMIZED",
            "autoscaling_algorithm": "THROUGHPUT_BASED",
        }.items()
    )


def test_the_page_names_every_setting_there_is() -> None:
    page = PAGE.read_text(encoding="utf-8")
    missing = [name for name in map(_camel, _TYPE.meta.fields) if f"`{name}`" not in page]
    assert missing == []


def test_no_setting_is_told_twice() -> None:
    fields = [setting.field for setting in settings()]
    assert len(fields) == len(set(fields))


def test_the_launches_of_the_page_are_right() -> None:
    page = PAGE.read_text(encoding="utf-8")
    (text,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    request = types.LaunchFlexTemplateRequest.from_json(text, ignore_unknown_fields=False)
    (command,) = re.findall(r"--parameters='\^;\^(.*?)'", page)

    given = [dict(request.launch_parameter.parameters)]
    given.append(dict(pair.split("=", 1) for pair in command.split(";")))

    assert request.validate_only
    assert given[0] == given[1]
    patterns = {p["name"]: p.get("regexes", [".*"])[0] for p in metadata()["parameters"]}
    assert [n for n, v in given[0].items() if not re.fullmatch(patterns[n], v)] == []

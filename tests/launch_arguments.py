"""The argument list that Dataflow's launcher gives to the entry file of a Python Flex Template."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.cloud.dataflow_v1beta3 import types

# Fields of the launch's environment and Beam's options of the same meaning.
_OPTIONS = {
    "service_account_email": "service_account_email",
    "temp_location": "temp_location",
    "staging_location": "staging_location",
    "sdk_container_image": "sdk_container_image",
    "num_workers": "num_workers",
    "max_workers": "max_num_workers",
    "machine_type": "machine_type",
    "disk_size_gb": "disk_size_gb",
    "zone": "worker_zone",
    "worker_zone": "worker_zone",
    "worker_region": "worker_region",
    "network": "network",
    "subnetwork": "subnetwork",
    "kms_key_name": "dataflow_kms_key",
}
# Enums by their numbers.
_CHOICES = {
    "flexrs_goal": {1: "SPEED_OPTIMIZED", 2: "COST_OPTIMIZED"},
    "autoscaling_algorithm": {1: "NONE", 2: "THROUGHPUT_BASED"},
}
_PRIVATE_ADDRESSES = 2


@dataclass(frozen=True)
class JobPlace:
    """Where the job of a launch is to be, and where the launcher expects its description."""

    name: str
    project: str
    region: str
    job_object: str


def launch_arguments(
    parameters: Mapping[str, str],
    environment: types.FlexTemplateRuntimeEnvironment,
    place: JobPlace,
) -> list[str]:
    """The user's parameters as flags, then what the launcher adds of its own."""
    return [
        *(f"--{name}={value}" for name, value in parameters.items()),
        f"--job_name={place.name}",
        f"--region={place.region}",
        "--runner=DataflowRunner",
        f"--project={place.project}",
        f"--template_location={place.job_object}",
        *_environment_arguments(environment),
    ]


def _environment_arguments(environment: Any) -> Iterator[str]:
    for field, option in _OPTIONS.items():
        if value := getattr(environment, field):
            yield f"--{option}={value}"
    for experiment in environment.additional_experiments:
        yield f"--experiments={experiment}"
    for label, value in environment.additional_user_labels.items():
        yield f"--labels={label}={value}"
    for option in environment.additional_pipeline_options:
        yield f"--{option.removeprefix('--')}"
    for option, choices in _CHOICES.items():
        if chosen := getattr(environment, option):
            yield f"--{option}={choices[chosen]}"
    if environment.ip_configuration == _PRIVATE_ADDRESSES:
        yield "--no_use_public_ips"

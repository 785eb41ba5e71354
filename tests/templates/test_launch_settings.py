"""Settings of a launch that are no parameters of ours: each reaches Beam as it was given."""

from apache_beam.options.pipeline_options import (
    DebugOptions,
    GoogleCloudOptions,
    StandardOptions,
    WorkerOptions,
)
from google.cloud.dataflow_v1beta3 import types
from launch_arguments import JobPlace, launch_arguments

from options.config import Config
from options.parse import parse
from pipeline.job import pipeline_options
from pipeline.machines import GIB, machines_of

_PARAMETERS = {"input_table": "d.t", "model": "gs://b/m", "output_table": "d.p", "tf_threads": ""}
_SETTINGS = types.FlexTemplateRuntimeEnvironment(
    num_workers=2,
    max_workers=20,
    machine_type="n2-highmem-8",
    disk_size_gb=50,
    network="net",
    subnetwork="regions/europe-west1/subnetworks/sub",
    ip_configuration=types.WorkerIPAddressConfiguration.WORKER_IP_PRIVATE,
    service_account_email="scorer@my-project.iam.gserviceaccount.com",
    temp_location="gs://b/tmp",
    staging_location="gs://b/staging",
    sdk_container_image="registry/bulkscore:1",
    worker_zone="europe-west1-b",
    kms_key_name="projects/p/locations/eu/keyRings/r/cryptoKeys/k",
    flexrs_goal=types.FlexResourceSchedulingGoal.FLEXRS_COST_OPTIMIZED,
    additional_experiments=["use_runner_v2", "enable_preflight_validation"],
    additional_user_labels={"team": "churn"},
    additional_pipeline_options=[
        "number_of_worker_harness_threads=3",
        "enable_streaming_engine=false",
        "use_public_ips=false",
        "autoscaling_algorithm=THROUGHPUT_BASED",
        "disk_type=compute.googleapis.com/projects//zones//diskTypes/pd-ssd",
        "min_cpu_platform=Intel Ice Lake",
        "dataflow_service_options=enable_prime",
        "dataflow_service_options=worker_accelerator=type:nvidia-l4;count:1",
        "resource_hints=min_ram=8GB",
    ],
)


def test_every_setting_of_a_launch_reaches_beam() -> None:
    place = JobPlace("score", "my-project", "europe-west1", "gs://b/job_object")

    parsed = parse(["score", *launch_arguments(_PARAMETERS, _SETTINGS, place)])

    assert isinstance(parsed.config, Config)
    options = pipeline_options(parsed.beam_args)
    workers = options.view_as(WorkerOptions)
    assert (workers.num_workers, workers.max_num_workers) == (2, 20)
    assert (workers.machine_type, workers.disk_size_gb) == ("n2-highmem-8", 50)
    assert workers.disk_type == "compute.googleapis.com/projects//zones//diskTypes/pd-ssd"
    assert (workers.network, workers.use_public_ips) == ("net", False)
    assert workers.subnetwork == "regions/europe-west1/subnetworks/sub"
    assert workers.worker_zone == "europe-west1-b"
    assert workers.autoscaling_algorithm == "THROUGHPUT_BASED"
    assert workers.min_cpu_platform == "Intel Ice Lake"
    assert workers.sdk_container_image == "registry/bulkscore:1"
    debug = options.view_as(DebugOptions)
    assert debug.number_of_worker_harness_threads == 3
    assert {"use_runner_v2", "enable_preflight_validation"} <= set(debug.experiments)
    cloud = options.view_as(GoogleCloudOptions)
    assert cloud.service_account_email == "scorer@my-project.iam.gserviceaccount.com"
    assert (cloud.flexrs_goal, cloud.labels) == ("COST_OPTIMIZED", ["team=churn"])
    assert cloud.dataflow_kms_key == "projects/p/locations/eu/keyRings/r/cryptoKeys/k"
    assert cloud.dataflow_service_options == [
        "enable_prime",
        "worker_accelerator=type:nvidia-l4;count:1",
    ]
    assert options.view_as(StandardOptions).resource_hints == ["min_ram=8GB"]
    machines = machines_of(options)
    assert (machines.vcpus, machines.memory_bytes) == (8, int(6.5 * GIB))
    assert machines.accelerator

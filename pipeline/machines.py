"""What is known of the machines that score before there are any."""

import os
import re
from dataclasses import dataclass

from apache_beam.options.pipeline_options import (
    DebugOptions,
    DirectOptions,
    GoogleCloudOptions,
    PipelineOptions,
    StandardOptions,
    WorkerOptions,
)

from pipeline.estimate import AskedWorkers

# What `--runner=DirectRunner` stands for.  Named in full because Beam's own DirectRunner
# tries to download another runner first, and falls back to this one for some pipelines.
LOCAL_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"

GIB = 2**30
# "Machine families resource and comparison guide" in Compute Engine's documentation: the least
# that a vCPU has in any family with that word in its types' names (N1, C4).
_MEMORY_PER_VCPU = {"standard": 3.75 * GIB, "highmem": 6.5 * GIB, "highcpu": 0.9 * GIB}
_PREDEFINED = re.compile(r"[a-z0-9]+-(?P<kind>standard|highmem|highcpu)-(?P<vcpus>[0-9]+)(-.*)?")
_CUSTOM = re.compile(r"([a-z0-9]+-)?custom-(?P<vcpus>[0-9]+)-(?P<mib>[0-9]+)(-ext)?")
# Of Dataflow's experiments: one Python process a machine, whatever its processors.
_ONE_PROCESS = "no_use_multiple_sdk_containers"


@dataclass(frozen=True)
class Machines:
    """The machines that score.

    Attributes:
      are_here: whether it is this one.
      vcpus: processors of one machine, None where unknown.
      processes: processes of one machine that score, None for one for each of its processors.
      memory_bytes: of one process, None where unknown.
      accelerator: whether a GPU was asked for by an option of the runner.
      threads: of this process that work at the same time; it is not known of other machines'.
    """

    are_here: bool
    vcpus: int | None
    processes: int | None
    memory_bytes: int | None
    accelerator: bool = False
    threads: int = 1

    @property
    def has_one_process(self) -> bool:
        """Whether no two processes score on one machine."""
        return self.processes == 1 or (self.processes is None and self.vcpus == 1)

    @property
    def are_one_thread_here(self) -> bool:
        """Whether one thread of one process of this machine reads and scores everything."""
        return self.are_here and self.has_one_process and self.threads == 1


THIS_PROCESS = Machines(are_here=True, vcpus=None, processes=1, memory_bytes=None)


def machines_of(options: PipelineOptions) -> Machines:
    """The machines that a pipeline with these options runs on."""
    if is_local(options):
        return _this_machine(options.view_as(DirectOptions))
    if "dataflow" not in str(options.view_as(StandardOptions).runner).lower():
        # One SDK process a worker unless the user says otherwise (--sdk_worker_parallelism).
        return Machines(are_here=False, vcpus=None, processes=1, memory_bytes=None)
    return _dataflow_machines(options)


def asked_workers(options: PipelineOptions) -> AskedWorkers:
    """What the options ask of Dataflow's workers, whatever runner they name."""
    workers, debug = options.view_as(WorkerOptions), options.view_as(DebugOptions)
    return AskedWorkers(
        machine_type=workers.machine_type,
        max_num_workers=workers.max_num_workers,
        is_one_process=_ONE_PROCESS in (debug.experiments or ()),
        threads=debug.number_of_worker_harness_threads or 1,
        has_accelerator=_has_accelerator(options),
    )


def is_local(options: PipelineOptions) -> bool:
    """Whether the workers run on this machine."""
    return str(options.view_as(StandardOptions).runner) == LOCAL_RUNNER


def _this_machine(direct: DirectOptions) -> Machines:
    vcpus = len(os.sched_getaffinity(0))
    workers = direct.direct_num_workers or vcpus
    are_processes = direct.direct_running_mode == "multi_processing"
    processes, threads = (workers, 1) if are_processes else (1, workers)
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machines(True, vcpus, processes, memory_bytes // processes, threads=threads)


def _dataflow_machines(options: PipelineOptions) -> Machines:
    """Dataflow starts a Python process for each vCPU ("GPUs and worker parallelism")."""
    experiments = options.view_as(DebugOptions).experiments or []
    vcpus, per_vcpu = _size(options.view_as(WorkerOptions).machine_type)
    processes = 1 if _ONE_PROCESS in experiments else None
    memory_bytes = per_vcpu * (vcpus or 1) if processes == 1 else per_vcpu
    return Machines(False, vcpus, processes, memory_bytes, _has_accelerator(options))


def _has_accelerator(options: PipelineOptions) -> bool:
    experiments = options.view_as(DebugOptions).experiments or []
    services = options.view_as(GoogleCloudOptions).dataflow_service_options or []
    return any("worker_accelerator" in option for option in (*experiments, *services))


def _size(machine_type: str | None) -> tuple[int | None, int]:
    """A machine type's vCPUs, None if unknown, and memory per vCPU, a standard one's if unknown."""
    name = machine_type or ""
    custom = _CUSTOM.fullmatch(name)
    if custom:
        vcpus = max(int(custom["vcpus"]), 1)
        return vcpus, int(custom["mib"]) * 2**20 // vcpus
    known = _PREDEFINED.fullmatch(name)
    kind = known["kind"] if known else "standard"
    return int(known["vcpus"]) if known else None, int(_MEMORY_PER_VCPU[kind])

"""What is decided about the workers, from the runner's options and the model's size."""

from dataclasses import replace
from pathlib import Path

import pytest

from options.config import Config
from pipeline.job import pipeline_options
from pipeline.machines import GIB, Machines, machines_of
from pipeline.report import workers_text
from pipeline.workers import Workers, plan_workers
from scoring.bindings import ImageBinding
from scoring.feed import Binding, InputBinding
from scoring.images import ImageSpec
from scoring.objects import ObjectField
from scoring.schema import Field
from scoring.signature import TensorSpec
from scoring.spec import ScoringSpec
from transforms.resources import ScoringResources

_MIB = 2**20
_FLOATS = TensorSpec("x", "float32", (None,))
_PIXELS = TensorSpec("x", "float32", (None, 8, 8, 3))
_PHOTO = Field("photo", "BYTES")
_IMAGE = ImageSpec(8, 8, 3, "float32")
_NUMBERS = InputBinding(_FLOATS, Field("x", "FLOAT"))
_HERE = Machines(are_here=True, vcpus=4, processes=1, memory_bytes=8 * GIB)
_DATAFLOW = Machines(are_here=False, vcpus=4, processes=None, memory_bytes=4 * GIB)


def _spec(*inputs: Binding) -> ScoringSpec:
    return ScoringSpec(inputs, (), (), (), 1024, None, "run-1", "abc", ())


def _workers(machines: Machines, mib: int = 1, *inputs: Binding, **flags: str) -> Workers:
    texts = {"input_table": "d.t", "model": "m", "output_table": "d.p", **flags}
    config = Config.from_texts({name: [text] for name, text in texts.items()})
    return plan_workers(config, _spec(*(inputs or (_NUMBERS,))), mib * _MIB, machines)


def _machines(*beam_args: str) -> Machines:
    return machines_of(pipeline_options([f"--{argument}" for argument in beam_args]))


def _reasons(workers: Workers) -> list[str]:
    return [choice.reason for choice in workers.choices]


def test_here_nothing_is_shuffled_and_tensorflow_takes_all_processors() -> None:
    workers = _workers(_HERE, 500, ImageBinding(_PIXELS, _PHOTO, _IMAGE))
    assert (workers.redistributes, workers.resources) == (False, ScoringResources())
    one = "one process a machine scores"
    assert _reasons(workers) == ["the workers are this machine", one, one]


@pytest.mark.parametrize(
    ("mib", "binding", "expected", "reason"),
    [
        (1, _NUMBERS, False, "the model is light: 1.0 MiB"),
        (63, _NUMBERS, False, "the model is light: 63.0 MiB"),
        (64, _NUMBERS, True, "the model is large: 64.0 MiB"),
        (1, ImageBinding(_PIXELS, _PHOTO, _IMAGE), True, "decoding and scoring images takes"),
        (
            1,
            InputBinding(TensorSpec("x", "string", (None,)), ObjectField.at(_PHOTO)),
            True,
            "fetching objects takes longer",
        ),
    ],
    ids=["light", "below the limit", "large", "images", "objects"],
)
def test_rows_are_dealt_out_anew_where_scoring_is_slow(
    mib: int, binding: Binding, expected: bool, reason: str
) -> None:
    workers = _workers(_DATAFLOW, mib, binding)
    assert workers.redistributes == expected
    assert _reasons(workers)[0].startswith(reason)


def test_flags_decide_before_anything_else() -> None:
    workers = _workers(
        replace(_DATAFLOW, accelerator=True),
        1000,
        redistribute="off",
        model_copies="3",
        tf_threads="2",
        scoring_min_ram="16 GB",
        scoring_cpu_count="4",
        scoring_accelerator="type:nvidia-l4;count:1;install-nvidia-driver",
    )
    assert not workers.redistributes
    assert workers.resources == ScoringResources(
        model_copies=3,
        tf_threads=2,
        hints=(
            ("min_ram", "16GB"),
            ("cpu_count", "4"),
            ("accelerator", "type:nvidia-l4;count:1;install-nvidia-driver"),
        ),
    )
    assert _reasons(workers) == ["as given"] * 4
    assert _workers(_HERE, redistribute="on").redistributes


# A process takes 1 GiB and twice the model's files.
@pytest.mark.parametrize(
    ("machines", "mib", "copies", "reason"),
    [
        (_DATAFLOW, 1536, None, "a process takes about 4.0 GiB, there are 4.0 GiB"),
        (_DATAFLOW, 1537, 1, "a process of its own would take 4.0 GiB, there are 4.0 GiB"),
        (replace(_DATAFLOW, vcpus=None), 2048, 1, "would take 5.0 GiB, there are 4.0 GiB"),
        (replace(_DATAFLOW, vcpus=1), 2048, None, "one process a machine scores"),
        (replace(_DATAFLOW, accelerator=True), 1, 1, "share its GPUs"),
        (replace(_HERE, processes=2, memory_bytes=2 * GIB), 513, 1, "there are 2.0 GiB"),
    ],
    ids=["fits", "too large", "unknown type", "one vCPU", "GPU", "processes here"],
)
def test_a_model_is_shared_where_a_copy_a_process_does_not_fit(
    machines: Machines, mib: int, copies: int | None, reason: str
) -> None:
    workers = _workers(machines, mib)
    assert workers.resources.model_copies == copies
    assert reason in _reasons(workers)[1]


@pytest.mark.parametrize(
    ("machines", "mib", "threads"),
    [
        (_DATAFLOW, 1, 1),
        (_DATAFLOW, 4096, None),
        (replace(_DATAFLOW, processes=1), 1, None),
        (replace(_HERE, processes=2), 1, 2),
        (replace(_HERE, processes=8, vcpus=4), 1, 1),
    ],
    ids=["process a vCPU", "shared model", "one process", "two here", "more than processors"],
)
def test_processes_times_threads_are_the_processors(
    machines: Machines, mib: int, threads: int | None
) -> None:
    assert _workers(machines, mib).resources.tf_threads == threads


@pytest.mark.parametrize(
    ("machine_type", "vcpus", "memory_gib"),
    [
        ("n1-standard-4", 4, 3.75),
        ("n2-highmem-8", 8, 6.5),
        ("c3-highcpu-22", 22, 0.9),
        ("n2d-standard-32-lssd", 32, 3.75),
        ("custom-2-8192", 2, 4),
        ("n2-custom-8-65536-ext", 8, 8),
        ("e2-medium", None, 3.75),
        ("", None, 3.75),
    ],
)
def test_the_memory_of_a_process_comes_from_the_machine_type(
    machine_type: str, vcpus: int | None, memory_gib: float
) -> None:
    given = [f"machine_type={machine_type}"] if machine_type else []
    machines = _machines("runner=DataflowRunner", *given)
    assert machines == Machines(False, vcpus, None, int(memory_gib * GIB))


def test_the_runners_options_are_heeded() -> None:
    dataflow = ("runner=DataflowRunner", "worker_machine_type=n1-standard-4")
    alone = _machines(*dataflow, "experiments=no_use_multiple_sdk_containers")
    assert (alone.processes, alone.memory_bytes) == (1, 15 * GIB)
    gpu = "worker_accelerator=type:nvidia-l4;count:1;install-nvidia-driver"
    assert _machines(*dataflow, f"dataflow_service_options={gpu}").accelerator
    assert _machines(*dataflow, f"experiments={gpu}").accelerator
    here = _machines("direct_num_workers=2", "direct_running_mode=multi_processing")
    assert (here.are_here, here.processes) == (True, 2)
    assert _machines("direct_num_workers=2", "direct_running_mode=multi_threading").processes == 1
    assert _machines("runner=PortableRunner").has_one_process


def test_the_page_shows_what_is_printed() -> None:
    page = Path(__file__).parents[2] / "docs" / "sizing.md"
    machines = _machines("runner=DataflowRunner", "machine_type=n1-standard-4")
    config = Config.from_texts({"input_table": ["d.t"], "model": ["m"], "output_table": ["d.p"]})
    workers = plan_workers(config, _spec(_NUMBERS), 300_000_000, machines)
    assert f"```\n{workers_text(workers)}\n```" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], True),
        (["direct_num_workers=1", "direct_running_mode=multi_threading"], True),
        (["direct_num_workers=1", "direct_running_mode=multi_processing"], True),
        (["direct_num_workers=2", "direct_running_mode=multi_threading"], False),
        (["direct_num_workers=2", "direct_running_mode=multi_processing"], False),
        (["runner=DataflowRunner"], False),
        (["runner=DataflowRunner", "experiments=no_use_multiple_sdk_containers"], False),
        (["runner=FlinkRunner"], False),
    ],
)
def test_only_one_thread_of_this_machine_starts_early(given: list[str], *, expected: bool) -> None:
    assert _machines(*given).are_one_thread_here == expected

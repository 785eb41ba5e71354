"""How the work is spread over workers and what scoring gets of each, decided with reasons."""

from collections.abc import Iterator
from dataclasses import dataclass

from options.config import Config
from pipeline.machines import GIB, Machines
from scoring.bindings import ImageBinding
from scoring.spec import ScoringSpec
from transforms.resources import ScoringResources

# A dense model multiplies each row with all of its weights: 64 MiB are 17 million multiplications
# a row, and hundreds of microseconds on one core.  Reading a row takes few.
_SLOW_MODEL_BYTES = 64 * 2**20
# A worker process with Python, Beam and TensorFlow and the rows that it works on.
_PROCESS_BYTES = 1 * GIB
# Loading has the files and the variables in memory at once.
_LOADED_PER_FILE_BYTE = 2


@dataclass(frozen=True)
class Choice:
    """One decision in words: what was decided, and why."""

    subject: str
    value: str
    reason: str


@dataclass(frozen=True)
class Workers:
    """What was decided about the workers.

    Attributes:
      redistributes: whether rows are dealt out anew between reading and scoring.
      choices: what was decided, for people.
    """

    redistributes: bool
    resources: ScoringResources
    choices: tuple[Choice, ...]


def plan_workers(
    config: Config, spec: ScoringSpec, model_bytes: int, machines: Machines
) -> Workers:
    """Decides what the flags leave open.

    Args:
      model_bytes: of the model's files.
    """
    redistributes, why = _redistributes(config, spec, model_bytes, machines)
    copies, why_copies = _model_copies(config, model_bytes, machines)
    threads, why_threads = _tf_threads(config, copies, machines)
    hints = tuple(_hints(config))
    choices = [
        Choice("rows dealt out anew", "yes" if redistributes else "no", why),
        Choice("copies of the model", _copies_text(copies), why_copies),
        Choice("TensorFlow threads", str(threads or "all processors"), why_threads),
    ]
    if hints:
        text = ", ".join(f"{name}={value}" for name, value in hints)
        choices.append(Choice("scoring asks for", text, "as given"))
    return Workers(redistributes, ScoringResources(copies, threads, hints), tuple(choices))


def _redistributes(
    config: Config, spec: ScoringSpec, model_bytes: int, machines: Machines
) -> tuple[bool, str]:
    if config.redistribute != "auto":
        return config.redistribute == "on", "as given"
    if machines.are_here:
        return False, "the workers are this machine"
    if spec.objects:
        return True, "fetching objects takes longer than reading their URIs"
    if any(isinstance(binding, ImageBinding) for binding in spec.inputs):
        return True, "decoding and scoring images takes longer than reading them"
    if model_bytes >= _SLOW_MODEL_BYTES:
        return True, f"the model is large: {_megabytes(model_bytes)}"
    return False, f"the model is light: {_megabytes(model_bytes)}"


def _model_copies(config: Config, model_bytes: int, machines: Machines) -> tuple[int | None, str]:
    """Copies that a machine's processes share, None for one in each process."""
    if config.model_copies is not None:
        return config.model_copies, "as given"
    if machines.has_one_process:
        return None, "one process a machine scores"
    if config.scoring_accelerator is not None or machines.accelerator:
        return 1, "the processes of a machine share its GPUs"
    need = _PROCESS_BYTES + _LOADED_PER_FILE_BYTE * model_bytes
    have = machines.memory_bytes
    if have is None or need <= have:
        room = "memory unknown" if have is None else f"there are {_gigabytes(have)}"
        return None, f"a process takes about {_gigabytes(need)}, {room}"
    return 1, f"a process of its own would take {_gigabytes(need)}, there are {_gigabytes(have)}"


def _tf_threads(config: Config, copies: int | None, machines: Machines) -> tuple[int | None, str]:
    """Threads of a process that calls the model, None for as many as there are processors."""
    if config.tf_threads is not None:
        return config.tf_threads, "as given"
    if machines.has_one_process:
        return None, "one process a machine scores"
    if copies is not None:
        return None, "one process has the shared model"
    if machines.processes is None:
        return 1, "there is a process for each processor"
    threads = max(1, (machines.vcpus or 1) // machines.processes)
    return threads, f"{machines.processes} processes share {machines.vcpus} processors"


def _hints(config: Config) -> Iterator[tuple[str, str]]:
    """Pairs (name in Beam, value)."""
    if config.scoring_min_ram is not None:
        yield "min_ram", config.scoring_min_ram
    if config.scoring_cpu_count is not None:
        yield "cpu_count", str(config.scoring_cpu_count)
    if config.scoring_accelerator is not None:
        yield "accelerator", config.scoring_accelerator


def _copies_text(copies: int | None) -> str:
    return "one a process" if copies is None else f"{copies} a machine, shared"


def _megabytes(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"


def _gigabytes(size: int) -> str:
    return f"{size / GIB:,.1f} GiB"

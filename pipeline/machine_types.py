"""The machines of Compute Engine that Dataflow's workers mostly are.

vCPUs and GB of memory are those of "General-purpose machine family" and "Compute-optimized machine
family" in Compute Engine's documentation; the names of custom machine types hold theirs ("Create a
VM with a custom machine type").  A GB of theirs has 2^30 bytes.
"""

import re
from dataclasses import dataclass

_N1 = (1, 2, 4, 8, 16, 32, 64, 96)
_N2 = (2, 4, 8, 16, 32, 48, 64, 80)
_E2 = (2, 4, 8, 16)
# GB for each vCPU, and the numbers of vCPUs.
_SERIES: dict[str, tuple[float, tuple[int, ...]]] = {
    "n1-standard": (3.75, _N1),
    "n1-highmem": (6.5, _N1[1:]),
    "n1-highcpu": (0.9, _N1[1:]),
    "n2-standard": (4.0, _N2),
    "n2-highmem": (8.0, _N2),
    "n2-highcpu": (1.0, _N2),
    "n2d-standard": (4.0, _N2),
    "n2d-highmem": (8.0, _N2),
    "n2d-highcpu": (1.0, _N2),
    "e2-standard": (4.0, (*_E2, 32)),
    "e2-highmem": (8.0, _E2),
    "e2-highcpu": (1.0, (*_E2, 32)),
    "c2-standard": (4.0, (4, 8, 16, 30, 60)),
}
_CUSTOM = re.compile(r"(?:[a-z][a-z0-9]*-)?custom-([1-9][0-9]{0,2})-([1-9][0-9]{2,6})(?:-ext)?")
_MB_PER_GB = 1024


@dataclass(frozen=True)
class MachineType:
    """A kind of virtual machine."""

    name: str
    vcpus: int
    memory_gb: float

    @property
    def memory_bytes(self) -> float:
        """What it has for everything that runs on it."""
        return self.memory_gb * 2**30


def known_machine(name: str) -> MachineType | None:
    """The machine type of this name; None if it is not one of those above."""
    custom = _CUSTOM.fullmatch(name)
    if custom:
        return MachineType(name, int(custom[1]), int(custom[2]) / _MB_PER_GB)
    series, _, size = name.rpartition("-")
    gb_a_vcpu, sizes = _SERIES.get(series, (0.0, ()))
    vcpus = next((n for n in sizes if str(n) == size), None)
    return MachineType(name, vcpus, vcpus * gb_a_vcpu) if vcpus else None


def machine(name: str) -> MachineType:
    """The same, where it is known.

    Raises:
      KeyError: it is not.
    """
    found = known_machine(name)
    if found is None:
        raise KeyError(name)
    return found

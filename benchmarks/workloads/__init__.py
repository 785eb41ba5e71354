"""All workloads by name; each family is a module of its own."""

from benchmarks.workload import Workload
from benchmarks.workloads import examples, images, tabular, text

WORKLOADS: dict[str, Workload] = {
    w.name: w for w in (*tabular.WORKLOADS, *text.WORKLOADS, *images.WORKLOADS, *examples.WORKLOADS)
}

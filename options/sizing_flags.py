"""The flags that say how the work is spread over the workers and what scoring gets of each."""

from typing import Literal, get_args

from options.flag import Flag, Group, Kind

Redistribute = Literal["auto", "on", "off"]

SIZING_FLAGS: tuple[Flag, ...] = (
    Flag(
        "redistribute",
        Kind.CHOICE,
        Group.WORKERS,
        "Whether rows are dealt out anew between reading and scoring, through the runner's "
        "shuffle, so that more workers score than there are streams to read; auto does so for "
        "images, URIs and large models on remote workers.",
        default="auto",
        choices=get_args(Redistribute),
    ),
    Flag(
        "model_copies",
        Kind.INTEGER,
        Group.WORKERS,
        "Copies of the model on each worker machine, shared by its processes. Without it, one for "
        "each process while they fit into the memory, else one that the processes share.",
        metavar="COPIES",
        minimum=1,
        maximum=256,
    ),
    Flag(
        "tf_threads",
        Kind.INTEGER,
        Group.WORKERS,
        "Threads that TensorFlow computes with in each process that calls the model. Without it, "
        "as many as make all processes of a machine together use its processors once.",
        metavar="THREADS",
        minimum=1,
        maximum=1024,
    ),
    Flag(
        "scoring_min_ram",
        Kind.MEMORY,
        Group.WORKERS,
        "Resource hint of the scoring step: memory that each machine which scores has at least, "
        "such as 16GB. Dataflow gives that step workers of its own then (right fitting).",
        metavar="SIZE",
    ),
    Flag(
        "scoring_cpu_count",
        Kind.INTEGER,
        Group.WORKERS,
        "Resource hint of the scoring step: processors that each machine which scores has at "
        "least. Dataflow documents min_ram and accelerator alone, and may ignore this one.",
        metavar="COUNT",
        minimum=1,
        maximum=1024,
    ),
    Flag(
        "scoring_accelerator",
        Kind.ACCELERATOR,
        Group.WORKERS,
        "Resource hint of the scoring step: GPUs of each machine which scores, as Dataflow writes "
        "them, such as type:nvidia-l4;count:1;install-nvidia-driver. Do not ask for GPUs by "
        "worker_accelerator as well.",
        metavar="type:TYPE;count:COUNT;OPTION...",
    ),
    Flag(
        "deadline",
        Kind.DURATION,
        Group.WORKERS,
        "Time in which the whole job shall be done, in minutes, hours or days: 90m, 2h or 1d. "
        "Only for check, which says how many workers that takes.",
        metavar="TIME",
        commands=("check",),
    ),
)

"""What scoring uses of a worker machine."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ScoringResources:
    """How a worker machine is used by scoring.

    Attributes:
      model_copies: copies of the model on each machine, which its processes share; None for one
        in each process.
      tf_threads: threads that TensorFlow computes with in a process that calls the model; None
        for as many as the machine has processors.
      hints: pairs (name, value): Beam's resource hints of the scoring step.
    """

    model_copies: int | None = None
    tf_threads: int | None = None
    hints: tuple[tuple[str, str], ...] = ()

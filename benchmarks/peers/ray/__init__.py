"""Ray Data."""

COLD = "--cold"
"""Has the program count the start of the cluster."""

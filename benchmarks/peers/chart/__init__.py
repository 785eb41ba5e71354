"""The chart of the results."""

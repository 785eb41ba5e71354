"""bulkscore and other ways to score a table, side by side: `python -m benchmarks`."""

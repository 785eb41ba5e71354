"""The demo: scores source files and photographs with real models in the embedded BigQuery."""

import sys
import time

from demo import photographs, source_files
from demo.command import FOLDER


def main() -> int:
    """Runs both parts; 1 if plain TensorFlow says something else in any row, else 0."""
    started = time.perf_counter()
    different = source_files.run() + photographs.run()
    print(f"Result tables: {FOLDER}/demo.*.parquet")
    print(f"Demo finished in {time.perf_counter() - started:.0f} s.")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())

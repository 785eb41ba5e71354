"""What both parts of the demo do: run `bulkscore score`, and compare with plain TensorFlow."""

import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

FOLDER = Path("build/demo")

_Direct = TypeVar("_Direct")


def score(rows: pa.Table, name: str, output: str, arguments: list[str]) -> pa.Table:
    """Loads the rows as table demo.`name`, scores them into demo.`output`, returns that table.

    Raises:
      SystemExit: the command failed; the exit code is the command's.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    source = FOLDER / f"{name}.parquet"
    pq.write_table(rows, source)
    command = [
        "score",
        "--local",
        f"--local_tables=demo.{name}={source}",
        f"--input_table=demo.{name}",
        *arguments,
        f"--output_table=demo.{output}",
        f"--local_output={FOLDER}",
    ]
    print(f"$ bulkscore {shlex.join(command)}\n", flush=True)
    finished = subprocess.run([sys.executable, "-m", "pipeline", *command], check=False)  # noqa: S603
    if finished.returncode != 0:
        raise SystemExit(finished.returncode)
    print()
    return pq.read_table(FOLDER / f"demo.{output}.parquet")


def count_different(
    predictions: pa.Table,
    direct: Iterable[tuple[str, _Direct]],
    same: Callable[[dict[str, Any], _Direct], bool],
) -> int:
    """How many rows are missing, superfluous or not the same as what TensorFlow says directly.

    `direct` has the first column of each row's predictions and the direct result.
    """
    key = predictions.column_names[0]
    ours = {row[key]: row for row in predictions.to_pylist()}
    different = 0
    for name, result in direct:
        row = ours.pop(name, None)
        different += row is None or not same(row, result)
    return different + len(ours)

"""Is a result what it should be: every row once, with the outputs of TensorFlow alone?"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.workload import Files, Workload

_BATCH_ROWS = 100_000


def problems(
    result: Path, files: Files, workload: Workload, *, has_passthrough: bool = True
) -> list[str]:
    """What is wrong with a result, nothing if all is well.

    Memory grows with the outputs and passthrough columns of the workload, not with the result.

    Args:
      result: Parquet file with the key, the passthrough columns and the outputs, in any order.
      files: those of the workload, with what is expected.
      workload: which columns there are, and how far floats may differ.
      has_passthrough: False where the passthrough columns were not asked for.
    """
    scoring = workload.scoring
    checked = {o.column: workload.tolerance for o in scoring.outputs}
    expected = _by_key(files.expected, scoring.key, list(checked))
    if scoring.passthrough and has_passthrough:
        source = _by_key(files.table, scoring.key, list(scoring.passthrough))
        for name in scoring.passthrough:
            expected = expected.append_column(name, source.column(name))
            checked[name] = 0.0
    seen = np.zeros(workload.rows, dtype=np.int64)
    for batch in pq.ParquetFile(result).iter_batches(
        batch_size=_BATCH_ROWS, columns=[scoring.key, *checked]
    ):
        keys = batch.column(scoring.key).to_numpy(zero_copy_only=False)
        known = (keys >= 0) & (keys < workload.rows)
        if not known.all():
            return [f"{result}: unexpected keys, such as {keys[np.argmin(known)]}"]
        np.add.at(seen, keys, 1)
        wanted = expected.take(pa.array(keys))
        for name, tolerance in checked.items():
            wrong = _differing(batch.column(name), wanted.column(name), tolerance)
            if wrong is not None:
                row = int(np.argmax(wrong))
                return [
                    f"{result}: {int(wrong.sum()):,} values of {name} in a batch differ by more "
                    f"than {tolerance:g}; key {keys[row]}: expected {wanted.column(name)[row]}, "
                    f"got {batch.column(name)[row]}"
                ]
    missing, repeated = int((seen == 0).sum()), int((seen > 1).sum())
    if missing or repeated:
        return [
            f"{result}: expected every key once, {missing:,} are missing, {repeated:,} repeated"
        ]
    return []


def _by_key(path: Path, key: str, columns: list[str]) -> pa.Table:
    """The rows of Parquet files in the order of their keys 0 … rows - 1."""
    table = pq.read_table(path, columns=[key, *columns])
    order = np.empty(table.num_rows, dtype=np.int64)
    order[table.column(key).to_numpy()] = np.arange(table.num_rows)
    return table.combine_chunks().take(pa.array(order)).drop_columns([key])


def _differing(got: pa.Array, expected: pa.Array, tolerance: float) -> npt.NDArray[Any] | None:
    """Which rows differ; None if none does."""
    if isinstance(expected, pa.ChunkedArray):
        expected = expected.combine_chunks()
    if got.null_count == expected.null_count == 0:
        if pa.types.is_list(got.type):
            return _differing_lists(got, expected, tolerance)
        if pa.types.is_floating(got.type):
            return _none_if_equal(_far(got.to_numpy(), expected.to_numpy(), tolerance))
    if got.equals(expected.cast(got.type)):
        return None
    same = pc.equal(got, expected.cast(got.type)).fill_null(False)
    both_null = pc.and_(pc.is_null(got), pc.is_null(expected))
    return _none_if_equal(~pc.or_(same, both_null).to_numpy(zero_copy_only=False))


def _differing_lists(
    got: pa.Array, expected: pa.Array, tolerance: float
) -> npt.NDArray[Any] | None:
    """The same for lists."""
    lengths = pc.list_value_length(got).to_numpy(zero_copy_only=False)
    other = pc.list_value_length(expected).to_numpy(zero_copy_only=False)
    if (lengths != other).any():
        return np.asarray(lengths != other)
    elements = _differing(got.flatten(), expected.flatten(), tolerance)
    if elements is None:
        return None
    wrong = np.zeros(len(got), dtype=bool)
    wrong[np.repeat(np.arange(len(got)), lengths)[elements]] = True
    return wrong


def _far(got: npt.NDArray[Any], expected: npt.NDArray[Any], tolerance: float) -> npt.NDArray[Any]:
    both_nan = np.isnan(got) & np.isnan(expected)
    # An infinity's difference to itself is NaN, and NaN is never close.
    close = (np.abs(got - expected) <= tolerance) | (got == expected) | both_nan
    return np.asarray(~close)


def _none_if_equal(wrong: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    return wrong if wrong.any() else None

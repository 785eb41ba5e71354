"""Batches become as many files as they fill, each row in one of them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.parquet_files import PARQUET_FILE_BYTES, ParquetFiles

_ROWS = 100_000
_BATCHES = 50


def _batch(number: int) -> pa.RecordBatch:
    ids = np.arange(number * _ROWS, (number + 1) * _ROWS)
    return pa.RecordBatch.from_arrays([pa.array(ids)], ["id"])


def test_every_row_is_in_one_file_and_no_file_is_much_larger_than_asked(tmp_path: Path) -> None:
    files = ParquetFiles(str(tmp_path))
    for number in range(_BATCHES):
        files.write(_batch(number))
    written = files.close()

    assert len(written) == 3
    assert sorted(Path(path) for path, _ in written) == sorted(tmp_path.iterdir())
    tables = [pq.read_table(path) for path, _ in written]
    assert max(t.nbytes for t in tables) < PARQUET_FILE_BYTES + _batch(0).nbytes
    ids = pa.concat_tables(tables)["id"].to_numpy()
    assert np.array_equal(ids, np.arange(_BATCHES * _ROWS))
    assert all(Path(path).stat().st_size == size for path, size in written)


def test_without_rows_there_is_no_file(tmp_path: Path) -> None:
    assert ParquetFiles(str(tmp_path)).close() == []
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "taken"
    folder.write_text("a file where the folder should be")
    files = ParquetFiles(str(folder))
    files.write(_batch(0))
    with pytest.raises(OSError, match="taken"):
        files.close()

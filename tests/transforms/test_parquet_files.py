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


def test_files_grow_to_their_full_size_and_what_is_left_is_halved(tmp_path: Path) -> None:
    files = ParquetFiles(str(tmp_path))
    for number in range(_BATCHES):
        files.write(_batch(number))
    written = files.close()

    rows = [pq.read_metadata(path).num_rows // _ROWS for path, _ in written]
    # 800 KB a batch: files of 4, 8 and 16 MiB, and 10 MiB are left.
    assert rows == [6, 11, 21, 6, 6]
    assert sorted(Path(path) for path, _ in written) == sorted(tmp_path.iterdir())
    tables = [pq.read_table(path) for path, _ in written]
    assert max(t.nbytes for t in tables) < PARQUET_FILE_BYTES + _batch(0).nbytes
    ids = pa.concat_tables(tables)["id"].to_numpy()
    assert np.array_equal(ids, np.arange(_BATCHES * _ROWS))
    assert all(Path(path).stat().st_size == size for path, size in written)


def test_what_is_left_of_few_rows_is_one_file(tmp_path: Path) -> None:
    files = ParquetFiles(str(tmp_path))
    files.write(_batch(0))
    assert [pq.read_metadata(path).num_rows for path, _ in files.close()] == [_ROWS]


def test_a_row_is_never_halved(tmp_path: Path) -> None:
    files = ParquetFiles(str(tmp_path))
    for mebibytes in (4, 8, 12):
        files.write(pa.record_batch({"image": [b"x" * 2**20 * mebibytes]}))
    assert [pq.read_metadata(path).num_rows for path, _ in files.close()] == [1, 1, 1]


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

"""Pages of a read session that are read while they are being written."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.local.service.pages import PAGE_ROWS, Pages, RowsDifferError

ROWS = 3 * PAGE_ROWS + 10
SCHEMA = pa.schema([("id", pa.int64())])
# Nothing waits as long unless it is broken.
PATIENCE_S = 60.0


def batches(first: int = 0, end: int = ROWS) -> Iterator[pa.RecordBatch]:
    for start in range(first, end, PAGE_ROWS):
        ids = pa.array(range(start, min(end, start + PAGE_ROWS)))
        yield pa.RecordBatch.from_arrays([ids], schema=SCHEMA)


def ids(pages: Pages, first: int, end: int) -> list[int]:
    found: list[int] = []
    for part in pages.slices(first, end):
        batch = pa.ipc.read_record_batch(pa.py_buffer(part.message), SCHEMA)
        assert part.rows == batch.num_rows
        assert part.first_row == first + len(found)
        found += batch["id"].to_pylist()
    return found


def test_the_first_page_is_there_before_the_last_one_is_written(tmp_path: Path) -> None:
    pages = Pages(tmp_path / "pages", SCHEMA, None, ROWS)
    is_read = threading.Event()

    def slow() -> Iterator[pa.RecordBatch]:
        for batch in batches():
            yield batch
            assert is_read.wait(PATIENCE_S)

    with ThreadPoolExecutor(2) as threads:
        writing = threads.submit(pages.write, slow())
        last = threads.submit(ids, pages, ROWS - 5, ROWS)
        assert ids(pages, 0, PAGE_ROWS) == list(range(PAGE_ROWS))
        assert not last.done()
        is_read.set()
        assert last.result(PATIENCE_S) == list(range(ROWS - 5, ROWS))
        writing.result(PATIENCE_S)
    assert ids(pages, 0, ROWS) == list(range(ROWS))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("first", [0, 1, PAGE_ROWS - 1, PAGE_ROWS, ROWS - 1, ROWS])
@pytest.mark.parametrize("end", [0, PAGE_ROWS, PAGE_ROWS + 1, ROWS])
def test_any_part_can_be_read(tmp_path: Path, first: int, end: int) -> None:
    pages = Pages(tmp_path / "pages", SCHEMA, "lz4", ROWS)
    pages.write(batches())
    assert ids(pages, first, end) == list(range(first, end))


def test_what_goes_wrong_is_raised_after_the_pages_before_it(tmp_path: Path) -> None:
    pages = Pages(tmp_path / "pages", SCHEMA, None, ROWS)

    def broken() -> Iterator[pa.RecordBatch]:
        yield from batches(0, PAGE_ROWS)
        raise ValueError("no more")

    pages.write(broken())
    assert ids(pages, 0, PAGE_ROWS) == list(range(PAGE_ROWS))
    with pytest.raises(ValueError, match="no more"):
        ids(pages, 0, PAGE_ROWS + 1)


def test_rows_that_do_not_come_are_an_error(tmp_path: Path) -> None:
    pages = Pages(tmp_path / "pages", SCHEMA, None, ROWS)
    pages.write(batches(0, PAGE_ROWS))
    with pytest.raises(RowsDifferError, match="65536 rows came of 196618"):
        ids(pages, PAGE_ROWS, ROWS)

"""The connection of a read session, which is open while its rows are written."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from pipeline.local.service.pages import PAGE_BYTES, PAGE_ROWS, Pages
from pipeline.local.service.read_sessions import Selection, page_rows, write_rows

ROWS = 10


@pytest.mark.parametrize("has_room", [True, False])
def test_it_is_closed_however_writing_ends(tmp_path: Path, has_room: bool) -> None:
    """An open transaction would keep old rows as long as the session lives, which is hours."""
    path = tmp_path / "session"
    pages = Pages(path, pa.schema([("id", pa.int64())]), None, ROWS)
    if not has_room:
        _fill_up(pages)
    with duckdb.connect() as database:
        connection = database.cursor()
        connection.begin()
        write_rows(connection, f"SELECT range AS id FROM range({ROWS})", ROWS, pages)
        with pytest.raises(duckdb.ConnectionException, match="closed"):
            connection.execute("SELECT 1")
    if has_room:
        assert [part.rows for part in pages.slices(0, ROWS)] == [ROWS]
    else:
        with pytest.raises(OSError, match="No space left"):
            list(pages.slices(0, ROWS))


@pytest.mark.parametrize(
    ("row_bytes", "rows"),
    [(8, PAGE_ROWS), (PAGE_BYTES // 512, 512), (PAGE_BYTES // 2, 2), (2 * PAGE_BYTES, 1)],
)
def test_as_many_rows_are_read_at_once_as_a_page_has(row_bytes: int, rows: int) -> None:
    column = pa.array([bytes(row_bytes)] * 2, pa.binary(row_bytes))
    assert page_rows(pa.table({"data": column})) == rows


def test_the_sample_of_an_empty_table_is_narrow() -> None:
    assert page_rows(pa.table({"data": pa.array([], pa.string())})) == PAGE_ROWS


def test_the_sample_has_rows_that_the_restriction_leaves_out() -> None:
    field = {"name": "id", "type": "INTEGER"}
    selection = Selection("range(1000) rows(id)", [field], restriction="id < 0")
    with duckdb.connect() as database:
        sample = database.execute(selection.sample_sql()).to_arrow_table()
    assert sample.column("id").to_pylist() == list(range(100))


def _fill_up(pages: Pages) -> None:
    """Puts a device in the file's place that takes nothing."""
    full = os.open("/dev/full", os.O_RDWR)
    os.dup2(full, pages._file)
    os.close(full)

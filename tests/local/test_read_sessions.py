"""The connection of a read session, which is open while its rows are written."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from pipeline.local.service.pages import Pages
from pipeline.local.service.read_sessions import write_rows

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
        write_rows(connection, f"SELECT range AS id FROM range({ROWS})", pages)
        with pytest.raises(duckdb.ConnectionException, match="closed"):
            connection.execute("SELECT 1")
    if has_room:
        assert [part.rows for part in pages.slices(0, ROWS)] == [ROWS]
    else:
        with pytest.raises(OSError, match="No space left"):
            list(pages.slices(0, ROWS))


def _fill_up(pages: Pages) -> None:
    """Puts a device in the file's place that takes nothing."""
    full = os.open("/dev/full", os.O_RDWR)
    os.dup2(full, pages._file)
    os.close(full)

"""What is read before the pipeline asks for it: for one process that reads all, and nobody else."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from google.api_core.exceptions import GoogleAPICallError
from google.cloud import bigquery

from scoring.schema import Field
from transforms import table_source
from transforms.source import EXPORT, Source
from transforms.table_source import TableSource, reading

# Three pages of the embedded server, and so more than one stream where that is allowed.
_ROWS = 150_000
_TIMEOUT_S = 30.0


@pytest.fixture
def source(client: bigquery.Client, dataset: str) -> Source:
    client.query(
        f"CREATE TABLE {dataset}.t AS SELECT id FROM UNNEST(GENERATE_ARRAY(1, {_ROWS})) AS id"
    ).result()
    table = f"{client.project}.{dataset}.t"
    return Source(table, None, (Field("id", "INTEGER"),), client.project, f"job_{dataset}")


def _streams(source: Source) -> list[Any]:
    """The streams of the source as they reach a bundle."""
    bundles = TableSource(source).split(1)
    return [pickle.loads(pickle.dumps(bundle.source)) for bundle in bundles]


def _ids(streams: list[Any]) -> list[int]:
    pages = (page for stream in streams for page in stream.read_arrow())
    return sorted(i for page in pages for i in page["id"].to_pylist())


def _begun(streams: list[Any]) -> list[bool]:
    return [stream.read_stream_name in table_source._begun for stream in streams]


def test_in_the_block_one_stream_is_read_ahead(source: Source) -> None:
    with reading(source):
        assert TableSource(source).estimate_size() is None
        streams = _streams(source)
        assert _begun(streams) == [True]
        assert _ids(streams) == [*range(1, _ROWS + 1)]
        assert _begun(streams) == [False]
        # Also when it is read a second time.
        assert _ids(streams) == [*range(1, _ROWS + 1)]


def test_without_it_and_for_other_sources_nothing_begins(source: Source) -> None:
    with reading(source):
        streams = _streams(replace(source, query_job_id="of_another_run"))
        assert len(streams) > 1
        assert not any(_begun(streams))
    assert TableSource(source).estimate_size() is not None
    assert not any(_begun(_streams(source)))
    assert _ids(streams) == [*range(1, _ROWS + 1)]


def test_the_result_of_a_query_is_read_ahead_too(source: Source) -> None:
    some = replace(source, table=None, query=f"SELECT id FROM `{source.table}` WHERE id <= 10")
    with reading(some):
        streams = _streams(some)
        assert _begun(streams) == [True]
        assert _ids(streams) == [*range(1, 11)]


@pytest.mark.parametrize(("batch_rows", "pages"), [(1, 1), (_ROWS // 2, 2), (_ROWS, 3)])
def test_more_than_a_batch_is_read_ahead_and_then_no_page(
    source: Source, batch_rows: int, pages: int
) -> None:
    with reading(replace(source, batch_rows=batch_rows)):
        (stream,) = _streams(source)
        ahead = table_source._begun[stream.read_stream_name].pages
        _wait_until(lambda: len(ahead._ready) == pages)
        # In which it would read another one, where there is one.
        time.sleep(0.2)
        assert len(ahead._ready) == pages
        assert _ids([stream]) == [*range(1, _ROWS + 1)]


@pytest.mark.parametrize("splits", [True, False])
def test_what_nobody_reads_is_given_up(source: Source, *, splits: bool) -> None:
    before = threading.active_count()
    streams = []
    with reading(source):
        if splits:
            streams = _streams(source)
    _wait_until(lambda: not table_source._begun)
    assert source.query_job_id not in table_source._opening
    # Those that open and read have ended.
    _wait_until(lambda: threading.active_count() <= before)
    if splits:
        assert _ids(streams) == [*range(1, _ROWS + 1)]


def test_what_cannot_be_opened_fails_where_it_is_split(source: Source) -> None:
    gone = replace(source, table=f"{source.table}_gone")
    with reading(gone), pytest.raises(GoogleAPICallError, match="t_gone"):
        _streams(gone)
    assert not table_source._opening


def test_an_export_is_not_read_ahead(source: Source) -> None:
    exported = replace(source, method=EXPORT)
    with reading(exported):
        assert not table_source._opening


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)

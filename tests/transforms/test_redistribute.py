"""Rows dealt out anew: cut small enough, all of them once, encoded as Arrow."""

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.testing.util import assert_that
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.batch import MAX_FEED_BYTES
from transforms.record_batches import parts_of
from transforms.redistribute import Redistribute


def _page(rows: int, row_bytes: int = 8) -> pa.RecordBatch:
    values = pa.array([bytes(row_bytes)] * rows, pa.binary())
    return pa.RecordBatch.from_arrays([pa.array(range(rows)), values], ["id", "data"])


@settings(max_examples=50, deadline=None)
@given(rows=st.integers(0, 2000), row_bytes=st.integers(0, 100), most_rows=st.integers(1, 300))
def test_the_parts_of_a_page_are_the_page(rows: int, row_bytes: int, most_rows: int) -> None:
    page = _page(rows, row_bytes)
    parts = list(parts_of(page, most_rows))
    assert all(0 < part.num_rows <= most_rows for part in parts)
    assert pa.Table.from_batches(parts, page.schema).equals(pa.Table.from_batches([page]))


@pytest.mark.parametrize(
    ("row_bytes", "rows"),
    [(MAX_FEED_BYTES // 4, 3), (MAX_FEED_BYTES // 2 + 1, 1), (2 * MAX_FEED_BYTES, 1)],
)
def test_wide_rows_are_cut_by_their_bytes(row_bytes: int, rows: int) -> None:
    assert max(part.num_rows for part in parts_of(_page(4, row_bytes), 256)) == rows


def test_every_row_comes_out_once_and_is_encoded_as_arrow() -> None:
    pages = [_page(600), _page(0), _page(1)]
    pipeline = beam.Pipeline("apache_beam.runners.portability.fn_api_runner.FnApiRunner")
    parts = (
        pipeline | beam.Create(pages).with_output_types(pa.RecordBatch) | "Deal" >> Redistribute()
    )

    def check(found: list[pa.RecordBatch]) -> None:
        assert sorted(part.num_rows for part in found) == [1, 88, 256, 256]
        ids = sorted(i for part in found for i in part["id"].to_pylist())
        assert ids == sorted([0, *range(600)])

    assert_that(parts, check)
    graph = pipeline.to_runner_api().components
    (shuffle,) = (
        t
        for t in graph.transforms.values()
        if t.unique_name.startswith("Deal/") and t.unique_name.endswith("/GroupByKey")
    )
    (shuffled,) = shuffle.inputs.values()
    payloads = _coder_payloads(graph, graph.pcollections[shuffled].coder_id)
    assert any(b"RecordBatchCoder" in payload for payload in payloads)
    pipeline.run().wait_until_finish()


def _coder_payloads(graph: beam_runner_api_pb2.Components, coder_id: str) -> list[bytes]:
    """Those of a coder and of its parts."""
    coder = graph.coders[coder_id]
    parts = [_coder_payloads(graph, part) for part in coder.component_coder_ids]
    return [coder.spec.payload, *(payload for part in parts for payload in part)]

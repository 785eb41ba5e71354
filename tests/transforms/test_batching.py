"""Pages become batches: small ones at first, and never more than fills one."""

from collections.abc import Callable
from itertools import accumulate

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that
from hypothesis import given
from hypothesis import strategies as st

from scoring.batch import MAX_BATCH_BYTES
from transforms.batching import GrowingBatches, size_in_rows

_FULL = 1000


def _page(rows: int, row_bytes: int = 1) -> pa.RecordBatch:
    values = pa.array(np.zeros(rows * row_bytes, np.int8))
    return pa.record_batch({"x": pa.FixedSizeListArray.from_arrays(values, row_bytes)})


@pytest.mark.parametrize(
    ("rows", "row_bytes", "size"),
    [
        (3, 1, 3),
        (0, 1, 0),
        # A quarter of what a batch may have in bytes is a quarter of its rows.
        (4, MAX_BATCH_BYTES // 16, _FULL // 4),
        (600, MAX_BATCH_BYTES // 1200, 600),
    ],
)
def test_wide_rows_count_more(rows: int, row_bytes: int, size: int) -> None:
    assert size_in_rows(_page(rows, row_bytes), _FULL) == size


def _batched(pages: list[int]) -> list[list[int]]:
    """The rows of the pages of each batch, as BatchElements makes them of a bundle."""
    size = GrowingBatches(_FULL)
    batches: list[list[int]] = []
    filled = _FULL + 1
    for rows in pages:
        page = size(_page(rows))
        if filled + page > _FULL:
            batches.append([])
            filled = 0
        batches[-1].append(rows)
        filled += page
    return batches


def test_the_first_page_is_a_batch_and_batches_grow() -> None:
    batches = [sum(batch) for batch in _batched([20] * 1000)]
    assert batches[:6] == [20, 20, 40, 120, 320, 800]
    assert set(batches[6:-1]) == {_FULL}


@given(st.lists(st.integers(1, _FULL), min_size=1, max_size=200))
def test_a_batch_is_no_larger_than_twice_what_came_before(pages: list[int]) -> None:
    batches = _batched(pages)
    assert [rows for batch in batches for rows in batch] == pages
    totals = accumulate(sum(batch) for batch in batches)
    for before, batch in zip([0, *totals], batches, strict=False):
        assert len(batch) == 1 or sum(batch) <= min(_FULL, 2 * before)


def test_beam_makes_the_same_batches() -> None:
    pages = [20] * 100
    with beam.Pipeline() as pipeline:
        batches = (
            pipeline
            | beam.Create([pages])
            | beam.FlatMap(lambda sizes: map(_page, sizes))
            | beam.BatchElements(_FULL, _FULL, element_size_fn=GrowingBatches(_FULL))
            | beam.Map(lambda batch: [int(page.num_rows) for page in batch])
        )
        assert_that(batches, _in_order(_batched(pages)))


def _in_order(expected: list[list[int]]) -> Callable[[list[list[int]]], None]:
    """What `equal_to` of Beam does not look at."""

    def check(found: list[list[int]]) -> None:
        assert found == expected

    return check

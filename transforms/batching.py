"""How many pages make a batch, the rows that are scored together."""

import math

import pyarrow as pa

from scoring.batch import MAX_BATCH_BYTES


def size_in_rows(page: pa.RecordBatch, full_batch_rows: int) -> int:
    """The page's rows, or more of them where its rows are so wide that fewer fill a batch."""
    by_bytes = int(page.nbytes) * full_batch_rows // MAX_BATCH_BYTES
    return max(int(page.num_rows), by_bytes)


class GrowingBatches:
    """The `element_size_fn` of BatchElements for batches of `full_batch_rows`, at first smaller.

    The first page is a batch, so that the model is called as soon as there is a second one, which
    does not fit; then a page counts as the more, the less has come before it.  While a batch is
    scored, the next one is read: a page, or pages that are no larger than twice what came before.
    """

    def __init__(self, full_batch_rows: int) -> None:
        self._full_batch_rows = full_batch_rows
        self._rows_before = 0

    def __call__(self, page: pa.RecordBatch) -> int:
        """The page's size, of which `full_batch_rows` fill a batch."""
        full = self._full_batch_rows
        rows = size_in_rows(page, full)
        enough = min(full, max(self._rows_before, rows))
        self._rows_before = min(full, self._rows_before + rows)
        return math.ceil(rows * full / max(1, enough))

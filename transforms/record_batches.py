"""Arrow record batches, and what became of them, as elements of a PCollection."""

from collections.abc import Iterator

import pyarrow as pa
from apache_beam.coders import Coder, PickleCoder, registry

from scoring.batch import MAX_FEED_BYTES, ScoredBatch
from scoring.imports import use_jemalloc


class RecordBatchCoder(Coder):
    """Encodes a record batch as an Arrow IPC stream: schema and buffers, no rows."""

    def encode(self, value: pa.RecordBatch) -> bytes:
        """Encodes one batch with its schema."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, value.schema) as writer:
            writer.write_batch(value)
        return bytes(sink.getvalue())

    def decode(self, encoded: bytes) -> pa.RecordBatch:
        """Decodes what `encode` made; the buffers are those of `encoded`."""
        return pa.ipc.open_stream(encoded).read_next_batch()

    def estimate_size(self, value: pa.RecordBatch) -> int:
        """Bytes of the buffers: for its counters Beam would encode every sampled batch."""
        return int(value.nbytes)

    def is_deterministic(self) -> bool:
        """False: equal batches may have different buffers."""
        return False

    def to_type_hint(self) -> type:
        """The element type."""
        element_type: type = pa.RecordBatch
        return element_type


class ScoredBatchCoder(PickleCoder):
    """Pickles, should a runner ever separate scoring from what follows it."""

    def estimate_size(self, value: ScoredBatch) -> int:
        """Bytes of the buffers, as RecordBatchCoder says them."""
        return sum(int(b.nbytes) for b in (value.scored, value.rejected) if b is not None)

    def to_type_hint(self) -> type:
        """The element type."""
        return ScoredBatch


def parts_of(page: pa.RecordBatch, most_rows: int) -> Iterator[pa.RecordBatch]:
    """A page's rows in order, in parts of at most `most_rows` and no larger than a call's feed.

    A single row that is larger than that is a part of its own.
    """
    if not page.num_rows:
        return
    row_bytes = max(int(page.nbytes) // int(page.num_rows), 1)
    rows = max(1, min(most_rows, MAX_FEED_BYTES // row_bytes))
    for start in range(0, page.num_rows, rows):
        yield page.slice(start, rows)


def use_record_batch_coders() -> None:
    """Makes Beam use these coders wherever it is told the elements' types."""
    registry.register_coder(pa.RecordBatch, RecordBatchCoder)
    registry.register_coder(ScoredBatch, ScoredBatchCoder)


use_jemalloc()

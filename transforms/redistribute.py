"""Redistribute: record batches dealt out anew, so that scoring is not bound to the readers."""

import apache_beam as beam
import pyarrow as pa

from transforms.record_batches import parts_of, use_record_batch_coders

# Rows that are dealt out together.  A page is handed to one reader whole, up to 65,536 rows of it,
# which a slow model takes minutes for.  Where a row takes 1 ms, 256 are a quarter of a second's
# work, and what the shuffle adds to each part stays far below 1 % of that.
_PART_ROWS = 256

use_record_batch_coders()


class Redistribute(beam.PTransform):
    """Deals rows out anew, in parts that are small enough for many workers.

    What follows is not fused with what comes before.  By Reshuffle: Beam's Python SDK has no
    other, and as a barrier it loses and repeats nothing, whatever is retried on either side.
    """

    def expand(self, pages: beam.PCollection[pa.RecordBatch]) -> beam.PCollection[pa.RecordBatch]:
        """Cuts the pages and shuffles the parts."""
        parts = pages | "Cut" >> beam.FlatMap(parts_of, _PART_ROWS).with_output_types(
            pa.RecordBatch
        )
        return parts | "Shuffle" >> beam.Reshuffle()

"""What a worker needs to know to score a batch, and what the batch becomes."""

from dataclasses import dataclass

import pyarrow as pa

from scoring.feed import Binding
from scoring.objects import ObjectField
from scoring.outputs import ResultBinding, row_bytes
from scoring.portable import loaded_field
from scoring.rejects import RejectSchema
from scoring.schema import Field

# Of the outputs that wait together until the last of them is computed.
_MAX_RESULT_BYTES = 16 * 2**20
# Where a flag makes calls small, a batch has so many of them, up to so many rows.
_BATCH_CALLS = 64
_MANY_ROWS = 65_536


@dataclass(frozen=True)
class ScoringSpec:
    """Everything a worker needs to know to score a batch.

    Attributes:
      inputs, outputs: how columns become tensors and tensors columns.
      key: columns that identify a row in the rejects table.
      carried: columns copied to the output unchanged, key columns first.
      max_batch_rows: most rows in one call of the model; calls that take long have fewer.
      fixed_batch_rows: the number of rows that the model insists on, if it does; shorter
        batches are padded with copies of their last row and the padding's outputs dropped.
      run_id, model_digest: written into every reject.
      metadata: pairs (column, text): columns of every scored row that say where it comes from.
      xla: whether XLA compiles the model, anew for each number of rows: calls have a power of two
        of them then, and shorter ones are padded likewise.
    """

    inputs: tuple[Binding, ...]
    outputs: tuple[ResultBinding, ...]
    key: tuple[Field, ...]
    carried: tuple[Field, ...]
    max_batch_rows: int
    fixed_batch_rows: int | None
    run_id: str
    model_digest: str
    metadata: tuple[tuple[str, str], ...]
    xla: bool = False

    @property
    def output_fields(self) -> tuple[Field, ...]:
        """The columns of the output table."""
        scores = tuple(field for b in self.outputs for field in b.fields)
        return (*self.carried, *scores, *(Field(name, "STRING") for name, _ in self.metadata))

    @property
    def batch_rows(self) -> int:
        """Most rows of a batch, whose results are all in memory before the first goes on.

        Whole calls, where the model insists on a number of rows.  Many calls, where these have few
        rows: between two batches the model is not called.
        """
        result_bytes = sum(row_bytes(b.tensor) for b in self.outputs)
        most_rows = max(self.max_batch_rows, min(_MANY_ROWS, _BATCH_CALLS * self.max_batch_rows))
        rows = min(most_rows, _MAX_RESULT_BYTES // max(1, result_bytes))
        step = self.fixed_batch_rows or 1
        return max(1, rows // step) * step

    @property
    def exploded_column(self) -> str | None:
        """The column of scored batches whose items become rows of the output table, if any."""
        return next((b.column.name for b in self.outputs if b.fields != (b.column,)), None)

    @property
    def objects(self) -> tuple[ObjectField, ...]:
        """The columns whose values are objects to be fetched."""
        fed = dict.fromkeys(c for b in self.inputs for c in b.columns)
        return tuple(c for c in fed if isinstance(c, ObjectField))

    @property
    def rejects(self) -> RejectSchema:
        """The shape of the rejects table."""
        fed = dict.fromkeys(c.top.name for b in self.inputs for c in b.columns)
        return RejectSchema(tuple(map(loaded_field, self.key)), tuple(fed))


def output_schema(spec: ScoringSpec, source: pa.Schema) -> pa.Schema:
    """The Arrow schema of the scored rows of a batch with the schema `source`.

    Unless a column is to be exploded it says the same as `spec.output_fields`, in the cheapest
    types that load into them: carried columns as they were read, 32-bit floats where the model
    computes them, dictionaries for the constant columns.
    """
    constant = pa.dictionary(pa.int8(), pa.string())
    return pa.schema(
        [
            *(source.field(f.name) for f in spec.carried),
            *(pa.field(b.column.name, b.arrow_type) for b in spec.outputs),
            *(pa.field(name, constant) for name, _ in spec.metadata),
        ]
    )

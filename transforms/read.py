"""ReadFromBigQuery: Beam's transform, yielding the service's Arrow pages as they are.

Beam's own DIRECT_READ makes a dict of every row.  Here a page of the Storage Read API
becomes one record batch, and only the columns that are needed cross the wire.
"""

from datetime import datetime
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.io.gcp import bigquery as beam_bigquery
from apache_beam.metrics import Metrics

from scoring import metrics
from scoring.schema import arrow_schema
from transforms.clients import bigquery_client, retry_rate_limits_in_beam
from transforms.record_batches import use_record_batch_coders
from transforms.source import EXPORT, Source
from transforms.streams import stream_messages
from transforms.table_source import TableSource, batches_of, open_session

# Rows of one record batch made from exported rows, the page size of the Storage Read API's
# order of magnitude.
_EXPORT_BATCH_ROWS = 10_000

use_record_batch_coders()
retry_rate_limits_in_beam()


class ReadFromBigQuery(beam_bigquery.ReadFromBigQuery):
    """Reads a table or a query result as a PCollection of Arrow record batches."""

    def __init__(self, source: Source) -> None:
        super().__init__(
            method=source.method,
            use_standard_sql=True,
            flatten_results=False,
            kms_key=source.kms_key,
            **source.beam_name,
        )
        self._source = source

    def _expand_direct_read(self, pcoll: Any) -> beam.PCollection[pa.RecordBatch]:
        # Beam's expansion also removes temporary datasets afterwards; none are made here.
        batches = pcoll | beam.io.Read(TableSource(self._source))
        batches.element_type = pa.RecordBatch
        return batches | "Pages" >> beam.Map(_count_rows).with_output_types(pa.RecordBatch)

    def _expand_export(self, pcoll: Any) -> beam.PCollection[pa.RecordBatch]:
        schema = arrow_schema(self._source.columns)
        return (
            super()._expand_export(pcoll)
            | beam.BatchElements(_EXPORT_BATCH_ROWS, _EXPORT_BATCH_ROWS)
            | "ToRecordBatch" >> beam.Map(exported_batch, schema).with_output_types(pa.RecordBatch)
            | "Pages" >> beam.Map(_count_rows).with_output_types(pa.RecordBatch)
        )

    def display_data(self) -> dict[str, Any]:
        """What is read, for the runner's page of the step."""
        source = self._source
        return {
            "source": source.table or "query",
            "columns": ", ".join(c.name for c in source.columns),
            "row_restriction": source.row_restriction or "",
            "method": source.method,
        }


def first_rows(source: Source, rows: int) -> pa.RecordBatch | None:
    """At most `rows` rows of a table, or None if it has none."""
    client = bigquery_client(source.billing_project)
    table = client.get_table(str(source.table))
    if source.method == EXPORT:
        # Where the Storage Read API is not allowed, the REST API still gives some rows.
        wanted = [f for f in table.schema if f.name in {c.name for c in source.columns}]
        listed = client.list_rows(table, selected_fields=wanted, max_results=rows)
        found = [dict(row.items()) for row in listed]
        return exported_batch(found, arrow_schema(source.columns)) if found else None
    session = open_session(source, table.reference, 1)
    for stream in session.streams:
        messages = stream_messages(stream.name, is_filtered=bool(source.row_restriction))
        for batch in batches_of(messages, session.arrow_schema.serialized_schema):
            return batch.slice(0, rows)
    return None


def exported_batch(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    """Rows as they come from an extract job's Avro files, as one record batch."""
    kind = pa.struct(list(schema))
    return pa.RecordBatch.from_pylist([_native(row, kind) for row in rows], schema=schema)


def _native(value: Any, kind: pa.DataType) -> Any:
    """`value` with each DATETIME as such: Avro files hold text ("Exporting table data")."""
    match value:
        case str() if pa.types.is_timestamp(kind):
            return datetime.fromisoformat(value)
        case list():
            return [_native(v, kind.value_type) for v in value]
        case dict():
            return {f.name: _native(value[f.name], f.type) for f in kind if f.name in value}
        case _:
            return value


def _count_rows(batch: pa.RecordBatch) -> pa.RecordBatch:
    Metrics.counter(metrics.NAMESPACE, metrics.ROWS_READ).inc(batch.num_rows)
    return batch

"""WriteToBigQuery: Beam's file loads, from Arrow record batches through Parquet files.

Beam writes a JSON line for every row.  Here the step that writes the files is replaced;
grouping them into load jobs, their ids, retries and waiting stay Beam's.
"""

import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.gcp import bigquery as beam_bigquery
from apache_beam.io.gcp import bigquery_tools
from apache_beam.io.gcp.bigquery_file_loads import BigQueryBatchFileLoads
from apache_beam.metrics import Metrics
from apache_beam.options.pipeline_options import GoogleCloudOptions
from apache_beam.transforms.window import GlobalWindows
from apache_beam.typehints.decorators import no_annotations
from apache_beam.utils.windowed_value import WindowedValue
from google.api_core import exceptions
from google.cloud.storage.exceptions import InvalidResponse

from scoring import metrics
from scoring.schema import Field
from transforms.clients import retry_rate_limits_in_beam

_PARQUET = "PARQUET"
# Row groups of this size compress well and are read in parallel; the writer holds one.
_ROW_GROUP_BYTES = 32 * 2**20

retry_rate_limits_in_beam()


class WriteToBigQuery(beam_bigquery.WriteToBigQuery):
    """Loads record batches into one table, creating it if needed.

    Gives Beam's WriteResult; its job ids are there once the jobs have succeeded.
    """

    def __init__(
        self,
        table: str,
        fields: tuple[Field, ...],
        *,
        write_disposition: str,
        layout: Mapping[str, Any] | None = None,
    ) -> None:
        """Describes the write.

        Args:
          table: `project.dataset.table`.
          fields: the table's columns; a batch may lack NULLABLE ones.
          write_disposition: WRITE_TRUNCATE, WRITE_APPEND or WRITE_EMPTY.
          layout: `timePartitioning`, `rangePartitioning`, `clustering` of a new table, as in
            the REST API's load configuration.
        """
        project, dataset, name = table.rsplit(".", 2)
        super().__init__(
            table=f"{project}:{dataset}.{name}",
            schema={"fields": [f.to_api() for f in fields]},
            method=self.Method.FILE_LOADS,
            write_disposition=write_disposition,
            temp_file_format=_PARQUET,
            # Without it a list is loaded as RECORD<list RECORD<item>>.
            additional_bq_parameters={
                "parquetOptions": {"enableListInference": True},
                **(layout or {}),
            },
        )

    # Beam would take the result's annotation for a type of elements.
    @no_annotations
    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> beam_bigquery.WriteResult:
        output = batches | ParquetFileLoads(
            destination=self.table_reference,
            schema=self.schema,
            project=batches.pipeline.options.view_as(GoogleCloudOptions).project,
            create_disposition=self.create_disposition,
            write_disposition=self.write_disposition,
            temp_file_format=_PARQUET,
            additional_bq_parameters=self.additional_bq_parameters,
        )
        return beam_bigquery.WriteResult(
            method=self.Method.FILE_LOADS,
            destination_load_jobid_pairs=output[BigQueryBatchFileLoads.DESTINATION_JOBID_PAIRS],
            destination_file_pairs=output[BigQueryBatchFileLoads.DESTINATION_FILE_PAIRS],
            destination_copy_jobid_pairs=output[
                BigQueryBatchFileLoads.DESTINATION_COPY_JOBID_PAIRS
            ],
        )


class ParquetFileLoads(BigQueryBatchFileLoads):
    """Beam's file loads with the files written as Parquet, one a bundle."""

    def _write_files(
        self, destination_data_kv_pc: beam.PCollection[Any], file_prefix_pcv: Any
    ) -> beam.PCollection[tuple[str, tuple[str, int]]]:
        return destination_data_kv_pc | "WriteParquet" >> beam.ParDo(
            _WriteParquet(), file_prefix_pcv
        )


class _WriteParquet(beam.DoFn):
    """Writes the bundle's record batches to one file; emits (table, (path, bytes))."""

    def setup(self) -> None:
        self._write_us = Metrics.counter(metrics.NAMESPACE, metrics.WRITE_US)
        self._file_bytes = Metrics.counter(metrics.NAMESPACE, metrics.FILE_BYTES)

    def start_bundle(self) -> None:
        self._file: _ParquetFile | None = None
        self._destination = ""

    def process(self, element: tuple[Any, pa.RecordBatch], file_prefix: str) -> None:
        started = time.perf_counter()
        destination, batch = element
        if self._file is None:
            self._destination = bigquery_tools.get_hashable_destination(destination)
            self._file = _ParquetFile(
                FileSystems.join(file_prefix, f"{uuid.uuid4().hex}.parquet"), batch.schema
            )
        self._file.write(batch)
        self._write_us.inc(int((time.perf_counter() - started) * 1e6))

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._file is None:
            return
        started = time.perf_counter()
        size = self._file.close()
        self._write_us.inc(int((time.perf_counter() - started) * 1e6))
        self._file_bytes.inc(size)
        yield GlobalWindows.windowed_value((self._destination, (self._file.path, size)))


class _ParquetFile:
    """A Parquet file being written, batches gathered into row groups."""

    def __init__(self, path: str, schema: pa.Schema) -> None:
        self.path = path
        self._sink = FileSystems.create(path, "application/octet-stream", "uncompressed")
        self._writer = pq.ParquetWriter(
            self._sink,
            schema,
            # Dictionaries pay for columns that are constant in the batch already, and cost
            # time for numbers, which hardly repeat.
            use_dictionary=[f.name for f in schema if pa.types.is_dictionary(f.type)],
            write_statistics=False,
            coerce_timestamps="us",
        )
        self._pending: list[pa.RecordBatch] = []
        self._pending_bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Adds a batch."""
        self._pending.append(batch)
        self._pending_bytes += batch.nbytes
        if self._pending_bytes >= _ROW_GROUP_BYTES:
            self._flush()

    def close(self) -> int:
        """Finishes the file and returns its size in bytes."""
        self._flush()
        with _reason_of_the_service():
            self._writer.close()
            size = int(self._sink.tell())
            self._sink.close()
        return size

    def _flush(self) -> None:
        if self._pending:
            rows = pa.Table.from_batches(self._pending)
            with _reason_of_the_service():
                self._writer.write_table(rows, row_group_size=max(1, rows.num_rows))
        self._pending = []
        self._pending_bytes = 0


@contextmanager
def _reason_of_the_service() -> Iterator[None]:
    """Says why Cloud Storage refused an upload: its client's error has the status alone."""
    try:
        yield
    except InvalidResponse as e:
        raise cast(Any, exceptions).from_http_response(e.response) from e

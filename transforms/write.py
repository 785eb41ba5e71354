"""WriteToBigQuery: Arrow record batches into a table through Parquet files and load jobs.

Beam's own file loads serve several tables and streaming: without them the pipeline has 92 of 139
steps less, and a small local run takes half the time. Their load jobs have random names; those here
have names that a worker which takes over finds again.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple, cast

import apache_beam as beam
import pyarrow as pa
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.gcp import bigquery as beam_bigquery
from apache_beam.options.pipeline_options import GoogleCloudOptions
from apache_beam.typehints.decorators import no_annotations
from google.cloud import bigquery

from scoring.schema import Field
from transforms.clients import bigquery_client
from transforms.parquet_files import FileSize, WriteParquet
from transforms.run_jobs import RunJobs

# Limits of a load job ("Quotas and limits", "Load jobs"): source URIs and, for all formats, bytes.
_MAX_JOB_FILES = 10_000
_MAX_JOB_BYTES = 15 * 2**40


class LoadJob(NamedTuple):
    """A load job that has succeeded, and what it took."""

    job_id: str
    load_ms: int
    loaded_bytes: int


class WriteToBigQuery(beam_bigquery.WriteToBigQuery):
    """Appends record batches to a table that exists, each row once however often it is retried.

    Gives Beam's WriteResult; its pairs (table, LoadJob) are there once the jobs have succeeded.
    """

    def __init__(
        self,
        table: str,
        fields: tuple[Field, ...],
        *,
        project: str,
        job_prefix: str,
        kms_key: str | None = None,
    ) -> None:
        """Describes the write.

        Args:
          table: `project.dataset.table`, filled by nothing else.
          fields: the table's columns; a batch may lack NULLABLE ones.
          project: runs the load jobs.
          job_prefix: how their ids begin, and those of no other write.
          kms_key: resource name of the table's Cloud KMS key.
        """
        super().__init__(
            table=table.replace(".", ":", 1),
            schema={"fields": [f.to_api() for f in fields]},
            method=self.Method.FILE_LOADS,
            create_disposition="CREATE_NEVER",
            write_disposition="WRITE_APPEND",
        )
        self._load = _LoadFiles(table, fields, project, job_prefix, kms_key)
        self._name = table.rpartition(".")[2]

    # Beam would take the result's annotation for a type of elements.
    @no_annotations
    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> beam_bigquery.WriteResult:
        cloud = batches.pipeline.options.view_as(GoogleCloudOptions)
        folder = FileSystems.join(cloud.temp_location, "bulkscore", self._name)
        files = batches | "WriteParquet" >> beam.ParDo(WriteParquet(folder)).with_output_types(
            FileSize
        )
        jobs = (
            files
            | "AllFiles" >> beam.GroupBy(_together)
            | "LoadFiles" >> beam.ParDo(self._load).with_output_types(tuple[str, LoadJob])
        )
        return beam_bigquery.WriteResult(
            method=self.Method.FILE_LOADS,
            destination_load_jobid_pairs=jobs,
            destination_file_pairs=files,
        )


class _LoadFiles(beam.DoFn):
    """Loads files by as few jobs as their limits allow; emits (table, LoadJob) for each."""

    def __init__(
        self,
        table: str,
        fields: tuple[Field, ...],
        project: str,
        job_prefix: str,
        kms_key: str | None,
    ) -> None:
        self._table = table
        self._fields = fields
        self._project = project
        self._job_prefix = job_prefix
        self._kms_key = kms_key

    def process(self, files: tuple[None, Iterable[FileSize]]) -> Iterator[tuple[str, LoadJob]]:
        client = bigquery_client(self._project)
        location = str(client.get_table(self._table).location)
        jobs = RunJobs(client, self._job_prefix, location)
        # In an order of its own, so that the same files make the same jobs.
        for number, paths in enumerate(_portions(sorted(files[1])), start=1):
            start = partial(self._start, client, location, paths)
            job = jobs.run(str(number), start)
            load_ms = round((job.ended - job.started).total_seconds() * 1000)
            loaded_bytes = job.input_file_bytes or 0
            yield self._table, LoadJob(job.job_id, load_ms, loaded_bytes)

    def _start(
        self, client: bigquery.Client, location: str, paths: list[str], job_id: str
    ) -> bigquery.LoadJob:
        parquet: Any = cast(Any, bigquery).ParquetOptions()
        # Without it a list is loaded as RECORD<list RECORD<item>>.
        parquet.enable_list_inference = True
        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET,
            schema=[bigquery.SchemaField.from_api_repr(f.to_api()) for f in self._fields],
            create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
            write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
            parquet_options=parquet,
        )
        if self._kms_key is not None:
            config.destination_encryption_configuration = bigquery.EncryptionConfiguration(
                self._kms_key
            )
        return client.load_table_from_uri(
            paths, self._table, job_id=job_id, location=location, job_config=config
        )


def _portions(files: Iterable[FileSize]) -> Iterator[list[str]]:
    """The paths in portions, each as many as one load job may have."""
    paths: list[str] = []
    total_bytes = 0
    for path, size in files:
        if paths and (len(paths) == _MAX_JOB_FILES or total_bytes + size > _MAX_JOB_BYTES):
            yield paths
            paths, total_bytes = [], 0
        paths.append(path)
        total_bytes += size
    if paths:
        yield paths


def _together(_file: FileSize) -> None:
    """The key under which all files are one group."""

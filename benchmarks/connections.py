"""Plain clients of the embedded services, for programs that do not go through bulkscore.

Also used inside the environments of the peers.
"""

import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import grpc
from google.auth import credentials
from google.cloud import bigquery, bigquery_storage_v1, storage
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import (
    BigQueryReadGrpcTransport,
)

from benchmarks.task import OUTPUT, Task

_UNLIMITED = -1


def bigquery_client(project_id: str) -> bigquery.Client:
    """A client of BigQuery's REST API; it reads BIGQUERY_EMULATOR_HOST itself."""
    return bigquery.Client(project=project_id, credentials=_anonymous())


def read_client() -> Any:
    """A client of the BigQuery Storage Read API, without a limit on the size of a page."""
    options = [
        ("grpc.max_receive_message_length", _UNLIMITED),
        ("grpc.max_send_message_length", _UNLIMITED),
    ]
    channel = grpc.insecure_channel(os.environ["BIGQUERY_STORAGE_EMULATOR_HOST"], options=options)
    transport = BigQueryReadGrpcTransport(channel=channel)
    return cast(Any, bigquery_storage_v1).BigQueryReadClient(transport=transport)


def bucket_of(task: Task) -> Any:
    """The bucket for temporary objects; the client reads STORAGE_EMULATOR_HOST itself."""
    return storage.Client(project=task.project, credentials=_anonymous()).bucket(task.bucket)


def upload_parquet(task: Task, path: Path) -> str:
    """Copies a Parquet file to Cloud Storage and returns its URI."""
    blob = bucket_of(task).blob(object_name())
    blob.upload_from_filename(str(path))
    return f"gs://{task.bucket}/{blob.name}"


def load_parquet(client: bigquery.Client, uris: Sequence[str]) -> None:
    """Replaces table `OUTPUT` by the rows of Parquet files in Cloud Storage: one load job."""
    options = bigquery.ParquetOptions.from_api_repr({"enableListInference": True})
    config = bigquery.LoadJobConfig(
        source_format="PARQUET", write_disposition="WRITE_TRUNCATE", parquet_options=options
    )
    client.load_table_from_uri(list(uris), OUTPUT, job_config=config).result()


def object_name() -> str:
    """A name for a temporary Parquet object."""
    return f"temp/{uuid.uuid4().hex}.parquet"


def _anonymous() -> Any:
    return cast(Any, credentials).AnonymousCredentials()

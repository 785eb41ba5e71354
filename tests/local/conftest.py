"""Clients, a dataset of its own for each test, and a bucket to put files into."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from bigquery_jobs import Bucket
from google.cloud import bigquery, storage
from google.cloud.bigquery_storage_v1 import BigQueryReadClient

from pipeline.local.servers import LocalCloud
from transforms import clients

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def client(cloud: LocalCloud) -> Iterator[bigquery.Client]:
    with clients.bigquery_client(cloud.project) as made:
        yield made


@pytest.fixture(scope="session")
def reader(cloud: LocalCloud) -> BigQueryReadClient:
    return clients.bigquery_read_client()


@pytest.fixture
def dataset(client: bigquery.Client) -> str:
    """A new dataset's id."""
    name = f"d{next(_NUMBERS)}"
    client.create_dataset(name)
    return name


@pytest.fixture(scope="session")
def bucket(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    made = storage.Client(project=cloud.project)
    yield Bucket(made, cloud.bucket, tmp_path_factory.mktemp("parquet"))
    made.close()

"""A client and a dataset of its own for each test of what the real BigQuery does."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from google.cloud import bigquery

from pipeline.local.servers import LocalCloud
from transforms import clients

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def client(cloud: LocalCloud) -> Iterator[bigquery.Client]:
    with clients.bigquery_client(cloud.project) as made:
        yield made


@pytest.fixture
def dataset(client: bigquery.Client) -> str:
    """A new dataset, as ``project.dataset``."""
    name = f"{client.project}.contract{next(_NUMBERS)}"
    client.create_dataset(name)
    return name

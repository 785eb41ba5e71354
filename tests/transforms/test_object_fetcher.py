"""Objects fetched from the embedded Cloud Storage: whole, whatever they hold and are called."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from uuid import uuid4

import pytest
from google.cloud import storage

from pipeline.local.servers import LocalCloud
from scoring.objects import MAX_OBJECT_BYTES, ObjectError
from transforms.clients import storage_client
from transforms.objects import object_fetcher


@pytest.fixture
def bucket(cloud: LocalCloud) -> Iterator[storage.Bucket]:
    client = storage_client(1)
    yield client.bucket(cloud.bucket)
    client.close()


def _code(uri: str) -> str:
    with pytest.raises(ObjectError) as caught:
        object_fetcher()(uri)
    return f"{caught.value.code}: {caught.value}"


@pytest.mark.parametrize("name", ["plain.png", "a b/ä%2F#1?x=y&z", "日本/.//..png"])
@pytest.mark.parametrize("content", [b"", bytes(range(256)) * 100], ids=["empty", "25 KB"])
def test_an_object_is_fetched_as_it_is(bucket: storage.Bucket, name: str, content: bytes) -> None:
    name = f"{uuid4()}/{name}"
    bucket.blob(name).upload_from_string(content)
    assert object_fetcher()(f"gs://{bucket.name}/{name}") == content


def test_an_object_that_is_stored_compressed_is_fetched_as_its_readers_see_it(
    bucket: storage.Bucket,
) -> None:
    blob = bucket.blob(f"{uuid4()}.bmp")
    blob.content_encoding = "gzip"
    blob.upload_from_string(gzip.compress(b"BM" * 10_000))
    assert object_fetcher()(f"gs://{bucket.name}/{blob.name}") == b"BM" * 10_000


@pytest.mark.parametrize("where", ["gs://{bucket}/{name}", "gs://{name}/object"])
def test_neither_object_nor_bucket(bucket: storage.Bucket, where: str) -> None:
    uri = where.format(bucket=bucket.name, name=f"none-{uuid4().hex}")
    assert _code(uri) == "OBJECT_NOT_FOUND: there is no such object"


def test_an_object_of_the_largest_size_and_one_byte_more(bucket: storage.Bucket) -> None:
    blob = bucket.blob(f"{uuid4()}/large")
    uri = f"gs://{bucket.name}/{blob.name}"
    blob.upload_from_string(bytes(MAX_OBJECT_BYTES))
    assert len(object_fetcher()(uri)) == MAX_OBJECT_BYTES
    blob.upload_from_string(bytes(MAX_OBJECT_BYTES + 1))
    assert _code(uri) == "OBJECT_TOO_LARGE: the object has more than 64 MiB"
    blob.delete()

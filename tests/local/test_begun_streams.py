"""A process that reads what it has split begins before it is asked; nobody else does."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from google.cloud import bigquery

from scoring.schema import Field
from transforms import read

# Two pages of the embedded server, and so two streams.
_ROWS = 150_000


@pytest.mark.parametrize("is_read_here", [True, False])
def test_the_first_stream_is_read_from_the_split_on(
    client: bigquery.Client, dataset: str, *, is_read_here: bool
) -> None:
    client.query(
        f"CREATE TABLE {dataset}.t AS SELECT id FROM UNNEST(GENERATE_ARRAY(1, {_ROWS})) AS id"
    ).result()
    source = read.Source(
        f"{client.project}.{dataset}.t",
        None,
        (Field("id", "INTEGER"),),
        client.project,
        "no_query",
        is_read_here=is_read_here,
    )
    bundles = list(read._TableSource(source).split(1))
    # As they reach a bundle.
    streams: list[Any] = [pickle.loads(pickle.dumps(bundle.source)) for bundle in bundles]
    begun = [stream.read_stream_name in read._begun for stream in streams]

    assert len(begun) > 1
    assert begun == [is_read_here] + [False] * (len(begun) - 1)
    # Also when it is read a second time.
    for _ in range(2):
        pages = [page for stream in streams for page in stream.read_arrow()]
        assert sorted(i for page in pages for i in page["id"].to_pylist()) == [*range(1, _ROWS + 1)]
    assert not {stream.read_stream_name for stream in streams} & read._begun.keys()

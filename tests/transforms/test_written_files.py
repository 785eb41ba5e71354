"""The Parquet files of load jobs hold what they were given, in every type that BigQuery has.

This is the round trip without a server, also for what the embedded BigQuery cannot hold.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from bigquery_values import VALUES, values
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.schema import Field, arrow_schema
from transforms.parquet_files import ParquetFiles


def _fields() -> st.SearchStrategy[Field]:
    scalars = st.builds(
        Field,
        st.just("v"),
        st.sampled_from(sorted(VALUES)),
        st.sampled_from(("NULLABLE", "REPEATED")),
    )
    return st.recursive(
        scalars,
        lambda inner: st.builds(
            _record,
            st.lists(inner, min_size=1, max_size=3),
            st.sampled_from(("NULLABLE", "REPEATED")),
        ),
        max_leaves=6,
    )


def _record(members: list[Field], mode: Any) -> Field:
    named = tuple(
        Field(f"m{i}", member.type, member.mode, member.fields) for i, member in enumerate(members)
    )
    return Field("v", "RECORD", mode, named)


@st.composite
def _batches(draw: st.DrawFn) -> pa.RecordBatch:
    field = draw(_fields())
    column = draw(st.lists(values(field), min_size=1, max_size=5))
    return pa.RecordBatch.from_pydict({"v": column}, schema=arrow_schema([field]))


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_every_type_comes_back(data: st.DataObject) -> None:
    batch = data.draw(_batches())
    with TemporaryDirectory() as folder:
        files = ParquetFiles(folder)
        files.write(batch)
        ((path, size),) = files.close()
        found = pq.read_table(path)
        assert Path(path).stat().st_size == size
    # As texts, NaN equals itself.
    assert repr(found.to_pylist()) == repr(batch.to_pylist())
    assert found.schema.equals(batch.schema)

"""Every type that the embedded BigQuery has comes out of a whole job as it went in.

It lacks BIGNUMERIC beyond 38 digits, INTERVAL as a column that can be read, and RANGE; GEOGRAPHY
is planar there.  The first is covered at the level of files (tests/transforms/
test_written_files.py), the last at the level of SQL (tests/scoring/test_portable.py); columns of
the others are refused (test_job_passthrough.py).
"""

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import saved_models
from bigquery_values import VALUES, values
from google.cloud import bigquery
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from workbench import Row, Saved, Workbench

from pipeline import cli
from scoring.schema import Field, arrow_schema

_TYPES = sorted(set(VALUES) - {"BIGNUMERIC"})
_CARRIED = tuple(
    field
    for name in _TYPES
    for field in (
        Field(f"{name}_one", name),
        Field(f"{name}_list", name, "REPEATED"),
        Field(
            f"{name}_in",
            "RECORD",
            fields=(Field("one", name), Field("n", "INTEGER"), Field("list", name, "REPEATED")),
        ),
        Field(f"{name}_rows", "RECORD", "REPEATED", (Field("one", name),)),
    )
)
_COLUMNS = (Field("id", "INTEGER"), Field("x", "FLOAT"), *_CARRIED)


def _load(bench: Workbench, rows: list[Row]) -> None:
    """Makes table t; a load job of the embedded BigQuery takes texts for JSON and GEOGRAPHY."""
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=arrow_schema(_COLUMNS)), file)
    config = bigquery.LoadJobConfig(
        schema=[bigquery.SchemaField.from_api_repr(f.to_api()) for f in _COLUMNS],
        source_format=bigquery.SourceFormat.PARQUET,
        write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,
    )
    config.parquet_options = bigquery.ParquetOptions.from_api_repr({"enableListInference": True})
    file.seek(0)
    bench.client.load_table_from_file(file, bench.name("t"), job_config=config).result()


_ROWS = st.lists(
    st.fixed_dictionaries({field.name: values(field) for field in _CARRIED}),
    min_size=3,
    max_size=3,
)


# Each example is a job of seconds: there are few, and none to find a smaller failure.
@settings(
    deadline=None,
    max_examples=2,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
    ],
)
@given(drawn=_ROWS)
def test_any_row_is_passed_through_unchanged(
    bench: Workbench, saved: Saved, drawn: list[dict[str, Any]]
) -> None:
    rows = [{"id": i, "x": float(i), **row} for i, row in enumerate(drawn)]
    _load(bench, rows)

    outcome = bench.score(
        saved(saved_models.doubled), "--key_columns=id", "--passthrough_columns=*"
    )

    assert outcome.code == cli.OK, outcome.stderr
    schema = bench.client.get_table(bench.name("p")).schema
    found = {f.name: Field.from_api(f.to_api_repr()) for f in schema}
    assert {f.name: found[f.name] for f in _COLUMNS} == {f.name: f for f in _COLUMNS}
    got = bench.arrow("p").sort_by("id")
    expected = pa.Table.from_pylist(rows, schema=arrow_schema(_COLUMNS))
    for name in expected.column_names:
        # As texts, NaN equals itself.
        assert repr(got[name].to_pylist()) == repr(expected[name].to_pylist()), name

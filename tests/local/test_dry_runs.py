"""Dry runs of the embedded BigQuery: what a query would give, and nothing is done."""

from __future__ import annotations

import pytest
from google.api_core.exceptions import BadRequest
from google.cloud import bigquery

_DRY = bigquery.QueryJobConfig(dry_run=True)


@pytest.fixture
def kept(client: bigquery.Client, dataset: str) -> str:
    """A table that nothing may drop."""
    name = f"{dataset}.kept"
    client.query(f"CREATE TABLE {name} AS SELECT 1 AS id").result()
    return name


@pytest.mark.parametrize(
    "script",
    [
        "SELECT 1 AS id; DROP TABLE {t}",
        "DROP TABLE {t}; SELECT 1 AS id",
        "EXECUTE IMMEDIATE 'DROP TABLE {t}'",
        "IF TRUE THEN DROP TABLE {t}; END IF",
        "DECLARE n INT64; DROP TABLE {t}",
        "BEGIN DROP TABLE {t}; END",
        "-- nothing",
    ],
)
def test_a_script_is_called_so_and_not_run(client: bigquery.Client, kept: str, script: str) -> None:
    job = client.query(script.format(t=kept), _DRY)
    assert job.statement_type == "SCRIPT"
    assert client.get_table(kept).num_rows == 1


def test_one_statement_may_end_with_a_semicolon(client: bigquery.Client) -> None:
    job = client.query("SELECT 1 AS id;", _DRY)
    assert job.statement_type == "SELECT"
    assert [field.name for field in job.schema] == ["id"]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1 AS id, 2 AS id",
        "SELECT 1 AS id, 2 AS ID",
        "WITH a AS (SELECT 1 AS id) SELECT id, id FROM a",
        "SELECT 1 AS id, 2 AS id UNION ALL SELECT 3, 4",
    ],
)
def test_two_columns_of_one_name_are_refused(client: bigquery.Client, query: str) -> None:
    with pytest.raises(BadRequest, match=r"Duplicate column names .* duplicate\(s\): id"):
        client.query(query, _DRY)

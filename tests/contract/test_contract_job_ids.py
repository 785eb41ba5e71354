"""Job ids: used once, found again, and never the reason why something happens twice."""

from __future__ import annotations

import concurrent.futures
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from contract_tables import copy, load, make, query, rows
from google.api_core.exceptions import BadRequest, Conflict, NotFound
from google.cloud import bigquery


@pytest.fixture
def table(client: bigquery.Client, dataset: str) -> str:
    name = f"{dataset}.t"
    make(client, name, "k INT64, v INT64")
    load(client, name, {"k": [1, 2], "v": [10, 20]})
    return name


def job_id(dataset: str, name: str) -> str:
    return f"{dataset.partition('.')[2]}-{name}"


def test_a_repeated_statement_changes_nothing(
    client: bigquery.Client, dataset: str, table: str
) -> None:
    """jobs.insert with an id that exists is answered 409, and the statement does not run again.

    Source: "Running jobs programmatically", "Generating a job ID" ("if a job is submitted twice
    with the same ID, the second request fails with an Already Exists error").
    """
    sql = f"INSERT INTO `{table}` (k, v) VALUES (3, 30)"
    chosen = job_id(dataset, "insert")
    client.query(sql, job_id=chosen, job_retry=None).result()
    with pytest.raises(Conflict, match="Already Exists: Job"):
        client.query(sql, job_id=chosen, job_retry=None)
    assert client.get_job(chosen).num_dml_affected_rows == 1
    assert client.get_table(table).num_rows == 3


def test_a_repeated_copy_changes_nothing(client: bigquery.Client, dataset: str, table: str) -> None:
    """The rule holds for copy jobs, and between jobs of different kinds.

    Source: "Running jobs programmatically", "Generating a job ID".
    """
    config = bigquery.CopyJobConfig(write_disposition="WRITE_APPEND")
    chosen = job_id(dataset, "copy")
    client.copy_table(table, f"{dataset}.u", job_id=chosen, job_config=config).result()
    with pytest.raises(Conflict):
        client.copy_table(table, f"{dataset}.u", job_id=chosen, job_config=config)
    with pytest.raises(Conflict):
        client.query(f"DELETE FROM `{table}` WHERE true", job_id=chosen, job_retry=None)
    assert client.get_table(f"{dataset}.u").num_rows == 2
    assert client.get_table(table).num_rows == 2


def test_a_repeated_upload_changes_nothing(
    client: bigquery.Client, dataset: str, table: str
) -> None:
    """A load job whose file comes with the call has an id as any other.

    Source: "REST Resource: jobs", JobReference; "Upload media".
    """
    file = io.BytesIO()
    pq.write_table(pa.table({"k": [3], "v": [30]}), file)
    config = bigquery.LoadJobConfig(source_format="PARQUET")
    chosen = job_id(dataset, "upload")

    def upload() -> None:
        client.load_table_from_file(
            file, table, rewind=True, job_id=chosen, job_config=config
        ).result()

    upload()
    with pytest.raises(Conflict):
        upload()
    assert client.get_table(table).num_rows == 3


def test_of_simultaneous_statements_one_runs(
    client: bigquery.Client, dataset: str, table: str
) -> None:
    """Who comes second is answered 409 while the job still runs, and can wait for its end.

    Source: "Running jobs programmatically", "Generating a job ID"; "Method:
    jobs.getQueryResults" (waits up to `timeoutMs` for the job).
    """
    sql = (
        f"INSERT INTO `{table}` (k, v) SELECT a, MAX(a * b) FROM "
        "UNNEST(GENERATE_ARRAY(1, 2000)) a, UNNEST(GENERATE_ARRAY(1, 2000)) b GROUP BY a"
    )
    chosen = job_id(dataset, "race")

    def insert(_: int) -> tuple[bool, int | None]:
        try:
            job = client.query(sql, job_id=chosen, job_retry=None)
            first = True
        except Conflict:
            job = client.get_job(chosen)
            first = False
        job.result()
        return first, job.num_dml_affected_rows

    with concurrent.futures.ThreadPoolExecutor(6) as threads:
        outcomes = list(threads.map(insert, range(6)))
    assert sorted(outcomes) == [(False, 2000)] * 5 + [(True, 2000)]
    assert client.get_table(table).num_rows == 2002


def test_a_failed_job_has_used_its_id(client: bigquery.Client, dataset: str, table: str) -> None:
    """A job that failed exists: its id is taken and its error stays readable.

    Source: "REST Resource: jobs", JobStatus.errorResult; "Running jobs programmatically".
    """
    sql = (
        f"MERGE `{table}` T USING (SELECT 1 AS k UNION ALL SELECT 1) S ON T.k = S.k "
        "WHEN MATCHED THEN UPDATE SET v = 0"
    )
    chosen = job_id(dataset, "failed")
    with pytest.raises(BadRequest, match="at most one source row"):
        client.query(sql, job_id=chosen, job_retry=None).result()
    with pytest.raises(Conflict):
        client.query(f"DELETE FROM `{table}` WHERE k = 1", job_id=chosen, job_retry=None)
    found = client.get_job(chosen)
    assert found.state == "DONE"
    assert "at most one source row" in found.error_result["message"]
    with pytest.raises(BadRequest, match="at most one source row"):
        found.result()
    assert rows(client, table) == [(1, 10), (2, 20)]


def test_a_failed_copy_has_used_its_id(client: bigquery.Client, dataset: str, table: str) -> None:
    """The rule holds for copy jobs; the destination is as it was.

    Source: "REST Resource: jobs", JobConfigurationTableCopy.writeDisposition ("each action is
    atomic").
    """
    chosen = job_id(dataset, "copy-failed")
    config = bigquery.CopyJobConfig(write_disposition="WRITE_EMPTY")
    copy(client, table, f"{dataset}.u", "WRITE_EMPTY")
    with pytest.raises(Conflict, match="Already Exists: Table"):
        client.copy_table(table, f"{dataset}.u", job_id=chosen, job_config=config).result()
    config.write_disposition = "WRITE_APPEND"
    with pytest.raises(Conflict, match="Already Exists: Job"):
        client.copy_table(table, f"{dataset}.u", job_id=chosen, job_config=config)
    assert client.get_job(chosen).error_result["reason"] == "duplicate"
    assert client.get_table(f"{dataset}.u").num_rows == 2


def test_an_unknown_job_is_not_found(client: bigquery.Client, dataset: str) -> None:
    """jobs.get answers 404 for an id that was never used.

    Source: "Method: jobs.get".
    """
    with pytest.raises(NotFound):
        client.get_job(job_id(dataset, "never"))


@pytest.mark.parametrize("wrong", ["a b", "a.b", "a/b", "ü", "a" * 1025])
def test_ids_have_a_form(client: bigquery.Client, wrong: str) -> None:
    """Letters, digits, underscores and dashes, at most 1,024.

    Source: "REST Resource: jobs", JobReference.jobId.
    """
    with pytest.raises(BadRequest, match="Invalid job ID"):
        client.query("SELECT 1", job_id=wrong, job_retry=None)


def test_a_dry_run_uses_no_id(client: bigquery.Client, dataset: str, table: str) -> None:
    """A dry run changes nothing and leaves no job.

    Source: "Run a query", "Dry run" ("the query is not run").
    """
    sql = f"DELETE FROM `{table}` WHERE k = 1"
    chosen = job_id(dataset, "dry")
    dry = bigquery.QueryJobConfig(dry_run=True)
    client.query(sql, job_id=chosen, job_config=dry, job_retry=None)
    assert client.get_table(table).num_rows == 2
    client.query(sql, job_id=chosen, job_retry=None).result()
    assert client.get_table(table).num_rows == 1


def test_labels_of_a_job_are_kept(client: bigquery.Client, dataset: str, table: str) -> None:
    """jobs.get answers with the configuration that the job was given.

    Source: "REST Resource: jobs", JobConfiguration.labels.
    """
    job = query(client, f"SELECT k FROM `{table}`", labels={"run": "r1"})
    assert client.get_job(job.job_id).labels == {"run": "r1"}

"""DML as query jobs: what changes, what is counted, what is refused, and nothing halfway."""

from __future__ import annotations

from typing import Any

import pytest
from contract_tables import BY_DAY, load, make, query, rows
from google.api_core.exceptions import BadRequest
from google.cloud import bigquery

COLUMNS = "k INT64, part STRING, v FLOAT64"


def merge(target: str, source: str, matched: str = "UPDATE SET v = S.v") -> str:
    return (
        f"MERGE `{target}` T USING `{source}` S "
        "ON T.k = S.k AND (T.part = S.part OR (T.part IS NULL AND S.part IS NULL)) "
        f"WHEN MATCHED THEN {matched} "
        "WHEN NOT MATCHED THEN INSERT (k, part, v) VALUES (S.k, S.part, S.v)"
    )


@pytest.fixture
def pair(client: bigquery.Client, dataset: str) -> tuple[str, str]:
    """An output of three rows and a run of two, one of which is new."""
    out, run = f"{dataset}.out", f"{dataset}.run"
    make(client, out, COLUMNS)
    make(client, run, COLUMNS)
    load(client, out, {"k": [1, 1, 2], "part": ["a", None, "b"], "v": [0.1, 0.2, 0.3]})
    load(client, run, {"k": [1, 3], "part": [None, "c"], "v": [9.0, 8.0]})
    return out, run


def statistics(job: bigquery.QueryJob) -> dict[str, Any]:
    return dict(job.to_api_repr()["statistics"]["query"])


def test_merge_updates_and_inserts(client: bigquery.Client, pair: tuple[str, str]) -> None:
    """Rows that match on every key column, NULL included where the condition says so, are updated.

    Source: "Data manipulation language (DML) statements in GoogleSQL", "MERGE statement"; the
    counts, "REST Resource: jobs", DmlStats.
    """
    out, run = pair
    job = query(client, merge(out, run))
    assert rows(client, out) == [(1, "a", 0.1), (1, None, 9.0), (2, "b", 0.3), (3, "c", 8.0)]
    assert job.num_dml_affected_rows == 2
    assert job.dml_stats == bigquery.DmlStats(1, 0, 1)
    assert job.statement_type == "MERGE"
    assert client.get_table(out).num_rows == 4


def test_a_later_look_at_the_job_has_the_counts(
    client: bigquery.Client, pair: tuple[str, str]
) -> None:
    """jobs.get answers with numDmlAffectedRows and dmlStats for as long as the job is known.

    Source: "REST Resource: jobs", JobStatistics2.
    """
    job = query(client, merge(*pair))
    again = client.get_job(job.job_id)
    assert isinstance(again, bigquery.QueryJob)
    assert again.num_dml_affected_rows == 2
    assert again.dml_stats == bigquery.DmlStats(1, 0, 1)


def test_merge_refuses_two_source_rows_for_a_target_row(
    client: bigquery.Client, pair: tuple[str, str]
) -> None:
    """A target row that two source rows would update fails the statement; nothing changes.

    Source: "MERGE statement" ("if a row in the table to be updated joins with more than one row
    from the source, then a runtime error is returned").
    """
    out, run = pair
    before = rows(client, out)
    load(client, run, {"k": [1], "part": ["a"], "v": [1.0]})
    load(client, run, {"k": [1], "part": ["a"], "v": [2.0]})
    for matched in ("UPDATE SET v = S.v", "DELETE"):
        with pytest.raises(BadRequest, match="must match at most one source row"):
            query(client, merge(out, run, matched))
    assert rows(client, out) == before


def test_scripts_have_the_rule_too(client: bigquery.Client, pair: tuple[str, str]) -> None:
    """A statement within a script or a transaction is held to the same rule.

    Source: "MERGE statement"; "Multi-statement transactions".
    """
    out, run = pair
    before = rows(client, out)
    load(client, run, {"k": [1, 1], "part": ["a", "a"], "v": [1.0, 2.0]})
    with pytest.raises(BadRequest, match="must match at most one source row"):
        query(client, f"BEGIN TRANSACTION; {merge(out, run)}; COMMIT TRANSACTION;")
    assert rows(client, out) == before


def test_only_source_rows_that_change_something_count(
    client: bigquery.Client, pair: tuple[str, str]
) -> None:
    """The condition of WHEN MATCHED AND chooses among the source rows before they are counted.

    Source: "MERGE statement", "matched_clause" ("search_condition").
    """
    out, run = pair
    load(client, run, {"k": [1, 1], "part": ["a", "a"], "v": [1.0, -2.0]})
    sql = merge(out, run).replace("WHEN MATCHED", "WHEN MATCHED AND S.v > 0")
    query(client, sql)
    assert (1, "a", 1.0) in rows(client, out)


def test_new_rows_with_the_same_key_are_all_inserted(
    client: bigquery.Client, pair: tuple[str, str]
) -> None:
    """WHEN NOT MATCHED inserts every source row: duplicates among new keys are no error.

    Source: "MERGE statement", "not_matched_by_target_clause".
    """
    out, run = pair
    load(client, run, {"k": [3], "part": ["c"], "v": [7.0]})
    query(client, merge(out, run))
    assert rows(client, out)[-2:] == [(3, "c", 7.0), (3, "c", 8.0)]


def test_update_refuses_two_source_rows_for_a_target_row(
    client: bigquery.Client, pair: tuple[str, str]
) -> None:
    """UPDATE with FROM has the same rule as MERGE.

    Source: "UPDATE statement", "UPDATE with joins" ("if a row in the table to be updated joins
    with more than one row from the FROM clause, then the query generates [a] runtime error").
    """
    out, run = pair
    update = f"UPDATE `{out}` T SET v = S.v FROM `{run}` S WHERE T.k = S.k"
    job = query(client, update)
    assert job.dml_stats == bigquery.DmlStats(0, 0, 2)
    load(client, run, {"k": [1], "part": ["z"], "v": [5.0]})
    with pytest.raises(BadRequest, match="must match at most one source row"):
        query(client, update)
    assert (1, "a", 9.0) in rows(client, out)


def test_merge_can_insert_whole_rows_and_delete_the_rest(
    client: bigquery.Client, pair: tuple[str, str]
) -> None:
    """INSERT ROW takes the source's columns in order; NOT MATCHED BY SOURCE may delete.

    Source: "MERGE statement", "merge_insert_clause" and "not_matched_by_source_clause".
    """
    out, run = pair
    job = query(
        client,
        f"MERGE `{out}` T USING `{run}` S ON FALSE "
        "WHEN NOT MATCHED THEN INSERT ROW "
        "WHEN NOT MATCHED BY SOURCE AND T.k = 1 THEN DELETE",
    )
    assert job.dml_stats == bigquery.DmlStats(2, 2, 0)
    assert rows(client, out) == [(1, None, 9.0), (2, "b", 0.3), (3, "c", 8.0)]


def test_merge_takes_parameters(client: bigquery.Client, pair: tuple[str, str]) -> None:
    """Query parameters stand for values anywhere in the statement.

    Source: "Running parameterized queries".
    """
    out, run = pair
    parameters = [
        bigquery.ScalarQueryParameter(None, "FLOAT64", 100.0),
        bigquery.ScalarQueryParameter(None, "INT64", 3),
    ]
    sql = (
        f"MERGE `{out}` T USING (SELECT *, ? AS plus FROM `{run}` WHERE k < ?) S ON T.k = S.k "
        "AND T.part = 'a' WHEN MATCHED THEN UPDATE SET v = S.v + S.plus"
    )
    query(client, sql, query_parameters=parameters)
    assert (1, "a", 109.0) in rows(client, out)


def test_merge_carries_nested_values(client: bigquery.Client, dataset: str) -> None:
    """Arrays, structs and arrays of structs are written as they are, in their order.

    Source: "Using DML", "UPDATE nested fields" and "UPDATE repeated records".
    """
    out, run = f"{dataset}.out", f"{dataset}.run"
    create = "CREATE TABLE `{}` (k INT64, v ARRAY<FLOAT64>, s STRUCT<x INT64, l ARRAY<STRING>>, "
    for name in (out, run):
        query(client, (create + "a ARRAY<STRUCT<label STRING, p FLOAT64>>)").format(name))
    value = (
        "SELECT {} AS k, [3.0, 1.0] AS v, STRUCT({} AS x, ['b', 'a'] AS l) AS s, "
        "[STRUCT('q' AS label, 0.9 AS p), STRUCT('p' AS label, 0.1 AS p)] AS a"
    )
    query(client, f"INSERT INTO `{out}` (k, v, s, a) " + value.format(1, 0))
    query(client, f"INSERT INTO `{run}` (k, v, s, a) " + value.format(1, 7))
    query(client, f"INSERT INTO `{run}` (k, v, s, a) " + value.format(2, 8))
    query(
        client,
        f"MERGE `{out}` T USING `{run}` S ON T.k = S.k "
        "WHEN MATCHED THEN UPDATE SET v = S.v, s = S.s, a = S.a "
        "WHEN NOT MATCHED THEN INSERT (k, v, s, a) VALUES (S.k, S.v, S.s, S.a)",
    )
    nested = [{"label": "q", "p": 0.9}, {"label": "p", "p": 0.1}]
    assert rows(client, out) == [
        (1, [3.0, 1.0], {"x": 7, "l": ["b", "a"]}, nested),
        (2, [3.0, 1.0], {"x": 8, "l": ["b", "a"]}, nested),
    ]


def test_merge_carries_json_and_geography(client: bigquery.Client, dataset: str) -> None:
    """JSON and GEOGRAPHY come of text by PARSE_JSON and ST_GEOGFROMTEXT in SELECT * REPLACE.

    Source: "JSON functions", PARSE_JSON; "Geography functions", ST_GEOGFROMTEXT; "Query syntax",
    "SELECT * REPLACE".
    """
    out, run = f"{dataset}.out", f"{dataset}.run"
    make(client, out, "k INT64, j JSON, g GEOGRAPHY")
    make(client, run, "k INT64, j STRING, g STRING")
    load(client, run, {"k": [1], "j": ['{"a": [1, 2]}'], "g": ["POINT(1 2)"]})
    query(
        client,
        f"MERGE `{out}` T USING (SELECT * REPLACE (PARSE_JSON(j) AS j, ST_GEOGFROMTEXT(g) AS g) "
        f"FROM `{run}`) S ON T.k = S.k WHEN MATCHED THEN UPDATE SET j = S.j, g = S.g "
        "WHEN NOT MATCHED THEN INSERT (k, j, g) VALUES (S.k, S.j, S.g)",
    )
    columns = "k, TO_JSON_STRING(j.a), ST_X(g), ST_Y(g)"
    assert rows(client, out, columns) == [(1, "[1,2]", 1.0, 2.0)]


def test_dml_puts_no_null_into_a_required_column(client: bigquery.Client, dataset: str) -> None:
    """A REQUIRED column takes no NULL; the statement fails as a whole.

    Source: "Specifying a schema", "Modes"; "INSERT statement" ("[...] NULL for a REQUIRED column").
    """
    name = f"{dataset}.t"
    make(client, name, "k INT64 REQUIRED, v INT64")
    with pytest.raises(BadRequest, match="Required field k cannot be null"):
        query(client, f"INSERT INTO `{name}` (k, v) SELECT 1, 2 UNION ALL SELECT NULL, 3")
    assert client.get_table(name).num_rows == 0


def test_insert_and_delete_are_counted(client: bigquery.Client, pair: tuple[str, str]) -> None:
    """INSERT SELECT and DELETE say how many rows they added and removed.

    Source: "REST Resource: jobs", DmlStats.
    """
    out, run = pair
    inserted = query(client, f"INSERT INTO `{out}` (k, part, v) SELECT k, part, v FROM `{run}`")
    assert inserted.dml_stats == bigquery.DmlStats(2, 0, 0)
    deleted = query(client, f"DELETE FROM `{out}` WHERE k = 1")
    assert deleted.dml_stats == bigquery.DmlStats(0, 3, 0)
    assert rows(client, out) == [(2, "b", 0.3), (3, "c", 8.0)]


def test_duplicate_keys_are_found(client: bigquery.Client, pair: tuple[str, str]) -> None:
    """GROUP BY over the key columns puts NULLs into one group.

    Source: "Query syntax", "GROUP BY clause".
    """
    _, run = pair
    query(client, f"INSERT INTO `{run}` (k, v) VALUES (1, 1.0)")
    found = client.query(
        f"SELECT k, part, COUNT(*) AS n FROM `{run}` GROUP BY k, part HAVING COUNT(*) > 1"
    ).result()
    assert [row.values() for row in found] == [(1, None, 2)]


def test_rows_not_yet_in_the_output_are_found(
    client: bigquery.Client, pair: tuple[str, str]
) -> None:
    """NOT EXISTS with a correlated subquery is an anti-join.

    Source: "Subqueries", "EXISTS subqueries".
    """
    out, run = pair
    sql = (
        f"SELECT s.* FROM `{run}` s WHERE NOT EXISTS "
        f"(SELECT 1 FROM `{out}` o WHERE o.k = s.k AND o.v = 0.1)"
    )
    assert [row.k for row in client.query(sql).result()] == [3]


def test_dml_respects_the_layout(client: bigquery.Client, dataset: str) -> None:
    """Rows that DML inserts go to the partitions of their values.

    Source: "Using DML with partitioned tables", "INSERT statement".
    """
    name = f"{dataset}.t"
    make(client, name, "day DATE, n INT64", **BY_DAY)
    query(client, f"INSERT `{name}` (day, n) VALUES ('2024-02-28', 1), ('2024-02-29', 2)")
    assert client.get_table(f"{name}$20240229").num_rows == 1
    query(client, f"UPDATE `{name}` SET day = '2024-02-29' WHERE n = 1")
    assert client.get_table(f"{name}$20240229").num_rows == 2

"""Tables, queries and columns that cannot be read or do not fit, and results that have no place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bad_inputs import BadCommand, command, file_of
from saved_models import doubled, eight_floats, single_value, vectors

if TYPE_CHECKING:
    from saved_models import Builder
    from workbench import Saved, Workbench


def _source(
    wrong: str,
    message: str,
    *flags: str,
    sql: Sequence[str] = (),
    model: Builder = doubled,
    exit_code: int = 2,
) -> BadCommand:
    """A case of table t (id, x, name, day); DATASET in the flags and in `sql` is the test's."""

    def make(bench: Workbench, saved: Saved) -> list[str]:
        for statement in sql:
            bench.sql(statement)
        changes = [flag.replace("DATASET", bench.dataset) for flag in flags]
        return command(bench, saved(model), *changes)

    return BadCommand(wrong, make, message, exit_code)


def _labels(wrong: str, message: str, name: str, content: bytes | str) -> BadCommand:
    def make(bench: Workbench, saved: Saved) -> list[str]:
        labels = file_of(bench, name, content)
        query = "--input_query=SELECT [1.0, 2.0, 3.0, 4.0] AS x"
        return command(bench, saved(vectors), query, "--top_k=1", f"--class_labels={labels}")

    return BadCommand(wrong, make, message)


TABLES = (
    _source(
        "a table without rows",
        "published PROJECT.DATASET.p",
        "--input_table=DATASET.empty",
        sql=["CREATE TABLE empty AS SELECT x FROM t LIMIT 0"],
        exit_code=0,
    ),
    _source(
        "a view without rows",
        "published PROJECT.DATASET.p",
        "--input_table=DATASET.v",
        sql=["CREATE VIEW v AS SELECT x FROM t WHERE FALSE"],
        exit_code=0,
    ),
    _source(
        "a table that is not there",
        "There is no table PROJECT.DATASET.nothing. Check --input_table, and "
        "--project if it names none.",
        "--input_table=DATASET.nothing",
    ),
    _source(
        "a dataset that is not there",
        "There is no table PROJECT.nowhere.t. Check --input_table, and --project if it names none.",
        "--input_table=nowhere.t",
    ),
    _source(
        "a query with a mistake",
        "BigQuery refused the query: Syntax error: Unexpected identifier "
        '"SELEC" at [1:12]. Check --input_query.',
        "--input_query=SELEC x FROM DATASET.t",
    ),
    _source(
        "a query of a table that is not there",
        "The query cannot be run: Not found: Table PROJECT.DATASET.nothing was "
        "not found in location US. Check --input_query.",
        "--input_query=SELECT x FROM DATASET.nothing",
    ),
    _source(
        "a second statement behind a semicolon",
        "--input_query is a SCRIPT statement, expected a SELECT.",
        "--input_query=SELECT 1.0 AS x; DROP TABLE DATASET.t",
    ),
    _source(
        "a statement that deletes",
        "--input_query is a DELETE statement, expected a SELECT.",
        "--input_query=DELETE FROM DATASET.t WHERE TRUE",
    ),
    _source(
        "a statement that is put together at run time",
        "--input_query is a SCRIPT statement, expected a SELECT.",
        "--input_query=EXECUTE IMMEDIATE 'DROP TABLE DATASET.t'",
    ),
    _source(
        "a query of nothing but a comment",
        "--input_query is a SCRIPT statement, expected a SELECT.",
        "--input_query=-- nothing",
    ),
    _source(
        "two columns of one name",
        "BigQuery refused the query: Duplicate column names in the result are "
        "not supported. Found duplicate(s): x. Check --input_query.",
        "--input_query=SELECT 1.0 AS x, 2.0 AS x",
    ),
    _source(
        "a file of SQL that is not there",
        "The file /nowhere/q.sql cannot be read: [Errno 2] No such file or "
        "directory: '/nowhere/q.sql'. Check --input_query.",
        "--input_query=/nowhere/q.sql",
    ),
    _source(
        "a condition with a mistake",
        "BigQuery refused the query: Query execution failed: Binder Error: "
        'Referenced column "nothing" not found in FROM clause!\n'
        'Candidate bindings: "name"\n'
        "\n"
        'LINE 1: ... * FROM "bulkscore-local__DATASET"."t" WHERE (x = nothing) AND '
        "CASE WHEN x = nothing THEN TRUE ELSE TRUE END\n"
        "                                                                      "
        " ^. Check --row_restriction.",
        "--row_restriction=x = nothing",
    ),
    _source(
        "a condition that ends the query",
        "--row_restriction is a SCRIPT statement, expected a SELECT.",
        "--row_restriction=TRUE); DROP TABLE t; --",
    ),
    _source(
        "a condition that is only whole within parentheses",
        "BigQuery refused the query: Syntax error: Required keyword: 'true' missing for "
        "<class 'sqlglot.expressions.functions.If'>. Line 4, Col: 4.\n"
        "  SELECT * FROM `PROJECT.DATASET.t` WHERE (\n1=1) OR (1=1\n) AND IF(\n1=1) OR (1=1\n"
        ", TRUE, TRUE). Check --row_restriction.",
        "--row_restriction=1=1) OR (1=1",
    ),
    _source(
        "a past of a view",
        "PROJECT.DATASET.v is a view, which has no past to read. Drop "
        "--snapshot_time, or give --input_query with FOR SYSTEM_TIME AS OF on "
        "the view's tables.",
        "--input_table=DATASET.v",
        "--snapshot_time=2025-01-01T00:00Z",
        sql=["CREATE VIEW v AS SELECT x FROM t"],
    ),
    _source(
        "a moment that is no longer kept",
        "BigQuery refused the query: FOR SYSTEM_TIME AS OF is before the "
        "retention window (retention = 7 days). Check --snapshot_time.",
        "--snapshot_time=2020-01-01T00:00:00Z",
    ),
    _source(
        "a key column that is not there",
        "--key_columns names column 'idd', which the source does not have. Its "
        "columns are: id, x, name, day.",
        "--key_columns=idd",
    ),
    _source(
        "an input fed by a column that is not there",
        "--input_columns names column 'y', which the source does not have. Its "
        "columns are: id, x, name, day.",
        "--input_columns=x=y",
    ),
    _source(
        "an input that the model has not",
        "Signature 'serving_default' has no input 'z'. Check --input_columns; "
        "its inputs are: x: float32[None].",
        "--input_columns=z=x",
    ),
    _source(
        "an output that the model has not",
        "Signature 'serving_default' has no output 'z'. Check "
        "--output_columns; its outputs are: y: float32[None].",
        "--output_columns=z",
    ),
    _source(
        "too few columns for the model",
        "Signature 'serving_default' cannot be fed:\n"
        "  no column for input f0: float32[None]\n"
        "  no column for input f1: float32[None]\n"
        "  no column for input f2: float32[None]\n"
        "  no column for input f3: float32[None]\n"
        "  no column for input f4: float32[None]\n"
        "  no column for input f5: float32[None]\n"
        "  no column for input f6: float32[None]\n"
        "  no column for input f7: float32[None]\n"
        "The source has: id INT64, x FLOAT64, name STRING, day DATE. Say which "
        "column feeds which input: --input_columns "
        "f0=COLUMN,f1=COLUMN,f2=COLUMN,f3=COLUMN,f4=COLUMN,f5=COLUMN,f6=COLUMN,f7=COLUMN",
        model=eight_floats,
    ),
    _source(
        "a STRING for a number",
        "Signature 'serving_default' cannot be fed:\n"
        "  input x: float32[None] from column 'name' (STRING): no conversion "
        "from STRING to float32 keeps the values; convert it with "
        "--input_query, SAFE_CAST(name AS FLOAT64) say",
        "--input_columns=x=name",
    ),
    _source(
        "a DATE for a number",
        "Signature 'serving_default' cannot be fed:\n"
        "  input x: float32[None] from column 'day' (DATE): no conversion from "
        "DATE to float32 keeps the values; convert it with --input_query, "
        "UNIX_DATE(day) say",
        "--input_columns=x=day",
    ),
    _source(
        "one number for a vector",
        "Signature 'serving_default' cannot be fed:\n"
        "  input x: float32[None, 4] from column 'x' (FLOAT64): it needs 4 "
        "values a row, got one; feed it an ARRAY of 4 elements, or several "
        "columns: --input_columns x=[COLUMN,...]",
        model=vectors,
    ),
    _source(
        "an output of one value a call",
        "Output mean: float32[] is one value a call, not one a row. Leave it "
        "out: name the outputs that you want with --output_columns.",
        model=single_value,
    ),
    _source(
        "two output columns of one name",
        "Output 'y' would be written to column 'name', which is a key or "
        "passthrough column. Rename it: --output_columns y=another_name",
        "--passthrough_columns=*",
        "--output_columns=y=name",
    ),
    _source(
        "the best classes of an output that is no vector",
        "--top_k needs exactly one output of shape [batch, classes] of floats, "
        "got 0 in: y: float32[None]. Choose one with --output_columns.",
        "--top_k=2",
    ),
    _labels(
        "labels that are not UTF-8",
        "The file FOLDER/labels.txt cannot be read: 'utf-8' codec can't decode "
        "byte 0xff in position 0: invalid start byte. Check --class_labels.",
        "labels.txt",
        b"\xff\xfe",
    ),
    _labels(
        "fewer labels than classes",
        "--class_labels has 2 labels, but output y: float32[None, 3] has 3 "
        "classes. Give one label a class, in the model's order.",
        "labels.txt",
        "a\nb\n",
    ),
    _labels(
        "more labels than classes",
        "--class_labels has 4 labels, but output y: float32[None, 3] has 3 "
        "classes. Give one label a class, in the model's order.",
        "labels.txt",
        "a\nb\nc\nd\n",
    ),
    _labels(
        "a JSON list of numbers as labels",
        "The file FOLDER/labels.json holds a JSON list of more than texts. Check --class_labels.",
        "labels.json",
        "[1, 2, 3]",
    ),
    _labels(
        "a file without labels",
        "The file FOLDER/labels.txt holds no labels, expected one for each class. Check "
        "--class_labels.",
        "labels.txt",
        "",
    ),
    _labels(
        "a JSON list of too many brackets as labels",
        "The file FOLDER/labels.json is no JSON list: maximum recursion depth exceeded while "
        "decoding a JSON array from a unicode string. Check --class_labels.",
        "labels.json",
        "[" * 100_000,
    ),
    _labels(
        "a JSON list cut in half as labels",
        "The file FOLDER/labels.json is no JSON list: Unterminated string "
        "starting at: line 1 column 7 (char 6). Check --class_labels.",
        "labels.json",
        '["a", "b',
    ),
)

DESTINATIONS = (
    _source(
        "an output dataset that is not there",
        "There is no dataset PROJECT.nowhere for --output_table. Create it "
        "first: bq mk --dataset PROJECT:nowhere",
        "--output_table=nowhere.p",
    ),
    _source(
        "a rejects dataset that is not there",
        "There is no dataset PROJECT.nowhere for --rejects_table. Create it "
        "first: bq mk --dataset PROJECT:nowhere",
        "--rejects_table=nowhere.r",
    ),
    _source(
        "an output table with other columns",
        "Table PROJECT.DATASET.p exists with another schema than this run "
        "would write:\n"
        "  column other STRING would be missing\n"
        "Change --output_columns or --passthrough_columns, drop the table, or "
        "choose another --output_table.",
        sql=["CREATE TABLE p AS SELECT 'a' AS other"],
    ),
    _source(
        "a runs table that is another table",
        "Table PROJECT.DATASET.mine exists with another schema than this run "
        "would write:\n"
        "  column one INT64 would be missing\n"
        "Drop the table, or choose another --runs_table.",
        "--runs_table=DATASET.mine",
        sql=["CREATE TABLE mine AS SELECT 1 AS one"],
    ),
    _source(
        "a view as output table",
        "PROJECT.DATASET.p is a VIEW, which no job can write to. Name a table.",
        sql=["CREATE VIEW p AS SELECT x FROM t"],
    ),
    _source(
        "every row is bad",
        "Run RUN was not published: 1 of 1 rows were rejected (100.00%), which "
        "is more than --max_rejected_fraction 0.01 allows: NULL_VALUE 1.\n"
        "PROJECT.DATASET.p is as it was. To see the rejects:\n"
        "  SELECT code, message, row FROM `PROJECT.DATASET.p__rejects` WHERE "
        "run_id = 'RUN'\n"
        "To publish it all the same, with a higher limit:\n"
        "  bulkscore score --output_table=PROJECT.DATASET.p "
        "--runs_table=PROJECT.DATASET.p__runs --resume=RUN "
        "--max_rejected_fraction=FRACTION",
        "--input_query=SELECT CAST(NULL AS FLOAT64) AS x",
        exit_code=3,
    ),
)

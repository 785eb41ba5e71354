"""Flags that are wrong by themselves: known before anything is looked at."""

from bad_inputs import BadCommand

_MINIMUM = ("--input_table=shop.t", "--output_table=shop.p", "--model=m")


def _flags(*flags: str) -> list[str]:
    given = {flag.partition("=")[0] for flag in flags}
    return ["score", *(f for f in _MINIMUM if f.partition("=")[0] not in given), *flags]


def _flag(wrong: str, message: str, *flags: str) -> BadCommand:
    return BadCommand(wrong, lambda bench, saved: _flags(*flags), message)


def _line(wrong: str, message: str, *line: str) -> BadCommand:
    return BadCommand(wrong, lambda bench, saved: line, message)


FLAGS = (
    _line("no command", "The command is missing. Give score, check or inspect first."),
    _line("a misspelt command", "There is no command 'scroe'. Did you mean score?", "scroe"),
    _line(
        "no source",
        "No source is given. Name a table with --input_table, or a query with --input_query.",
        "score",
        "--model=m",
        "--output_table=shop.p",
    ),
    _line(
        "no model",
        "--model is missing. Add --model=MODEL: SavedModel to score with: a "
        "local folder or .tar.gz, a gs:// folder, or a TensorFlow Hub or "
        "Kaggle URL.",
        "score",
        "--input_table=shop.t",
        "--output_table=shop.p",
    ),
    _flag(
        "a misspelt flag",
        "There is no option --key_colums. Did you mean --key_columns?",
        "--key_colums=id",
    ),
    _flag(
        "a flag with one dash",
        "Options start with two dashes, got '-model'. Did you mean --model?",
        "-model",
        "m",
    ),
    _flag(
        "a flag without its value",
        "--key_columns needs a value, got the end of the command line. Write --key_columns=VALUE.",
        "--key_columns",
    ),
    _flag(
        "a value that follows no flag",
        "Unexpected argument 'orders': it follows no option that takes a "
        "value. Put quotes around a value that holds blanks.",
        "--local",
        "orders",
    ),
    _flag(
        "a flag given twice",
        "--signature is given 2 times, expected once: ['a', 'b'].",
        "--signature=a",
        "--signature=b",
    ),
    _flag(
        "a table and a query",
        "--input_table and --input_query are both given, expected one of them. "
        "Drop one; a query can read the table itself.",
        "--input_query=SELECT 1 AS x",
    ),
    _flag(
        "a table without a dataset",
        "--input_table: got 'orders', expected project.dataset.table or "
        "dataset.table: name the dataset as well.",
        "--input_table=orders",
    ),
    _flag(
        "a table name in backquotes",
        "--input_table: got '`shop.t`': leave the backquotes out.",
        "--input_table=`shop.t`",
    ),
    _flag(
        "a table name with a partition",
        "--input_table: the table 't$20240101' holds '$': expected letters, "
        "marks, digits, underscores, dashes and blanks, with no suffix such as "
        "$partition or @time.",
        "--input_table=shop.t$20240101",
    ),
    _flag(
        "a table name with a backquote and a statement",
        "--input_table: got 'shop.t`; DROP': leave the backquotes out.",
        "--input_table=shop.t`; DROP",
    ),
    _flag(
        "a project in capitals",
        "--input_table: the project 'PROJECT' is not valid: expected 6 to 30 "
        "lower-case letters, digits and hyphens that start with a letter and "
        "do not end with a hyphen, after a domain and a colon where the "
        "project has one.",
        "--input_table=PROJECT.shop.t",
    ),
    _flag(
        "one table as input and output",
        "--input_table and --output_table are the same table shop.t, expected "
        "different ones. Change --output_table.",
        "--output_table=shop.t",
    ),
    _flag(
        "a column name of 301 characters",
        "--key_columns: the column 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'… has 301 "
        "characters, expected at most 300.",
        f"--key_columns={'a' * 301}",
    ),
    _flag(
        "a column name with a quote",
        "--key_columns: the column 'a\"b' holds '\"', which BigQuery does not allow.",
        '--key_columns=a"b',
    ),
    _flag(
        "a list with an empty item",
        "--key_columns: got 'id,,name', which has an empty item: check its commas.",
        "--key_columns=id,,name",
    ),
    _flag(
        "a key that is passed through, too",
        "The column 'ID' is in --key_columns and in --passthrough_columns, but "
        "--output_table can hold it once. Drop one of them.",
        "--key_columns=id",
        "--passthrough_columns=ID",
    ),
    _flag(
        "NaN as a fraction",
        "--max_rejected_fraction: got 'nan', expected a number from 0 to 1, such as 0.05 for 5 %.",
        "--max_rejected_fraction=nan",
    ),
    _flag(
        "a fraction in per cent",
        "--max_rejected_fraction: got '5', expected a number from 0 to 1, such as 0.05 for 5 %.",
        "--max_rejected_fraction=5",
    ),
    _flag(
        "a batch size of 0",
        "--max_batch_size: got '0', expected a whole number from 1 to 1000000.",
        "--max_batch_size=0",
    ),
    _flag(
        "a batch size in words",
        "--max_batch_size: got 'many', expected a whole number from 1 to 1000000.",
        "--max_batch_size=many",
    ),
    _flag(
        "a run id with a quote",
        '--run_id: got "a\'b", expected 1 to 64 ASCII letters, digits and underscores.',
        "--run_id=a'b",
    ),
    _flag(
        "a run id that is not UTF-8",
        "--run_id holds bytes that are not UTF-8. Type it again.",
        "--run_id=a\udcff",
    ),
    _flag(
        "a time without an offset",
        "--snapshot_time: got '2025-01-31T06:00:00' without an offset from "
        "UTC: add Z for UTC, or an offset such as +01:00.",
        "--snapshot_time=2025-01-31T06:00:00",
    ),
    _flag(
        "SQL in bytes that are no text",
        "--row_restriction holds bytes that are not UTF-8. Type it again.",
        "--row_restriction=name = '\udcff'",
    ),
    _flag(
        "a shape without brackets",
        "--input_shapes: got '28x28', expected sizes above 0 in brackets, such as [28,28,1].",
        "--input_shapes=x=28x28",
    ),
    _flag(
        "labels without --top_k",
        "--class_labels needs --top_k or --explode. Add one of them, or drop --class_labels.",
        "--class_labels=labels.txt",
    ),
    _flag(
        "a write mode that there is not",
        "--write_mode: got 'upsert', expected replace or append or partition or merge.",
        "--write_mode=upsert",
    ),
    _flag(
        "local files without --local",
        "--local_tables needs --local. Add --local, or drop --local_tables.",
        "--local_tables=shop.t=t.csv",
    ),
    _flag(
        "--local with Dataflow",
        "--local runs on this machine, but --runner=DataflowRunner asks for "
        "Dataflow. Drop one of them.",
        "--local",
        "--runner=DataflowRunner",
    ),
    _flag(
        "a streaming job",
        "--streaming cannot be used: bulkscore runs batch jobs only. Drop it.",
        "--streaming",
    ),
    _flag(
        "a worker count that is no number",
        "--num_workers: got 'many', expected a whole number.",
        "--num_workers=many",
    ),
)

"""What cannot work: exit code 2, one clear message, and nothing written; for both commands."""

from pathlib import Path

import pyarrow as pa
import pytest
import saved_models
from workbench import Saved, Workbench

_TABLES = {
    "t": "SELECT 1 AS id, 2.0 AS x, 'text' AS name, [1.0, 2.0] AS pair, DATE '2024-01-01' AS day"
}


@pytest.fixture(params=["score", "check"])
def command(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def numbers(bench: Workbench) -> Workbench:
    """Table t: id, x, name, pair, day."""
    for name, query in _TABLES.items():
        bench.sql(f"CREATE TABLE {name} AS {query}")
    return bench


def _refused(
    bench: Workbench, command: str, model: Path | str, *arguments: str, says: tuple[str, ...]
) -> None:
    before = bench.tables()
    start = bench.score if command == "score" else bench.check
    outcome = start(model, *arguments)
    outcome.refused_with(*says)
    assert bench.tables() == before


def test_no_such_table(numbers: Workbench, saved: Saved, command: str) -> None:
    _refused(
        numbers,
        command,
        saved(saved_models.doubled),
        f"--input_table={numbers.name('nothing')}",
        says=(
            f"There is no table {numbers.cloud.project}.{numbers.name('nothing')}",
            "--input_table",
        ),
    )


def test_no_such_dataset_of_the_input(numbers: Workbench, saved: Saved, command: str) -> None:
    _refused(
        numbers,
        command,
        saved(saved_models.doubled),
        "--input_table=nowhere.t",
        says=("There is no table bulkscore-local.nowhere.t", "--input_table"),
    )


def test_no_such_dataset_of_the_output(numbers: Workbench, saved: Saved, command: str) -> None:
    _refused(
        numbers,
        command,
        saved(saved_models.doubled),
        "--rejects_table=" + numbers.name("r"),
        "--output_table=nowhere.p",
        says=("nowhere", "--output_table"),
    )


@pytest.mark.parametrize("flag", ["rejects_table", "runs_table"])
def test_no_such_dataset_of_another_result(
    numbers: Workbench, saved: Saved, command: str, flag: str
) -> None:
    _refused(
        numbers,
        command,
        saved(saved_models.doubled),
        f"--{flag}=nowhere.q",
        says=("There is no dataset bulkscore-local.nowhere", f"--{flag}"),
    )


@pytest.mark.parametrize("flag", ["key_columns", "passthrough_columns"])
def test_no_such_column(numbers: Workbench, saved: Saved, command: str, flag: str) -> None:
    _refused(
        numbers,
        command,
        saved(saved_models.doubled),
        f"--{flag}=idd",
        says=(f"--{flag}", "'idd'", "id, x, name, pair, day"),
    )


def test_no_such_column_to_feed(numbers: Workbench, saved: Saved, command: str) -> None:
    _refused(
        numbers,
        command,
        saved(saved_models.doubled),
        "--input_columns=x=y",
        says=("--input_columns", "'y'", "id, x, name, pair, day"),
    )


def test_no_such_input(numbers: Workbench, saved: Saved, command: str) -> None:
    _refused(
        numbers,
        command,
        saved(saved_models.doubled),
        "--input_columns=z=x",
        says=("no input 'z'", "x: float32[None]"),
    )


def test_no_such_output(numbers: Workbench, saved: Saved, command: str) -> None:
    _refused(
        numbers,
        command,
        saved(saved_models.doubled),
        "--output_columns=z",
        says=("no output 'z'", "y: float32[None]"),
    )


def test_no_such_signature(numbers: Workbench, saved: Saved, command: str) -> None:
    _refused(
        numbers,
        command,
        saved(saved_models.doubled),
        "--signature=predict",
        says=("no signature 'predict'", "--signature", "serving_default"),
    )


def test_several_signatures_and_none_chosen(numbers: Workbench, saved: Saved, command: str) -> None:
    _refused(
        numbers,
        command,
        saved(saved_models.two_signatures),
        says=("several signatures", "--signature", "plus_one", "twice"),
    )


def test_no_such_model_folder(numbers: Workbench, command: str) -> None:
    folder = numbers.folder / "none"
    _refused(numbers, command, folder, says=(f"Model {folder}: there is no such folder", "--model"))


def test_a_folder_that_is_no_saved_model(numbers: Workbench, command: str) -> None:
    folder = numbers.folder / "keras"
    folder.mkdir()
    (folder / "model.keras").write_bytes(b"PK")
    _refused(
        numbers, command, folder, says=("is not a SavedModel", "model.keras", "saved_model.pb")
    )


def test_a_file_that_is_no_saved_model(numbers: Workbench, command: str) -> None:
    file = numbers.folder / "model.h5"
    file.write_bytes(b"HDF")
    _refused(numbers, command, file, says=("is not a SavedModel", "got a file"))


def test_a_corrupt_saved_model(numbers: Workbench, command: str) -> None:
    folder = numbers.folder / "corrupt"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"\x0a\xffnot a protocol buffer")
    _refused(numbers, command, folder, says=("saved_model.pb is damaged",))


def test_an_archive_that_is_none(numbers: Workbench, command: str) -> None:
    archive = numbers.folder / "m.tar.gz"
    archive.write_bytes(b"nothing")
    _refused(numbers, command, archive, says=(str(archive), "not a .tar.gz"))


def test_no_such_model_on_cloud_storage(numbers: Workbench, command: str) -> None:
    uri = f"gs://{numbers.cloud.bucket}/{numbers.dataset}/none"
    _refused(numbers, command, uri, says=(uri, "--model"))
    _refused(numbers, command, f"{uri}.tar.gz", says=(f"{uri}.tar.gz",))


def test_no_such_bucket_of_the_model(numbers: Workbench, command: str) -> None:
    _refused(numbers, command, "gs://no-such-bucket/m", says=("gs://no-such-bucket/m",))


def test_an_input_without_a_column(numbers: Workbench, saved: Saved, command: str) -> None:
    _refused(
        numbers,
        command,
        saved(saved_models.eight_floats),
        says=("no column for input f0: float32[None]", "no column for input f7", "--input_columns"),
    )


@pytest.mark.parametrize(
    ("column", "kind", "cure"),
    [
        ("name", "STRING", "SAFE_CAST(name AS FLOAT64)"),
        ("day", "DATE", "UNIX_DATE(day)"),
    ],
)
def test_a_type_that_cannot_feed_the_input(
    numbers: Workbench, saved: Saved, command: str, column: str, kind: str, cure: str
) -> None:
    _refused(
        numbers,
        command,
        saved(saved_models.doubled),
        f"--input_columns=x={column}",
        says=(f"from column '{column}' ({kind})", "float32", cure),
    )


def test_a_scalar_column_for_a_vector(numbers: Workbench, saved: Saved, command: str) -> None:
    _refused(
        numbers,
        command,
        saved(saved_models.vectors),
        says=("x: float32[None, 4]", "needs 4 values a row, got one", "ARRAY of 4"),
    )


def test_a_name_that_two_columns_of_the_output_have(
    numbers: Workbench, saved: Saved, command: str
) -> None:
    _refused(
        numbers,
        command,
        saved(saved_models.doubled),
        "--passthrough_columns=*",
        "--output_columns=y=name",
        says=("'y'", "'name'", "--output_columns y="),
    )


@pytest.mark.parametrize("column", ["run_id", "model_digest"])
def test_a_name_that_every_output_row_has(
    numbers: Workbench, saved: Saved, command: str, column: str
) -> None:
    numbers.sql(f"CREATE TABLE named AS SELECT x, name AS {column} FROM t")
    _refused(
        numbers,
        command,
        saved(saved_models.doubled),
        f"--input_table={numbers.name('named')}",
        f"--passthrough_columns={column}",
        says=(f"'{column}'", "--passthrough_columns", "--metadata_columns", "rename it"),
    )


@pytest.mark.parametrize(
    "query",
    [
        "SELEC x FROM t",
        "SELECT x FROM",
        "SELECT nothing FROM {t}",
        "SELECT x FROM {t} WHERE x = 'a' +",
    ],
)
def test_a_query_with_a_mistake(numbers: Workbench, saved: Saved, command: str, query: str) -> None:
    text = query.format(t=f"`{numbers.name('t')}`")
    _refused(
        numbers,
        command,
        saved(saved_models.doubled),
        f"--input_query={text}",
        says=("refused the query", "--input_query"),
    )


def test_a_query_of_a_table_that_is_not_there(
    numbers: Workbench, saved: Saved, command: str
) -> None:
    _refused(
        numbers,
        command,
        saved(saved_models.doubled),
        f"--input_query=SELECT x FROM `{numbers.name('nothing')}`",
        says=("The query cannot be run", "nothing", "--input_query"),
    )


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM {t} WHERE TRUE", "CREATE TABLE {t}2 AS SELECT 1 AS x", "DROP TABLE {t}"],
)
def test_a_statement_that_is_no_select(
    numbers: Workbench, saved: Saved, command: str, statement: str
) -> None:
    _refused(
        numbers,
        command,
        saved(saved_models.doubled),
        f"--input_query={statement.format(t=numbers.name('t'))}",
        says=("--input_query", "expected a SELECT"),
    )
    assert numbers.arrow("t").num_rows == 1


def test_a_query_file_that_is_not_there(numbers: Workbench, saved: Saved, command: str) -> None:
    file = numbers.folder / "none.sql"
    _refused(
        numbers,
        command,
        saved(saved_models.doubled),
        f"--input_query={file}",
        says=(str(file), "cannot be read", "--input_query"),
    )


@pytest.mark.parametrize("condition", ["x >", "nothing = 1", "x = 'a' AND", "COUNT(*) > 1"])
def test_a_row_restriction_with_a_mistake(
    numbers: Workbench, saved: Saved, command: str, condition: str
) -> None:
    _refused(
        numbers,
        command,
        saved(saved_models.doubled),
        f"--row_restriction={condition}",
        says=("--row_restriction",),
    )


@pytest.mark.parametrize("place", ["", "--temp_location=/tmp/here"])
def test_no_place_for_temporary_files(numbers: Workbench, saved: Saved, place: str) -> None:
    # Only a run needs it.
    outcome = numbers.run_as_given(
        "score",
        f"--project={numbers.cloud.project}",
        f"--input_table={numbers.name('t')}",
        f"--output_table={numbers.name('p')}",
        f"--model={saved(saved_models.doubled)}",
        *([place] if place else []),
    )

    outcome.refused_with("--temp_location", "gs://")
    assert numbers.tables() == {"t"}


def test_an_unknown_flag(numbers: Workbench, command: str) -> None:
    _refused(
        numbers,
        command,
        "any",
        "--key_colums=id",
        says=("There is no option --key_colums", "--key_columns"),
    )


def test_check_finds_that_no_row_can_be_scored(numbers: Workbench, saved: Saved) -> None:
    numbers.load("t", pa.table({"x": pa.array([None, None], pa.float64())}))
    _refused(
        numbers,
        "check",
        saved(saved_models.doubled),
        says=("Not one of the first 2 rows can be scored", "NULL_VALUE"),
    )


def test_a_moment_that_is_no_longer_kept(numbers: Workbench, saved: Saved, command: str) -> None:
    _refused(
        numbers,
        command,
        saved(saved_models.doubled),
        "--snapshot_time=2020-01-01T00:00:00Z",
        says=("--snapshot_time",),
    )


def test_a_query_file_that_is_not_on_cloud_storage(
    numbers: Workbench, saved: Saved, command: str
) -> None:
    _refused(
        numbers,
        command,
        saved(saved_models.doubled),
        "--input_query=gs://no-such-bucket/q.sql",
        says=("The file gs://no-such-bucket/q.sql cannot be read", "--input_query"),
    )


def test_a_runner_that_beam_does_not_know(numbers: Workbench, saved: Saved) -> None:
    _refused(
        numbers,
        "score",
        saved(saved_models.doubled),
        "--runner=NoSuchRunner",
        says=("NoSuchRunner", "DirectRunner"),
    )

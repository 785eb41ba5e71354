"""Files of --local that cannot be loaded, and what an account or a user may not do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from bad_inputs import BadCommand, command, file_of
from saved_models import doubled

if TYPE_CHECKING:
    from workbench import Saved, Workbench

Make = Callable[["Workbench"], Path]


def _local(wrong: str, message: str, make: Make) -> BadCommand:
    """A case of what --local_tables names."""

    def line(bench: Workbench, saved: Saved) -> list[str]:
        table = f"--local_tables={bench.name('t')}={make(bench)}"
        return command(bench, "m", "--local", table)

    return BadCommand(wrong, line, message)


def _parquet(table: pa.Table) -> Make:
    def make(bench: Workbench) -> Path:
        path = bench.folder / "t.parquet"
        pq.write_table(table, path)
        return path

    return make


def _half(bench: Workbench) -> Path:
    path = _parquet(pa.table({"x": [1.0] * 1000}))(bench)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def _folder(*names: str) -> Make:
    def make(bench: Workbench) -> Path:
        (bench.folder / "parts").mkdir()
        for name in names:
            file_of(bench, f"parts/{name}", "a\n1\n")
        return bench.folder / "parts"

    return make


def _file(name: str, content: bytes | str) -> Make:
    return lambda bench: file_of(bench, name, content)


LOCAL_FILES = (
    _local(
        "a file that is not there", "FOLDER/none.csv: no such file", lambda b: b.folder / "none.csv"
    ),
    _local(
        "a file without an extension",
        "FOLDER/t: cannot tell the format by the extension '': expected one of "
        ".parquet .csv .jsonl .ndjson .json .avro",
        _file("t", "a\n1\n"),
    ),
    _local(
        "an Excel file",
        "FOLDER/t.xls: cannot tell the format by the extension '.xls': "
        "expected one of .parquet .csv .jsonl .ndjson .json .avro",
        _file("t.xls", "a"),
    ),
    _local("an empty file", "FOLDER/t.csv: the file is empty", _file("t.csv", "")),
    _local(
        "a CSV file with too many values in a line",
        "FOLDER/t.csv: cannot be loaded into DATASET.t: Error when sniffing "
        'file "FOLDER/t.csv": It was not possible to automatically detect the '
        "CSV parsing dialect",
        _file("t.csv", "a,b\n1,2\n3,4,5\n"),
    ),
    _local(
        "a CSV file with a quote that does not end",
        "FOLDER/t.csv: cannot be loaded into DATASET.t: Error when sniffing "
        'file "FOLDER/t.csv": It was not possible to automatically detect the '
        "CSV parsing dialect",
        _file("t.csv", 'a,b\n1,"2\n3,4\n'),
    ),
    _local(
        "a CSV file in Latin-1",
        "FOLDER/t.csv: cannot be loaded into DATASET.t: CSV Error on Line: 2: "
        "Invalid unicode (byte sequence mismatch) detected. This file is not "
        "utf-8 encoded",
        _file("t.csv", "a,b\n1,café\n".encode("latin-1")),
    ),
    _local(
        "a JSON file of one list",
        "FOLDER/t.json: expected a JSON object on each line, got [1, 2]",
        _file("t.json", "[1, 2]"),
    ),
    _local(
        "a JSON line cut in half",
        "FOLDER/t.jsonl: cannot be loaded into DATASET.t: Malformed JSON in "
        'file "FOLDER/t.jsonl", at byte 6 in line 3: unexpected end of data',
        _file("t.jsonl", '{"a": 1}\n{"a":'),
    ),
    _local(
        "an Avro file that is none",
        "FOLDER/t.avro: cannot be loaded into DATASET.t: Incorrect Avro "
        "container file magic number",
        _file("t.avro", "nothing"),
    ),
    _local(
        "a Parquet file that is none",
        "FOLDER/t.parquet: is not a Parquet file: Parquet file size is 7 "
        "bytes, smaller than the minimum file footer (8 bytes)",
        _file("t.parquet", "nothing"),
    ),
    _local(
        "a Parquet file cut in half",
        "FOLDER/t.parquet: is not a Parquet file: Parquet magic bytes not "
        "found in footer. Either the file is corrupted or this is not a "
        "parquet file.",
        _half,
    ),
    _local(
        "a Parquet file without columns",
        "FOLDER/t.parquet: cannot be loaded into DATASET.t: Failed to read "
        "Parquet file 'FOLDER/t.parquet': Need at least one non-root column in "
        "the file",
        _parquet(pa.table({})),
    ),
    _local(
        "a Parquet file with two columns of one name",
        "FOLDER/t.parquet: has two columns called 'A'; BigQuery takes names "
        "that differ in case alone for the same",
        _parquet(pa.table([pa.array([1]), pa.array([2])], names=["a", "A"])),
    ),
    _local(
        "a Parquet file with lists of lists",
        "FOLDER/t.parquet: cannot be loaded into DATASET.t: Field a: BigQuery "
        "has no array of arrays",
        _parquet(pa.table({"a": pa.array([[[1]]])})),
    ),
    _local(
        "a folder without files",
        "FOLDER/parts: the folder has no .parquet .csv .jsonl .ndjson .json .avro files",
        _folder(),
    ),
    _local(
        "a folder with files of two kinds",
        "FOLDER/parts: has files of several kinds: .csv, .jsonl",
        _folder("a.csv", "b.jsonl"),
    ),
)


def _output(wrong: str, message: str, make: Make) -> BadCommand:
    """A case of what --local_output names."""

    def line(bench: Workbench, saved: Saved) -> list[str]:
        return command(bench, "m", "--local", f"--local_output={make(bench)}")

    return BadCommand(wrong, line, message)


def _closed_model(name: str) -> Callable[[Workbench, Saved], list[str]]:
    """Makes a copy of a model of which the user may not read one file or folder."""

    def make(bench: Workbench, saved: Saved) -> list[str]:
        folder = bench.folder / "model"
        for source in saved(doubled).rglob("*"):
            if source.is_file():
                file_of(bench, f"model/{source.relative_to(saved(doubled))}", source.read_bytes())
        (folder / name).chmod(0)
        return command(bench, folder)

    return make


def _asked(*flags: str) -> Callable[[Workbench, Saved], list[str]]:
    return lambda bench, saved: command(bench, saved(doubled), *flags)


LOCAL_OUTPUTS = (
    _output(
        "a file as folder for results",
        "Nothing can be written to the folder FOLDER/taken: File exists. Give "
        "--local_output another one.",
        lambda b: file_of(b, "taken", ""),
    ),
    _output(
        "a folder for results that cannot be made",
        "Nothing can be written to the folder /proc/results: No such file or "
        "directory. Give --local_output another one.",
        lambda b: Path("/proc/results"),
    ),
)


def _closed_file(flag: str, name: str) -> Callable[[Workbench, Saved], list[str]]:
    """Makes a file that the user may not read, which the flag names."""

    def make(bench: Workbench, saved: Saved) -> list[str]:
        path = file_of(bench, name, "")
        path.chmod(0)
        return command(bench, saved(doubled), "--top_k=1", f"{flag}={path}")

    return make


# Run by a user who may do no more than the files' modes say.
FORBIDDEN_FILES = (
    BadCommand(
        "a model whose graph the user may not read",
        _closed_model("saved_model.pb"),
        "Model FOLDER/model: saved_model.pb cannot be read: Permission denied. "
        "Check its permissions.",
    ),
    BadCommand(
        "a model with a file that the user may not read",
        _closed_model("fingerprint.pb"),
        "Model FOLDER/model: fingerprint.pb cannot be read: Permission denied. "
        "Check its permissions.",
    ),
    BadCommand(
        "a model in a folder that the user may not enter",
        _closed_model("."),
        "Model FOLDER/model: saved_model.pb cannot be read: Permission denied. "
        "Check its permissions.",
    ),
    BadCommand(
        "an archive that the user may not read",
        _closed_file("--model", "m.tar.gz"),
        "Model FOLDER/m.tar.gz cannot be read: Permission denied. Check --model.",
    ),
    BadCommand(
        "a query that the user may not read",
        _closed_file("--input_query", "q.sql"),
        "The file FOLDER/q.sql cannot be read: [Errno 13] Permission denied: "
        "'FOLDER/q.sql'. Check --input_query.",
    ),
    BadCommand(
        "labels that the user may not read",
        _closed_file("--class_labels", "l.txt"),
        "The file FOLDER/l.txt cannot be read: [Errno 13] Permission denied: "
        "'FOLDER/l.txt'. Check --class_labels.",
    ),
)

# Asked of a BigQuery and a Cloud Storage that refuse everything.
REFUSED_REQUESTS = (
    BadCommand(
        "no right to read the table",
        _asked("--input_table=shop.t"),
        "No permission for reading table PROJECT.shop.t: Access Denied: Table "
        "PROJECT:shop.t: Permission bigquery.tables.get denied. Grant the "
        "account of this job the missing role, or run it as another one.",
    ),
    BadCommand(
        "no right to run the query",
        _asked("--input_query=SELECT 1.0 AS x"),
        "No permission for the query: Access Denied: Table PROJECT:shop.t: "
        "Permission bigquery.tables.get denied. Grant the account of this job "
        "the missing role, or run it as another one.",
    ),
)

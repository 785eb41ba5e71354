"""Local files as tables of the embedded BigQuery, and its tables as Parquet files."""

from __future__ import annotations

import contextlib
import glob
import itertools
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from google.api_core.exceptions import GoogleAPICallError
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import types

from pipeline.local.errors import LocalError
from transforms import clients

FORMATS = {
    ".parquet": bigquery.SourceFormat.PARQUET,
    ".csv": bigquery.SourceFormat.CSV,
    ".jsonl": bigquery.SourceFormat.NEWLINE_DELIMITED_JSON,
    ".ndjson": bigquery.SourceFormat.NEWLINE_DELIMITED_JSON,
    ".json": bigquery.SourceFormat.NEWLINE_DELIMITED_JSON,
    ".avro": bigquery.SourceFormat.AVRO,
}
"""What can be loaded, by the file's extension. CSV has a header; JSON has one object a line."""

_NAME_PARTS = 2
_SHOWN_BYTES = 40
_PREFIX = re.compile("(Error while reading data, error message: )?(Invalid Input Error: )?")
# DuckDB shows another line than the one that it speaks of.
_NOT_THE_LINE = re.compile("Original Line: ")
# Lines of DuckDB's messages from which on they speak of its parameters.
_ADVICE = re.compile("Possible |The search space ")


def load_table(client: bigquery.Client, name: str, path: str) -> int:
    """Makes the table `name` ("dataset.table") of a file, a folder of parts or a pattern.

    A table of that name is replaced; its dataset is created. Parquet LIST columns become ARRAY
    columns; the columns of CSV and JSON get the types that all their values have. Returns the
    number of rows.

    Raises:
        LocalError: the name or the files cannot be used; the message says why.
    """
    dataset, _ = _name_parts(name)
    files, extension = _files(path)
    job_config = bigquery.LoadJobConfig(
        source_format=FORMATS[extension], write_disposition="WRITE_TRUNCATE"
    )
    if extension == ".parquet":
        job_config.parquet_options = bigquery.ParquetOptions.from_api_repr(
            {"enableListInference": True}
        )
    elif extension != ".avro":
        job_config.autodetect = True
    if extension == ".csv":
        job_config.skip_leading_rows = 1
    client.create_dataset(dataset, exists_ok=True)
    with _loadable(files, extension) as loadable:
        # The embedded service reads local files in place.
        uris = [f"file://{file.resolve()}" for file in loadable]
        job = client.load_table_from_uri(uris, name, job_config=job_config)
        try:
            job.result()
        except GoogleAPICallError as error:
            reason = (job.error_result or {}).get("message") or error.message
            raise LocalError(f"{path}: cannot be loaded into {name}: {_gist(reason)}") from error
    return int(job.output_rows or 0)


def export_table(client: bigquery.Client, name: str, folder: Path) -> Path:
    """Writes the table `name` ("dataset.table") to ``folder/dataset.table.parquet``.

    Column types are those of the Storage Read API's Arrow schema. Memory does not grow with the
    table. A file of an earlier export is replaced when the new one is complete.

    Raises:
        LocalError: there is no such table.
    """
    dataset, table = _name_parts(name)
    reader = clients.bigquery_read_client()
    wanted = types.ReadSession(
        table=f"projects/{client.project}/datasets/{dataset}/tables/{table}",
        data_format=types.DataFormat.ARROW,
    )
    try:
        session = reader.create_read_session(
            parent=f"projects/{client.project}", read_session=wanted, max_stream_count=1
        )
    except GoogleAPICallError as error:
        raise LocalError(f"{name}: cannot be exported: {error.message}") from error
    schema = pa.ipc.read_schema(pa.py_buffer(session.arrow_schema.serialized_schema))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{dataset}.{table}.parquet"
    partial = path.with_suffix(".partial")
    with pq.ParquetWriter(partial, schema, compression="zstd") as writer:
        for stream in session.streams:
            for response in reader.read_rows(stream.name):
                message = response.arrow_record_batch.serialized_record_batch
                writer.write_batch(pa.ipc.read_record_batch(message, schema))
    return partial.replace(path)


def _name_parts(name: str) -> tuple[str, str]:
    parts = name.split(".")
    if len(parts) != _NAME_PARTS or not all(parts):
        raise LocalError(f"{name!r} is no name of a local table: expected dataset.table")
    return parts[0], parts[1]


def _files(path: str) -> tuple[list[Path], str]:
    """The files that `path` stands for and the extension that they share."""
    try:
        found = _found(path)
    except OSError as error:
        raise LocalError(f"{path}: cannot be read: {error.strerror}") from error
    extensions = {file.suffix.lower() for file in found}
    if len(extensions) > 1:
        raise LocalError(f"{path}: has files of several kinds: {', '.join(sorted(extensions))}")
    extension = extensions.pop()
    if extension not in FORMATS:
        raise LocalError(
            f"{path}: cannot tell the format by the extension {extension!r}: "
            f"expected one of {_extensions()}"
        )
    for file in found:
        _check_content(file, extension)
    return found, extension


def _found(path: str) -> list[Path]:
    given = Path(path)
    if given.is_dir():
        found = sorted(child for child in given.iterdir() if child.suffix.lower() in FORMATS)
        if not found:
            raise LocalError(f"{path}: the folder has no {_extensions()} files")
        return found
    if given.exists():
        return [given]
    # Path.glob takes no absolute pattern.
    found = sorted(map(Path, glob.glob(path)))
    if not found:
        raise LocalError(f"{path}: no such file")
    return found


def _check_content(file: Path, extension: str) -> None:
    """Finds what the embedded service would say nothing clear about."""
    try:
        if file.stat().st_size == 0:
            raise LocalError(f"{file}: the file is empty")
        if FORMATS[extension] != bigquery.SourceFormat.NEWLINE_DELIMITED_JSON:
            return
        with file.open("rb") as lines:
            first = next((line for line in lines if line.strip()), b"")
    except OSError as error:
        raise LocalError(f"{file}: cannot be read: {error.strerror}") from error
    if not first.lstrip().startswith(b"{"):
        shown = first.strip()[:_SHOWN_BYTES].decode(errors="replace") or "blank lines"
        raise LocalError(f"{file}: expected a JSON object on each line, got {shown}")


def _gist(reason: str) -> str:
    """What the service says of a file, without its own settings and advice for them."""
    lines = (line.strip() for line in _PREFIX.sub("", reason).splitlines())
    telling = itertools.takewhile(lambda line: line and not _ADVICE.match(line), lines)
    return ": ".join(line.rstrip(".") for line in telling if not _NOT_THE_LINE.match(line))


def _extensions() -> str:
    return " ".join(FORMATS)


@contextlib.contextmanager
def _loadable(files: Sequence[Path], extension: str) -> Iterator[list[Path]]:
    """The files, or copies where BigQuery would refuse what is usual in Parquet files."""
    with tempfile.TemporaryDirectory(prefix="bulkscore-load-") as folder:
        if extension != ".parquet":
            yield list(files)
            return
        copies = Path(folder)
        yield [_in_microseconds(file, copies / f"{i}.parquet") for i, file in enumerate(files)]


def _in_microseconds(file: Path, copy: Path) -> Path:
    """`file`, or `copy` of it when it has times in nanoseconds, which pandas writes."""
    try:
        source = pq.ParquetFile(file)
    except (OSError, pa.ArrowException) as error:
        raise LocalError(f"{file}: is not a Parquet file: {error}") from error
    with source:
        schema = source.schema_arrow
        _check_names(file, schema.names)
        target = pa.schema([field.with_type(_microseconds(field.type)) for field in schema])
        if target.equals(schema):
            return file
        with pq.ParquetWriter(copy, target) as writer:
            for batch in source.iter_batches():
                writer.write_batch(batch.cast(target, safe=False))
    return copy


def _check_names(file: Path, names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            raise LocalError(
                f"{file}: has two columns called {name!r}; BigQuery takes names that differ in "
                "case alone for the same"
            )
        seen.add(name.lower())


def _microseconds(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return pa.timestamp("us", tz=kind.tz)
    if pa.types.is_time64(kind) and kind.unit == "ns":
        return pa.time64("us")
    return kind

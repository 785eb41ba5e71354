"""Extract jobs: a table as files in Cloud Storage.

bqemulator does not know the wildcard of `destinationUris` and writes past the Cloud Storage server,
which then does not know the objects. The real service: "Exporting table data", and
JobConfigurationExtract in "REST Resource: jobs".
"""

from __future__ import annotations

import os
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import duckdb
from bqemulator.api.dependencies import AppContext
from bqemulator.domain.errors import ValidationError

from pipeline.local.service.geography import sent
from pipeline.local.service.tables import (
    TableName,
    fields_of,
    require_table,
    rows_of,
    table_name,
)

_FORMATS = {
    "CSV": "FORMAT csv, HEADER",
    "NEWLINE_DELIMITED_JSON": "FORMAT json",
    "AVRO": "FORMAT avro",
    "PARQUET": "FORMAT parquet",
}
_FIRST_SHARD = "000000000000"
_UPLOAD_TIMEOUT_S = 600.0


def execute_extract(context: AppContext, project: str, extract: dict[str, Any]) -> dict[str, Any]:
    """Runs an extract job and returns its statistics: one file, the wildcard's shard 0.

    Raises:
        DomainError: the job fails.
    """
    name = table_name(extract["sourceTable"], project)
    columns = ", ".join(map(sent, fields_of(require_table(context, name))))
    rows = f"SELECT {columns} FROM {rows_of(context, name)}"
    uris = extract.get("destinationUris") or [extract.get("destinationUri") or ""]
    if len(uris) != 1 or not uris[0].startswith("gs://"):
        raise ValidationError(f"Invalid extract destination URIs {uris}: expected one gs:// URI")
    source_format = str(extract.get("destinationFormat") or "CSV").upper()
    if source_format not in _FORMATS:
        raise ValidationError(f"Invalid destinationFormat: {source_format}")
    with tempfile.TemporaryDirectory(dir=context.settings.data_dir) as folder:
        file = Path(folder, "extract")
        _write(context.engine.connection, name, rows, f"TO '{file}' ({_FORMATS[source_format]})")
        _upload(file, uris[0].replace("*", _FIRST_SHARD))
    return {"extract": {"destinationUriFileCounts": ["1"]}}


def _write(connection: duckdb.DuckDBPyConnection, name: TableName, rows: str, target: str) -> None:
    try:
        connection.execute(f"COPY ({rows}) {target}")
    except duckdb.Error as error:
        raise ValidationError(f"Extracting {name}: {error}") from error


def _upload(file: Path, uri: str) -> None:
    bucket, _, key = uri.removeprefix("gs://").partition("/")
    query = urllib.parse.urlencode({"uploadType": "media", "name": key})
    url = f"{os.environ['STORAGE_EMULATOR_HOST']}/upload/storage/v1/b/{bucket}/o?{query}"
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Length": str(file.stat().st_size),
    }
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with file.open("rb") as content:
        request = urllib.request.Request(url, content, headers, method="POST")
        with opener.open(request, timeout=_UPLOAD_TIMEOUT_S):
            return

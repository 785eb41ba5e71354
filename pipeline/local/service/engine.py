"""DuckDB as the embedded BigQuery uses it: no network, no home folder, one connection a thread."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
from bqemulator.config import Settings
from bqemulator.storage.engine import DuckDBEngine

from pipeline.local.service.matches import check_statement

_EXTENSIONS = ("spatial", "avro")


class LocalEngine(DuckDBEngine):
    """bqemulator's engine with the differences that the first line of this module names.

    The statements of one DuckDB connection share its result: bqemulator's single connection would
    hand one thread the rows of another. Each thread gets its own connection to the same database.

    `before_statement` is told every statement that `execute` is about to run.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._owner = threading.get_ident()
        self._connections = threading.local()
        self.before_statement: Callable[[str], None] = _nothing

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        main = super().connection
        if threading.get_ident() == self._owner:
            return main
        own: duckdb.DuckDBPyConnection | None = getattr(self._connections, "own", None)
        if own is None:
            own = self._connections.own = main.cursor()
        return own

    def execute(self, sql: str, parameters: list[Any] | None = None) -> duckdb.DuckDBPyConnection:
        """Runs a statement, also for `fetch_arrow`; MERGE and UPDATE as the real service would.

        Raises:
            InvalidQueryError: a row that would be updated or deleted matches several source rows.
        """
        check_statement(self.connection, sql, parameters or [])
        self.before_statement(sql)
        return super().execute(sql, parameters)

    def _apply_session_pragmas(self) -> None:
        folder = self._settings.data_dir
        if folder is None:
            raise ValueError("LocalEngine needs settings.data_dir for what DuckDB spills to disk")
        connection = self.connection
        # The default is a folder ".tmp" in the working directory.
        connection.execute(f"SET temp_directory = '{_quoted(folder / 'spill')}'")
        connection.execute(f"SET extension_directory = '{_quoted(folder / 'extensions')}'")
        connection.execute("SET autoinstall_known_extensions = false")
        connection.execute("SET GLOBAL TimeZone = 'UTC'")

    def _load_spatial(self) -> None:
        """Loads the extensions from their packages: nothing is downloaded or installed."""
        for name in _EXTENSIONS:
            self.connection.execute(f"LOAD '{_quoted(extension_file(name))}'")

    def _load_format_extensions(self) -> None:
        """Nothing: `_load_spatial` loads every extension."""


def extension_file(name: str) -> Path:
    """The DuckDB extension `name` inside its package ``duckdb-extension-<name>``.

    Raises:
        FileNotFoundError: the package is for another version of DuckDB.
    """
    module = importlib.import_module(f"duckdb_extension_{name}")
    folder = Path(str(module.__file__)).parent / "extensions" / f"v{duckdb.__version__}"
    file = folder / f"{name}.duckdb_extension"
    if not file.is_file():
        raise FileNotFoundError(
            f"{file}: the package duckdb-extension-{name} does not fit duckdb; "
            f"install duckdb-extension-{name}=={duckdb.__version__}"
        )
    return file


def _nothing(_sql: str) -> None:
    """What happens before a statement until somebody wants to know of them."""


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")

"""BigQuery that refuses or does not answer: one message, in bounded time."""

import time
from collections.abc import Iterator

import pytest
from refusing_service import refusing_service
from saved_models import doubled
from workbench import Saved, Workbench

from transforms import clients

_PATIENCE_S = 60.0


@pytest.fixture
def refusing() -> Iterator[str]:
    """URL of a BigQuery that refuses everything."""
    with refusing_service() as url:
        yield url


@pytest.mark.parametrize(
    ("source", "doing"),
    [
        ("--input_table=shop.t", "reading table bulkscore-local.shop.t"),
        ("--input_query=SELECT 1.0 AS x", "the query"),
    ],
)
def test_no_permission(
    bench: Workbench,
    saved: Saved,
    refusing: str,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    doing: str,
) -> None:
    monkeypatch.setenv(clients.BIGQUERY_URL, refusing)

    outcome = bench.score(saved(doubled), source)

    outcome.refused_with(f"No permission for {doing}", "bigquery.tables.get denied", "role")


def test_bigquery_that_cannot_be_reached(
    bench: Workbench, saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Port 9 is the discard service, which nobody runs.
    monkeypatch.setenv(clients.BIGQUERY_URL, "http://127.0.0.1:9")
    started = time.monotonic()

    outcome = bench.score(saved(doubled), "--input_table=shop.t")

    assert time.monotonic() - started < _PATIENCE_S
    outcome.refused_with("Reading table bulkscore-local.shop.t failed", "127.0.0.1", "network")

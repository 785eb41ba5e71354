"""Services behind proxies that let calls fail."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from faulty_cloud import FaultyCloud, faulty_cloud
from whole_job import JobRunner


@pytest.fixture(scope="module")
def faulty() -> Iterator[FaultyCloud]:
    """For a module only: meanwhile the environment names the proxies."""
    with faulty_cloud() as running:
        yield running


@pytest.fixture(scope="module")
def runner(faulty: FaultyCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobRunner]:
    """Runs whole jobs; what they set up for logging goes with the module."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield JobRunner(faulty, tmp_path_factory.mktemp("faults"))
    root.handlers[:] = handlers
    root.setLevel(level)

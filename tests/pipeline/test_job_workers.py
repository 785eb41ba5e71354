"""Several worker threads and processes on this machine."""

import threading
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam
import pytest
from saved_models import vectors
from workbench import Saved, Workbench

from options.parse import parse
from pipeline import cli, job
from pipeline.graph import build
from pipeline.machines import machines_of
from pipeline.plan import make_plan
from scoring import metrics
from transforms import table_source
from transforms.publishing_jobs import make_run_tables
from transforms.score import SavedModelHandler
from transforms.source import Source

_ROWS = 5000


@pytest.fixture
def numbers(bench: Workbench) -> Workbench:
    """Table t, one row of which cannot be fed; large enough for several read streams."""
    bench.sql(
        "CREATE TABLE t AS SELECT id, REPEAT('x', 1000) AS ballast, "
        "IF(id = 4321, [1.0], [id * 1.0, 0.0, 0.0, 2.0]) AS x "
        f"FROM UNNEST(GENERATE_ARRAY(1, {_ROWS})) AS id"
    )
    return bench


def _assert_scored(bench: Workbench) -> None:
    assert bench.rows() == [
        {"id": i, "y": [float(i), 2.0, 0.5 * i + 1]} for i in range(1, _ROWS + 1) if i != 4321
    ]
    assert [(r["id"], r["code"]) for r in bench.rejects()] == [(4321, "WRONG_LENGTH")]
    assert bench.tables() == {"t", "p", "p__rejects", "p__runs"}


def test_two_threads_score_every_row_once_with_one_model(numbers: Workbench, saved: Saved) -> None:
    outcome = numbers.score(
        saved(vectors),
        "--key_columns=id",
        "--max_batch_size=100",
        "--direct_num_workers=2",
        "--direct_running_mode=multi_threading",
    )

    assert outcome.code == cli.OK, outcome.stderr
    _assert_scored(numbers)
    assert outcome.stderr.count("Loaded model") == 1


@pytest.mark.parametrize(
    ("flags", "is_early"),
    [([], True), (["--direct_num_workers=2", "--direct_running_mode=multi_threading"], False)],
)
def test_a_job_of_one_thread_loads_the_model_in_another_and_reads_one_stream(
    numbers: Workbench,
    saved: Saved,
    monkeypatch: pytest.MonkeyPatch,
    flags: list[str],
    *,
    is_early: bool,
) -> None:
    load, open_session = SavedModelHandler._load, table_source.open_session
    loaded_by, streams = list[str](), list[int]()

    def watched_load(handler: SavedModelHandler) -> Any:
        loaded_by.append(threading.current_thread().name)
        return load(handler)

    def watched_open(source: Source, table: Any, count: int) -> Any:
        streams.append(count)
        return open_session(source, table, count)

    monkeypatch.setattr(SavedModelHandler, "_load", watched_load)
    monkeypatch.setattr(table_source, "open_session", watched_open)
    outcome = numbers.score(saved(vectors), "--key_columns=id", *flags)

    assert outcome.code == cli.OK, outcome.stderr
    assert [name.startswith("load") for name in loaded_by] == [is_early]
    assert [count == 1 for count in streams] == [is_early]


@pytest.mark.parametrize("sharing", [[], ["--model_copies=1", "--redistribute=on"]])
def test_two_processes_score_every_row_once_and_load_the_model_once_each_or_together(
    numbers: Workbench, saved: Saved, sharing: list[str]
) -> None:
    parsed = parse(
        [
            "score",
            f"--input_table={numbers.name('t')}",
            f"--model={saved(vectors)}",
            "--key_columns=id",
            "--max_batch_size=100",
            f"--output_table={numbers.name('p')}",
            f"--project={numbers.cloud.project}",
            "--direct_num_workers=2",
            "--direct_running_mode=multi_processing",
            *sharing,
        ]
    )
    options = job.pipeline_options(parsed.beam_args, temp_location=numbers.cloud.temp_location)
    machines = machines_of(options)
    plan, _ = make_plan(parsed.config, numbers.client, numbers.folder, datetime.now(UTC), machines)
    assert not machines.are_one_thread_here
    pipeline = beam.Pipeline(options=options)
    build(pipeline, plan)
    make_run_tables(numbers.client, plan.publication, datetime.now(UTC))

    finished = pipeline.run()

    assert finished.wait_until_finish() == "DONE"
    _assert_scored(numbers)
    by_name = beam.metrics.MetricsFilter().with_name(metrics.MODEL_LOAD_MS)
    (loads,) = finished.metrics().query(by_name)["distributions"]
    # One of the two processes may have been given nothing to score.
    assert 1 <= loads.result.count <= (1 if sharing else 2)

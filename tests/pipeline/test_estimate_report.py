"""What `check` says of a job on Dataflow, by what is known of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.errors import PlanError
from pipeline.estimate import AskedWorkers, Usage
from pipeline.estimate_report import Estimate, estimate_text, workers_text
from scoring.schema import Field
from scoring.timing import Speed
from transforms.resources import ScoringResources
from transforms.source import Source

MB = 10**6
# A thousand rows a second and core: 3.6 million rows are one vCPU-hour.
SPEED = Speed(rows=1000, call_rows=64, seconds=0.9, cpu_seconds=1.0)
USAGE = Usage(
    base_bytes=100 * MB,
    idle_bytes=700 * MB,
    loaded_bytes=900 * MB,
    peak_bytes=1000 * MB,
    row_bytes=40.0,
    tried_rows=64,
    call_rows=64,
    speed=SPEED,
)
NO_ROWS = replace(USAGE, peak_bytes=900 * MB, row_bytes=0.0, tried_rows=0, call_rows=0, speed=None)
TABLE = Source("p.d.t", None, (Field("x", "FLOAT"),), "p", "job")
QUERY = replace(TABLE, table=None, query="SELECT 1.0 AS x")
ESTIMATE = Estimate(
    source=TABLE,
    source_rows=3_600_000,
    scanned_bytes=28_800_000,
    usage=USAGE,
    programs_bytes=250 * MB,
    resources=ScoringResources(),
    asked=AskedWorkers(),
)


def _facts(estimate: Estimate) -> dict[str, str]:
    """What is said by its label; further lines after the first, in one."""
    said: dict[str, str] = {}
    label = ""
    for line in estimate_text(estimate).splitlines()[2:]:
        label = line[:19].strip() or label
        said[label] = f"{said[label]} | {line[21:]}" if label in said else line[21:]
    return said


def _asked(**options: object) -> Estimate:
    return replace(ESTIMATE, asked=replace(ESTIMATE.asked, **options))


def test_what_is_known_of_a_table() -> None:
    assert _facts(ESTIMATE) == {
        "rows": "3,600,000, by the metadata of the table",
        "bytes read": "28.8 MB, by a dry run of a SELECT of the columns read",
        "calls of the model": "56,250, of up to 64 rows",
        "time of a row": "1 ms of one core | 1,000 rows took 0.90 s here and 1.00 s of processor "
        "time; the longer counts",
        "memory of a process": "1.3 GB, of which | 850.0 MB Python, TensorFlow and Beam | "
        "200.0 MB the model | 100.0 MB calls of 64 rows | 184.5 MB batches and files being "
        "written",
        "machine type": "n1-standard-1: 1 vCPU, 3.75 GB, the smallest with room | "
        "2.3 GB for 1 process and the system",
    }


@pytest.mark.parametrize(
    ("estimate", "rows", "bytes_read"),
    [
        (
            replace(ESTIMATE, source=replace(TABLE, row_restriction="x > 0"), scanned_bytes=None),
            "at most 3,600,000: what --row_restriction leaves of them is unknown",
            "at most 144.0 MB, by the rows of the sample",
        ),
        (
            replace(
                ESTIMATE,
                source=replace(TABLE, snapshot_time=datetime(2025, 1, 1, tzinfo=UTC)),
            ),
            "3,600,000, by the metadata of the table as it is now",
            "28.8 MB, by a dry run of a SELECT of the columns read",
        ),
        (
            replace(ESTIMATE, source=QUERY, source_rows=None, usage=NO_ROWS),
            "unknown before the query has run",
            "the query scans 28.8 MB, by a dry run; the size of its result is known when it has "
            "run",
        ),
        (
            replace(ESTIMATE, source_rows=0, usage=NO_ROWS, scanned_bytes=None),
            "0, by the metadata of the table",
            "unknown",
        ),
    ],
    ids=["restriction", "snapshot", "query", "empty"],
)
def test_what_is_not_known_is_said_to_be_unknown(
    estimate: Estimate, rows: str, bytes_read: str
) -> None:
    said = _facts(estimate)
    assert (said["rows"], said["bytes read"]) == (rows, bytes_read)


@pytest.mark.parametrize(
    ("estimate", "machine"),
    [
        (
            _asked(machine_type="n2-standard-4"),
            "n2-standard-4: 4 vCPUs, 16 GB, has room | 6.3 GB for 4 processes and the system",
        ),
        (
            _asked(machine_type="n1-highcpu-2"),
            "n1-highcpu-2: 2 vCPUs, 1.8 GB, TOO SMALL | 3.7 GB for 2 processes and the system | "
            "n1-standard-1: 1 vCPU, 3.75 GB, the smallest with room | "
            "2.3 GB for 1 process and the system",
        ),
        (
            _asked(machine_type="n9-mega-3"),
            "n9-mega-3 is not known here | n1-standard-1: 1 vCPU, 3.75 GB, the smallest with room "
            "| 2.3 GB for 1 process and the system",
        ),
        (
            _asked(machine_type="n2-standard-2", is_one_process=True),
            "n2-standard-2: 2 vCPUs, 8 GB, has room | 2.3 GB for 1 process and the system; one "
            "only by --experiments=no_use_multiple_sdk_containers",
        ),
        (
            replace(
                _asked(machine_type="n2-standard-4"), resources=ScoringResources(model_copies=1)
            ),
            "n2-standard-4: 4 vCPUs, 16 GB, has room | "
            "6.6 GB for 4 processes and 1 copy of the model and the system",
        ),
        (
            replace(ESTIMATE, usage=replace(USAGE, loaded_bytes=10**12, peak_bytes=10**12)),
            "none known here has room for a process of 1,000.3 GB",
        ),
    ],
    ids=["room", "too small", "unknown", "one process", "shared", "nowhere"],
)
def test_a_machine_type_and_whether_it_has_room(estimate: Estimate, machine: str) -> None:
    assert _facts(estimate)["machine type"] == machine


def test_a_call_that_was_not_tried_is_judged_by_smaller_ones() -> None:
    estimate = replace(ESTIMATE, usage=replace(USAGE, call_rows=128))
    calls = "at most 200.0 MB calls of 128 rows, judged by some of 64"
    assert calls in _facts(estimate)["memory of a process"]


def _table(text: str) -> list[list[str]]:
    """The words of the lines between the header and the assumptions."""
    return [line.split() for line in text.split("\n\n")[0].splitlines()[2:]]


def test_workers_time_and_hours() -> None:
    assert _table(workers_text(ESTIMATE, None)) == [
        ["1", "65", "min", "1.08", "4.06"],
        ["10", "11", "min", "1.83", "6.88"],
        ["100", "5.6", "min", "9.33", "35.00"],
        ["1,000", "5.1", "min", "84.33", "316.25"],
    ]
    assert _table(workers_text(_asked(max_num_workers=20), None)) == [
        ["1", "65", "min", "1.08", "4.06"],
        ["10", "11", "min", "1.83", "6.88"],
        ["20", "8", "min", "2.67", "10.00"],
    ]
    # 25 minutes are left for an hour's work.
    assert _table(workers_text(ESTIMATE, timedelta(minutes=30))) == [
        ["3", "25", "min", "1.25", "4.69"]
    ]


def test_a_deadline_that_no_workers_meet() -> None:
    with pytest.raises(PlanError, match=r"^--deadline 8 min is too short: with 4 workers of "):
        workers_text(_asked(max_num_workers=4), timedelta(minutes=8))


def test_without_rows_no_time_is_told() -> None:
    of_query = replace(ESTIMATE, source=QUERY, source_rows=None, usage=NO_ROWS)
    assert workers_text(of_query, timedelta(hours=2)) == (
        "Time and workers for 2 h cannot be told, as rows are unknown: a table with some of the "
        "rows as --input_table gives the time of a row."
    )
    assert "as no row was scored" in workers_text(replace(ESTIMATE, usage=NO_ROWS), None)


def test_gpus_are_not_what_was_timed() -> None:
    hinted = replace(ESTIMATE, resources=ScoringResources(hints=(("accelerator", "type:l4"),)))
    for estimate in (hinted, _asked(has_accelerator=True)):
        assert workers_text(estimate, None).endswith("the times are those of this machine.")
    assert "GPU" not in workers_text(ESTIMATE, None)

"""What is printed and written of measures that are given."""

import json
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import pytest

from benchmarks import scale
from benchmarks.harness import Run
from benchmarks.processes import Usage
from benchmarks.results import Failure, ratios, spread, text, write_json
from benchmarks.scale import growth
from benchmarks.task import Report

USAGE = Usage(
    wall_s=9.0, cpu_s=8.0, peak_bytes=700_000_000, servers_cpu_s=2.0, servers_peak_bytes=10**9
)


def _run(contestant: str, number: int, job_s: float) -> Run:
    return Run("a8", contestant, number, 1_000, Report(job_s, 1_000), USAGE)


RUNS = [
    _run("ours", 1, 2.0),
    _run("script", 1, 1.0),
    _run("script", 2, 3.0),
    _run("ours", 2, 1.0),
    _run("bare", 3, 1.0),
]


def test_ratios_are_between_runs_of_a_round() -> None:
    assert ratios(RUNS, "script") == [0.5, 3.0]
    assert ratios(RUNS, "ours") == [1.0, 1.0]
    assert ratios(RUNS, "bare") == []


def test_ratios_of_whole_processes() -> None:
    slow = replace(RUNS[1], usage=replace(USAGE, wall_s=22.5))

    assert ratios([RUNS[0], slow], "script", attrgetter("process_rows_per_s")) == [2.5]


def test_medians_and_extremes() -> None:
    assert spread([], ",.1f") == "–"
    assert spread([2.0], ",.1f") == "2.0"
    assert spread([4000.0, 1.0, 3.0], ",.1f") == "3.0 (1.0 … 4,000.0)"


def test_text() -> None:
    lines = text(RUNS).splitlines()

    assert lines[0] == "a8: 8 floats"
    (script,) = [line.split("  ") for line in lines if line.startswith("plain script")]
    cells = [cell.strip() for cell in script if cell.strip()]
    assert cells == [
        "plain script",
        "1,000",
        "2.00 (1.00 … 3.00)",
        "667 (333 … 1,000)",
        "9.0",
        "1.75 (0.50 … 3.00)",
        "1.00",
        "8.0",
        "700",
        "2.0",
        "1,000",
    ]


def test_json(tmp_path: Path) -> None:
    failure = Failure("a8", "script", 3, "out of memory")

    write_json(tmp_path / "results.json", RUNS, [failure])

    document = json.loads((tmp_path / "results.json").read_text())
    assert len(document["runs"]) == len(RUNS)
    assert document["runs"][0]["rows_per_s"] == 500.0
    assert document["runs"][0]["usage"]["peak_bytes"] == 700_000_000
    assert document["failures"][0]["message"] == "out of memory"
    assert document["titles"]["script"] == "plain script"
    assert document["versions"]["tensorflow"]
    assert set(document["settings"]) == {"ours", "script", "bare"}


def test_growth() -> None:
    small, large = _run("ours", 1, 2.0), replace(_run("ours", 1, 21.0), rows=10_000)
    large = replace(large, usage=replace(USAGE, peak_bytes=735_000_000))

    assert growth([large, small]) == "rows × 10: job seconds × 10.50, peak memory × 1.05"


def test_table_that_no_machine_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        scale.main(["--rows=1000000000000", f"--folder={tmp_path}"])

    assert "10,000,000,000,000 rows need about" in capsys.readouterr().err

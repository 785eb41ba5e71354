"""The contestants of our own environment score a small workload right; not how fast."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import convolutional_models
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import __main__ as program
from benchmarks.contestants import bare, ours, script, stock
from benchmarks.correctness import problems
from benchmarks.feeds import FEEDS, Columns
from benchmarks.scorer import Scorer
from benchmarks.task import INPUT, OUTPUT, Output, Report, Scoring, Task
from benchmarks.workload import Files, Workload, make_files
from benchmarks.workloads import WORKLOADS
from pipeline import cli
from pipeline.local.servers import LocalCloud
from pipeline.local.tables import export_table, load_table
from scoring.concrete import ByName
from scoring.runtime import tensorflow
from transforms.clients import bigquery_client

ROWS = 300
Program = Callable[[Task], Report]


@pytest.fixture(scope="module")
def workload() -> Workload:
    return WORKLOADS["e"].with_rows(ROWS)


@pytest.fixture(scope="module")
def files(workload: Workload, tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(workload, tmp_path_factory.mktemp("bench"))


@pytest.fixture
def task(workload: Workload, files: Files, tmp_path: Path, cloud: LocalCloud) -> Task:
    table, model, folder = str(files.table), str(files.model), str(tmp_path)
    return Task(workload.scoring, table, ROWS, model, folder, cloud.project, cloud.bucket)


@pytest.fixture
def score(
    task: Task, workload: Workload, files: Files, cloud: LocalCloud
) -> Iterator[Callable[[Program], None]]:
    """Scores the workload in this process and asserts that the result is right."""
    client = bigquery_client(cloud.project)
    load_table(client, INPUT, task.table)
    result = Path(task.folder) / f"{OUTPUT}.parquet"

    def check(contestant: Program) -> None:
        bare.score(task)
        result.replace(files.expected)
        report = contestant(task)
        export_table(client, OUTPUT, result.parent)
        assert problems(result, files, workload) == []
        assert report.rows == ROWS
        assert report.job_s > 0

    yield check
    client.delete_dataset(INPUT.split(".")[0], delete_contents=True)


def test_script(score: Callable[[Program], None]) -> None:
    score(script.score)


@pytest.mark.parametrize("method", ["DIRECT_READ", "EXPORT"])
def test_stock(score: Callable[[Program], None], method: str) -> None:
    score(lambda task: stock.score(task, method))


def test_ours(score: Callable[[Program], None], capsys: pytest.CaptureFixture[str]) -> None:
    def command_line(task: Task) -> Report:
        capsys.readouterr()
        assert cli.main(ours.command(task, is_local=False)[1:]) == cli.OK
        return ours.report(capsys.readouterr().out)

    score(command_line)


def test_scores_with_folded_normalisations_are_the_same(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pictures(
        features: Mapping[str, str], columns: Columns, specs: Mapping[str, Any]
    ) -> dict[str, Any]:
        return {"image": tensorflow().constant(columns["image"])}

    monkeypatch.setitem(FEEDS, "pictures", pictures)
    folder = convolutional_models.normalised(tmp_path / "model")
    scoring = Scoring({"image": "image"}, (Output("scores", "scores", repeated=True),))
    task = replace(task, model=str(folder), scoring=replace(scoring, feed="pictures"))
    images = {"image": np.random.default_rng(1).random((5, 6, 6, 3), np.float32)}

    expected = Scorer(task)(images)["scores"]
    scorer = Scorer(task, is_folded=True)
    scores = scorer(images)["scores"]

    assert isinstance(scorer._call, ByName)
    assert scores.shape == (5, 4)
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-6)


def test_task_crosses_to_another_process(task: Task) -> None:
    assert Task.read(task.write()) == task


def test_report_crosses_back(task: Task) -> None:
    report = Report(1.5, ROWS, {"load": 0.5})
    task.report.write_text(json.dumps(asdict(report)))

    assert Report.read(task.report) == report


def test_whole_command_with_a_wrong_value(
    task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workload = WORKLOADS["a8"].with_rows(ROWS)
    files = make_files(workload, tmp_path)
    bare.score(replace(task, scoring=workload.scoring, table=str(files.table)))
    expected = pq.read_table(tmp_path / f"{OUTPUT}.parquet")
    scores = expected.column("score").to_pylist()
    altered = expected.set_column(1, "score", pa.array([scores[0] + 0.01, *scores[1:]]))
    pq.write_table(altered, files.expected)

    code = program.main([f"--rows={ROWS}", "--contestants=bare", f"--folder={tmp_path}"])

    printed = capsys.readouterr()
    assert code == 1
    assert "a8: 8 floats" in printed.out
    assert "WRONG: " in printed.err
    document = json.loads((tmp_path / "results.json").read_text())
    (run,) = document["runs"]
    (problem,) = run["problems"]
    assert "1 values of score in a batch differ by more than 1e-06; key 0: expected" in problem
    assert document["failures"] == []
    assert (run["workload"], run["contestant"], run["rows"]) == ("a8", "bare", ROWS)
    assert 0 < run["report"]["job_s"] < run["usage"]["wall_s"]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--workloads=a9", "there is no a9; there are a8, "),
        ("--contestants=ours,theirs", "there is no theirs; there are ours, "),
    ],
)
def test_unknown_names(argument: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        program.main([argument])

    assert message in capsys.readouterr().err

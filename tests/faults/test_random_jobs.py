"""Whatever the table, the model and the fault: each row is in the output or the rejects, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from fault_plan import Fault
from google.api_core.exceptions import NotFound
from hypothesis import HealthCheck, Phase, given, settings
from job_points import PERMANENT
from random_jobs import RandomJob, Scores, random_jobs, scores
from saved_models import Builder
from whole_job import JobRunner, run_command

from pipeline import cli
from pipeline.local.tables import load_table

SaveModel = Callable[[Builder], Path]


@pytest.fixture(scope="module")
def save_model(tmp_path_factory: pytest.TempPathFactory) -> SaveModel:
    """Saves a model, each once; returns its folder."""

    @cache
    def save(builder: Builder) -> Path:
        return builder(tmp_path_factory.mktemp("models") / builder.__name__)

    return save


@dataclass(frozen=True)
class Experiment:
    """A random job in a dataset of its own."""

    job: RandomJob
    model: Path
    runner: JobRunner
    dataset: str

    def prepare(self) -> None:
        """Makes the source, and the output table if there is to be one."""
        for name, table in (("t", self.job.source), ("p", self.job.old_output)):
            if table is not None:
                file = self.runner.folder / f"{self.dataset}_{name}.parquet"
                pq.write_table(table, file)
                load_table(self.runner.faulty.client, f"{self.dataset}.{name}", str(file))

    def score(self, fault: Fault | None) -> tuple[int, str]:
        """Runs the job's command; its exit code and what it said."""
        services = self.runner.services(self.dataset)
        arguments = [*self.job.arguments(self.model, self.dataset), *services]
        switch = self.runner.faulty.switch
        try:
            return run_command(switch, arguments, fault)
        finally:
            switch.arm(None)

    def output(self) -> Scores | None:
        """Rows of the output table, None if there is no such table."""
        try:
            return self._scores("p")
        except NotFound:
            return None

    def kept(self) -> Scores:
        """Rows of the table that the refused run left last."""
        sql = "SELECT run_table FROM p__runs WHERE state = 'refused' ORDER BY finished_at DESC"
        return self._scores(self.runner.query(self.dataset, sql)[0]["run_table"])

    def rejected(self) -> Counter[tuple[int | None, str]]:
        """Keys and codes in the rejects table."""
        rows = self.runner.query(self.dataset, "SELECT key.id AS id, code FROM p__rejects")
        return Counter((row["id"], row["code"]) for row in rows)

    def _scores(self, table: str) -> Scores:
        rows = self.runner.query(self.dataset, f"SELECT id, y FROM `{table}`")
        return scores((row["id"], row["y"]) for row in rows)

    def assert_right(self, code: int, said: str) -> None:
        """Every row of the source is where it must be, once."""
        job = self.job
        assert code == (cli.REFUSED if job.is_refused else cli.OK), said
        output, rejected = self.output(), self.rejected()
        made = self.kept() if job.is_refused else _without(output, job.kept_by_publishing)
        assert _keys(made) + _keys(rejected) == Counter(key for key, _ in job.rows)
        assert made == job.scored
        assert rejected == job.rejected
        assert output == job.output


# Each example is a job of seconds: there are few, and none to find a smaller failure.  After the
# tenth Hypothesis would vary those it has.
@settings(
    deadline=None,
    max_examples=10,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
    ],
)
@given(job=random_jobs())
def test_each_row_is_scored_or_rejected_once(
    runner: JobRunner, save_model: SaveModel, job: RandomJob
) -> None:
    with runner.empty_dataset() as dataset:
        experiment = Experiment(job, save_model(job.feature.builder), runner, dataset)
        experiment.prepare()

        code, said = experiment.score(job.fault)

        if code in (cli.OK, cli.REFUSED):
            experiment.assert_right(code, said)
        else:
            assert job.fault is not None, said
            assert job.fault.kind in PERMANENT, said
            assert experiment.output() in (job.old, job.output)
            experiment.assert_right(*experiment.score(None))


def _keys(pairs: Mapping[tuple[int | None, str], int]) -> Counter[int | None]:
    """The keys of rows, each with how often it is there."""
    keys: Counter[int | None] = Counter()
    for (key, _), times in pairs.items():
        keys[key] += times
    return keys


def _without(rows: Scores | None, others: Scores) -> Scores:
    assert rows is not None
    return rows - others

"""One whole job through the proxies, and what became of its tables, row for row."""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from fault_plan import FOREVER, Fault, FaultSwitch, Kind, Point
from faulty_cloud import FaultyCloud
from google.cloud import bigquery
from hurry import hurried_sleeps, hurried_timeouts
from job_points import PERMANENT, QUERY_POINTS, REFUSED_POINTS
from saved_models import doubled

from pipeline import cli

SOURCE_ROWS = 300
REJECTED_IDS = (50, 150, 250)
_OLD_DAY, _NEW_DAY = "2024-05-01", "2024-05-02"
_MARK = -1.0

Rows = Counter[tuple[int, str, float]]
"""Rows (id, day, y) of an output table, each with how often it is there."""

State = tuple[str, str, int | None]
"""Attempt, state and rows read: a row of a runs table."""


def _scored() -> Rows:
    ids = set(range(1, SOURCE_ROWS + 1)) - set(REJECTED_IDS)
    return Counter((i, _NEW_DAY, 2.0 * i) for i in ids)


def _old() -> Rows:
    """Ten rows of another day, and ten whose keys the source has, too."""
    return Counter(
        [(i, _OLD_DAY, _MARK) for i in range(1001, 1011)]
        + [(i, _NEW_DAY, _MARK) for i in range(1, 11)]
    )


OLD, SCORED = _old(), _scored()


def _other_days(rows: Rows) -> Rows:
    return Counter({row: n for row, n in rows.items() if row[1] != _NEW_DAY})


def _other_keys(rows: Rows) -> Rows:
    keys = {row[0] for row in SCORED}
    return Counter({row: n for row, n in rows.items() if row[0] not in keys})


@dataclass(frozen=True)
class Mode:
    """A write mode: what it is asked with, and what the output table has afterwards.

    Attributes:
      layout: SQL between the name of a new output table and AS.
    """

    published: Callable[[Rows], Rows]
    arguments: tuple[str, ...] = ()
    layout: str = ""


MODES: Mapping[str, Mode] = {
    "replace": Mode(lambda old: SCORED),
    "append": Mode(lambda old: old + SCORED),
    "partition": Mode(
        lambda old: _other_days(old) + SCORED, ("--partition=20240502",), "PARTITION BY day"
    ),
    "merge": Mode(lambda old: _other_keys(old) + SCORED),
}
"""Each choice of --write_mode."""


class Outcome(StrEnum):
    """What a run did to the output table, and whether it said so."""

    PUBLISHED = "published"
    REFUSED = "refused, as it was"
    FAILED = "failed, as it was"
    PUBLISHED_FAILED = "published, then failed"
    LOST = "LOST"
    DUPLICATED = "DUPLICATED"
    HALF = "HALF-PUBLISHED"
    NOT_REPORTED = "WRONG EXIT CODE"
    WRONG_REJECTS = "WRONG REJECTS"
    WRONG_RUN_ROWS = "WRONG RUN ROWS"
    NOT_RETRIED = "NOT RETRIED"
    HUNG = "HUNG"
    NO_REASON = "NO REASON"
    NOT_REACHED = "not reached"


GOOD = frozenset({Outcome.PUBLISHED, Outcome.REFUSED, Outcome.FAILED, Outcome.PUBLISHED_FAILED})


def fault_at(kind: Kind, point: Point) -> Fault:
    """The fault of this kind: once, or for ever where it stands for what lasts."""
    return Fault(kind, point, FOREVER if kind in PERMANENT else 1)


@dataclass(frozen=True)
class Trial:
    """One run of the sweep."""

    kind: Kind
    point: Point
    mode: str

    @property
    def fault(self) -> Fault:
        return fault_at(self.kind, self.point)

    @property
    def is_refused(self) -> bool:
        return self.point in REFUSED_POINTS

    def __str__(self) -> str:
        return f"{self.kind} / {self.point.name} / {self.mode}"


@dataclass(frozen=True)
class Finding:
    """What a run showed; `said` is the job's standard error."""

    outcome: Outcome
    code: int
    said: str
    detail: str = ""


@dataclass
class JobRunner:
    """Runs trials one after the other, each in a dataset of its own.

    Attributes:
      folder: for the model and for what runs write.
    """

    faulty: FaultyCloud
    folder: Path
    _model: Path = field(init=False)
    _number: int = 0

    def __post_init__(self) -> None:
        self._model = doubled(self.folder / "doubled")

    def run(self, trial: Trial) -> Finding:
        """Runs the job once with the fault; when it failed, again without, under the same id."""
        with self.dataset(trial.mode) as dataset:
            code, said = self.score(trial, dataset)
            switch = self.faulty.switch
            happened, unanswered = switch.happened, switch.unanswered
            switch.arm(None)
            finding = self.judge(trial, dataset, code, said)
            if unanswered:
                return Finding(Outcome.HUNG, code, said)
            if not happened:
                return Finding(Outcome.NOT_REACHED, code, said, str(finding.outcome))
            if finding.outcome in GOOD and code not in {cli.OK, cli.REFUSED}:
                again, said_again = self.score(trial, dataset, faulty=False)
                repeated = self.judge(trial, dataset, again, said_again, runs=2)
                detail = f"repeated: exit code {again}, {repeated.detail}"
                if repeated.outcome not in GOOD:
                    return Finding(repeated.outcome, code, said + said_again, detail)
                if again != self.expected_code(trial):
                    return Finding(Outcome.NOT_REPORTED, code, said + said_again, detail)
            return finding

    @contextlib.contextmanager
    def dataset(self, mode: str) -> Iterator[str]:
        """A dataset with the source `t` and an output table `p` that has the OLD rows."""
        with self.empty_dataset() as name:
            self.query(name, _SOURCE_SQL)
            self.query(name, f"CREATE TABLE p {MODES[mode].layout} AS {_OLD_SQL}")
            yield name

    @contextlib.contextmanager
    def empty_dataset(self) -> Iterator[str]:
        """A dataset for one job, whose name also is the job's run id."""
        self._number += 1
        name = f"faults_{self._number}"
        client = self.faulty.client
        client.create_dataset(name)
        try:
            yield name
        finally:
            client.delete_dataset(name, delete_contents=True)

    def arguments(self, trial: Trial, dataset: str) -> list[str]:
        """The command line of the trial's job."""
        source = f"--input_table={dataset}.t"
        if trial.point in QUERY_POINTS:
            source = f"--input_query=SELECT * FROM `{dataset}.t`"
        return [
            "score",
            source,
            f"--model={self._model}",
            "--key_columns=id",
            "--passthrough_columns=day",
            f"--output_table={dataset}.p",
            f"--write_mode={trial.mode}",
            f"--run_id={dataset}",
            f"--max_rejected_fraction={0.001 if trial.is_refused else 0.02}",
            *self.services(dataset),
            *MODES[trial.mode].arguments,
        ]

    def services(self, dataset: str) -> list[str]:
        """The part of a command line that names the services."""
        cloud = self.faulty.cloud
        return [f"--project={cloud.project}", f"--temp_location={cloud.temp_location}/{dataset}"]

    def score(self, trial: Trial, dataset: str, *, faulty: bool = True) -> tuple[int, str]:
        """Runs the job; its exit code and what it said on standard error."""
        fault = trial.fault if faulty else None
        return run_command(self.faulty.switch, self.arguments(trial, dataset), fault)

    @staticmethod
    def expected_code(trial: Trial) -> int:
        """The exit code of the trial's job when nothing fails."""
        return cli.REFUSED if trial.is_refused else cli.OK

    def judge(self, trial: Trial, dataset: str, code: int, said: str, *, runs: int = 1) -> Finding:
        """What the tables say about one run, or about two of which the first failed."""
        expected = MODES[trial.mode].published(OLD)
        found = self.output(dataset)
        table = _compare(found, OLD, expected)
        published = table == Outcome.PUBLISHED

        def finding(outcome: Outcome, detail: object = "") -> Finding:
            return Finding(outcome, code, said, str(detail))

        if table not in {Outcome.PUBLISHED, Outcome.FAILED}:
            return finding(table, sorted((found - expected).items())[:5])
        if published == trial.is_refused and code in {cli.OK, cli.REFUSED}:
            return finding(Outcome.NOT_REPORTED, f"exit code {code}, table {table}")
        if code == cli.OK and not published:
            return finding(Outcome.NOT_REPORTED, f"exit code {code}, table {table}")
        if code == self.expected_code(trial):
            rejects, states = self.rejects(dataset), self.states(dataset)
            if rejects != Counter(REJECTED_IDS):
                return finding(Outcome.WRONG_REJECTS, rejects)
            if not _well_recorded(states, "refused" if trial.is_refused else "published", runs):
                return finding(Outcome.WRONG_RUN_ROWS, states)
            return finding(Outcome.REFUSED if trial.is_refused else table)
        if runs == 1 and trial.kind not in PERMANENT:
            return finding(Outcome.NOT_RETRIED, said.strip().splitlines()[-1:])
        if trial.kind == Kind.DENIED and "ermission" not in said:
            return finding(Outcome.NO_REASON, said.strip().splitlines()[-1:])
        return finding(Outcome.PUBLISHED_FAILED if published else table)

    def output(self, dataset: str) -> Rows:
        """The output table's rows."""
        rows = self.query(dataset, "SELECT id, CAST(day AS STRING) AS day, y FROM p")
        return Counter((row["id"], row["day"], row["y"]) for row in rows)

    def rejects(self, dataset: str) -> Counter[int]:
        """Keys of the rejects table's rows."""
        rows = self.query(dataset, "SELECT key.id AS id FROM p__rejects")
        return Counter(row["id"] for row in rows)

    def states(self, dataset: str) -> list[State]:
        """The rows of the runs table, oldest first."""
        rows = self.query(
            dataset, "SELECT attempt, state, rows_read FROM p__runs ORDER BY finished_at"
        )
        return [(row["attempt"], row["state"], row["rows_read"]) for row in rows]

    def query(self, dataset: str, text: str) -> list[Any]:
        """The rows that a statement gives in the dataset, past the proxies."""
        client = self.faulty.client
        reference = bigquery.DatasetReference(client.project, dataset)
        config = bigquery.QueryJobConfig(default_dataset=reference)
        return list(client.query(text, job_config=config).result())


_SOURCE_SQL = (
    f"CREATE TABLE t AS SELECT id, DATE '{_NEW_DAY}' AS day, "
    f"IF(id IN {REJECTED_IDS}, NULL, id * 1.0) AS x "
    f"FROM UNNEST(GENERATE_ARRAY(1, {SOURCE_ROWS})) AS id"
)
_OLD_SQL = (
    f"SELECT id, IF(id > 1000, DATE '{_OLD_DAY}', DATE '{_NEW_DAY}') AS day, {_MARK} AS y, "
    "'old' AS run_id, 'old' AS model_digest FROM "
    "UNNEST(ARRAY_CONCAT(GENERATE_ARRAY(1, 10), GENERATE_ARRAY(1001, 1010))) AS id"
)


def _well_recorded(states: Sequence[State], decision: str, runs: int) -> bool:
    """Whether the runs table says that a run of one or two attempts ended with `decision`.

    An attempt has each state at most once; one that failed may have been stopped before any, or
    after it was scored.
    """
    if len(set(states)) < len(states) or not states or states[-1][1] != decision:
        return False
    last = states[-1][0]
    read = {state: rows for attempt, state, rows in states if attempt == last and state != "failed"}
    others = {state for attempt, state, _ in states if attempt != last or state == "failed"}
    only = others <= ({"scored", "failed"} if runs > 1 else set())
    return read == {"scored": SOURCE_ROWS, decision: SOURCE_ROWS} and only


def run_command(
    switch: FaultSwitch, arguments: Sequence[str], fault: Fault | None
) -> tuple[int, str]:
    """Runs a command in this process; its exit code and what it said on standard error."""
    said = io.StringIO()
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(said))
        stack.enter_context(hurried_sleeps())
        if fault is not None and fault.kind == Kind.HANG:
            stack.enter_context(hurried_timeouts())
        switch.arm(fault)
        code = cli.main(arguments)
    return code, said.getvalue()


def _compare(found: Rows, old: Rows, expected: Rows) -> Outcome:
    if found == expected:
        return Outcome.PUBLISHED
    if found == old:
        return Outcome.FAILED
    if not found - old or not found & SCORED:
        return Outcome.LOST
    if any(n > expected[row] for row, n in found.items() if row in expected):
        return Outcome.DUPLICATED
    return Outcome.HALF if found - old else Outcome.LOST

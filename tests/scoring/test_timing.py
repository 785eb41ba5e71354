"""How long scoring takes, by clocks that the model itself moves on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from scorers import ID, batch_of, scoring_spec

from scoring.batch import CALLS_AT_ONCE, Clock, Scorer
from scoring.conversions import Values
from scoring.schema import Field
from scoring.signature import Signature, TensorSpec
from scoring.timing import Speed, measured_speed

X = Field("x", "FLOAT")
COLUMNS = [ID, X]
SAMPLE = batch_of(COLUMNS, x=[1.0] * 100)


def _signature(rows: int | None = None) -> Signature:
    return Signature(
        "serving_default",
        (TensorSpec("x", "float32", (rows,)),),
        (TensorSpec("y", "float32", (rows,)),),
    )


@dataclass
class TimedModel:
    """x -> y = x; a call takes `call_s` and `row_s` for each row, on `cores` cores."""

    row_s: float
    call_s: float = 0.0
    cores: int = 1
    now: float = 0.0
    rows: list[int] = field(default_factory=list)

    def __call__(self, feed: Mapping[str, Values]) -> dict[str, Values]:
        self.rows.append(len(feed["x"]))
        self.now += self.call_s + self.row_s * len(feed["x"])
        return {"y": feed["x"]}

    @property
    def clock(self) -> Clock:
        return Clock(seconds=lambda: self.now, now=lambda: datetime(2024, 1, 2, tzinfo=UTC))


def _measured(
    model: TimedModel, sample: pa.RecordBatch = SAMPLE, fixed: int | None = None
) -> tuple[Speed, float]:
    """The speed, and how long measuring it took."""
    spec = scoring_spec(_signature(fixed), COLUMNS, max_batch_rows=4096)
    scorer = Scorer(spec, model, model.clock)
    list(scorer.score(sample))
    first, model.rows = model.now, []
    speed = measured_speed(
        scorer,
        sample,
        first,
        least_rows=fixed or 1,
        wall=lambda: model.now,
        cpu=lambda: model.now * model.cores,
    )
    return speed, model.now - first


def test_a_quick_model_is_timed_with_the_calls_of_a_job() -> None:
    model = TimedModel(row_s=1e-6)
    speed, took = _measured(model)
    # Calls grow as they do in a job, while they are quicker than 10 ms.
    assert speed.call_rows == max(model.rows) == 4096
    assert speed.core_seconds_a_row == pytest.approx(1e-6)
    assert took < 3.0


def test_calls_of_any_size_may_cost_the_same() -> None:
    speed, took = _measured(TimedModel(row_s=2e-3))
    assert speed.core_seconds_a_row == pytest.approx(2e-3)
    # The last page may be as long as all that was to be scored.
    assert 0.5 <= speed.seconds < 2.0
    assert took < 3.0


@pytest.mark.parametrize("row_s", [2e-4, 5e-4, 1e-3, 2e-3, 4e-3])
@pytest.mark.parametrize("call_s", [0.0, 3e-3, 3e-2])
def test_calls_of_the_size_that_is_told_are_made_at_once(row_s: float, call_s: float) -> None:
    """Their memory is taken for that of a job: it may have grown with the last page only."""
    model = TimedModel(row_s, call_s)
    speed, _ = _measured(model)
    assert model.rows.count(speed.call_rows) >= CALLS_AT_ONCE


def test_a_slow_model_is_timed_with_fewer_rows_than_the_sample_has() -> None:
    model = TimedModel(row_s=0.5)
    speed, took = _measured(model)
    assert speed == Speed(rows=2, call_rows=2, seconds=1.0, cpu_seconds=1.0)
    assert took == pytest.approx(1.0)


def test_a_fixed_batch_is_filled() -> None:
    model = TimedModel(row_s=0.0, call_s=1.0)
    speed, _ = _measured(model, batch_of(COLUMNS, x=[1.0]), fixed=8)
    assert speed == Speed(rows=8, call_rows=8, seconds=1.0, cpu_seconds=1.0)


@pytest.mark.parametrize(("cores", "row_s"), [(0, 1e-3), (1, 1e-3), (4, 4e-3)])
def test_a_row_costs_one_core_what_several_compute_or_one_waits(cores: int, row_s: float) -> None:
    speed, _ = _measured(TimedModel(row_s=1e-3, cores=cores))
    assert speed.core_seconds_a_row == pytest.approx(row_s)

"""Scorers with real models whose calls are counted, and a clock that ticks when it is read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pyarrow as pa

from scoring.batch import Clock, Model, Scorer
from scoring.conversions import Values
from scoring.errors import BatchCallError
from scoring.matching import fixed_batch_rows, match_inputs
from scoring.naming import match_outputs
from scoring.savedmodel import LoadedModel
from scoring.schema import Field, arrow_schema
from scoring.signature import Signature
from scoring.spec import ScoringSpec, output_schema

NOW = datetime(2024, 1, 2, tzinfo=UTC)
ID = Field("id", "INTEGER")


@dataclass
class CountedModel:
    """A model that keeps the number of rows of each call."""

    model: Model
    rows: list[int] = field(default_factory=list)

    def __call__(self, feed: Mapping[str, Values]) -> dict[str, Values]:
        self.rows.append(len(next(iter(feed.values()))))
        return self.model(feed)


@dataclass
class SmallModel:
    """x -> y = 2 * x, with memory for `limit` rows; a negative row needs too much by itself."""

    limit: int

    def __call__(self, feed: Mapping[str, Values]) -> dict[str, Values]:
        if len(feed["x"]) > self.limit or (feed["x"] < 0).any():
            raise BatchCallError("OUT_OF_MEMORY", "no memory left", out_of_memory=True)
        return {"y": feed["x"] * 2}


def scoring_spec(signature: Signature, columns: Sequence[Field], **changes: Any) -> ScoringSpec:
    """A spec for the columns, the first of which is the key."""
    spec = ScoringSpec(
        inputs=match_inputs(signature, columns, chosen={}, reserved=[columns[0].name]),
        outputs=match_outputs(signature, chosen={}, taken={columns[0].name: "the key"}),
        key=(columns[0],),
        carried=(columns[0],),
        max_batch_rows=1024,
        fixed_batch_rows=fixed_batch_rows(signature),
        run_id="run-1",
        model_digest="abc",
        metadata=(("run_id", "run-1"), ("model_digest", "abc")),
    )
    return replace(spec, **changes)


def counted_scorer(
    loaded: LoadedModel, columns: Sequence[Field], **changes: Any
) -> tuple[Scorer, CountedModel]:
    """A scorer of a loaded model whose calls are large at once; `changes` are of its spec."""
    model = CountedModel(loaded)
    spec = scoring_spec(loaded.signature, columns, **changes)
    scorer = Scorer(spec, model, ticking_clock(), first_call_rows=spec.max_batch_rows)
    return scorer, model


def ticking_clock() -> Clock:
    """A clock whose seconds are 0, 1, 2, … each time they are asked for."""
    ticks: Iterator[int] = count()
    return Clock(seconds=lambda: float(next(ticks)), now=lambda: NOW)


def batch_of(columns: Sequence[Field], **values: Any) -> pa.RecordBatch:
    """A record batch with these columns; `id` counts from 0 unless it is given."""
    rows = len(next(iter(values.values())))
    data = {"id": list(range(rows)), **values}
    arrays = [pa.array(data[c.name], c.arrow_type) for c in columns]
    return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(columns))


@dataclass(frozen=True)
class Outcome:
    """All that became of a batch, as plain rows in the order in which they came."""

    scored: list[dict[str, Any]]
    rejected: list[dict[str, Any]]

    @property
    def reject_codes(self) -> dict[int, str]:
        """Code by key."""
        codes = {row["key"]["id"]: row["code"] for row in self.rejected}
        assert len(codes) == len(self.rejected)
        return codes

    def scores(self, column: str) -> dict[int, Any]:
        """Values of an output column by key."""
        values = {row["id"]: row[column] for row in self.scored}
        assert len(values) == len(self.scored)
        return values


def score_all(scorer: Scorer, spec: ScoringSpec, *pages: pa.RecordBatch) -> Outcome:
    """Scores pages and checks what holds for every outcome: schemas, sums and constants."""
    outcome = Outcome([], [])
    expected_schema = output_schema(spec, pages[0].schema)
    for call in scorer.score(*pages):
        for part, rows in ((call.scored, outcome.scored), (call.rejected, outcome.rejected)):
            if part is not None:
                part.validate(full=True)
                assert part.num_rows > 0
                rows += part.to_pylist()
        assert call.scored is None or call.scored.schema.equals(expected_schema)
        assert (call.feed_seconds, call.call_seconds, call.outputs_seconds) == (1, 1, 1)
    assert len(outcome.scored) + len(outcome.rejected) == sum(page.num_rows for page in pages)
    for row in [*outcome.scored, *outcome.rejected]:
        assert (row["run_id"], row["model_digest"]) == ("run-1", "abc")
    return outcome

"""A million rows, bad in six ways here and there: published, or refused without a trace."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from workbench import Saved, Workbench

from pipeline import cli

_ROWS = 1_000_000
_SEED = 20240501
_ARGUMENTS = (
    "--key_columns=id",
    "--input_columns=pair=items.v",
    "--on_non_finite=reject",
)

# Of each kind so many of a million rows are bad, 0.5 % together; four times as many are 2 %.
_BAD_ROWS = {
    "NULL_VALUE": 1_500,
    "OUT_OF_RANGE": 1_200,
    "WRONG_LENGTH": 900,
    "NULL_ELEMENT": 700,
    "OUTPUT_NOT_FINITE": 500,
    "CALL_FAILED": 200,
}

Ids = npt.NDArray[np.int64]


def averaged(folder: Path) -> Path:
    """x: float32[None], pair: float32[None, 2], n: int32[None] -> y: float32[None].

    y is (x + pair[0] + 2 * pair[1]) / n, infinite for n = 0; fails for every batch with a negative
    n.
    """
    import tensorflow as tf

    def score(x: Any, pair: Any, n: Any) -> dict[str, Any]:
        with tf.control_dependencies([tf.debugging.assert_non_negative(n, "n is negative")]):
            total = x + tf.linalg.matvec(pair, [1.0, 2.0])
            return {"y": total / tf.cast(n, tf.float32)}

    specs = (
        tf.TensorSpec([None], tf.float32, "x"),
        tf.TensorSpec([None, 2], tf.float32, "pair"),
        tf.TensorSpec([None], tf.int32, "n"),
    )
    module = tf.Module()
    module.score = tf.function(score, input_signature=specs)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.score})
    return folder


@dataclass(frozen=True)
class Million:
    """The rows 0 to 999,999 in any order, and what must become of them.

    Attributes:
      scores: by id; those of bad rows mean nothing.
      bad: ids of the rows that are rejected, by their code.
    """

    table: pa.Table
    scores: npt.NDArray[np.float32]
    bad: dict[str, Ids]

    @property
    def good(self) -> Ids:
        """Ids of the rows that are scored, in order."""
        return np.delete(np.arange(_ROWS), np.concatenate(list(self.bad.values())))


def _million(times: int) -> Million:
    """A million rows, `times` as many of them bad as _BAD_ROWS says."""
    random = np.random.default_rng(_SEED)
    counts = np.array(list(_BAD_ROWS.values())) * times
    chosen = random.permutation(_ROWS)[: counts.sum()]
    parts = np.split(chosen, np.cumsum(counts)[:-1])
    bad = dict(zip(_BAD_ROWS, parts, strict=True))
    # Whole numbers below 2**24 and powers of two: the scores are exact.
    x = np.arange(_ROWS, dtype=np.float64)
    pair = random.integers(0, 1000, (_ROWS, 2)).astype(np.float64)
    n = 2 ** random.integers(0, 4, _ROWS)
    scores = ((x + pair @ [1.0, 2.0]) / n).astype(np.float32)
    n[bad["OUT_OF_RANGE"]] = 2**31
    n[bad["OUTPUT_NOT_FINITE"]] = 0
    n[bad["CALL_FAILED"]] = -1
    columns = {
        "id": pa.array(np.arange(_ROWS)),
        "x": pa.array(x, mask=_marked(bad["NULL_VALUE"])),
        "items": _items(pair, bad["WRONG_LENGTH"], bad["NULL_ELEMENT"]),
        "n": pa.array(n),
    }
    table = pa.table(columns).take(pa.array(random.permutation(_ROWS)))
    return Million(table, scores, bad)


def _items(pair: npt.NDArray[np.float64], short: Ids, holed: Ids) -> pa.Array:
    """ARRAY<STRUCT<v>>: both numbers of a row; one alone in `short`, the second NULL in `holed`."""
    is_there = np.ones(pair.shape, dtype=bool)
    is_there[short, 1] = False
    is_null = np.zeros(pair.shape, dtype=bool)
    is_null[holed, 1] = True
    values = pa.array(pair[is_there], mask=is_null[is_there])
    ends = np.cumsum(is_there.sum(axis=1), dtype=np.int32)
    return pa.ListArray.from_arrays(
        pa.array(np.concatenate([[0], ends]).astype(np.int32)),
        pa.StructArray.from_arrays([values], names=["v"]),
    )


def _marked(ids: Ids) -> npt.NDArray[np.bool_]:
    marks = np.zeros(_ROWS, dtype=bool)
    marks[ids] = True
    return marks


def _assert_rejects(bench: Workbench, million: Million) -> None:
    """Each bad row is in the rejects table once, with its code, and no other row is."""
    rejects = bench.arrow("p__rejects")
    keys = rejects["key"].combine_chunks().field("id").to_pylist()
    codes = rejects["code"].to_pylist()
    expected = [(i, code) for code, ids in million.bad.items() for i in ids.tolist()]
    assert Counter(zip(keys, codes, strict=True)) == Counter(expected)


def _assert_counted(run: dict[str, Any], million: Million) -> None:
    """The run's row has the right sums; the codes come with the commonest first."""
    bad = sum(map(len, million.bad.values()))
    counts = [run[f"rows_{what}"] for what in ("read", "scored", "written", "rejected")]
    assert counts == [_ROWS, _ROWS - bad, _ROWS - bad, bad]
    assert run["rejected_by_code"] == [
        {"code": code, "rows": len(ids)} for code, ids in million.bad.items()
    ]
    assert run["non_finite"] == len(million.bad["OUTPUT_NOT_FINITE"])


@pytest.fixture
def model(saved: Saved) -> Path:
    return saved(averaged)


def test_with_half_a_percent_of_bad_rows_all_others_are_published(
    bench: Workbench, model: Path
) -> None:
    million = _million(times=1)
    bench.load("t", million.table)

    outcome = bench.score(model, *_ARGUMENTS)

    assert outcome.code == cli.OK, outcome.stderr
    published = bench.arrow("p").sort_by("id")
    assert np.array_equal(published["id"].to_numpy(), million.good)
    assert np.array_equal(published["y"].to_numpy(), million.scores[million.good])
    _assert_rejects(bench, million)
    run = bench.run_row()
    assert run["state"] == "published"
    _assert_counted(run, million)


def test_with_two_percent_of_bad_rows_nothing_is_published(bench: Workbench, model: Path) -> None:
    million = _million(times=4)
    bench.load("t", million.table)
    bench.sql(
        "CREATE TABLE p AS SELECT id, -1.0 AS y, 'old' AS run_id, 'old' AS model_digest "
        "FROM UNNEST(GENERATE_ARRAY(1, 1000)) AS id"
    )
    before, made = bench.arrow("p"), bench.client.get_table(bench.name("p"))

    outcome = bench.score(model, *_ARGUMENTS)

    assert outcome.code == cli.REFUSED, outcome.stderr
    limit = "20,000 of 1,000,000 rows were rejected (2.00%), which is more than"
    commonest = "NULL_VALUE 6,000, OUT_OF_RANGE 4,800, WRONG_LENGTH 3,600"
    reason = f"{limit} --max_rejected_fraction 0.01 allows: {commonest}"
    assert f"was not published: {reason}.\n" in outcome.stderr
    left = bench.client.get_table(bench.name("p"))
    assert bench.arrow("p").equals(before)
    assert (left.etag, left.modified) == (made.etag, made.modified)
    _assert_rejects(bench, million)
    run = bench.run_row()
    assert (run["state"], run["reason"]) == ("refused", reason)
    _assert_counted(run, million)

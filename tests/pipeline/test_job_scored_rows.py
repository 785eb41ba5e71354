"""A whole job that goes well: which rows and tables come out, exactly, and what is said."""

import saved_models
from workbench import Saved, Workbench

from pipeline import cli


def test_eight_float_columns(bench: Workbench, saved: Saved) -> None:
    columns = ", ".join(f"id * {i} / 4 AS f{i}" for i in range(8))
    bench.sql(f"CREATE TABLE t AS SELECT id, {columns} FROM UNNEST(GENERATE_ARRAY(1, 3000)) AS id")

    outcome = bench.score(saved(saved_models.eight_floats), "--key_columns=id")

    assert outcome.code == cli.OK, outcome.stderr
    # The sum of (i + 1) * i for i below 8 is 168.
    assert bench.rows() == [{"id": i, "score": i * 42.0} for i in range(1, 3001)]
    assert bench.rejects() == []
    assert {"run_id", "model_digest"} < set(bench.arrow("p").column_names)
    assert bench.tables() == {"t", "p", "p__rejects", "p__runs"}
    assert "3,000" in outcome.stdout
    assert f"{bench.cloud.project}.{bench.name('p')}" in outcome.stdout

"""What is scored: the same files each time, keys and types as promised."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.workload import make_files
from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.tabular import feature_rows, ids, mixed_rows
from scoring.runtime import tensorflow


@pytest.mark.parametrize("rows", [1, 7, 1000, 65_536])
def test_every_key_once(rows: int) -> None:
    middle = rows // 3
    keys = [*ids(0, middle, rows), *ids(middle, rows, rows)]

    assert sorted(keys) == list(range(rows))
    assert rows < 1000 or keys != sorted(keys)


def test_features_are_the_same_every_time() -> None:
    table = feature_rows(8, 500, 1500, 2000)

    assert table.equals(feature_rows(8, 500, 1500, 2000))
    assert table.schema.types == [pa.int64()] + [pa.float64()] * 8
    assert not table.column("f0").equals(feature_rows(8, 0, 1000, 2000).column("f0"))


def test_mixed_columns() -> None:
    table = mixed_rows(0, 1000, 1000)

    carried = WORKLOADS["e"].scoring.passthrough
    assert len(carried) == 50
    assert set(table.column_names) == {"id", *(f"f{i}" for i in range(8)), *carried}
    assert len({table.schema.field(name).type for name in carried}) == 7
    assert 0 < table.column("s0").null_count < 200
    assert table.equals(mixed_rows(0, 1000, 1000))


def test_files_are_made_in_parts_and_kept(tmp_path: Path) -> None:
    workload = replace(WORKLOADS["a8"], rows=2_500, part_rows=1_000)
    files = make_files(workload, tmp_path)
    made = files.made.stat().st_mtime_ns

    again = make_files(workload, tmp_path)

    assert again.made.stat().st_mtime_ns == made
    assert sorted(pq.read_table(files.table).column("id").to_pylist()) == list(range(2_500))
    assert len(list(files.table.iterdir())) == 3
    assert (files.model / "saved_model.pb").exists()


@pytest.mark.parametrize("name", ["b_strings", "b_sentences"])
def test_a_text_has_the_same_vector_beside_a_longer_one(name: str, tmp_path: Path) -> None:
    workload = WORKLOADS[name]
    workload.make_model(tmp_path / "model")
    tf = tensorflow()
    call = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"]

    def encoded(*texts: str) -> Any:
        return call(text=tf.constant(texts))["embedding"].numpy()

    short, longer = encoded("two words", "one two three four five six")

    assert short.shape == (512,)
    assert np.linalg.norm([short, longer], axis=1) == pytest.approx(1.0, abs=1e-5)
    assert np.abs(short - longer).max() > 0.01
    assert short == pytest.approx(encoded("two words")[0], abs=workload.tolerance)


def test_workload_without_rows(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a8: expected at least one row"):
        make_files(WORKLOADS["a8"].with_rows(0), tmp_path)

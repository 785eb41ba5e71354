"""`python -m benchmarks.scale` as a whole, with few rows."""

import json
from pathlib import Path

import pytest

from benchmarks import scale


def test_ten_times_the_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert scale.main(["--rows", "200", "--folder", str(tmp_path)]) == 0
    assert "rows × 10: job seconds ×" in capsys.readouterr().out
    runs = json.loads((tmp_path / "scale.json").read_text())["runs"]
    assert sorted(run["rows"] for run in runs) == [200, 2000]

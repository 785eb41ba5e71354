"""The DAG's file without Airflow: what it sends, and what it puts into SQL."""

import ast
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from edited_dag import DAG_FILE, ROOT, edited, launch_of, names_before_airflow

SOURCE = DAG_FILE.read_text(encoding="utf-8")
_METADATA = json.loads((ROOT / "templates" / "flex" / "metadata.json").read_text(encoding="utf-8"))
_DAYS = ("2025-01-31", "2025-02-01")


@pytest.fixture(scope="module")
def launch() -> dict[str, Any]:
    """The launch of a day."""
    launch: dict[str, Any] = launch_of(SOURCE, *_DAYS)["launchParameter"]
    return launch


def test_it_imports_what_composer_has() -> None:
    modules = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).partition(".")[0]
        for node in ast.walk(ast.parse(SOURCE))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    own = {"__future__", "collections", "datetime", "re", "time", "typing"}
    assert modules - own == {"airflow", "google", "googleapiclient"}


def test_the_template_takes_what_is_sent(launch: dict[str, Any]) -> None:
    known = {parameter["name"]: parameter for parameter in _METADATA["parameters"]}
    sent = launch["parameters"]
    assert sent.keys() <= known.keys()
    assert {name for name, p in known.items() if not p["isOptional"]} <= sent.keys()
    for name, value in sent.items():
        for regex in known[name].get("regexes", []):
            assert re.fullmatch(regex, value), f"{name}: {value}"


def test_a_day_has_names_of_its_own(launch: dict[str, Any]) -> None:
    assert re.fullmatch("[a-z]([-a-z0-9]{0,1022}[a-z0-9])?", launch["jobName"])
    assert launch["jobName"] == "bulkscore-daily-20250131-1"
    assert launch["parameters"]["run_id"] == "bulkscore_daily_20250131_1"
    assert launch["parameters"]["partition"] == "20250131"
    assert launch["parameters"]["row_restriction"] == "day = DATE '2025-01-31'"


def test_a_condition_may_name_the_next_day() -> None:
    condition = "at >= TIMESTAMP '{day}' AND at < TIMESTAMP '{next_day}'"
    launch = launch_of(edited(SOURCE, {"DAY_CONDITION": condition}), *_DAYS)
    sent = launch["launchParameter"]["parameters"]["row_restriction"]
    assert sent == "at >= TIMESTAMP '2025-01-31' AND at < TIMESTAMP '2025-02-01'"


@pytest.fixture(scope="module")
def quoted() -> Callable[..., str]:
    function: Callable[..., str] = names_before_airflow(SOURCE)["quoted"]
    return function


@pytest.mark.parametrize("table", ["my-project.shop.t", "example.com:shop.d_1.Größe 2", "p.d.t-1"])
def test_a_table_is_quoted(quoted: Callable[..., str], table: str) -> None:
    assert quoted(table) == f"`{table}`"


@pytest.mark.parametrize(
    "table", ["shop.t", "p.d.t` WHERE 1=1 --", "p.d.t\\", "p.d.t;", "p.d.t$20250131", "p.d.", ""]
)
def test_what_is_no_table_does_not_reach_sql(quoted: Callable[..., str], table: str) -> None:
    with pytest.raises(ValueError, match=r"expected PROJECT\.DATASET\.TABLE"):
        quoted(table)


def test_the_tables_beside_the_output_follow_it() -> None:
    names = names_before_airflow(edited(SOURCE, {"OUTPUT_TABLE": "p.d.scores"}))
    assert "FROM `p.d.scores__runs` WHERE" in names["_RUNS_QUERY"]
    assert "FROM `p.d.scores__rejects` WHERE" in names["_REJECTS_QUERY"]


def test_a_constant_that_is_gone_cannot_be_edited() -> None:
    with pytest.raises(ValueError, match="no constants REGIONS"):
        edited(SOURCE, {"REGIONS": "x"})


@pytest.mark.parametrize("lock", ["airflow-2.11", "airflow-3.1", "airflow-providers"])
def test_every_package_of_airflow_is_pinned_with_hashes(lock: str) -> None:
    text = (ROOT / "tests" / "composer" / f"{lock}.lock").read_text(encoding="utf-8")
    packages = re.findall(
        r"^[a-z0-9][^\s=]*==\S+((?: \\\n    --hash=sha256:[0-9a-f]{64})+)", text, re.M
    )
    assert len(packages) == len(re.findall(r"^[a-z0-9]", text, re.M))

"""Every bad input of the tables is made and tried, and gets just what the page in docs says."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import pytest
from bad_inputs import SCORED, BadCommand, OddRows, masked
from bad_inputs_files import FORBIDDEN_FILES, LOCAL_FILES, LOCAL_OUTPUTS, REFUSED_REQUESTS
from bad_inputs_flags import FLAGS
from bad_inputs_images import IMAGES
from bad_inputs_models import ARCHIVES, MODELS
from bad_inputs_page import AREAS, PAGE, page
from bad_inputs_rows import ROWS
from bad_inputs_sources import DESTINATIONS, TABLES
from file_rights import without_override
from refusing_service import refusing_service
from workbench import Saved, Workbench

from options.config import Config
from options.parse import parse
from pipeline import cli
from pipeline.local.errors import LocalError
from pipeline.local.tables import load_table
from transforms import clients

_TABLE = "CREATE TABLE t AS SELECT 1 AS id, 2.0 AS x, 'text' AS name, DATE '2024-01-01' AS day"


def _name(case: BadCommand) -> str:
    return case.wrong


def _expected(case: BadCommand) -> tuple[int, str]:
    return case.exit_code, case.message


def tried(
    bench: Workbench,
    saved: Saved,
    case: BadCommand,
    hindered_by: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> tuple[int, str]:
    """The exit code and, masked, the message: all that is said from `bulkscore: ` on."""
    line = case.make(bench, saved)
    with hindered_by():
        outcome = bench.run(*line)
    assert "Traceback" not in outcome.stderr
    if outcome.code == cli.OK:
        return outcome.code, masked(" ".join(outcome.stdout.splitlines()[-1].split()), bench)
    _, _, message = f"\n{outcome.stderr}".partition("\nbulkscore: ")
    return outcome.code, masked(message, bench)


@pytest.mark.parametrize("case", FLAGS, ids=_name)
def test_a_flag(bench: Workbench, saved: Saved, case: BadCommand) -> None:
    line = case.make(bench, saved)
    outcome = bench.run_as_given(*line)
    assert (outcome.code, outcome.stderr) == (case.exit_code, f"bulkscore: {case.message}\n")


@pytest.mark.parametrize("case", [*TABLES, *DESTINATIONS], ids=_name)
def test_a_table(bench: Workbench, saved: Saved, case: BadCommand) -> None:
    bench.sql(_TABLE)
    assert tried(bench, saved, case) == _expected(case)
    assert bench.arrow("t").num_rows == 1


@pytest.mark.parametrize("case", [*MODELS, *ARCHIVES], ids=_name)
def test_a_model(bench: Workbench, saved: Saved, case: BadCommand) -> None:
    bench.sql(_TABLE)
    assert tried(bench, saved, case) == _expected(case)
    assert bench.tables() == {"t"}
    assert not (bench.folder.parent / "evil").exists()


@pytest.mark.parametrize("case", LOCAL_OUTPUTS, ids=_name)
def test_a_folder_for_results(bench: Workbench, saved: Saved, case: BadCommand) -> None:
    assert tried(bench, saved, case) == _expected(case)


@pytest.mark.parametrize("case", LOCAL_FILES, ids=_name)
def test_a_local_file(bench: Workbench, saved: Saved, case: BadCommand) -> None:
    # Up to the servers, which are running: a command would start its own for each case.
    config = parse(case.make(bench, saved)).config
    assert isinstance(config, Config)
    ((name, path),) = config.local_tables
    with pytest.raises(LocalError) as raised:
        load_table(bench.client, str(name), path)
    assert masked(str(raised.value), bench) == case.message


@pytest.mark.parametrize("case", REFUSED_REQUESTS, ids=_name)
def test_an_account_without_rights(
    bench: Workbench, saved: Saved, case: BadCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    with refusing_service() as url:
        monkeypatch.setenv(clients.BIGQUERY_URL, url)
        assert tried(bench, saved, case) == _expected(case)


@pytest.mark.parametrize("case", FORBIDDEN_FILES, ids=_name)
def test_a_user_without_rights(bench: Workbench, saved: Saved, case: BadCommand) -> None:
    bench.sql(_TABLE)
    assert tried(bench, saved, case, hindered_by=without_override) == _expected(case)


@pytest.mark.parametrize("odd", [ROWS, IMAGES], ids=["rows", "images"])
def test_odd_rows(bench: Workbench, saved: Saved, odd: OddRows) -> None:
    bench.load("t", odd.table())
    flags = ("--key_columns=id", "--max_rejected_fraction=1", *odd.arguments)
    outcome = bench.score(saved(odd.model), *flags)
    assert outcome.code == cli.OK, outcome.stderr

    rows = list(enumerate(odd.rows, 1))
    assert {row["id"]: (row["code"], row["message"]) for row in bench.rejects()} == {
        i: (row.code, row.message) for i, row in rows if row.code != SCORED
    }
    good, *scored = bench.rows()
    assert good["id"] == 0
    expected = [{"id": i, **(row.scores or {})} for i, row in rows if row.code == SCORED]
    assert [
        {name: row[name] for name in want} for row, want in zip(scored, expected, strict=True)
    ] == expected


def test_there_are_many_and_the_page_has_them_all() -> None:
    assert sum(map(len, AREAS.values())) >= 100
    for area, cases in AREAS.items():
        names = [case.wrong for case in cases]
        assert len(names) == len(set(names)), area
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python tests/bad_inputs_page.py"

"""The program as it is started from a shell."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from saved_models import doubled
from workbench import Saved

from pipeline import cli

_ROOT = Path(__file__).parents[2]
_PROGRAM = [sys.executable, "-m", "pipeline"]
_SLOW = ("tensorflow", "apache_beam", "pyarrow", "google.cloud.bigquery")
_END_S = 60.0
_INTERRUPTING = """
import os, signal
children = open(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read().split()
print("servers:", len(children), flush=True)
os.kill(os.getpid(), signal.SIGINT)
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Without embedded servers to talk to, and with a temporary folder of its own."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    dropped = ("EMULATOR_HOST", "PIPELINE_OPTIONS_FILE", "GOOGLE_CLOUD_PROJECT")
    kept = {k: v for k, v in os.environ.items() if not k.endswith(dropped)}
    return {**kept, "TMPDIR": str(temporary)}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], cli.OK),
        (["--version"], cli.OK),
        (["score", "--help"], cli.OK),
        (["check", "--help"], cli.OK),
        (["inspect", "--help"], cli.OK),
        ([], cli.USAGE),
        (["scor"], cli.USAGE),
        (["score", "--no_such_flag=1"], cli.USAGE),
        (["score", "--input_table=a.b"], cli.USAGE),
        (["inspect", "--json"], cli.USAGE),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_help_and_usage_errors_import_nothing_slow(arguments: list[str], code: int) -> None:
    listing = "import sys; sys.stderr.write('\\n' + ' '.join(sys.modules))"
    program = f"import atexit; atexit.register(lambda: exec({listing!r})); import runpy; " + (
        "runpy.run_module('pipeline', run_name='__main__', alter_sys=True)"
    )

    finished = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert finished.returncode == code
    message, _, modules = finished.stderr.rpartition("\n")
    assert [m for m in modules.split() if m.startswith(_SLOW)] == []
    assert (message.strip() == "") == (code == cli.OK)
    assert (finished.stdout == "") == (code != cli.OK)


def _local_run(folder: Path, model: Path, rows: int, *arguments: str) -> list[str]:
    """The command that scores `rows` rows on this machine, every tenth of them without a value."""
    ids = range(rows)
    table = pa.table({"id": ids, "x": [None if i % 10 == 5 else i / 2 for i in ids]})
    pq.write_table(table, folder / "t.parquet")
    return [
        *_PROGRAM,
        "score",
        "--local",
        f"--local_tables=shop.t={folder / 't.parquet'}",
        "--input_table=shop.t",
        f"--model={model}",
        "--key_columns=id",
        "--output_table=results.p",
        f"--local_output={folder / 'out'}",
        "--max_rejected_fraction=0.1",
        *arguments,
    ]


def test_a_local_run_leaves_every_result_table_and_nothing_else(
    saved: Saved, tmp_path: Path, environment: dict[str, str]
) -> None:
    command = _local_run(tmp_path, saved(doubled), 50)

    finished = subprocess.run(
        command, cwd=_ROOT, env=environment, capture_output=True, text=True, check=False
    )

    assert finished.returncode == cli.OK, finished.stderr
    names = ("results.p", "results.p__rejects", "results.p__runs")
    files = [tmp_path / "out" / f"{name}.parquet" for name in names]
    assert sorted((tmp_path / "out").iterdir()) == files
    scored, rejects, runs = (pq.read_table(file) for file in files)
    pairs = zip(scored["id"].to_pylist(), scored["y"].to_pylist(), strict=True)
    assert sorted(pairs) == [(i, float(i)) for i in range(50) if i % 10 != 5]
    assert sorted(k["id"] for k in rejects["key"].to_pylist()) == [5, 15, 25, 35, 45]
    assert sorted(runs["state"].to_pylist()) == ["published", "scored"]
    assert [line for line in finished.stdout.splitlines() if line.startswith("written: ")] == [
        f"written: {file}" for file in files
    ]
    assert "loaded 50 rows" in finished.stderr
    _assert_nothing_left(environment)


def test_ctrl_c_stops_everything(saved: Saved, tmp_path: Path, environment: dict[str, str]) -> None:
    # A call for each row makes the run long enough to be interrupted.
    command = _local_run(tmp_path, saved(doubled), 300_000, "--max_batch_size=1")
    with subprocess.Popen(
        command,
        cwd=_ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        seen = _read_until(process.stderr, "Loaded model")
        # What a terminal does: the signal goes to the whole group in the foreground.
        os.killpg(process.pid, signal.SIGINT)
        _, rest = process.communicate(timeout=_END_S)

    assert process.returncode == cli.INTERRUPTED, seen + rest
    assert rest.splitlines()[-1] == "bulkscore: interrupted"
    assert "Traceback" not in rest
    assert list((tmp_path / "out").iterdir()) == []
    _assert_nothing_left(environment)


def test_ctrl_c_while_the_servers_start_and_beam_is_imported(
    saved: Saved, tmp_path: Path, environment: dict[str, str]
) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    # In place of Beam, a package that looks for the servers while it is imported, then interrupts.
    (packages / "apache_beam.py").write_text(_INTERRUPTING)
    finished = subprocess.run(
        _local_run(tmp_path, saved(doubled), 50),
        cwd=_ROOT,
        env={**environment, "PYTHONPATH": os.pathsep.join([str(packages), str(_ROOT)])},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (finished.returncode, finished.stdout) == (cli.INTERRUPTED, "servers: 2\n")
    assert finished.stderr == "bulkscore: interrupted\n"
    _assert_nothing_left(environment)


def _read_until(lines: Iterable[str], wanted: str) -> str:
    seen = ""
    for line in lines:
        seen += line
        if wanted in line:
            return seen
    raise AssertionError(f"{wanted!r} never came:\n{seen}")


def _assert_nothing_left(environment: dict[str, str]) -> None:
    """No process knows the folder for temporary files, and nothing is in it."""
    folder = environment["TMPDIR"]
    assert list(Path(folder).iterdir()) == []
    assert [p for p in _command_lines() if folder in p] == []


def _command_lines() -> Sequence[str]:
    lines = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                lines.append((process / "cmdline").read_bytes().decode(errors="replace"))
            except (FileNotFoundError, ProcessLookupError):
                # It ended meanwhile.
                continue
    return lines

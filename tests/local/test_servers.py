from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.local.errors import LocalError
from pipeline.local.servers import LocalCloud, embedded_cloud, start_storage, starting_cloud

WAITING = """
    import json, os, signal
    from pipeline.local.servers import embedded_cloud
    before = dict(os.environ)
    try:
        with embedded_cloud() as cloud:
            servers = open(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read().split()
            print(json.dumps([str(cloud.folder), list(map(int, servers))]), flush=True)
            signal.pause()
    finally:
        print("restored" if dict(os.environ) == before else "not restored", flush=True)
"""
TIMEOUT_S = 60


@dataclass(frozen=True)
class Program:
    """A process inside `embedded_cloud`, its servers and their folder."""

    process: subprocess.Popen[str]
    servers: list[int]
    folder: Path

    def wait_for_servers(self) -> None:
        """Returns when both servers are gone; blocks in the kernel until then."""
        for server in self.servers:
            with contextlib.suppress(ProcessLookupError):
                descriptor = os.pidfd_open(server)
                with os.fdopen(descriptor, closefd=True):
                    wait_readable(descriptor)


def wait_readable(descriptor: int) -> None:
    readable, _, _ = select.select([descriptor], [], [], TIMEOUT_S)
    assert readable, "the server still runs"


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    """Runs with a home folder that does not exist: DuckDB must not need one."""
    environment = {**os.environ, "HOME": "/nonexistent", "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WAITING)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdout is not None
        folder, servers = json.loads(process.stdout.readline())
        yield Program(process, servers, Path(folder))
        process.kill()


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 128 + signal.SIGTERM)]
)
def test_a_signal_stops_everything(program: Program, number: signal.Signals, status: int) -> None:
    assert len(program.servers) == 2
    program.process.send_signal(number)
    output, _ = program.process.communicate(timeout=TIMEOUT_S)
    assert program.process.returncode == status
    assert output == "restored\n"
    program.wait_for_servers()
    assert not program.folder.exists()


def test_the_servers_die_with_a_killed_parent(program: Program) -> None:
    program.process.kill()
    program.process.wait(TIMEOUT_S)
    program.wait_for_servers()
    assert not program.folder.exists()


def test_an_exception_stops_everything_and_restores_the_environment(cloud: LocalCloud) -> None:
    """Also: a second cloud at the same time, inside the first."""
    before = dict(os.environ)
    running: list[LocalCloud] = []

    def fail_within() -> None:
        with embedded_cloud() as second:
            running.append(second)
            assert os.environ["BIGQUERY_EMULATOR_HOST"] == second.bigquery_url
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_within()
    (second,) = running
    assert second.bigquery_url != cloud.bigquery_url
    assert dict(os.environ) == before
    assert not second.folder.exists()


def test_clients_are_pointed_at_the_servers_once_these_are_waited_for(cloud: LocalCloud) -> None:
    before = dict(os.environ)
    with starting_cloud() as await_cloud:
        assert dict(os.environ) == before
        second = await_cloud()
        assert os.environ["BIGQUERY_EMULATOR_HOST"] == second.bigquery_url != cloud.bigquery_url
    assert dict(os.environ) == before


def test_servers_that_nobody_waits_for_are_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with starting_cloud():
        assert list(tmp_path.iterdir()) != []
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_ends_is_reported_where_it_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bqemulator.py").write_text("raise SystemExit('out of order')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    expected = r"BigQuery did not start; it ended with exit status 1\..*\n  out of order"
    with starting_cloud() as await_cloud, pytest.raises(LocalError, match=expected):
        await_cloud()


def test_a_port_that_is_taken_is_passed_over(tmp_path: Path) -> None:
    with socket.socket() as taken, socket.socket() as probe, contextlib.ExitStack() as stack:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        probe.bind(("127.0.0.1", 0))
        ports = [taken.getsockname()[1], probe.getsockname()[1]]
        probe.close()
        assert start_storage(tmp_path, stack, iter(ports)) == f"http://127.0.0.1:{ports[1]}"


def test_no_free_port_is_an_error(tmp_path: Path) -> None:
    with socket.socket() as taken, contextlib.ExitStack() as stack:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(LocalError, match="found no free port"):
            start_storage(tmp_path, stack, iter([taken.getsockname()[1]]))


def test_missing_packages_are_named_with_the_command_that_installs_them(tmp_path: Path) -> None:
    script = """
        import sys
        from importlib.machinery import PathFinder
        class Hidden(PathFinder):
            @classmethod
            def find_spec(cls, name, path=None, target=None):
                return None if name == "bqemulator" else PathFinder.find_spec(name, path, target)
        sys.meta_path[:] = [f for f in sys.meta_path if f is not PathFinder] + [Hidden]
        from pipeline.local.errors import LocalError
        from pipeline.local.servers import embedded_cloud
        try:
            with embedded_cloud():
                pass
        except LocalError as error:
            print(error)
    """
    output = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    ).stdout
    assert "not installed: bqemulator." in output
    assert "pip install 'bulkscore[local]'" in output

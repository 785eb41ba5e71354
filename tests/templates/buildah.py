"""Images built and run with buildah: no daemon and no registry, everything in one folder."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Without containers of its own kernel namespaces: works where those are not allowed, and what runs
# inside shares the network of this machine.
_ISOLATION = "--isolation=chroot"


@dataclass(frozen=True)
class Buildah:
    """buildah with its storage in `folder`."""

    folder: Path

    def build(self, file: Path, context: Path, tag: str, **arguments: str) -> None:
        """Builds an image; what buildah prints goes to standard output.

        Raises:
          subprocess.CalledProcessError: a step failed.
        """
        given = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        options = [_ISOLATION, "--layers", "--pull-never", f"--file={file}", f"--tag={tag}", *given]
        subprocess.run([*self._command("bud"), *options, str(context)], check=True)

    def image(self, tag: str) -> dict[str, Any]:
        """What the image says of itself: its configuration, as Docker reads it."""
        described = json.loads(self._printed("inspect", "--type=image", tag))
        return dict(described["Docker"]["config"])

    def size(self, tag: str) -> str:
        """The size of the image, unpacked, in words."""
        return self._printed("images", "--format={{.Size}}", tag).strip()

    @contextlib.contextmanager
    def container(self, tag: str) -> Iterator[Container]:
        """A container of the image, to run commands in and to look at its files."""
        name = self._printed("from", "--pull-never", tag).strip()
        try:
            root = Path(self._printed("mount", name).strip())
            yield Container(tuple(self._command("run", _ISOLATION)), name, root)
        finally:
            self._printed("umount", name)
            self._printed("rm", name)

    def remove(self) -> None:
        """Removes all images and the folder."""
        if self.folder.exists():
            self._printed("rm", "--all")
            self._printed("rmi", "--all", "--force")
            shutil.rmtree(self.folder)

    def _printed(self, *arguments: str) -> str:
        return subprocess.run(
            self._command(*arguments), check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    def _command(self, *arguments: str) -> list[str]:
        places = [f"--root={self.folder / 'images'}", f"--runroot={self.folder / 'run'}"]
        return ["buildah", *places, *arguments]


@dataclass(frozen=True)
class Container:
    """A container in which commands run; `root` is its root folder, seen from outside."""

    run_command: tuple[str, ...]
    name: str
    root: Path

    def run(
        self, command: Sequence[str], environment: Mapping[str, str], visible: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end; it sees the folder `visible` of this machine, too."""
        return subprocess.run(
            self._command(command, environment, visible),
            capture_output=True,
            text=True,
            check=False,
        )

    @contextlib.contextmanager
    def running(
        self, command: Sequence[str], environment: Mapping[str, str], visible: Path, log: Path
    ) -> Iterator[None]:
        """Runs a command, and everything that it starts, for as long as the block lasts."""
        with log.open("wb") as file:
            process = subprocess.Popen(
                self._command(command, environment, visible),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                yield
            finally:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()

    def _command(
        self, command: Sequence[str], environment: Mapping[str, str], visible: Path | None
    ) -> list[str]:
        settings = [f"--env={name}={value}" for name, value in environment.items()]
        volumes = [f"--volume={visible}:{visible}:ro"] if visible else []
        return [*self.run_command, *settings, *volumes, self.name, "--", *command]

"""Python programs that need a process of their own."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_ROOT = Path(__file__).parents[1]


def run_fresh(
    program: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs the text of a program, which can import our packages; what it wrote is kept.

    Raises:
      subprocess.CalledProcessError: its exit code is not 0.
    """
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=_ROOT,
        env=environment,
        capture_output=True,
        check=True,
        text=True,
    )

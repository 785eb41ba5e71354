#!/usr/bin/env python
"""Runs the program that FLEX_TEMPLATE_PYTHON_PY_FILE names, as Dataflow's launcher does.

The real one finds the arguments in the metadata of its machine; this one takes them as its own.
"""

import os
import subprocess
import sys
from pathlib import Path

_FILE = "FLEX_TEMPLATE_PYTHON_PY_FILE"
_INSTALLED_FROM = {
    "FLEX_TEMPLATE_PYTHON_REQUIREMENTS_FILE": "requirements_file",
    "FLEX_TEMPLATE_PYTHON_SETUP_FILE": "setup_file",
}


def main() -> int:
    """Returns the exit code of the program that makes the job."""
    program = os.environ.get(_FILE, "")
    if not Path(program).is_file():
        sys.exit(f"{_FILE} is {program!r}, which is no file of this image.")
    packages = [
        f"--{option}={os.environ[name]}"
        for name, option in _INSTALLED_FROM.items()
        if os.environ.get(name)
    ]
    command = ["python", program, *packages, *sys.argv[1:]]
    print("Executing:", *command[:2], f"and {len(command) - 2} arguments", file=sys.stderr)
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

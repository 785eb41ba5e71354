"""Launches the template as Dataflow's launcher does: its program, its argument list."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # The measuring process has to stay small.
    from pipeline.local.servers import LocalCloud


ROOT = Path(__file__).parents[2]
IMAGE = "europe-docker.pkg.dev/my-project/images/bulkscore:1"
HARNESS_THREADS = 3


@dataclass(frozen=True)
class Launch:
    """How the launcher's child ended, and what it used.

    Attributes:
      memory_bytes: largest resident size.
      cpu_s: user and system time, which other work on the machine does not change.
    """

    code: int
    stdout: str
    stderr: str
    memory_bytes: int
    cpu_s: float


def usual_arguments(cloud: LocalCloud, parameters: Mapping[str, str], job_object: str) -> list[str]:
    """What the entry file gets from a launch whose environment names the usual."""
    # Not by the measuring process, which runs this file as a program.
    from google.cloud.dataflow_v1beta3 import types
    from launch_arguments import JobPlace, launch_arguments

    settings = types.FlexTemplateRuntimeEnvironment(
        service_account_email="scorer@my-project.iam.gserviceaccount.com",
        temp_location=cloud.temp_location,
        staging_location=f"{cloud.temp_location}/staging",
        sdk_container_image=IMAGE,
        additional_experiments=["use_runner_v2"],
        additional_pipeline_options=[
            f"number_of_worker_harness_threads={HARNESS_THREADS}",
            "enable_streaming_engine=false",
        ],
    )
    place = JobPlace("score-20250131", cloud.project, "europe-west1", job_object)
    return launch_arguments(parameters, settings, place)


def launch(cloud: LocalCloud, parameters: Mapping[str, str], job_object: str) -> Launch:
    """Runs the entry file with these arguments."""
    entry_file = str(ROOT / "templates" / "flex" / "main.py")
    command = [sys.executable, entry_file, *usual_arguments(cloud, parameters, job_object)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with tempfile.NamedTemporaryFile() as report:
        # As on the launcher's machine, where the package is installed and not the folder at hand.
        finished = subprocess.run(
            [sys.executable, __file__, report.name, *command],
            cwd="/",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        used = json.load(report)
    return Launch(finished.returncode, finished.stdout, finished.stderr, **used)


def _measured(report: str, *command: str) -> int:
    """Runs a command and leaves in the file `report` what it used.

    In a small process of its own, because a child counts the memory of its parent as its own until
    it runs its program.
    """
    code = subprocess.run(command, check=False).returncode
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = {
        "memory_bytes": usage.ru_maxrss * 1024,
        "cpu_s": usage.ru_utime + usage.ru_stime,
    }
    Path(report).write_text(json.dumps(used), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(_measured(*sys.argv[1:]))

"""Launches the template as Dataflow's launcher does: its program, its argument list."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.local.servers import LocalCloud

ROOT = Path(__file__).parents[2]
IMAGE = "europe-docker.pkg.dev/my-project/images/bulkscore:1"


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


def launch(cloud: LocalCloud, parameters: Mapping[str, str], job_object: str) -> Launch:
    """Runs the entry file with the parameters, then what the launcher adds of its own."""
    command = [
        sys.executable,
        str(ROOT / "templates" / "flex" / "main.py"),
        *(f"--{name}={value}" for name, value in parameters.items()),
        "--job_name=score-20250131",
        "--region=europe-west1",
        "--service_account_email=scorer@my-project.iam.gserviceaccount.com",
        "--runner=DataflowRunner",
        f"--project={cloud.project}",
        f"--template_location={job_object}",
        f"--temp_location={cloud.temp_location}",
        f"--staging_location={cloud.temp_location}/staging",
        f"--sdk_container_image={IMAGE}",
        "--experiments=use_runner_v2",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        # As on the launcher's machine, where the package is installed and not the folder at hand.
        process = subprocess.Popen(command, cwd="/", env=environment, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    return Launch(
        process.returncode,
        texts[0],
        texts[1],
        memory_bytes=usage.ru_maxrss * 1024,
        cpu_s=usage.ru_utime + usage.ru_stime,
    )

"""Stand-ins for the three images that the template's image starts from, made without a registry.

They have what the template takes from the real ones: Debian bookworm with Python 3.11 and pip, and
at their places programs that start a worker and a launch as the real ones do.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from buildah import Buildah

_STAND_INS = Path(__file__).parent / "stand_ins"
_MIRROR = "http://deb.debian.org/debian"
_PACKAGES = "ca-certificates,python-is-python3,python3,python3-pip,python3-venv"
# Debian's pip refuses to install beside Debian's packages; that of Python's image does not know
# this file.
_MARKER = Path("usr/lib/python3.11/EXTERNALLY-MANAGED")
# A proxy before the package index may have a certificate that only this machine knows.
_CERTIFICATES = Path("etc/ssl/certs/ca-certificates.crt")


def make_bases(buildah: Buildah, debian: Path) -> dict[str, str]:
    """Makes the images and returns them by their names in the Dockerfile.

    `debian` is the folder for the Debian system, which is made only if it is not there: it takes
    a minute or two and 0.3 GB.
    """
    if not debian.exists():
        _install_debian(debian)
    contexts = {"python": debian, "beam": _STAND_INS, "launcher": _STAND_INS}
    tags = {name: f"localhost/stand-in-{name}:1" for name in contexts}
    for name, context in contexts.items():
        buildah.build(_STAND_INS / f"{name}.Dockerfile", context, tags[name])
    return {f"{name.upper()}_IMAGE": tag for name, tag in tags.items()}


def _install_debian(folder: Path) -> None:
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    options = ["--variant=minbase", f"--include={_PACKAGES}"]
    command = ["debootstrap", *options, "bookworm", str(unfinished), _MIRROR]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (unfinished / _MARKER).unlink()
    shutil.rmtree(unfinished / "var/cache/apt/archives")
    shutil.copyfile("/" / _CERTIFICATES, unfinished / _CERTIFICATES)
    (unfinished / "etc/pip.conf").write_text(f"[global]\ncert = /{_CERTIFICATES}\n")
    unfinished.rename(folder)

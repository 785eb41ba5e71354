"""Builds the template's image without Docker and runs a launch and a worker inside it.

    python tests/templates/image_build.py [--folder FOLDER] [--keep]

The Dockerfile is built unchanged, on stand-ins for its three bases (see image_bases.py).  A launch
in the image plans a run against the embedded BigQuery and Cloud Storage; workers that the image's
entry point starts then score and publish it.  Exits with 1 at the first thing that is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_TAG = "localhost/bulkscore:1"
_TOOLS = ("buildah", "crun", "debootstrap")


def main() -> int:
    """Builds, looks and tries; what was made is removed unless it shall be kept."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=_ROOT / "build" / "image")
    parser.add_argument("--keep", action="store_true", help="keep the images for the next time")
    arguments = parser.parse_args()
    if missing := [tool for tool in _TOOLS if shutil.which(tool) is None]:
        parser.error(
            f"{', '.join(missing)}: not installed. Run: "
            f"apt-get install -y --no-install-recommends {' '.join(_TOOLS)}"
        )
    if os.geteuid() != 0:
        parser.error("debootstrap and buildah need root here. Run this program as root.")
    # What the tests find by pytest's settings.
    sys.path[:0] = [str(_ROOT), str(_ROOT / "tests")]
    with _storage(arguments.folder, keep=arguments.keep) as folder:
        return _build_and_try(folder)


@contextlib.contextmanager
def _storage(folder: Path, *, keep: bool) -> Iterator[Path]:
    from buildah import Buildah

    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder.resolve()
    finally:
        if not keep:
            Buildah(folder.resolve() / "buildah").remove()
            shutil.rmtree(folder)


def _build_and_try(folder: Path) -> int:
    from buildah import Buildah
    from image_bases import make_bases
    from image_contents import ImageError, demand_contents, demand_context, demand_roles
    from image_roles import try_roles

    buildah = Buildah(folder / "buildah")
    bases = make_bases(buildah, folder / "debian")
    buildah.build(_ROOT / "templates" / "flex" / "Dockerfile", _ROOT, _TAG, **bases)
    print(f"\nimage: {buildah.size(_TAG)}")
    try:
        demand_roles(buildah.image(_TAG))
        demand_context(buildah, folder)
        with buildah.container(_TAG) as container, tempfile.TemporaryDirectory() as scratch:
            demand_contents(container)
            try_roles(container, buildah.image(_TAG)["Entrypoint"], Path(scratch))
    except ImageError as e:
        print(f"image_build: {e}", file=sys.stderr)
        return 1
    print("image: built, launched from and scored with")
    return 0


if __name__ == "__main__":
    sys.exit(main())

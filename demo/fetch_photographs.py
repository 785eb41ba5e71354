"""Fetches Debian's package of photographs for children's paintings, without installing it."""

import shutil
import subprocess
from pathlib import Path

PACKAGE = "tuxpaint-stamps-default"

_STAMPS = "usr/share/tuxpaint/stamps"
# The other folders hold drawings and symbols, and these have some drawings too.
_FOLDERS = frozenset(
    {"animals", "food", "hobbies", "household", "medical", "plants", "sports", "vehicles"}
)
_DRAWINGS = frozenset({"cartoon", "fly", "hedgehog", "pizza", "sedan_police", "tooth"})


def has_apt() -> bool:
    """Whether this machine has the programs that fetch and open Debian's packages."""
    return all(shutil.which(program) for program in ("apt-get", "dpkg-deb"))


def fetch(folder: Path) -> None:
    """Fills a new folder with PNG files and, beside each, its caption as a text file.

    The package index is fetched into a place of its own, so that neither the machine's index
    nor the right to change it is needed; apt checks its signature and the package's hash.

    Raises:
      SystemExit: apt-get or dpkg-deb failed; it has said why.
    """
    print(f"Fetching the photographs: Debian's {PACKAGE}, 161 MB …", flush=True)
    downloads = folder.with_suffix(".download").absolute()
    shutil.rmtree(downloads, ignore_errors=True)
    (downloads / "lists/partial").mkdir(parents=True)
    options = [
        f"Dir::State={downloads}",
        "Dir::State::status=/var/lib/dpkg/status",
        f"Dir::Cache={downloads}",
        # The superuser's apt would become a user who may not write here.
        "APT::Sandbox::User=root",
    ]
    apt = ["apt-get", "-qq", *(f"-o{option}" for option in options)]
    _call([*apt, "update"], downloads)
    _call([*apt, "download", PACKAGE], downloads)
    (package,) = downloads.glob("*.deb")
    _call(["dpkg-deb", "-x", str(package), "."], downloads)
    fresh = folder.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    _choose(downloads / _STAMPS, fresh)
    fresh.rename(folder)
    shutil.rmtree(downloads)


def _call(command: list[str], folder: Path) -> None:
    finished = subprocess.run(command, cwd=folder, check=False)  # noqa: S603
    if finished.returncode != 0:
        raise SystemExit(
            f"The photographs ({PACKAGE}) could not be fetched: {command[0]} failed with exit code "
            f"{finished.returncode}. It needs this machine's sources of Debian packages; try again."
        )


def _choose(stamps: Path, folder: Path) -> None:
    """Copies the photographs that have a caption, and the captions' English lines."""
    for picture in stamps.rglob("*.png"):
        name = picture.relative_to(stamps)
        caption = picture.with_suffix(".txt")
        if _is_photograph(name) and caption.exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(picture, folder / name)
            english, *_ = caption.read_text(encoding="utf-8").splitlines()
            (folder / name).with_suffix(".txt").write_text(english.strip(), encoding="utf-8")


def _is_photograph(name: Path) -> bool:
    return (
        name.parts[0] in _FOLDERS
        and not _DRAWINGS & {*name.parts, name.stem}
        and not name.stem.endswith("_mirror")
    )

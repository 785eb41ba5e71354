"""What has to be in the template's image, and what must not be."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from buildah import Buildah, Container

_ROOT = Path(__file__).parents[2]
_PACKAGES = ("options", "pipeline", "scoring", "transforms")
_ENTRY_POINT = ["/opt/apache/beam/boot"]
LAUNCHER = "/opt/google/dataflow/python_template_launcher"
_OWN_FOLDER = ["main.py", "requirements.lock"]
# Below these nothing may have been left behind.
_EMPTY = ("tmp", "root/.cache", "var/cache/apt/archives")
_CONTEXT = "localhost/context:1"
_TOOLS = ("benchmarks", "bqemulator", "demo", "docs", "duckdb", "mypy", "pytest", "uv")
_LARGEST = 6


class ImageError(Exception):
    """The image is not as it should be; the message says where, what was found and expected."""


def demand(holds: object, problem: str) -> None:
    """Raises ImageError unless `holds`."""
    if not holds:
        raise ImageError(problem)


def demand_roles(config: Mapping[str, Any]) -> None:
    """Both roles find their programs: workers by the entry point, launches by the environment."""
    settings = dict(setting.split("=", 1) for setting in config["Env"])
    print("entry point:", *config["Entrypoint"])
    for name, value in settings.items():
        print(f"environment: {name}={value}")
    demand(
        config["Entrypoint"] == _ENTRY_POINT and not config.get("Cmd"),
        f"the entry point is {config['Entrypoint']} {config.get('Cmd')}, expected {_ENTRY_POINT}",
    )
    given = {name: value for name, value in settings.items() if name.startswith("FLEX_TEMPLATE_")}
    expected = {"FLEX_TEMPLATE_PYTHON_PY_FILE": "/opt/bulkscore/main.py"}
    demand(given == expected, f"the launcher is told {given}, expected {expected}")


def demand_context(buildah: Buildah, folder: Path) -> None:
    """The build sees nothing but what .dockerignore lets through: versioned files of the image."""
    recipe = folder / "context.Dockerfile"
    recipe.write_text("FROM scratch\nCOPY . /\n", encoding="utf-8")
    buildah.build(recipe, _ROOT, _CONTEXT)
    with buildah.container(_CONTEXT) as container:
        seen = _files(container.root)
    foreign = sorted(set(seen) - set(_versioned(".")))
    print(f"context: {len(seen)} files")
    demand(not foreign, f"the build's context has files that are not versioned: {foreign[:5]}")
    outside = [f for f in seen if f.startswith(("tests/", "docs/", ".git", "demo/"))]
    demand(not outside, f"the build's context has {outside[:5]}, expected no such files")


def demand_contents(container: Container) -> None:
    """The sources as they are versioned, our own folder, and no leftovers."""
    root = container.root
    own = _files(root / "opt" / "bulkscore")
    demand(own == _OWN_FOLDER, f"/opt/bulkscore has {own}, expected {_OWN_FOLDER}")
    installed = next(root.glob("usr/local/lib/python3.11/*-packages"))
    for package in _PACKAGES:
        found = [f"{package}/{f}" for f in _files(installed / package) if not f.endswith(".pyc")]
        expected = _versioned(package)
        demand(found == expected, f"{package}: {sorted({*found} ^ {*expected})} differ")
    left = [name for name in _EMPTY if (root / name).exists() and any((root / name).iterdir())]
    demand(not left, f"there is something left in {left}")
    tools = [name for name in _TOOLS if (installed / name).exists()]
    demand(not tools, f"{installed.name} has {tools}, which nothing needs at run time")
    git = [str(p.relative_to(root)) for p in root.rglob(".git*") if p.name in (".git", ".github")]
    demand(not git, f"the image has {git[:5]}")
    _print_sizes(installed)


def _print_sizes(installed: Path) -> None:
    sizes = {entry.name: _bytes(entry) for entry in installed.iterdir()}
    largest = sorted(sizes, key=lambda name: sizes[name], reverse=True)[:_LARGEST]
    print(f"packages: {sum(sizes.values()) / 1e9:.2f} GB, the largest:")
    for name in largest:
        print(f"  {name:<24}{sizes[name] / 1e6:>8,.0f} MB")


def _bytes(entry: Path) -> int:
    files: Iterable[Path] = entry.rglob("*") if entry.is_dir() else [entry]
    return sum(file.lstat().st_size for file in files)


def _files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir())


def _versioned(path: str) -> list[str]:
    """Files that git knows, changed ones and new ones included."""
    known = ["git", "ls-files", "--cached", "--others", "--exclude-standard", path]
    listed = subprocess.run(known, cwd=_ROOT, check=True, capture_output=True, text=True).stdout
    return sorted(name for name in listed.splitlines() if (_ROOT / name).is_file())

"""The image's recipe, as far as it can be read without building: bases, files, packages, roles."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

_ROOT = Path(__file__).parents[2]
_FLEX = _ROOT / "templates" / "flex"
_DOCKERFILE = (_FLEX / "Dockerfile").read_text(encoding="utf-8")
_PROJECT = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
_LOCKS = ("requirements.lock", "requirements-gpu.lock")


def _instructions() -> list[tuple[str, str]]:
    """Instructions and their arguments in order, continued lines joined, comments left out."""
    lines = [line for line in _DOCKERFILE.splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    pairs = (line.partition(" ") for line in joined.splitlines() if line.strip())
    return [(word, " ".join(rest.split())) for word, _, rest in pairs]


def _arguments(instruction: str) -> list[str]:
    return [rest for word, rest in _instructions() if word == instruction]


def _defaults() -> dict[str, str]:
    pairs = (a.partition("=") for a in _arguments("ARG"))
    return {name: value for name, _, value in pairs}


def _own_sources() -> list[str]:
    """What the image copies from the repository."""
    copies = [c.split()[:-1] for c in _arguments("COPY") if not c.startswith("--from=")]
    return [source for sources in copies for source in sources]


def _locked(path: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Each package of a lock with its version and hashes."""
    text = path.read_text(encoding="utf-8")
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)
    found = {}
    for block in blocks:
        if match := re.match(r"([a-z0-9-]+)==(\S+)", block):
            found[match[1]] = (match[2], frozenset(re.findall(r"sha256:[0-9a-f]{64}", block)))
    return found


def test_every_base_is_pinned_and_can_be_replaced() -> None:
    defaults = _defaults()
    bases = [line.split()[0] for line in _arguments("FROM")]
    assert sorted(bases) == ["${BEAM_IMAGE}", "${LAUNCHER_IMAGE}", "${PYTHON_IMAGE}"]
    for base in bases:
        image, _, tag = defaults[base[2:-1]].rpartition(":")
        assert image
        assert re.search(r"\d", tag), f"{base}: the tag {tag} names no version"


def test_bases_have_the_python_and_the_beam_of_the_lock() -> None:
    defaults = _defaults()
    beam, _ = _locked(_FLEX / "requirements.lock")["apache-beam"]
    assert defaults["BEAM_IMAGE"] == f"apache/beam_python3.11_sdk:{beam}"
    assert defaults["PYTHON_IMAGE"].startswith("python:3.11.")
    assert "/python311-template-launcher-base:" in defaults["LAUNCHER_IMAGE"]
    assert _PROJECT["project"]["requires-python"] == ">=3.11,<3.12"


@pytest.mark.parametrize("lock", _LOCKS)
def test_what_is_copied_exists_and_is_not_ignored(lock: str) -> None:
    rules = (_ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in rules
    for source in _own_sources():
        path = source.replace("${LOCK}", lock)
        assert (_ROOT / path).exists(), path
        taken = [rule[1:] for rule in rules if rule.startswith("!")]
        assert any(Path(path).match(rule) for rule in taken), path


def test_the_whole_package_is_copied_and_nothing_else() -> None:
    packages = {name.partition(".")[0] for name in _PROJECT["tool"]["setuptools"]["packages"]}
    project = _PROJECT["project"]
    needed = {"pyproject.toml", "setup.py", project["readme"], *project["license-files"]}
    own = {"templates/flex/${LOCK}", "templates/flex/main.py"}
    assert set(_own_sources()) == packages | needed | own


def test_both_roles_find_their_program() -> None:
    assert _arguments("ENTRYPOINT") == ['["/opt/apache/beam/boot"]']
    copied = [c.split()[-1] for c in _arguments("COPY")]
    assert {"/opt/apache/beam", "/opt/google/dataflow/python_template_launcher"} <= set(copied)
    settings = dict(setting.split("=", 1) for line in _arguments("ENV") for setting in line.split())
    assert settings["FLEX_TEMPLATE_PYTHON_PY_FILE"] in copied
    # With either of these the launcher would install packages, and workers after it.
    assert [name for name in settings if name.startswith("FLEX_TEMPLATE_PYTHON_")] == [
        "FLEX_TEMPLATE_PYTHON_PY_FILE"
    ]


def test_packages_are_checked_by_their_hashes() -> None:
    runs = " && ".join(_arguments("RUN")).split(" && ")
    installs = [run for run in runs if "pip install" in run]
    assert len(installs) == 2
    assert all("--no-cache-dir" in run for run in installs)
    assert {"--no-deps", "--require-hashes"} <= set(installs[0].split())
    assert {"--no-deps", "--no-build-isolation"} <= set(installs[1].split())
    assert runs[-1] == "pip check"


def test_the_image_has_the_versions_that_are_tested() -> None:
    everything = _locked(_ROOT / "requirements.lock")
    plain, gpu = (_locked(_FLEX / lock) for lock in _LOCKS)
    assert plain.items() <= everything.items()
    assert plain.items() <= gpu.items()
    assert all(name.startswith("nvidia-") for name in gpu.keys() - plain.keys())
    assert all(hashes for _, hashes in gpu.values())


def test_the_image_has_no_tools() -> None:
    plain = _locked(_FLEX / "requirements.lock")
    extras = _PROJECT["project"]["optional-dependencies"]
    needed = {_name(r) for r in (*_PROJECT["project"]["dependencies"], *extras["text"])}
    assert needed <= plain.keys()
    assert {_name(r) for r in (*extras["local"], *extras["dev"])}.isdisjoint(plain)


def _name(requirement: str) -> str:
    return re.split(r"[\[=><]", requirement)[0]


def test_cloud_build_makes_the_same_image() -> None:
    build = yaml.safe_load((_FLEX / "cloudbuild.yaml").read_text(encoding="utf-8"))
    (step,) = build["steps"]
    assert step["args"] == [
        "build",
        "--file=templates/flex/Dockerfile",
        "--build-arg=LOCK=${_LOCK}",
        "--tag=${_IMAGE}",
        ".",
    ]
    assert build["images"] == ["${_IMAGE}"]
    assert build["substitutions"]["_LOCK"] == _defaults()["LOCK"]


def _printed_by_make(*arguments: str) -> str:
    """What make would run."""
    return subprocess.run(
        ["make", "--dry-run", "--no-print-directory", *arguments],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout


def test_make_says_what_it_runs() -> None:
    image = _printed_by_make("image", "IMAGE=registry/bulkscore:1")
    assert image.splitlines()[-2:] == [
        "docker build --file=templates/flex/Dockerfile --build-arg=LOCK=requirements.lock "
        "--tag=registry/bulkscore:1 .",
        "docker push registry/bulkscore:1",
    ]
    template = _printed_by_make("template", "IMAGE=registry/bulkscore:1", "TEMPLATE=gs://b/t.json")
    assert template.splitlines()[-2:] == [
        ".venv/bin/python -m options.template_metadata registry/bulkscore:1 > build/template.json",
        "gcloud storage cp build/template.json gs://b/t.json",
    ]

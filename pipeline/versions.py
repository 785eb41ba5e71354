"""The versions of the software that makes a run what it is."""

from importlib.metadata import PackageNotFoundError, version

_PACKAGES = {"bulkscore": "bulkscore", "beam": "apache-beam", "tensorflow": "tensorflow"}


def software_versions() -> tuple[tuple[str, str | None], ...]:
    """Pairs of bulkscore, beam, tensorflow and its version here; None if it is not installed."""
    return tuple((name, _version(package)) for name, package in _PACKAGES.items())


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None

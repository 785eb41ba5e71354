"""`make demo`: the real thing, run as a stranger would."""

import os
import pickle
import re
import subprocess
from pathlib import Path

import pytest

from demo.checkpoint import read_checkpoint

ROOT = Path(__file__).parent.parent


def number(pattern: str, text: str) -> float:
    found = re.search(pattern, text, re.MULTILINE)
    assert found, f"{pattern!r} is not in:\n{text}"
    return float(found[1].replace(",", ""))


@pytest.fixture(scope="module")
def parts() -> tuple[str, str]:
    """What the demo printed about the source files and about the photographs."""
    finished = subprocess.run(["make", "demo"], cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    before, heading, after = finished.stdout.partition("\nCollected ")[2].partition("\nCollected ")
    assert heading
    return before, after


def scored(said: str) -> float:
    """How many rows the run read and scored, none of them rejected."""
    read = number(r"^rows read +([\d,]+)$", said)
    assert number(r"^rows scored +([\d,]+)$", said) == read
    assert number(r"^rows rejected +([\d,]+)$", said) == 0
    return read


def test_languages_agree_with_the_extensions_and_equal_plain_tensorflow(
    parts: tuple[str, str],
) -> None:
    said, _ = parts
    collected = number(r"^([\d,]+) source files", said)
    assert collected >= 2_000
    assert scored(said) == collected
    assert number(r"source files in (\d+) languages", said) >= 5
    assert number(r"^Agreement with the file's extension: ([\d.]+)%", said) >= 85
    assert number(r"row by row: (\d+) rows differ$", said) == 0


def test_labels_of_photographs_name_what_the_captions_name_and_equal_plain_tensorflow(
    parts: tuple[str, str],
) -> None:
    _, said = parts
    collected = number(r"^([\d,]+) photographs", said)
    assert collected >= 200
    assert scored(said) == collected
    assert number(r"^Captions that end in a word of a class: (\d+) of", said) >= 100
    assert number(r"for ([\d.]+)% of them one of the 3 labels has that word$", said) >= 70
    assert number(r"photograph by photograph: (\d+) have another first label", said) <= (
        collected * 0.05
    )
    assert number(r"^(\d+) have a probability that is off", said) == 0


def test_a_checkpoint_that_names_a_function_is_refused() -> None:
    with pytest.raises(pickle.UnpicklingError, match=r"the checkpoint names posix\.system"):
        read_checkpoint(pickle.dumps(os.system))


def test_a_file_that_is_no_checkpoint_is_refused() -> None:
    data = b"".join(pickle.dumps(part) for part in (1, 2, {"little_endian": True}, {}, []))
    with pytest.raises(ValueError, match="no little-endian PyTorch checkpoint"):
        read_checkpoint(data)

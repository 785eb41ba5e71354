"""The README is true: its tables are the code's, its commands run, its output is what comes out."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.readme_tables import README, with_tables

ROOT = README.parent
TEXT = README.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```console\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
# What differs from run to run: run ids, digests, times, rates, memory, sizes of a model trained
# anew, and the calls for which there was time.
VOLATILE = (
    (re.compile(r"\d{8}T\d{6}_[0-9a-f]{6}"), "RUN"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "DIGEST"),
    (re.compile(r" +[\d.]+ s$", re.MULTILINE), " SECONDS"),
    (re.compile(r"(rows per second) +[\d,]+"), r"\1 RATE"),
    (re.compile(r"\b[\d.,]+ (bytes|kB|MB|GB)\b"), "SIZE"),
    (re.compile(r"\b[\d.e-]+ ms of"), "TIME of"),
    (re.compile(r"\b[\d,]+ rows took [\d.]+ s here and [\d.]+ s"), "ROWS took TIME and TIME"),
    (re.compile(r"(of up to|calls of) [\d,]+ rows"), r"\1 ROWS"),
)


def masked(text: str) -> str:
    for pattern, word in VOLATILE:
        text = pattern.sub(word, text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def test_tables_are_those_of_the_code() -> None:
    assert with_tables(TEXT) == TEXT, "run: python -m docs.readme_tables"


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"[`$ ]make ([a-z]+)`?$|`make ([a-z]+)`", TEXT, re.MULTILINE))
    assert {"demo", "test"} <= {a or b for a, b in named} <= targets


def test_console_blocks_print_what_they_say(tmp_path: Path) -> None:
    """All blocks in order, in one empty folder, as a reader would type them."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    ran = 0
    for block in BLOCKS:
        command, _, expected = block.removeprefix("$ ").partition("\n")
        if command == "make demo":
            continue  # tests/test_demo.py runs it.
        finished = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert finished.returncode == 0, finished.stderr
        assert masked(finished.stdout) == masked(expected), command
        ran += 1
    assert ran == len(BLOCKS) - 1


@pytest.mark.parametrize(
    "path", sorted((ROOT / "templates/sql").glob("*.sql")), ids=lambda p: p.name
)
def test_sql_templates_name_the_tables_of_the_readme(path: Path) -> None:
    tables = set(re.findall(r"`(garden\.\w+)`", path.read_text()))
    assert tables
    assert tables <= {"garden.predictions__runs", "garden.predictions__rejects"}

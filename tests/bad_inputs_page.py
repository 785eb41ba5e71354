"""Writes docs/bad_inputs.md from the tables: PYTHONPATH=. python tests/bad_inputs_page.py"""

import re
from collections.abc import Sequence
from pathlib import Path

from bad_inputs import BadCommand, OddRow
from bad_inputs_files import FORBIDDEN_FILES, LOCAL_FILES, LOCAL_OUTPUTS, REFUSED_REQUESTS
from bad_inputs_flags import FLAGS
from bad_inputs_images import IMAGES
from bad_inputs_models import ARCHIVES, MODELS
from bad_inputs_rows import ROWS
from bad_inputs_sources import DESTINATIONS, TABLES
from tabulate import tabulate

PAGE = Path(__file__).parent.parent / "docs" / "bad_inputs.md"

AREAS: dict[str, Sequence[BadCommand | OddRow]] = {
    "Flags": FLAGS,
    "Tables, queries and columns": TABLES,
    "Results": (*DESTINATIONS, *LOCAL_OUTPUTS),
    "Models": MODELS,
    "Archives of models": ARCHIVES,
    "Permissions": (*REFUSED_REQUESTS, *FORBIDDEN_FILES),
    "Rows": ROWS.rows,
    "Images": IMAGES.rows,
    "Files of local mode": LOCAL_FILES,
}

_HEAD = """# Bad inputs and what they get

{count} kinds of input that are wrong or odd. Each is made and tried by
`tests/pipeline/test_bad_inputs.py`, which compares the whole message; this page is written from
the same tables.

A command that cannot work ends with exit code 2 and one message, before anything is written; here
is its first sentence, in the words of the embedded BigQuery where the service is quoted. A run
that is refused ends with 3. A bad row or image is written to the rejects table with a code and a
message, and the other rows are scored. Words in capitals such as FOLDER and DATASET stand for what
differs from run to run.
"""
# A full stop, or a line that nothing continues: what comes behind it says how to mend it.
_SENTENCE_END = re.compile(r"(?<=[.?])\s+(?=[A-Z-])|(?<!:)\n")


def page() -> str:
    """The page as the tables have it now."""
    parts = [_HEAD.format(count=sum(map(len, AREAS.values())))]
    for area, cases in AREAS.items():
        rows = [(_cell(case.wrong), _code(case), _cell(_first_sentence(case))) for case in cases]
        heading = "Exit code" if isinstance(cases[0], BadCommand) else "Code"
        table = tabulate(
            rows,
            headers=("What is wrong", heading, "Message"),
            tablefmt="github",
            disable_numparse=True,
        )
        parts.append(f"## {area}\n\n{table}\n")
    return "\n".join(parts)


def _code(case: BadCommand | OddRow) -> str:
    return str(case.exit_code) if isinstance(case, BadCommand) else case.code


def _first_sentence(case: BadCommand | OddRow) -> str:
    return " ".join(_SENTENCE_END.split(case.message)[0].split())


def _cell(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return re.sub(r"([|\\`*_<>\[\]])", r"\\\1", text)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

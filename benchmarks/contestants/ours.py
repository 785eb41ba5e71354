"""bulkscore's own command line, as a user would type it."""

import re
import sys
from pathlib import Path

from benchmarks.task import INPUT, OUTPUT, Report, Task

# As `bulkscore score` prints it.
_PIPELINE_TIME = re.compile(r"^pipeline time +([\d.]+) s$", re.MULTILINE)
_SCORED = re.compile(r"^rows scored +([\d,]+)$", re.MULTILINE)


def command(task: Task, *, is_local: bool) -> list[str]:
    """The command line for a task; if local, with embedded services that it starts itself."""
    scoring = task.scoring
    where = (
        ["--local", f"--local_tables={INPUT}={task.table}", f"--local_output={task.folder}"]
        if is_local
        else [f"--project={task.project}", f"--temp_location={task.temp_location}"]
    )
    carried = (
        [f"--passthrough_columns={','.join(scoring.passthrough)}"] if scoring.passthrough else []
    )
    return [
        str(Path(sys.executable).with_name("bulkscore")),
        "score",
        *where,
        f"--input_table={INPUT}",
        f"--model={task.model}",
        f"--signature={scoring.signature}",
        f"--key_columns={scoring.key}",
        *carried,
        # The others write no columns that say where a prediction comes from.
        "--metadata_columns=none",
        f"--output_table={OUTPUT}",
        *task.flags,
    ]


def report(printed: str) -> Report:
    """What the command printed at its end.

    Raises:
      ValueError: it printed no pipeline time.
    """
    time, rows = _PIPELINE_TIME.search(printed), _SCORED.search(printed)
    if time is None or rows is None:
        raise ValueError("bulkscore printed no pipeline time or no scored rows")
    return Report(float(time[1]), int(rows[1].replace(",", "")))

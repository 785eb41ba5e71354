"""How fast a model scores, measured with a few rows that are scored over and over."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from scoring.batch import Scorer

Seconds = Callable[[], float]

# A round of this length is long enough to be told from noise.
_ROUND_S = 1.0
# A page has rows for so many calls, the last one, too, where calls may be larger than before: two
# at once are to be full, as their memory is measured, though slices become smaller towards the end.
# The search for the number of rows of a call takes no more for one.
_PAGE_CALLS = 6
# What a short round says of longer ones is believed so far only.
_MOST_GROWTH = 30


@dataclass(frozen=True)
class Speed:
    """Rows that were scored, in calls of `call_rows`, and what that took.

    Attributes:
      seconds: wall time, in which objects came, too.
      cpu_seconds: of all threads of the process; more than `seconds` where several cores worked.
    """

    rows: int
    call_rows: int
    seconds: float
    cpu_seconds: float

    @property
    def core_seconds_a_row(self) -> float:
        """What a row costs a process that has one core: it computes, or it waits."""
        return max(self.seconds, self.cpu_seconds) / self.rows


def measured_speed(
    scorer: Scorer,
    sample: pa.RecordBatch,
    first_seconds: float,
    *,
    least_rows: int,
    wall: Seconds,
    cpu: Seconds,
) -> Speed:
    """Scores the sample's rows again, then more and more until that takes about a second.

    Takes some three seconds, unless the model is slower with many rows than with few.  A round ends
    with the page that completes it, so that it may take twice as long as it has to.

    Args:
      scorer: of a model that has scored the sample, which took `first_seconds`.
      sample: at least one row.
      least_rows: of one round; what a model insists on having in a call.
      wall, cpu: the time, and that in which this process computed.

    Returns:
      The speed of the last, largest round.
    """
    rows = int(sample.num_rows * _ROUND_S / max(first_seconds, _ROUND_S))
    speed = _round(scorer, sample, max(rows, least_rows), wall, cpu)
    while speed.seconds < _ROUND_S / 2:
        # No clock tells less than a nanosecond.
        row_seconds = max(speed.seconds, 1e-9) / speed.rows
        rows = min(int(_ROUND_S / row_seconds), _MOST_GROWTH * speed.rows)
        speed = _round(scorer, sample, rows, wall, cpu)
    return speed


def settle_calls(scorer: Scorer, sample: pa.RecordBatch) -> None:
    """Scores the sample until calls grow no more, for whoever measures what comes after.

    Args:
      scorer: of a model that is slow when it is first called with a number of rows.
      sample: at least one row.
    """
    call_rows = 0
    while call_rows != scorer.call_rows(sample):
        call_rows = scorer.call_rows(sample)
        page = _page(sample, _PAGE_CALLS * call_rows)
        deque(scorer.score(page), maxlen=0)


def _round(scorer: Scorer, sample: pa.RecordBatch, rows: int, wall: Seconds, cpu: Seconds) -> Speed:
    """Scores so many rows or some more, in full calls whose size may change on the way."""
    done = call_rows = 0
    seconds = cpu_seconds = 0.0
    page = sample.slice(0, 0)
    while done < rows:
        call_rows = scorer.call_rows(sample)
        page_rows = min(rows, _PAGE_CALLS * call_rows)
        if page.num_rows != page_rows:
            page = _page(sample, page_rows)
        started, cpu_started = wall(), cpu()
        deque(scorer.score(page), maxlen=0)
        seconds += wall() - started
        cpu_seconds += cpu() - cpu_started
        done += page_rows
    return Speed(done, min(page.num_rows, call_rows), seconds, cpu_seconds)


def _page(sample: pa.RecordBatch, rows: int) -> pa.RecordBatch:
    """So many rows: the sample's, over and over."""
    return sample.take(pa.array(np.arange(rows) % sample.num_rows))

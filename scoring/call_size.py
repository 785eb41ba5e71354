"""How many rows one call of the model gets: found by calling it."""

from dataclasses import dataclass
from math import inf
from statistics import median
from threading import Lock

FIRST_CALL_ROWS = 32
"""What a model computes between its inputs and outputs is not known beforehand: for some a row
takes megabytes."""

# Within 30 ms a model cannot touch much memory (at 10 GB/s, 300 MB), so that far calls grow at
# once: what so short calls take tells little of what longer ones would.
_CHEAP_CALL_SECONDS = 0.03
# From there on some calls of a size are tried, of which the first ones, at most two at once, may
# have waited for the model to be traced or compiled.  The median is what counts: the quickest is
# the one with the lightest rows, and of small calls lighter than of large ones.
_TRIED_CALLS = 5
# Of calls that are shorter by far two at once took longer than one after the other.
_LONG_CALL_SECONDS = 0.1
# The part of the time a row of the size before it that a size may take at most.  From 0.2 s on a
# call must be worth its memory; shorter ones are kept unless they are clearly worse, as their few
# rows differ: where doubling saves 3 % a time, as with guesslang, chance would end the search.
_WORTHWHILE = 0.95
_NO_WORSE = 1.1
_WORTH_ITS_MEMORY_FROM_SECONDS = 0.2


@dataclass(frozen=True)
class CallShapes:
    """Which numbers of rows the calls of a model have.

    Attributes:
      fixed: the only one, if the model insists on it.
      compiled: whether each takes a compilation: then they are powers of two.
      least: a size of compiled calls that has room for any rest without being a burden.
    """

    fixed: int | None
    compiled: bool
    least: int

    @property
    def is_any(self) -> bool:
        """Whether a call may have any number."""
        return self.fixed is None and not self.compiled

    def at_most(self, rows: int) -> int:
        """The largest number for a call that is to have at most so many rows; the fixed one."""
        if self.fixed is not None or self.is_any:
            return self.fixed or rows
        return 1 << (rows.bit_length() - 1)

    def padded(self, rows: int, affordable: int) -> int:
        """The number for a call of so many rows, where there may be memory for `affordable`."""
        if self.fixed is not None or self.is_any:
            return self.fixed or rows
        # Not one compilation more for each short rest.
        least = min(FIRST_CALL_ROWS, self.at_most(self.least), affordable)
        return 1 << (max(rows, least) - 1).bit_length()


class CallSize:
    """The number of rows of the next call, for any number of threads.

    It doubles while that makes a row cheaper, or as long as calls are short no dearer, up to
    `max_rows`, and stays where it does not.
    """

    def __init__(self, max_rows: int, first_rows: int) -> None:
        self._max_rows = max_rows
        self._rows = min(first_rows, max_rows)
        self._is_found = False
        self._is_long = False
        self._seconds: list[float] = []
        self._rows_before, self._row_seconds_before = self._rows, inf
        self._lock = Lock()

    @property
    def rows(self) -> int:
        """Rows of the next call."""
        return self._rows

    @property
    def is_long(self) -> bool:
        """Whether calls of the size that was found take so long that two at once are quicker."""
        return self._is_long

    @property
    def is_found(self) -> bool:
        """Whether the number of rows changes no more, unless memory runs out."""
        return self._is_found

    @property
    def max_rows(self) -> int:
        """The most rows that there is memory for, as far as is known."""
        return self._max_rows

    def limit(self, max_rows: int) -> None:
        """No call shall have more than `max_rows` from now on; more ran out of memory."""
        with self._lock:
            if max_rows < self._max_rows:
                self._max_rows = max_rows
                self._rows = min(self._rows, max_rows)
                self._is_found = True

    def learn(self, rows: int, seconds: float) -> None:
        """A call with `rows` rows took so long with all around it; other sizes are old news."""
        with self._lock:
            if self._is_found or rows != self._rows:
                return
            self._seconds.append(seconds)
            if seconds < _CHEAP_CALL_SECONDS:
                self._keep(seconds, row_seconds=inf)
            elif len(self._seconds) == _TRIED_CALLS:
                self._judge(median(self._seconds))

    def _judge(self, seconds: float) -> None:
        """Keeps the size, whose calls take so long, or goes back to the one before it."""
        row_seconds = seconds / self._rows
        is_heavy = seconds >= _WORTH_ITS_MEMORY_FROM_SECONDS
        most = _WORTHWHILE if is_heavy else _NO_WORSE
        if row_seconds <= most * self._row_seconds_before:
            self._keep(seconds, row_seconds)
        else:
            self._rows = self._rows_before
            self._is_found = True

    def _keep(self, seconds: float, row_seconds: float) -> None:
        """Goes on to the next size, if there is one; a row of this one took so long."""
        self._is_long = seconds >= _LONG_CALL_SECONDS
        self._is_found = self._rows == self._max_rows
        self._rows_before, self._row_seconds_before = self._rows, row_seconds
        self._rows = min(2 * self._rows, self._max_rows)
        self._seconds = []

"""_PARTITIONTIME and _PARTITIONDATE are refused.

bqemulator reads both as the current time, so that a filter on them is true of every row or of none.
The real service keeps the time of arrival of each row of a table that is partitioned by it ("Query
partitioned tables", "Query an ingestion-time partitioned table").
"""

from __future__ import annotations

import re

from bqemulator.domain.errors import UnsupportedFeatureError

_STRINGS = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")
_NAMES = re.compile(r"\b(_PARTITIONDATE|_PARTITIONTIME)\b", re.IGNORECASE)


def refuse(sql: str) -> str:
    """`sql`, which has neither pseudo column.

    Raises:
        UnsupportedFeatureError: it has one, other than in a string.
    """
    found = _NAMES.search(_STRINGS.sub("''", sql))
    if found:
        raise UnsupportedFeatureError(
            f"{found[1]}: the embedded BigQuery does not keep when a row arrived; partition the "
            "table by a column and filter on that"
        )
    return sql

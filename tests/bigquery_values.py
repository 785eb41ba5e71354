"""Strategies for values of every BigQuery type, over the whole range of the type."""

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from scoring.schema import Field

_UTC_TIMES = st.datetimes(datetime.min, datetime.max).map(lambda moment: moment.replace(tzinfo=UTC))
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_DEGREES = st.tuples(st.integers(-180, 180), st.integers(-90, 90))

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "INTEGER": st.integers(-(2**63), 2**63 - 1),
    "FLOAT": st.floats(),
    "BOOLEAN": st.booleans(),
    "STRING": st.text(),
    "BYTES": st.binary(),
    "DATE": st.dates(date.min, date.max),
    "TIME": st.times(time.min, time.max),
    "DATETIME": st.datetimes(datetime.min, datetime.max),
    "TIMESTAMP": _UTC_TIMES,
    "NUMERIC": st.integers(-(10**38) + 1, 10**38 - 1).map(lambda n: Decimal(f"{n}e-9")),
    "BIGNUMERIC": st.integers(-(10**76) + 1, 10**76 - 1).map(lambda n: Decimal(f"{n}e-38")),
    "JSON": _JSON.map(json.dumps),
    "GEOGRAPHY": _DEGREES.map(lambda point: f"POINT ({point[0]} {point[1]})"),
}


def values(field: Field) -> st.SearchStrategy[Any]:
    """Values of a column; NULL where it may be, and an ARRAY neither is NULL nor holds one."""
    if field.fields:
        item: st.SearchStrategy[Any] = st.fixed_dictionaries(
            {member.name: values(member) for member in field.fields}
        )
    else:
        item = VALUES[field.type]
    if field.mode == "REPEATED":
        return st.lists(item, max_size=3)
    return st.none() | item if field.mode == "NULLABLE" else item

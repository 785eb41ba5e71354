"""Ids of partitions and the conditions that their rows meet."""

from typing import Any

import pytest

from scoring.schema import Field
from transforms.partitions import partitioning

FIELDS = (
    Field("day", "DATE"),
    Field("at", "TIMESTAMP"),
    Field("local_at", "DATETIME"),
    Field("n", "INTEGER"),
)
RANGE = {
    "rangePartitioning": {"field": "n", "range": {"start": "-10", "end": "25", "interval": "10"}}
}


def by_time(unit: str, column: str) -> dict[str, Any]:
    return {"timePartitioning": {"type": unit, "field": column}}


@pytest.mark.parametrize(
    ("layout", "partition", "condition"),
    [
        (
            by_time("DAY", "DAY"),
            "20240229",
            "`day` >= DATE '2024-02-29' AND `day` < DATE '2024-03-01'",
        ),
        (
            by_time("MONTH", "day"),
            "202412",
            "`day` >= DATE '2024-12-01' AND `day` < DATE '2025-01-01'",
        ),
        (
            by_time("YEAR", "local_at"),
            "2024",
            "`local_at` >= DATETIME '2024-01-01 00:00:00' "
            "AND `local_at` < DATETIME '2025-01-01 00:00:00'",
        ),
        (
            by_time("HOUR", "at"),
            "2024022923",
            "`at` >= TIMESTAMP '2024-02-29 23:00:00+00:00' "
            "AND `at` < TIMESTAMP '2024-03-01 00:00:00+00:00'",
        ),
        (
            by_time("DAY", "day"),
            "09991231",
            "`day` >= DATE '0999-12-31' AND `day` < DATE '1000-01-01'",
        ),
        (by_time("YEAR", "day"), "9999", "`day` >= DATE '9999-01-01'"),
        (by_time("DAY", "day"), "99991231", "`day` >= DATE '9999-12-31'"),
        (by_time("MONTH", "day"), "999912", "`day` >= DATE '9999-12-01'"),
        (RANGE, "-10", "`n` >= -10 AND `n` < 0"),
        (RANGE, "20", "`n` >= 20 AND `n` < 25"),
    ],
)
def test_the_condition_of_a_partition(
    layout: dict[str, Any], partition: str, condition: str
) -> None:
    found = partitioning(layout, FIELDS)
    assert found is not None
    assert found.condition(partition) == condition


@pytest.mark.parametrize(
    ("layout", "partition", "message"),
    [
        (by_time("DAY", "day"), "202402", "expected YYYYMMDD"),
        (by_time("DAY", "day"), "20240230", "expected a date as YYYYMMDD"),
        (by_time("MONTH", "day"), "20240229", "expected YYYYMM"),
        (by_time("HOUR", "at"), "2024022924", "expected a date as YYYYMMDDHH"),
        (by_time("YEAR", "day"), "0000", "expected a date as YYYY"),
        (RANGE, "5", "expected the start of a range, -10 plus a multiple of 10 below 25"),
        (RANGE, "30", "expected the start of a range"),
        (RANGE, "x", "expected an integer"),
    ],
)
def test_ids_of_no_partition(layout: dict[str, Any], partition: str, message: str) -> None:
    found = partitioning(layout, FIELDS)
    assert found is not None
    with pytest.raises(ValueError, match=message):
        found.condition(partition)


@pytest.mark.parametrize(
    "layout", [{}, {"clustering": {"fields": ["n"]}}, {"timePartitioning": {"type": "DAY"}}]
)
def test_tables_that_no_column_divides(layout: dict[str, Any]) -> None:
    assert partitioning(layout, FIELDS) is None

"""The places in a job where the sweep lets something fail."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from fault_plan import Kind, Point, Service

from options.destination_flags import WriteMode

_BQ, _GCS, _READ = Service.BIGQUERY, Service.STORAGE, Service.READ
_JOBS = r"/jobs(\?|$)"

TABLE_GET = Point("source table get", _BQ, "GET", r"/tables/t(\?|$)")
QUERY_INSERT = Point("query insert", _BQ, "POST", _JOBS, r'"jobId": "bulkscore_\w+_query"')
QUERY_POLL = Point("query poll", _BQ, "GET", r"/(queries|jobs)/bulkscore_\w+_query")
TABLE_CREATE = Point("run table create", _BQ, "POST", r"/tables(\?|$)")
SESSION_CREATE = Point("read session create", _READ, "CreateReadSession")
FIRST_MESSAGE = Point("ReadRows, 1st message", _READ, "ReadRows")
MIDDLE_MESSAGE = Point("ReadRows, middle", _READ, "ReadRows", messages=2)
UPLOAD_START = Point("upload start", _GCS, "POST", r"/upload/storage/")
UPLOAD_DATA = Point("upload data", _GCS, "PUT", r"upload")
LOAD_INSERT = Point("load insert", _BQ, "POST", _JOBS, r'"jobId": "bulkscore_\w+_load_scored_\w+"')
REJECTS_LOAD = Point(
    "rejects load insert", _BQ, "POST", _JOBS, r'"jobId": "bulkscore_\w+_load_rejects_\w+"'
)
LOAD_POLL = Point("load poll", _BQ, "GET", r"/jobs/bulkscore_\w+_load_scored_")
SCORED_ROW = Point("scored row load", _BQ, "POST", r"/upload/bigquery/")
REJECTS_INSERT = Point("rejects insert", _BQ, "POST", _JOBS, r'"jobId": "bulkscore_\w+_rejects"')
MODE_CHECK = Point("write mode check", _BQ, "POST", _JOBS, r'"query": "SELECT COUNT\(\*\)')
COPY_INSERT = Point("publish insert", _BQ, "POST", _JOBS, r'"jobId": "bulkscore_\w+_publish"')
COPY_POLL = Point("publish poll", _BQ, "GET", r"/(queries|jobs)/bulkscore_\w+_publish", nth=2)
PUBLISHED_ROW = replace(SCORED_ROW, name="published row load", nth=2)
REFUSED_ROW = replace(SCORED_ROW, name="refused row load", nth=2)
TABLE_DELETE = Point("run table delete", _BQ, "DELETE", r"/tables/p__run_")

POINTS = (
    TABLE_GET,
    QUERY_INSERT,
    QUERY_POLL,
    TABLE_CREATE,
    SESSION_CREATE,
    FIRST_MESSAGE,
    MIDDLE_MESSAGE,
    UPLOAD_START,
    UPLOAD_DATA,
    LOAD_INSERT,
    LOAD_POLL,
    REJECTS_LOAD,
    SCORED_ROW,
    REJECTS_INSERT,
    MODE_CHECK,
    COPY_INSERT,
    COPY_POLL,
    PUBLISHED_ROW,
    REFUSED_ROW,
    TABLE_DELETE,
)
QUERY_POINTS = frozenset({QUERY_INSERT, QUERY_POLL})
"""Reached when the source is a query."""

REFUSED_POINTS = frozenset({REFUSED_ROW})
"""Reached when the run is refused."""

MODE_POINTS = {
    MODE_CHECK: ("partition", "merge"),
    **dict.fromkeys((COPY_INSERT, COPY_POLL, PUBLISHED_ROW), get_args(WriteMode)),
}
"""Where the write mode makes a difference, and which modes come there."""

PERMANENT = frozenset({Kind.OUTAGE, Kind.DENIED})
"""Kinds that no retry overcomes."""

KINDS = tuple(kind for kind in Kind if kind not in {Kind.KILL_BEFORE, Kind.KILL_AFTER})


def applies(kind: Kind, point: Point) -> bool:
    """Whether the kind means something at this point."""
    match kind:
        case Kind.ENDS_EARLY:
            return point.method == "ReadRows"
        case Kind.RATE_403:
            return point.service == Service.BIGQUERY
        case _:
            return True

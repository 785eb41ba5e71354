"""Errors as Google's services word them.

"Error messages" (BigQuery) and "HTTP status and error codes for JSON" (Cloud Storage); 502 and 504
come from the front end, in HTML, with no reason that a program could read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from fault_plan import Kind, Service


@dataclass(frozen=True)
class Answer:
    """A whole HTTP answer."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


_REASONS = {
    (Service.BIGQUERY, 403): ("accessDenied", "Access Denied: Permission denied by the test."),
    (Service.BIGQUERY, 429): ("rateLimitExceeded", "Exceeded rate limits: too many requests."),
    (Service.BIGQUERY, 500): ("internalError", "An internal error occurred. Please retry."),
    (Service.BIGQUERY, 503): (
        "backendError",
        "Error encountered during execution. Retrying may help.",
    ),
    (Service.STORAGE, 403): ("forbidden", "Permission denied by the test."),
    (Service.STORAGE, 429): ("rateLimitExceeded", "The object exceeded the rate limit."),
    (Service.STORAGE, 500): ("backendError", "We encountered an internal error. Please try again."),
    (Service.STORAGE, 503): ("backendError", "Backend Error"),
}
_TITLES = {502: "Bad Gateway", 504: "Gateway Timeout"}


def error_answer(service: Service, kind: Kind, status: int) -> Answer:
    """The answer of `service` with this status, which stands for `kind`."""
    if status in _TITLES:
        page = (
            f"<!DOCTYPE html>\n<title>Error {status} ({_TITLES[status]})!!1</title>\n"
            f"<p><b>{status}.</b> <ins>That’s an error.</ins>\n"
            "<p>The server encountered a temporary error. Please try again in 30 seconds.\n"
        )
        return Answer(status, (("Content-Type", "text/html; charset=UTF-8"),), page.encode())
    is_passing = kind == Kind.RATE_403
    reason, message = _REASONS[service, 429 if is_passing else status]
    details = [{"message": message, "domain": "global", "reason": reason}]
    content = {"error": {"code": status, "message": message, "errors": details}}
    headers = (("Content-Type", "application/json; charset=UTF-8"),)
    return Answer(status, headers, json.dumps(content).encode())

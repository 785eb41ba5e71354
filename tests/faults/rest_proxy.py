"""An HTTP proxy on loopback that lets calls fail as planned."""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from error_bodies import Answer, error_answer
from fault_plan import FaultSwitch, Kind, Service

DELAY_S = 0.3
HANG_LIMIT_S = 20.0
"""A client that waits longer than this, in the sweep's time, waits for ever."""

_UPSTREAM_TIMEOUT_S = 60.0
_POLL_S = 0.05
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "host", "content-length"})
_STATUS = {
    Kind.STATUS_429: 429,
    Kind.STATUS_500: 500,
    Kind.STATUS_502: 502,
    Kind.STATUS_503: 503,
    Kind.STATUS_504: 504,
    Kind.APPLIED_503: 503,
    Kind.OUTAGE: 503,
    Kind.DENIED: 403,
    Kind.RATE_403: 403,
}
_APPLIED = frozenset({Kind.LOST, Kind.APPLIED_503, Kind.CUT, Kind.HANG, Kind.KILL_AFTER})


@contextlib.contextmanager
def rest_proxy(service: Service, upstream: str, switch: FaultSwitch) -> Iterator[str]:
    """Listens on a free loopback port and yields its URL; `upstream` is the server's URL."""
    server = _Server(service, upstream, switch)
    thread = threading.Thread(target=server.serve_forever, name=f"proxy of {service}")
    thread.start()
    try:
        yield server.url
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, service: Service, upstream: str, switch: FaultSwitch) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.service = service
        self.upstream = upstream
        self.switch = switch
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.closing = threading.Event()
        # Answers that ended resumable uploads, by the path of the upload.
        self.completed_uploads: dict[str, Answer] = {}

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        # Without the orderly shutdown, which would turn a reset into an end of file.
        self.close_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: a client that is gone, killed or tired of waiting, is part of the plan."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else each answer waits 40 ms for the client's delayed acknowledgement of its headers.
    disable_nagle_algorithm = True
    server: _Server

    def handle_call(self) -> None:
        body = self._request_body()
        server = self.server
        fault = server.switch.strike(server.service, self.command, self.path, body)
        kind = fault.kind if fault is not None else None
        if kind == Kind.DELAY:
            server.closing.wait(DELAY_S)
        elif kind == Kind.KILL_BEFORE:
            server.switch.kill()
            kind = Kind.DROP
        answer = self._forward(body) if kind in {None, Kind.DELAY} or kind in _APPLIED else None
        if kind == Kind.KILL_AFTER:
            server.switch.kill()
        self._reply(kind, answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = handle_call  # noqa: N815

    def _reply(self, kind: Kind | None, answer: Answer | None) -> None:
        if kind in _STATUS:
            self._send(error_answer(self.server.service, kind, _STATUS[kind]))
        elif kind == Kind.CUT and answer is not None:
            self._send(answer, len(answer.body) // 2)
            self._hang_up(reset=False)
        elif kind == Kind.HANG:
            self._wait_for_the_client_to_leave()
            self._hang_up(reset=False)
        elif answer is not None and kind in {None, Kind.DELAY}:
            self._send(answer)
        else:
            self._hang_up(reset=kind == Kind.RESET)

    def _request_body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _forward(self, body: bytes) -> Answer:
        """The server's answer; what is sent again to an upload that is complete gets its answer.

        So does the real service ("Resumable uploads"); fake-gcs-server forgets the upload.
        """
        uploads = self.server.completed_uploads
        if self.command != "PUT" or "upload_id" not in self.path:
            return self._ask(body)
        answer = uploads.get(self.path) or self._ask(body)
        if answer.status == http.client.OK:
            uploads[self.path] = answer
        return answer

    def _ask(self, body: bytes) -> Answer:
        """The server's answer; addresses in it lead to this proxy again."""
        server = self.server
        host = urlsplit(server.upstream).netloc
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP_BY_HOP}
        connection = http.client.HTTPConnection(host, timeout=_UPSTREAM_TIMEOUT_S)
        with contextlib.closing(connection):
            connection.request(self.command, self.path, body, headers)
            response = connection.getresponse()
            content = response.read()
        kept = [
            (name, value.replace(server.upstream, server.url))
            for name, value in response.getheaders()
            if name.lower() not in _HOP_BY_HOP
        ]
        return Answer(response.status, kept, _as_running(self.command, self.path, content))

    def _send(self, answer: Answer, shown_bytes: int | None = None) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[:shown_bytes])

    def _hang_up(self, *, reset: bool) -> None:
        self.close_connection = True
        if reset:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    def _wait_for_the_client_to_leave(self) -> None:
        deadline = time.monotonic() + HANG_LIMIT_S
        while not self.server.closing.is_set():
            readable, _, _ = select.select([self.connection], [], [], _POLL_S)
            if readable:
                return
            if time.monotonic() > deadline:
                self.server.switch.give_up()
                return

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing is logged."""


def _as_running(method: str, path: str, content: bytes) -> bytes:
    """The answer to jobs.insert with the job still running, so that clients have to ask for it.

    The embedded service answers when the job is done, the real one mostly before that.
    """
    if method not in {"POST", "PUT"} or not urlsplit(path).path.endswith("/jobs"):
        return content
    answer = json.loads(content)
    is_dry_run = answer.get("configuration", {}).get("dryRun")
    if is_dry_run or answer.get("status", {}).get("state") != "DONE":
        return content
    return json.dumps({**answer, "status": {"state": "RUNNING"}}).encode()

"""A service of Google Cloud that refuses every request, on a loopback port."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_REFUSAL = "Access Denied: Table bulkscore-local:shop.t: Permission bigquery.tables.get denied"


class _Refusing(BaseHTTPRequestHandler):
    """Answers every request as BigQuery answers an account without the right to it."""

    def do_GET(self) -> None:
        error = {"reason": "accessDenied", "message": _REFUSAL}
        body = {"error": {"code": 403, "message": _REFUSAL, "errors": [error]}}
        content = json.dumps(body).encode()
        self.send_response(403)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def refusing_service() -> Iterator[str]:
    """Runs the service for the block; gives its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Refusing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

"""A gRPC proxy of the Storage Read API on loopback that lets calls fail as planned."""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import grpc
from fault_plan import Fault, FaultSwitch, Kind, Service
from rest_proxy import DELAY_S, HANG_LIMIT_S

_THREADS = 32
_UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
_CODES = grpc.StatusCode
# What stands for an HTTP status ("Error model", google.rpc.Code), and what gRPC's client makes of
# a connection that is lost (python-bigquery-storage, reader.py).
_FAILURES = {
    Kind.STATUS_429: (_CODES.RESOURCE_EXHAUSTED, "Quota exceeded: too many requests."),
    Kind.STATUS_500: (_CODES.INTERNAL, "An internal error occurred. Please retry."),
    Kind.STATUS_502: (_CODES.UNKNOWN, "Stream removed"),
    Kind.STATUS_503: (_CODES.UNAVAILABLE, "The service is currently unavailable."),
    Kind.STATUS_504: (_CODES.DEADLINE_EXCEEDED, "Deadline Exceeded"),
    Kind.DROP: (_CODES.UNAVAILABLE, "Socket closed"),
    Kind.RESET: (_CODES.INTERNAL, "Received RST_STREAM with error code 2"),
    Kind.LOST: (_CODES.UNAVAILABLE, "recvmsg:Connection reset by peer"),
    Kind.APPLIED_503: (_CODES.UNAVAILABLE, "The service is currently unavailable."),
    Kind.CUT: (_CODES.ABORTED, "The stream was closed by the server."),
    Kind.OUTAGE: (_CODES.UNAVAILABLE, "The service is currently unavailable."),
    Kind.DENIED: (_CODES.PERMISSION_DENIED, "Permission denied by the test."),
    Kind.KILL_BEFORE: (_CODES.UNAVAILABLE, "killed"),
    Kind.KILL_AFTER: (_CODES.UNAVAILABLE, "killed"),
}
_APPLIED = frozenset({Kind.LOST, Kind.APPLIED_503, Kind.KILL_AFTER})
_KILLS = frozenset({Kind.KILL_BEFORE, Kind.KILL_AFTER})


@contextlib.contextmanager
def grpc_proxy(upstream: str, switch: FaultSwitch) -> Iterator[str]:
    """Listens on a free loopback port and yields `host:port`; `upstream` is the server's."""
    with grpc.insecure_channel(upstream, options=_UNLIMITED) as channel:
        server = grpc.server(
            concurrent.futures.ThreadPoolExecutor(_THREADS, "grpc-proxy"),
            handlers=[_Forwarding(channel, switch)],
            options=_UNLIMITED,
        )
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()


class _Forwarding(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Takes any call; messages pass through as bytes."""

    def __init__(self, channel: grpc.Channel, switch: FaultSwitch) -> None:
        self._channel = channel
        self._switch = switch

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        method = handler_call_details.method
        if method.endswith("/ReadRows"):
            return grpc.unary_stream_rpc_method_handler(
                lambda request, call: self._stream(method, request, call)
            )
        return grpc.unary_unary_rpc_method_handler(
            lambda request, call: self._unary(method, request, call)
        )

    def _unary(self, method: str, request: bytes, call: grpc.ServicerContext) -> bytes:
        fault = self._strike(method, request)
        forward = self._channel.unary_unary(method)
        if fault is None or fault.kind == Kind.DELAY:
            _pause(fault)
            try:
                return bytes(forward(request))
            except grpc.RpcError as error:
                _pass_on(error, call)
        elif fault.kind in _APPLIED:
            forward(request)
        self._fail(fault, call)
        raise AssertionError("abort returns only by raising")

    def _stream(self, method: str, request: bytes, call: grpc.ServicerContext) -> Iterator[bytes]:
        fault = self._strike(method, request)
        _pause(fault)
        is_failing = fault is not None and fault.kind != Kind.DELAY
        fails_at = fault.point.messages if fault is not None and is_failing else None
        messages = self._channel.unary_stream(method)(request)
        try:
            for number, message in enumerate(messages):
                if fails_at == number:
                    break
                yield message
            else:
                return
        except grpc.RpcError as error:
            _pass_on(error, call)
        finally:
            messages.cancel()
        if fault is not None and fault.kind != Kind.ENDS_EARLY:
            self._fail(fault, call)

    def _strike(self, method: str, request: bytes) -> Fault | None:
        return self._switch.strike(Service.READ, method.rpartition("/")[2], "", request)

    def _fail(self, fault: Fault | None, call: grpc.ServicerContext) -> None:
        if fault is None:
            raise ValueError("nothing was planned to fail here")
        if fault.kind in _KILLS:
            self._switch.kill()
        if fault.kind == Kind.HANG:
            left = threading.Event()
            if call.add_callback(left.set) and not left.wait(HANG_LIMIT_S):
                self._switch.give_up()
            call.abort(_CODES.CANCELLED, "the client has left")
        call.abort(*_FAILURES[fault.kind])


def _pause(fault: Fault | None) -> None:
    if fault is not None and fault.kind == Kind.DELAY:
        threading.Event().wait(DELAY_S)


def _pass_on(error: Any, call: grpc.ServicerContext) -> None:
    call.abort(error.code(), error.details())

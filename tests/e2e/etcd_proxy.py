"""A proxy between a server and etcd that can delay the answers
of watches while it forwards all other calls."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import grpc

WATCH = "/etcdserverpb.Watch/Watch"


class EtcdProxy(grpc.GenericRpcHandler):
    """Serves on a free loopback port while it is entered; `url` is its address."""

    def __init__(self, target: str) -> None:
        self._channel = grpc.insecure_channel(target.rpartition("/")[2])
        self._server = grpc.server(ThreadPoolExecutor(32), handlers=[self])
        self.url = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._open = threading.Event()
        self._open.set()

    def hold(self) -> None:
        """Keep back what watches tell from now on."""
        self._open.clear()

    def release(self) -> None:
        """Pass on what was kept back, in order."""
        self._open.set()

    def service(self, details: Any) -> Any:
        if details.method == WATCH:
            return grpc.stream_stream_rpc_method_handler(self._watch)
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(details.method)
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self._pass_on(call, request, context)
        )

    def _pass_on(self, call: Any, request: bytes, context: Any) -> bytes:
        try:
            answer: bytes = call(request, timeout=10)
            return answer
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())
            raise

    def _watch(self, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        stream: grpc.StreamStreamMultiCallable[bytes, bytes] = self._channel.stream_stream(WATCH)
        call = stream(requests)
        context.add_callback(call.cancel)
        try:
            for answer in call:
                self._open.wait()
                yield answer
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.CANCELLED:
                context.abort(error.code(), error.details())

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.release()
        self._server.stop(0).wait()
        self._channel.close()

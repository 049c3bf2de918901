"""A collector of spans for tests: takes them by OTLP over gRPC, as any other one does."""

import threading
from concurrent import futures
from typing import Any, NamedTuple, Self

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc


class Received(NamedTuple):
    """A span, with ids as text. links: the trace ids of linked spans.
    service: the attributes of the resource."""

    name: str
    kind: int
    trace_id: str
    id: str
    parent: str
    attributes: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]]
    links: list[str]
    started: int
    ended: int
    failed: bool
    error: str
    state: str
    service: dict[str, Any]


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps what it gets; refuses it while `refusing`, and does not answer while `answering` is not set."""

    def __init__(self, address: str = "127.0.0.1:0") -> None:
        self.spans: list[Received] = []
        self.batches = 0
        self.refusing = False
        self.answering = threading.Event()
        self.answering.set()
        self._server = grpc.server(futures.ThreadPoolExecutor(2))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._server)  # type: ignore[no-untyped-call]
        self.port = self._server.add_insecure_port(address)

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.answering.set()
        self._server.stop(None).wait()

    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.batches += 1
        self.answering.wait(30)
        if self.refusing:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not today")
        for resource in request.resource_spans:
            service = _plain(resource.resource.attributes)
            for scope in resource.scope_spans:
                self.spans += [_received(span, service) for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()

    def named(self, name: str) -> list[Received]:
        return [span for span in self.spans if span.name == name]


def _received(span: Any, service: dict[str, Any]) -> Received:
    return Received(
        span.name,
        span.kind,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        _plain(span.attributes),
        [(event.name, _plain(event.attributes)) for event in span.events],
        [link.trace_id.hex() for link in span.links],
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        span.status.code == 2,
        span.status.message,
        span.trace_state,
        service,
    )


def _plain(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}

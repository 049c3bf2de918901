"""The metrics of connections."""

from collections.abc import Callable

from pilothouse.metrics.instruments import Counter, Gauge, Group, Labels
from pilothouse.server._answers import Service
from pilothouse.server._http2 import Shared
from pilothouse.server.listener import Listener


class ConnectionMetrics(Group):
    """The counts of a listener; one of the names is upstream's
    (apiserver server/filters and secure_serving)."""

    def __init__(self, listener: Listener) -> None:
        service = listener.http1.service

        self.handshake_errors = _counter(
            "apiserver_tls_handshake_errors_total",
            "[ALPHA] TLS handshakes that failed.",
            lambda: listener.handshake_errors,
        )
        self.accepted = _counter(
            "pilothouse_connections_accepted_total",
            "[ALPHA] Connections whose handshake was completed.",
            lambda: service.accepted,
        )
        self.open = _gauge(
            "pilothouse_connections_open", "[ALPHA] Connections that are open.", lambda: service.open
        )
        self._declare_http2(service, listener.http2.shared)
        self.unauthenticated = _gauge(
            "pilothouse_connections_unauthenticated",
            "[ALPHA] Connections on which no user was authenticated yet.",
            lambda: listener.unauthenticated,
        )
        self.refused = _counter(
            "pilothouse_connections_refused_total",
            "[ALPHA] Connections that were closed to make room for others.",
            lambda: service.refused_connections,
        )
        self._declare_requests(service)

    def _declare_http2(self, service: Service, shared: Shared) -> None:
        self.by_protocol = Gauge(
            "pilothouse_connections_open_by_protocol",
            "[ALPHA] Connections that are open, by their version of HTTP.",
            ("protocol",),
            lambda: {
                ("HTTP/1.1",): service.open - len(shared.connections),
                ("HTTP/2.0",): len(shared.connections),
            },
        )
        self.open_streams = _gauge(
            "pilothouse_http2_streams_open",
            "[ALPHA] Requests and watches that are open on HTTP/2 connections.",
            lambda: shared.open_streams,
        )
        self.streams = _counter(
            "pilothouse_http2_streams_total",
            "[ALPHA] Requests that were begun on HTTP/2 connections.",
            lambda: shared.streams,
        )
        self.faults = Counter(
            "pilothouse_http2_faults_total",
            "[ALPHA] HTTP/2 connections that errors of their peers ended, by the error of the GOAWAY.",
            ("error",),
            lambda: {(name,): count for name, count in shared.faults.items()},
        )

    def _declare_requests(self, service: Service) -> None:
        self.requests = _counter(
            "pilothouse_http_requests_total",
            "[ALPHA] HTTP requests that arrived completely.",
            lambda: service.requests,
        )
        self.received = _counter(
            "pilothouse_http_received_bytes_total", "[ALPHA] Bytes received.", lambda: service.bytes_in
        )
        self.sent = _counter(
            "pilothouse_http_sent_bytes_total", "[ALPHA] Bytes sent.", lambda: service.bytes_out
        )
        self.bodies = Counter(
            "pilothouse_http_refused_requests_total",
            "[ALPHA] Requests that were refused before they were complete, by the budget that they exceeded.",
            ("budget",),
            lambda: _positive(
                {("bodies",): service.bodies.refused, ("unfinished",): service.unfinished.refused}
            ),
        )


def _counter(name: str, help: str, value: Callable[[], int]) -> Counter:
    return Counter(name, help, (), lambda: {(): value()})


def _gauge(name: str, help: str, value: Callable[[], int]) -> Gauge:
    return Gauge(name, help, (), lambda: {(): value()})


def _positive(values: dict[Labels, float]) -> dict[Labels, float]:
    return {labels: value for labels, value in values.items() if value}

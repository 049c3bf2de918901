"""The metrics of connections through proxies (apiserver server/egressselector/metrics), and of requests to
webhooks, providers and aggregated servers (component-base metrics/prometheus/restclient)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pilothouse.metrics.instruments import Counter, Gauge, Group, Histogram

REQUEST_SECONDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60)
BYTES = (64, 256, 512, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216)
SECONDS = (0.005, 0.025, 0.1, 0.5, 2.5, 12.5)


class EgressMetrics(Group):
    """How many connections were opened through proxies, in what time, and which failed."""

    def __init__(self) -> None:
        names = ("protocol", "transport")
        self.starts = Counter(
            "apiserver_egress_dialer_dial_start_total",
            "[ALPHA] Connections begun, by the protocol (http_connect) and transport (tcp or uds) of the"
            " proxy.",
            names,
        )
        self.seconds = Histogram(
            "apiserver_egress_dialer_dial_duration_seconds",
            "[ALPHA] Seconds to open a connection, by the protocol and transport of the proxy.",
            names,
            SECONDS,
        )
        self.failures = Counter(
            "apiserver_egress_dialer_dial_failure_count",
            "[ALPHA] Connections that failed, by the proxy's protocol and transport and the stage: connect to"
            " the proxy, or proxy.",
            ("protocol", "stage", "transport"),
        )

    @contextmanager
    def failing(self, protocol: str, stage: str, transport: str) -> Iterator[None]:
        """Count a failure of what is done within."""
        try:
            yield
        except BaseException:
            self.failures.inc(protocol, stage, transport)
            raise


class RestClientMetrics(Group):
    """The requests to servers that the configuration of this one or of the cluster names, by host and port.

    What clients have relayed, to kubelets and pods among others, is not counted:
    of such hosts there are any number.
    """

    def __init__(self, contexts: Callable[[], int] = lambda: 0) -> None:
        """`contexts` tells how many TLS contexts are kept."""
        where = ("host", "verb")
        self.requests = Counter(
            "rest_client_requests_total",
            "[ALPHA] Requests to other servers, by the code of the answer; <error> where there was none.",
            ("code", "host", "method"),
        )
        self.seconds = Histogram(
            "rest_client_request_duration_seconds",
            "[ALPHA] Seconds until the head of an answer came.",
            where,
            REQUEST_SECONDS,
        )
        self.sent = Histogram(
            "rest_client_request_size_bytes", "[ALPHA] Bytes of the bodies of requests.", where, BYTES
        )
        self.received = Histogram(
            "rest_client_response_size_bytes", "[ALPHA] Bytes of the bodies of answers.", where, BYTES
        )
        self.transports = Gauge(
            "rest_client_transport_cache_entries",
            "[ALPHA] TLS contexts that are kept.",
            (),
            lambda: {(): contexts()},
        )
        self.transport_calls = Counter(
            "rest_client_transport_create_calls_total",
            "[ALPHA] Requests for a TLS context that was kept (hit), or had to be made (miss).",
            ("result",),
        )

    def asked(self, method: str, host: str, size: int, seconds: float, status: int) -> None:
        """Count a request, with the bytes of its body and the code of its answer; 0 where there was none."""
        self.requests.inc(str(status or "<error>"), host, method)
        self.seconds.observe(seconds, host, method)
        self.sent.observe(size, host, method)

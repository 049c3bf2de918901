"""The metrics of connections through proxies (apiserver server/egressselector/metrics)."""

from collections.abc import Iterator
from contextlib import contextmanager

from pilothouse.instruments import Counter, Group, Histogram

SECONDS = (0.005, 0.025, 0.1, 0.5, 2.5, 12.5)


class EgressMetrics(Group):
    """How many connections were opened through proxies, in what time, and which failed."""

    def __init__(self) -> None:
        names = ("protocol", "transport")
        self.starts = Counter(
            "apiserver_egress_dialer_dial_start_total",
            "[ALPHA] Connections begun, by the protocol (http_connect) and transport (tcp or uds) of the proxy.",
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
            "[ALPHA] Connections that failed, by the proxy's protocol and transport and the stage: connect to the "
            "proxy, or proxy.",
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

"""Tracing of a server: its TracingConfiguration, which is followed, and the exporter that it asks for."""

from typing import TYPE_CHECKING

from pilothouse.api.configfile import ConfigurationError
from pilothouse.endpoints.journal import trace
from pilothouse.endpoints.journal.tracer import Tracer
from pilothouse.metrics.instruments import MetricsRegistry
from pilothouse.outbound.dialer import Dialer
from pilothouse.outbound.tunnel import Tunnels
from pilothouse.reload import Followed, Reloads
from pilothouse.tracing.configuration import TracingConfiguration, address, load, target
from pilothouse.tracing.metrics import TracingMetrics

if TYPE_CHECKING:
    from pilothouse.tracing.exporter import Exporter


class Tracing:
    """The objects that decide which requests are traced, and where their spans go.

    path: the file, "" for none. store: the kind of store. dialer: opens connections to the collector,
    None where an egress selector has no say. ConfigurationError.
    """

    def __init__(self, path: str, store: str, metrics: MetricsRegistry, dialer: Dialer | None = None) -> None:
        self.tracer = Tracer(slow=trace.wanted(), store=store)
        self._path = path
        self._found = load(self._path) if self._path else None
        self._dialer = dialer
        self._metrics = TracingMetrics()
        self._exporter: Exporter | None = None
        self._tunnels: Tunnels | None = None
        self._instance = ""
        if self._found is not None:
            _needs_extra()
            metrics.add(self._metrics)

    async def start(self, instance: str) -> None:
        """Begin to trace requests; `instance` is the name of this API server."""
        self._instance = instance
        if self._found is not None:
            await self._use(self._found)

    def follow(self, reloads: Reloads) -> None:
        """Have the configuration come into force that the file then has."""
        path = self._path
        if path:
            reloads.follow(
                Followed(
                    kind="tracing",
                    paths=lambda: (path,),
                    read=lambda files: load(path, files.get(path)),
                    use=self._use,
                )
            )

    async def _use(self, found: TracingConfiguration) -> None:
        """Put a configuration in force. An exporter stays where the collector is the same one."""
        former = self._exporter, self._tunnels
        exporter = self._exporter
        moved = exporter is None or self._found is None or found.endpoint != self._found.endpoint
        if moved:
            from pilothouse.tracing.exporter import Exporter

            tunnels = await self._tunnel(found.endpoint)
            where = f"unix:{tunnels[1]}" if tunnels is not None else target(found.endpoint)
            self._tunnels = tunnels[0] if tunnels is not None else None
            self._exporter = exporter = Exporter(where, self._instance, self._metrics)
        assert exporter is not None
        self._found = found
        self.tracer.use(found.per_million, exporter.take)
        if moved:
            await _close(*former)

    async def _tunnel(self, endpoint: str) -> tuple[Tunnels, str] | None:
        """A Unix socket that leads to the collector by the dialer; gRPC cannot use one itself."""
        place = address(endpoint)
        if self._dialer is None or place is None:
            return None
        tunnels = Tunnels(self._dialer, (place,))
        await tunnels.start()
        return tunnels, tunnels.path(*place)

    async def close(self) -> None:
        """Send what is queued, within seconds."""
        await _close(self._exporter, self._tunnels)


async def _close(exporter: "Exporter | None", tunnels: Tunnels | None) -> None:
    if exporter is not None:
        await exporter.close()
    if tunnels is not None:
        await tunnels.close()


def _needs_extra() -> None:
    try:
        import pilothouse.tracing.exporter  # noqa: F401 -- whether it is there
    except ImportError as error:
        raise ConfigurationError(
            f"--tracing-config-file needs OpenTelemetry: pip install pilothouse[tracing] ({error})"
        ) from None

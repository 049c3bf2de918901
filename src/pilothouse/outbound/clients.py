"""The clients of one server, by where their requests go."""

from pilothouse.outbound.dialer import Dialer
from pilothouse.outbound.egress_config import Egress
from pilothouse.outbound.http import Outbound
from pilothouse.outbound.metrics import RestClientMetrics


class Clients:
    """A client for each way out; those that share a dialer are the same one, with the same connections."""

    def __init__(self, egress: Egress | None = None) -> None:
        """Reach everything directly where there is no egress selector."""
        direct = Dialer()
        egress = egress or Egress(direct, direct, direct)
        self.metrics = RestClientMetrics(lambda: sum(client.contexts for client in self._made))
        made: dict[object, Outbound] = {}
        for dialer in (egress.cluster, egress.controlplane, egress.direct):
            made.setdefault(dialer, Outbound(dialer, self.metrics))
        self._made = tuple(made.values())
        self.cluster = made[egress.cluster]
        """The client for kubelets, pods and services,
        and for webhooks and aggregated servers behind services."""
        self.controlplane = made[egress.controlplane]
        """The client for webhooks with a URL, and for those of authentication, authorization and audit."""
        self.direct = made[egress.direct]
        """The client for hosts that no selection covers: OpenID Connect providers that flags name."""

    def for_webhook(self, *, by_service: bool) -> Outbound:
        """The client for a webhook that an API object describes, by a Service or by a URL."""
        return self.cluster if by_service else self.controlplane

    async def renew(self) -> None:
        """Open new connections for the requests to come: they may lead elsewhere by now."""
        for client in self._made:
            await client.renew()

    async def close(self) -> None:
        """Close all connections."""
        for client in self._made:
            await client.close()

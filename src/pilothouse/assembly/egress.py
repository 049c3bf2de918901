"""Ways to other servers that are configured by files, which are followed:
proxies, and how kubelets are known."""

from pilothouse.configuration.sections.outbound import OutboundOptions
from pilothouse.endpoints.streams import kubelet
from pilothouse.endpoints.streams.kubelet import Kubelets
from pilothouse.metrics.instruments import MetricsRegistry
from pilothouse.outbound import egress_config
from pilothouse.outbound.clients import Clients
from pilothouse.outbound.egress_config import Egress, Switched
from pilothouse.outbound.http import ClientError, Trust
from pilothouse.outbound.metrics import EgressMetrics
from pilothouse.reload import Followed, Reloads


class Ways:
    """How connections to other servers are opened: as --egress-selector-config-file says, else straight.

    EgressConfigError when the file cannot be used.
    """

    def __init__(self, path: str, metrics: MetricsRegistry) -> None:
        self._path = path
        self._metrics = metrics.add(EgressMetrics()) if path else EgressMetrics()
        made = egress_config.load(path, self._metrics)
        self._switches = Switched.over(made) if path else None
        self.egress = self._switches.egress if self._switches is not None else made

    def follow(self, clients: Clients, reloads: Reloads) -> None:
        """Have the connections of clients opened as the file then says."""
        switches, path = self._switches, self._path
        if switches is None:
            return

        async def use(made: Egress) -> None:
            switches.use(made)
            await clients.renew()

        reloads.follow(
            Followed(
                kind="egress",
                paths=lambda: egress_config.files(path),
                read=lambda files: egress_config.load(path, self._metrics),
                use=use,
            )
        )


def follow_kubelet_ca(options: OutboundOptions, kubelets: Kubelets, reloads: Reloads) -> None:
    """Have kubelets known by what --kubelet-certificate-authority then has
    (feature ReloadKubeletClientCAFile)."""
    path = options.kubelet_certificate_authority
    if not path:
        return

    def read(files: object) -> Trust:
        trust = kubelet.trust_of(path, options.kubelet_client_certificate, options.kubelet_client_key)
        Trust(trust.ca).context()
        return trust

    reloads.follow(
        Followed(kind="kubelet-ca", paths=lambda: (path,), read=read, use=kubelets.use, faults=(ClientError,))
    )

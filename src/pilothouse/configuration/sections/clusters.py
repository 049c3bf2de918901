"""Logical clusters: many API servers for their clients in one process."""

from collections.abc import Iterator

from pilothouse.configuration.sections.section import Section, bytes_of, own
from pilothouse.process.frozen import frozen
from pilothouse.process.patterns import pattern

_DOMAIN = pattern(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")

_LABEL = pattern(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@frozen(eq=False)
class ClusterOptions(Section):
    """Logical clusters: many API servers for their clients in one process."""

    # fmt: off
    clusters: bool = own(False, "bool",
        "Serve logical clusters: each object of the resource clusters.pilothouse.dev is an API server of its "
        "own, below /clusters/NAME. Servers with the same --etcd-servers divide them.")
    clusters_awake_max: int = own(0, "int",
        "Number of clusters that are in memory at once: when another one is woken, the one asked the "
        "longest time ago makes room. 0 for no limit.")
    clusters_domain: str = own("", "string",
        "Domain below which clusters are reached by their names as well, as in NAME.DOMAIN. The serving "
        "certificate that is made is good for all of them.")
    clusters_from_state: bool = own(False, "bool",
        "Have logical clusters begin with the objects of --from-state, in place of those of a fresh cluster.")
    clusters_idle_timeout: float = own(600.0, "duration",
        "Time without a request after which a cluster leaves memory; the next request wakes it. 0 for never.")
    clusters_max: int = own(0, "int",
        "Number of clusters from which on no more are created. 0 for no limit.")
    clusters_max_bytes: str = own("", "quantity",
        "Size of the store of all clusters, such as 10Gi, from which on no more are created.")
    clusters_profiles: str = own("", "string",
        "Namespace in which each cluster is published as a ClusterProfile (multicluster.x-k8s.io), with a "
        "Secret that has a kubeconfig, for controllers of many clusters. It is created.")
    # fmt: on

    @property
    def wildcard(self) -> str:
        """The name by which a certificate is good for all clusters of the domain, "" without one."""
        return f"*.{self.clusters_domain}" if self.clusters_domain else ""

    @property
    def most_bytes(self) -> int:
        """The size from which on no cluster is created, 0 for none."""
        return bytes_of("clusters-max-bytes", self.clusters_max_bytes)[0]

    def faults(self) -> Iterator[str]:
        """Yield the faults: limits below 0, a domain that is none, and settings of what is off."""
        yield from self.negative("clusters_awake_max", "clusters_idle_timeout", "clusters_max")
        if fault := bytes_of("clusters-max-bytes", self.clusters_max_bytes)[1]:
            yield fault
        if self.clusters_domain and not _DOMAIN.fullmatch(self.clusters_domain):
            yield f"--clusters-domain {self.clusters_domain!r} is not the name of a domain"
        if self.clusters_profiles and not _LABEL.fullmatch(self.clusters_profiles):
            yield f"--clusters-profiles {self.clusters_profiles!r} is not the name of a namespace"
        others = sorted(self.given - {"clusters"})
        if others and not self.clusters:
            yield f"--{others[0]} needs --clusters"

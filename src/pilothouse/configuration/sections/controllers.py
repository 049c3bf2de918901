"""The controllers, and the endpoints that the server writes by itself."""

from collections.abc import Iterator

from pilothouse.configuration.sections.section import Section, etcd, misc, own
from pilothouse.process.frozen import frozen

CONTROLLERS = {
    "bootstrapsigner": "bootstrap-signer-controller",
    "clusterrole-aggregation": "clusterrole-aggregation-controller",
    "csrapproving": "certificatesigningrequest-approving-controller",
    "csrcleaner": "certificatesigningrequest-cleaner-controller",
    "csrsigning": "certificatesigningrequest-signing-controller",
    "garbagecollector": "garbage-collector-controller",
    "namespace": "namespace-controller",
    "resourcequota": "resourcequota-controller",
    "serviceaccount": "serviceaccount-controller",
    "tokencleaner": "token-cleaner-controller",
    "validatingadmissionpolicy-status": "validatingadmissionpolicy-status-controller",
}
"""Built-in controllers: the short name,
and the one by which kube-controller-manager knows it today, which goes as well."""

ON_REQUEST = frozenset(("bootstrapsigner", "csrapproving", "csrcleaner", "csrsigning", "tokencleaner"))
"""The controllers that `*` leaves off: they run when --controllers names them."""


@frozen(eq=False)
class ControllerOptions(Section):
    """The controllers, and the endpoints that the server writes by itself."""

    # fmt: off
    cluster_signing_cert_file: str = own("", "file",
        "CA of the controller csrsigning; goes with --cluster-signing-key-file. Default: the CA in "
        "--data-dir.")
    cluster_signing_duration: float = own(8760 * 3600.0, "duration",
        "Longest life of the certificates that the controller csrsigning signs.")
    cluster_signing_key_file: str = own("", "file", "Key of --cluster-signing-cert-file.")
    controllers: tuple[str, ...] = own(("*",), "strings",
        "Built-in controllers to run: * for those that are on by default, NAME for one, -NAME for all but "
        "one; -* for none. On by default: clusterrole-aggregation, garbagecollector, namespace, "
        "resourcequota, serviceaccount, validatingadmissionpolicy-status. Only by name: bootstrapsigner, "
        "csrapproving, csrcleaner, csrsigning, tokencleaner. Over etcd none runs unless this is given.")
    coordinated_leadership_lease_duration: float = misc(15.0, "duration",
        "Length of a lease of coordinated leader election.", effective=False)
    coordinated_leadership_renew_deadline: float = misc(10.0, "duration",
        "Time in which such a lease is renewed.", effective=False)
    coordinated_leadership_retry_period: float = misc(2.0, "duration",
        "Time between attempts to get such a lease.", effective=False)
    enable_garbage_collector: bool = etcd(True, "bool", "Delete objects whose owners are gone.")
    endpoint_reconciler_type: str = misc("lease", "string",
        "How the endpoints of the service kubernetes are kept: lease or none.")
    # fmt: on

    def runs(self, controller: str, *, named_only: bool = False) -> bool:
        """Whether --controllers asks for this controller: a name beats *, and -name beats both.

        named_only: none runs unless the flag is given.
        """
        if named_only and "controllers" not in self.given:
            return False
        if controller == "garbagecollector" and not self.enable_garbage_collector:
            return False
        given, other = self.controllers, CONTROLLERS.get(controller, controller)
        if controller in given or other in given:
            return True
        if f"-{controller}" in given or f"-{other}" in given or controller in ON_REQUEST:
            return False
        return "*" in given

    def faults(self) -> Iterator[str]:
        """Yield the faults: a CA without its key or certificate, and a lifetime that no certificate can
        have."""
        yield from self.together("cluster_signing_cert_file", "cluster_signing_key_file")
        if self.cluster_signing_duration < 600:
            yield "--cluster-signing-duration must be at least 10 minutes"

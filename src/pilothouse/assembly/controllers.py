"""Creates what writes on its own: bootstrap objects,
this server's lease and endpoint, and the controllers."""

import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pilothouse.admission.authorization import AccessAuthorizer
from pilothouse.admission.quota.ledger import Ledger
from pilothouse.api import meta
from pilothouse.assembly.certificates import Authorities
from pilothouse.assembly.services import ServerServices, client_for
from pilothouse.assembly.storage import Registry
from pilothouse.configuration.addresses import advertised
from pilothouse.configuration.config import Config
from pilothouse.configuration.sections.controllers import ON_REQUEST
from pilothouse.controllers import bootstrap, clusterroles, flowschemas, policies
from pilothouse.controllers.apiservices import Announcements, APIServices
from pilothouse.controllers.authentication_trust import AuthenticationTrust
from pilothouse.controllers.bootstrap import BootstrapObject
from pilothouse.controllers.bootstrap_writer import BootstrapWriter
from pilothouse.controllers.clusterroles import ClusterRoleAggregation
from pilothouse.controllers.crds import CustomResourceDefinitions
from pilothouse.controllers.flowschemas import FlowSchemaStatus
from pilothouse.controllers.garbage import GarbageCollector
from pilothouse.controllers.leases import IdentityLease, KubernetesEndpoints
from pilothouse.controllers.metrics import AggregationMetrics, RepairMetrics
from pilothouse.controllers.namespaces import NamespaceDeletion
from pilothouse.controllers.policies import PolicyStatus
from pilothouse.controllers.quota import ResourceQuotas
from pilothouse.controllers.reload_events import ReloadEvents
from pilothouse.controllers.remote_discovery import RemoteDiscovery
from pilothouse.controllers.remote_openapi import OpenAPIFetch, RemoteOpenAPI
from pilothouse.controllers.serviceaccounts import NamespaceContents
from pilothouse.controllers.services import ServiceRepair
from pilothouse.endpoints.documents.openapi_remote import RemoteDocuments
from pilothouse.endpoints.streams.aggregator import via_header
from pilothouse.lifecycle import Background
from pilothouse.outbound.http import Outbound
from pilothouse.pki import ADMINS, Files
from pilothouse.registry.admission import Admission
from pilothouse.registry.client import Client
from pilothouse.registry.conversion_webhook import ConversionWebhooks
from pilothouse.registry.crd import Definitions
from pilothouse.registry.crd_strategy import CompiledSchemas
from pilothouse.registry.service_resolver import ServiceResolver

if TYPE_CHECKING:
    from pilothouse.controllers.signing import Signer

SERVER, MANAGER = "kube-apiserver", "kube-controller-manager"
"""Field managers: of what upstream's API server does itself, and of what its controller manager does."""


class Aggregation(NamedTuple):
    """The tools of the controllers of aggregated servers."""

    outbound: Outbound
    resolver: ServiceResolver
    discovery: Announcements
    documents: RemoteDocuments
    via: str
    metrics: AggregationMetrics

    def controllers(self, client: Client) -> list[Background]:
        """The controllers that register aggregated servers, check them and read their documents."""
        sent = (via_header(self.via),)
        remote = RemoteDiscovery(self.outbound, self.resolver, sent)
        return [
            APIServices(client, self.discovery, remote, self.metrics),
            RemoteOpenAPI(
                client, OpenAPIFetch(self.outbound, self.resolver, sent), self.documents, self.metrics
            ),
        ]


class Writers:
    """Makes everything that writes to a registry by itself. `port` is the one on which this server listens.

    `pause` is between two attempts to write objects of a fresh cluster that had to wait, in seconds.
    `schemas` are those of definitions that several clusters share.
    """

    def __init__(
        self,
        config: Config,
        files: Files,
        authorities: Authorities,
        registry: Registry,
        services: ServerServices,
        admission: Admission,
        authorizer: AccessAuthorizer,
        quotas: Ledger,
        port: int,
        pause: float = bootstrap.RETRY_SECONDS,
        schemas: CompiledSchemas | None = None,
    ) -> None:
        self.config = config
        self.files = files
        self.authorities = authorities
        self.registry = registry
        self.services = services
        self.admission = admission
        self.authorizer = authorizer
        self.quotas = quotas
        self.port = port
        self.pause = pause
        self.schemas = schemas

    def client(self, manager: str) -> Client:
        """Reads and writes for one controller."""
        return client_for(self.registry, self.services, manager, self.admission)

    # Objects of a fresh cluster

    def planned(self) -> list[BootstrapObject]:
        """The objects that every cluster has."""
        return list(bootstrap.objects(self._settings()))

    def _settings(self) -> bootstrap.BootstrapSettings:
        config, proxies = self.config, self.config.authentication.request_header
        return bootstrap.BootstrapSettings(
            advertise_address=advertised(config.serving),
            secure_port=self.port,
            service_cidrs=tuple(str(network) for network in config.objects.service_networks),
            hostname=self._hostname(),
            now=meta.now(self.registry.clock.time()),
            kubelet_group=ADMINS if self.files.kubelet_cert else "",
            # that of a logical cluster signs for all clusters, and others do not see for which
            client_ca="" if self.authorities.scope else self.authorities.clients.decode(errors="replace"),
            proxy_ca=self.authorities.proxies.decode(errors="replace"),
            proxy_names=proxies.requestheader_allowed_names,
            username_headers=proxies.requestheader_username_headers,
            uid_headers=proxies.requestheader_uid_headers,
            group_headers=proxies.requestheader_group_headers,
            extra_prefixes=proxies.requestheader_extra_headers_prefix,
        )

    def _hostname(self) -> str:
        """The host's name; with the port where several servers may share one host."""
        name = socket.gethostname()
        return name if not self.registry.storage.others_write or self.port == 6443 else f"{name}-{self.port}"

    async def fill(self, planned: list[BootstrapObject]) -> list[Background]:
        """Write the objects that are missing; returns the background work that retries those that had to
        wait."""
        if self.registry.storage.others_write:  # leases tell of this server among others, see `presence`
            planned = [one for one in planned if one.plural not in ("endpoints", "endpointslices")]
        registry = self.registry
        given = registry.store, registry.catalog, registry.readers, self.services
        writer = BootstrapWriter(*given, registry.client_metrics, registry.clock)
        waiting = await bootstrap.ensure(writer, planned)
        return [bootstrap.BootstrapRetry(writer, waiting, self.pause)] if waiting else []

    def presence(self, planned: list[BootstrapObject]) -> list[Background]:
        """The publishers of this server's identity lease and endpoint,
        for stores shared with other servers."""
        if not self.registry.storage.others_write:
            return []
        client = self.client(SERVER)
        leases = [one.obj for one in planned if one.plural == "leases"]
        out: list[Background] = [IdentityLease(client, lease) for lease in leases[:1]]
        if self.config.controllers.endpoint_reconciler_type != "none":
            out.append(KubernetesEndpoints(client, advertised(self.config.serving), self.port))
        return out

    # Controllers

    def controllers(
        self, aggregation: Aggregation, webhooks: ConversionWebhooks, repairs: RepairMetrics
    ) -> list[Background]:
        """The controllers that a server cannot do without, then those that --controllers leaves on;
        none is started."""
        registry = self.registry
        definitions = Definitions(registry.store, registry.catalog, webhooks.converter_of, self.schemas)
        out: list[Background] = [
            CustomResourceDefinitions(self.client(SERVER), definitions),
            *aggregation.controllers(self.client(SERVER)),
            FlowSchemaStatus(self.client(flowschemas.MANAGER)),
            ServiceRepair(
                self.client(SERVER), self.services.addresses, self.services.node_ports, metrics=repairs
            ),
            self._trust(),
        ]
        ca = Path(self.files.ca_cert).read_text()
        named: dict[str, Callable[[], Background]] = {
            "namespace": lambda: NamespaceDeletion(self.client(MANAGER)),
            "clusterrole-aggregation": lambda: ClusterRoleAggregation(self.client(clusterroles.MANAGER)),
            "serviceaccount": lambda: NamespaceContents(self.client(MANAGER), ca),
            policies.MANAGER: lambda: PolicyStatus(self.client(policies.MANAGER)),
            "garbagecollector": lambda: GarbageCollector(self.client(MANAGER)),
            "resourcequota": lambda: ResourceQuotas(self.client(MANAGER), self.quotas),
        }
        out += [make() for name, make in named.items() if self.config.runs(name)]
        return out + [self._on_request(name) for name in sorted(ON_REQUEST) if self.config.runs(name)]

    def _on_request(self, name: str) -> Background:
        """One of the controllers that run when they are named, which are imported then."""
        from pilothouse.controllers import bootstrap_tokens, certificates

        client = self.client(MANAGER)
        makers: dict[str, Callable[[], Background]] = {
            "csrapproving": lambda: certificates.CertificateApproving(client, self.authorizer),
            "csrsigning": lambda: certificates.CertificateSigner(client, self._signer()),
            "csrcleaner": lambda: certificates.CertificateCleaning(client),
            "tokencleaner": lambda: bootstrap_tokens.TokenCleaner(client),
            "bootstrapsigner": lambda: bootstrap_tokens.BootstrapSigner(client),
        }
        return makers[name]()

    def _trust(self) -> AuthenticationTrust:
        trust = AuthenticationTrust(self.client(SERVER), lambda: bootstrap.trust(self._settings()))
        self.authorities.on_change(trust.look)
        return trust

    def reload_events(self, planned: list[BootstrapObject]) -> ReloadEvents:
        """Make the object that writes an Event, about this server's lease,
        when files that configure it have changed."""
        lease = next((one.obj for one in planned if one.plural == "leases"), None)
        return ReloadEvents(self.client(SERVER), lease)

    def _signer(self) -> "Signer":
        from pilothouse.controllers.signing import Signer

        options, files = self.config.controllers, self.files
        ca = options.cluster_signing_cert_file or files.issuer_cert
        key = options.cluster_signing_key_file or files.issuer_key
        longest = timedelta(seconds=options.cluster_signing_duration)
        return Signer(ca, key, longest, self.authorities.scope)

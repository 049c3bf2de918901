"""The parts of a cluster: its objects, who may do what with them,
what changes and judges writes, and the handlers of requests."""

from dataclasses import replace
from typing import TYPE_CHECKING

from pilothouse.admission.chain import Chain
from pilothouse.admission.metrics import AdmissionMetrics
from pilothouse.admission.plugins import chain_of, ledger_of
from pilothouse.admission.quota.ledger import Ledger
from pilothouse.assembly.authn import (
    IssuerDocuments,
    authenticator,
    external_signer,
    follow_tokens,
    public_keys,
    token_issuer,
)
from pilothouse.assembly.authz import anonymous_may_ask, authorizer
from pilothouse.assembly.controllers import SERVER, Aggregation, Writers
from pilothouse.assembly.egress import follow_kubelet_ca
from pilothouse.assembly.handlers import Handlers, Inputs, resolver_for
from pilothouse.assembly.host import Host
from pilothouse.assembly.jwt import Authentication, jwt_tokens
from pilothouse.assembly.services import ServerServices, client_for, companions_for, services_for
from pilothouse.assembly.storage import Registry, registry_over
from pilothouse.authn.authenticator import UnionAuthenticator
from pilothouse.authn.external_signer import ExternalSigner
from pilothouse.authn.keys import KeySource
from pilothouse.authn.last_used import LastUsed
from pilothouse.authn.metrics import (
    CertificateMetrics,
    JWTMetrics,
    ServiceAccountMetrics,
    SignerMetrics,
    TokenCacheMetrics,
)
from pilothouse.authn.serviceaccount import TokenIssuer
from pilothouse.authz.authorizer import UnionAuthorizer
from pilothouse.authz.metrics import AuthorizationMetrics
from pilothouse.configuration.sections.store import StoreOptions
from pilothouse.controllers.metrics import AggregationMetrics, RepairMetrics
from pilothouse.endpoints.pipeline import Pipeline
from pilothouse.lifecycle import Opened
from pilothouse.process.frozen import frozen
from pilothouse.process.record import record
from pilothouse.registry.catalog import default_catalog
from pilothouse.registry.conversion_webhook import ConversionWebhooks
from pilothouse.registry.metrics import ConversionMetrics
from pilothouse.registry.service_resolver import ServiceResolver

if TYPE_CHECKING:
    from pilothouse.assembly.encryption import CipherMetrics
    from pilothouse.assembly.simulation import SimulatedCluster
    from pilothouse.history.history import History
    from pilothouse.registry.checkpoints import Checkpoints


@frozen
class Named:
    """The metrics that carry the name of the server, which is known when the objects of a fresh cluster
    are planned. ciphers: None where nothing is encrypted."""

    ciphers: "CipherMetrics | None"
    authorization: AuthorizationMetrics
    authentication: JWTMetrics

    def name(self, server: str) -> None:
        """Give the metrics the name of this server's lease."""
        if self.ciphers is not None:
            self.ciphers.name(server)
        self.authorization.server_id = self.authentication.server_id = server


@record(kw_only=True, eq=False)
class Access:
    """The authenticator and the authorizer of users.
    anonymous_refused: anonymous requests are on, but the authorizer would allow all."""

    authenticator: UnionAuthenticator
    authorizer: UnionAuthorizer
    signer: ExternalSigner | None
    public: KeySource
    anonymous_refused: bool


@record(kw_only=True, eq=False)
class Cluster:
    """The parts of one cluster on a host."""

    host: Host
    named: Named
    registry: Registry
    services: ServerServices
    access: Access
    admission: Chain
    quotas: Ledger
    resolver: ServiceResolver
    handlers: Handlers
    simulated: "SimulatedCluster | None" = None
    """The parts that simulate, once the controllers have started."""
    checkpoints: "Checkpoints | None" = None
    """The states that tests put back; None where they may not."""

    @property
    def pipeline(self) -> Pipeline:
        """The handler of requests."""
        return self.handlers.pipeline

    @classmethod
    async def open(cls, host: Host, opened: Opened) -> "Cluster":
        """Open the registry, then make what requests go through."""
        named = Named(_cipher_metrics(host.config.store), AuthorizationMetrics(), JWTMetrics())
        registry, signer = await _registry(host, named, opened)
        history: History | None = None
        if host.config.store.keeps_history:
            from pilothouse.assembly.history import open_history

            history = await open_history(
                host.config.store,
                host.storage,
                registry,
                host.offload.turns,
                host.metrics,
                opened,
                directory=host.config.data.directory,
                caches=host.caches,
            )
        return _wired(host, named, registry, signer, history, opened)

    def writers(self, port: int) -> Writers:
        """The writers that write to the registry by themselves;
        `port` is the one on which the server listens."""
        host = self.host
        return Writers(
            host.config,
            host.files,
            host.authorities,
            self.registry,
            services=self.services,
            admission=self.admission,
            authorizer=self.access.authorizer,
            quotas=self.quotas,
            port=port,
            pause=host.given.intervals.missing,
            schemas=host.schemas,
        )

    def start_controllers(self, writers: Writers, opened: Opened) -> None:
        """Start the controllers that the flags leave on."""
        host, handlers, metrics = self.host, self.handlers, self.host.metrics
        aggregation = Aggregation(
            host.clients.cluster,
            self.resolver,
            handlers.discovery,
            handlers.remote_documents,
            handlers.via,
            metrics.add(AggregationMetrics()),
        )
        webhooks = ConversionWebhooks(
            host.clients, self.resolver, metrics.add(ConversionMetrics()), host.caches, offload=host.offload
        )
        host.run_controllers(writers.controllers(aggregation, webhooks, metrics.add(RepairMetrics())), opened)
        if handlers.verbs.history is not None:
            from pilothouse.assembly.history import follow_peers

            follow_peers(handlers.verbs.history, host, self.registry, writers.port, opened)
        if host.config.simulation.on:
            from pilothouse.assembly.simulation import open_simulation

            self.simulated = open_simulation(
                host.config, writers.client, host.clock, handlers.streams, opened
            )
        if host.config.simulation.movable:
            from pilothouse.assembly.testing import open_testing

            self.checkpoints = open_testing(host, self.registry, self.access.authenticator, handlers)
            if self.simulated is not None:
                self.checkpoints.restored.append(self.simulated.resume)


def _cipher_metrics(options: StoreOptions) -> "CipherMetrics | None":
    if not options.encryption_provider_config:
        return None
    from pilothouse.assembly.encryption import CipherMetrics

    return CipherMetrics.of_server()


async def _registry(host: Host, named: Named, opened: Opened) -> tuple[Registry, ExternalSigner | None]:
    """Open the storage, fill the watch cache, and start what looks after the storage;
    the signer of tokens, if any."""
    config, storage = host.config, host.storage
    registry = registry_over(
        storage,
        default_catalog(config.api.runtime_config),
        config.store,
        counted=named.ciphers,
        health=host.health,
        metrics=host.metrics,
        reloads=host.reloads,
        intervals=host.given.intervals,
        clock=host.clock,
    )
    await registry.start(opened)
    signer, accounts = None, config.authentication.service_accounts
    if accounts.service_account_signing_endpoint:
        signer = await external_signer(accounts, host.metrics.add(SignerMetrics()))
        opened.start(signer)
    host.run_beside_storage(opened)
    return registry, signer


def _wired(
    host: Host,
    named: Named,
    registry: Registry,
    signer: ExternalSigner | None,
    history: "History | None",
    opened: Opened,
) -> Cluster:
    """Make what requests go through, up to the handlers."""
    config, clients, metrics, reloads = host.config, host.clients, host.metrics, host.reloads
    host.connect(opened)
    resolver = resolver_for(config.outbound, registry.readers)
    services = services_for(config.objects, registry, host.caches)
    access = _access(host, named, registry, services, signer, opened)
    admission, quotas = _admission(host, registry, services, access, resolver, opened)
    metrics.add(services.addresses.metrics)
    metrics.add(services.node_ports.metrics)
    handlers = Handlers(
        Inputs(
            config=config,
            registry=registry,
            services=services,
            authenticator=access.authenticator,
            authorizer=access.authorizer,
            admission=admission,
            outbound=clients.cluster,
            resolver=resolver,
            offload=host.offload,
            health=host.health,
            metrics=metrics,
            slis=host.slis,
            authorization=named.authorization,
            caches=host.caches,
            issuer=_issuer(host, registry, signer),
            documents=IssuerDocuments(config.authentication.service_accounts, config.serving, access.public),
            audit=host.audited(opened),
            open_requests=host.given.intervals.open_requests,
            tracer=host.tracing.tracer,
            history=history,
            memory=host.memory,
            journal=host.journal,
            told=lambda: host.told,
        )
    )
    host.memory = host.memory or handlers.memory
    follow_kubelet_ca(config.outbound, handlers.streams.kubelets, reloads)
    for part in (handlers.flowcontrol, handlers.memory, handlers.standing):
        if part is not None:
            host.look_after(part, opened)
    return Cluster(
        host=host,
        named=named,
        registry=registry,
        services=services,
        access=access,
        admission=admission,
        quotas=quotas,
        resolver=resolver,
        handlers=handlers,
    )


def _issuer(host: Host, registry: Registry, signer: ExternalSigner | None) -> TokenIssuer:
    options = host.config.authentication
    return token_issuer(options, host.files, registry.readers, signer, host.token_key, host.clock)


def _admission(
    host: Host,
    registry: Registry,
    services: ServerServices,
    access: Access,
    resolver: ServiceResolver,
    opened: Opened,
) -> tuple[Chain, Ledger]:
    """The plugins that change and judge writes, and what quotas have been charged."""
    admission = chain_of(
        host.config.admission,
        host.config.authorization.modes,
        access.authorizer,
        registry.catalog,
        creator=services,
        clients=host.clients,
        resolver=resolver,
        metrics=host.metrics.add(AdmissionMetrics()),
        turns=host.offload.turns,
        reloads=host.reloads,
    )
    opened.on_close("admission plugins", admission.close)
    services.companions = companions_for(registry, services, admission)
    quotas = ledger_of(admission)
    quotas.follow(client_for(registry, services, SERVER))
    opened.on_close("charges to quotas", quotas.close)
    return admission, quotas


def _access(
    host: Host,
    named: Named,
    registry: Registry,
    services: ServerServices,
    signer: ExternalSigner | None,
    opened: Opened,
) -> Access:
    """The authorizers and the authenticators."""
    config = host.config
    public = public_keys(config.authentication.service_accounts, host.files, signer, host.token_key)
    configured = host.identities()
    asked = configured.anonymous.enabled
    judge = authorizer(
        config.authorization,
        registry.readers,
        outbound=host.clients.controlplane,
        anonymous=asked,
        caches=host.caches,
        metrics=host.metrics.add(named.authorization),
        reloads=host.reloads,
    )
    anonymous = anonymous_may_ask(asked, judge)
    configured = replace(configured, anonymous=replace(configured.anonymous, enabled=anonymous))
    return Access(
        authenticator=_authenticator(
            host, named, registry, services, configured=configured, public=public, opened=opened
        ),
        authorizer=judge,
        signer=signer,
        public=public,
        anonymous_refused=asked and not anonymous,
    )


def _authenticator(
    host: Host,
    named: Named,
    registry: Registry,
    services: ServerServices,
    configured: Authentication,
    public: KeySource,
    opened: Opened,
) -> UnionAuthenticator:
    """The authenticators, with what looks for providers
    of identities and follows the configuration of them."""
    options, metrics = host.config.authentication, host.metrics
    jwt, follow = jwt_tokens(
        options,
        configured,
        clients=host.clients,
        proxied=bool(host.config.outbound.egress_selector_config_file),
        metrics=metrics.add(named.authentication),
    )
    used = LastUsed(client_for(registry, services, SERVER), host.clock.time)
    opened.on_close("last uses of tokens", used.close)
    union = authenticator(
        options,
        host.authorities,
        registry.readers,
        public=public,
        clients=host.clients,
        jwt=jwt,
        metrics=metrics.add(ServiceAccountMetrics()),
        cached=metrics.add(TokenCacheMetrics()),
        certificates=metrics.add(CertificateMetrics()),
        used=used,
        anonymous=configured.anonymous,
        caches=host.caches,
        clock=host.clock,
    )
    if jwt is not None:
        opened.start(jwt)
    follow(host.reloads, union.forget)
    follow_tokens(options, union, host.clients, host.reloads)
    return union

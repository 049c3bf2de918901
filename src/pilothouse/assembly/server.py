"""One API server: opens its parts in order, and closes them in reverse order."""

import asyncio
import pathlib
import socket
from dataclasses import replace

from pilothouse import pki
from pilothouse.addresses import reachable, url
from pilothouse.admission.chain import Chain
from pilothouse.admission.metrics import AdmissionMetrics
from pilothouse.admission.plugins import chain_of, enabled, ledger_of
from pilothouse.admission.quota.ledger import Ledger
from pilothouse.assembly.audit import auditor
from pilothouse.assembly.authn import (
    IssuerDocuments,
    audiences_of,
    authenticator,
    external_signer,
    follow_tokens,
    public_keys,
    token_issuer,
)
from pilothouse.assembly.authz import anonymous_may_ask, authorizer
from pilothouse.assembly.certificates import Authorities, follow_certificates
from pilothouse.assembly.controllers import SERVER, Aggregation, Writers
from pilothouse.assembly.egress import Ways, follow_kubelet_ca
from pilothouse.assembly.handlers import Handlers, Inputs, resolver_for
from pilothouse.assembly.intervals import DEFAULT_INTERVALS, Intervals
from pilothouse.assembly.jwt import Authentication, authentication, jwt_tokens
from pilothouse.assembly.memory import bodies, budget
from pilothouse.assembly.metrics import limits_of
from pilothouse.assembly.renewal import Renewal
from pilothouse.assembly.services import Services, client_for, companions_for, services_for
from pilothouse.assembly.storage import Registry, etcd_routes, registry_over
from pilothouse.assembly.tracing import Traces
from pilothouse.assembly.upkeep import UpkeepMetrics
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
from pilothouse.authz.authorizer import UnionAuthorizer
from pilothouse.authz.metrics import AuthorizationMetrics
from pilothouse.caches import Budget
from pilothouse.config import Config
from pilothouse.controllers.bootstrap import Planned
from pilothouse.controllers.metrics import AggregationMetrics, RepairMetrics
from pilothouse.endpoints.health import Health
from pilothouse.endpoints.metrics import HealthMetrics
from pilothouse.endpoints.pipeline import Pipeline
from pilothouse.event_loop import LoopLag
from pilothouse.features import FeatureMetrics
from pilothouse.files import try_to_write
from pilothouse.instruments import MetricsRegistry
from pilothouse.lifecycle import Opened
from pilothouse.logs import Logger
from pilothouse.offload import Offload
from pilothouse.outbound.clients import Clients
from pilothouse.outbound.http import Outbound
from pilothouse.process import ProcessMetrics, RegisteredMetrics, StartTime
from pilothouse.registry.catalog import default_catalog
from pilothouse.registry.conversion_webhook import ConversionWebhooks
from pilothouse.registry.metrics import ConversionMetrics
from pilothouse.reload import Reloads
from pilothouse.server import tls
from pilothouse.server.http1 import Limits
from pilothouse.server.listener import Listener, activated, bind
from pilothouse.server.metrics import ConnectionMetrics
from pilothouse.storage.backends import open_storage, upkeep
from pilothouse.storage.encryption.metrics import EncryptionMetrics
from pilothouse.storage.interface import Storage
from pilothouse.storage.kms.metrics import EnvelopeMetrics
from pilothouse.storage.watchcache import Cacher
from pilothouse.workers import WorkerMetrics, Workers

log = Logger(__name__)

DRAIN_SECONDS = 60.0


class Server:
    """One API server. `start` returns when it is ready; `stop` when everything it took is given back.

    It is started in stages, each a method that a subclass may replace:

    1. `open_registry`: caches, the storage, the watch cache, threads, what looks after the storage
    2. `wire`: the outbound client and the handlers
    3. `bind`: sockets; nothing is accepted yet
    4. `fill`: the objects of a fresh cluster
    5. `start_controllers`
    6. `listen`: requests are answered
    7. `announce`: other servers are told of this one

    What a stage opens it puts on `opened`. `stop` closes the last first: other servers are told, load balancers get
    time to notice, controllers end, requests are drained, and then what requests need is closed: the outbound client,
    what looks after the storage, threads, the watch cache, the storage. A start that fails or is cancelled closes what
    has been opened so far, in the same order.
    """

    def __init__(
        self,
        config: Config,
        *,
        sockets: list[socket.socket] | None = None,
        storage: Storage | None = None,
        intervals: Intervals = DEFAULT_INTERVALS,
        worker: pathlib.Path | None = None,
    ) -> None:
        """Bound `sockets` and a `storage` that is not started are taken over; by default the flags name them.

        `worker` is the path of one of several workers (workers.py).
        """
        self.config = self._given_config = config
        self._given_sockets = sockets
        self._given_storage = storage
        limits = limits_of(config)
        self.metrics, self.slis = MetricsRegistry(limits), MetricsRegistry(limits)
        for group in (
            limits,
            ProcessMetrics(),
            FeatureMetrics(),
            RegisteredMetrics(self.metrics, limits.hides),
        ):
            self.metrics.add(group)
        self._workers = None
        if worker is not None:
            self.metrics.add(WorkerMetrics(worker.name))
            self._workers = Workers(worker, {"metrics": self.metrics, "slis": self.slis})
        self.slis.add(self.metrics.add(StartTime()))
        self.health = Health(self.slis.add(HealthMetrics()), config.livez_grace_period)
        self._intervals = intervals
        self.reloads = self.metrics.add(Reloads(intervals.files))
        self.offload = Offload()
        self.envelope = EnvelopeMetrics()
        self.encryption = EncryptionMetrics()
        self.authorization = self.metrics.add(AuthorizationMetrics())
        self.authentication = self.metrics.add(JWTMetrics())
        self.loop_lag = self.metrics.add(LoopLag())
        self.caches = Budget(config.cache_memory_mb << 20)
        self.metrics.add(self.caches)
        self.signer: ExternalSigner | None = None
        self.files: pki.Files
        self.authorities: Authorities
        self.registry: Registry
        self.ways: Ways
        self.traces: Traces
        self.clients: Clients
        self.outbound: Outbound
        self.services: Services
        self.authenticator: UnionAuthenticator
        self.authorizer: UnionAuthorizer
        self.admission: Chain
        self.quotas: Ledger
        self.anonymous: bool
        self.anonymous_refused: bool
        self.handlers: Handlers
        self.listener: Listener
        self.writers: Writers
        self.planned: list[Planned]
        self._opened = Opened()
        self._drain_seconds = 0.0

    @property
    def storage(self) -> Storage:
        """Where the objects are kept."""
        return self.registry.storage

    @property
    def cacher(self) -> Cacher:
        """The watch cache."""
        return self.registry.cacher

    @property
    def pipeline(self) -> Pipeline:
        """The handler of requests."""
        return self.handlers.pipeline

    async def start(self) -> None:
        """Open the store, make what is missing, listen; cancelled or failed, it closes what it has opened."""
        async with Opened() as opened:
            for sock in self._given_sockets or ():
                opened.on_close("a socket", sock.close)
            if self._workers is not None:
                opened.start(self._workers)
            self.files = await asyncio.to_thread(pki.prepare, self._given_config)
            self.metrics.add(UpkeepMetrics(self._given_config.data_directory, self.files))
            self.config = pki.completed(self._given_config, self.files)
            self.authorities = Authorities(self.files.client_ca, self.config.requestheader_client_ca_file)
            self.ways = Ways(self.config.egress_selector_config_file, self.metrics)
            opened.on_close("connections through proxies", self.ways.egress.close)
            proxied = self.ways.egress.controlplane if self.config.egress_selector_config_file else None
            self.traces = Traces(self.config, self.metrics, proxied)
            opened.on_close("the exporter of spans", self.traces.close)
            await self.open_registry(opened)
            self.wire(opened)
            self.bind(opened)
            await self.fill(opened)
            self.start_controllers(opened)
            await self.listen(opened)
            self.announce(opened)
            self.health.finish()
            self._tell()
            self._opened = opened.pop_all()

    async def stop(self, drain: float = DRAIN_SECONDS) -> None:
        """Fail readyz, wait for load balancers, drain requests and watches for `drain` seconds, close the store."""
        self.health.shutting_down = True
        self._drain_seconds = drain
        await self._opened.aclose()

    def reload(self) -> None:
        """Look at once at all files that are followed, as SIGHUP asks for."""
        self.reloads.look()

    # The stages of a start

    async def open_registry(self, opened: Opened) -> None:
        """Open the storage, fill the watch cache, and start what looks after the storage; find the signer of tokens."""
        config = self.config
        opened.start(self.caches)
        egress = self.ways.egress
        routes = await etcd_routes(config, egress.etcd, opened) if egress.etcd is not None else None
        storage = self._given_storage or open_storage(config, routes)
        catalog = default_catalog(config.runtime_config)
        self.registry = registry_over(
            storage,
            catalog,
            config,
            envelope=self.envelope,
            encryption=self.encryption,
            health=self.health,
            metrics=self.metrics,
            reloads=self.reloads,
            intervals=self._intervals,
        )
        await self.registry.start(opened)
        opened.on_close("threads", self.offload.close)
        if config.service_account_signing_endpoint:
            self.signer = await external_signer(config, self.metrics.add(SignerMetrics()))
            opened.start(self.signer)
        for one in (*upkeep(storage, config, self.health), self.reloads, self.loop_lag):
            opened.start(one)

    def wire(self, opened: Opened) -> None:
        """Make the handlers of requests."""
        config, files, registry, caches = self.config, self.files, self.registry, self.caches
        self.clients = clients = Clients(self.ways.egress)
        self.metrics.add(clients.metrics)
        self.ways.follow(clients, self.reloads)
        self.traces.follow(self.reloads)
        opened.on_close("connections to other servers", clients.close)
        self.outbound = outbound = clients.cluster
        public = public_keys(config, files, self.signer)
        configured = authentication(config)
        self.resolver = resolver_for(config, registry.readers)
        judge = authorizer(
            config,
            registry.readers,
            outbound=clients.controlplane,
            anonymous=configured.anonymous.enabled,
            caches=caches,
            metrics=self.authorization,
            reloads=self.reloads,
        )
        self.authorizer = judge
        self.anonymous = anonymous_may_ask(configured.anonymous.enabled, judge)
        self.anonymous_refused = configured.anonymous.enabled and not self.anonymous
        self.services = services_for(config, registry, caches)
        self.authenticator = self._authenticator(opened, configured, public)
        self.admission = chain_of(
            config,
            judge,
            registry.catalog,
            self.services,
            clients,
            self.resolver,
            self.metrics.add(AdmissionMetrics()),
            self.offload.turns,
            self.reloads,
        )
        opened.on_close("admission plugins", self.admission.close)
        self.services.companions = companions_for(registry, self.services, self.admission)
        self.quotas = ledger_of(self.admission)
        self.quotas.follow(client_for(registry, self.services, SERVER))
        opened.on_close("charges to quotas", self.quotas.close)
        self.metrics.add(self.services.addresses.metrics)
        self.metrics.add(self.services.node_ports.metrics)
        self.handlers = Handlers(
            Inputs(
                config=config,
                registry=registry,
                services=self.services,
                authenticator=self.authenticator,
                authorizer=judge,
                admission=self.admission,
                outbound=outbound,
                resolver=self.resolver,
                offload=self.offload,
                health=self.health,
                metrics=self.metrics,
                slis=self.slis,
                authorization=self.authorization,
                caches=caches,
                issuer=token_issuer(config, files, registry.readers, self.signer),
                documents=IssuerDocuments(config, public),
                audit=auditor(
                    config,
                    clients.controlplane,
                    self.metrics,
                    opened,
                    caches=caches,
                    reloads=self.reloads,
                ),
                open_requests=self._intervals.open_requests,
                tracing=self.traces.tracing,
            )
        )
        follow_kubelet_ca(config, self.handlers.verbs.kubelets, self.reloads)
        if self.handlers.flowcontrol is not None:
            opened.start(self.handlers.flowcontrol)
        if self.handlers.memory is not None:
            opened.start(self.handlers.memory)
        if self.handlers.standing is not None:
            opened.start(self.handlers.standing)

    def _authenticator(
        self, opened: Opened, configured: Authentication, public: KeySource
    ) -> UnionAuthenticator:
        """The authenticators, with what looks for providers of identities and follows the configuration of them."""
        jwt, follow = jwt_tokens(
            self.config,
            configured,
            audiences_of(self.config),
            clients=self.clients,
            metrics=self.authentication,
        )
        used = LastUsed(client_for(self.registry, self.services, SERVER))
        opened.on_close("last uses of tokens", used.close)
        union = authenticator(
            self.config,
            self.authorities,
            self.registry.readers,
            public=public,
            clients=self.clients,
            jwt=jwt,
            metrics=self.metrics.add(ServiceAccountMetrics()),
            cached=self.metrics.add(TokenCacheMetrics()),
            certificates=self.metrics.add(CertificateMetrics()),
            used=used,
            anonymous=replace(configured.anonymous, enabled=self.anonymous),
            caches=self.caches,
        )
        if jwt is not None:
            opened.start(jwt)
        follow(self.reloads, union.forget)
        follow_tokens(self.config, union, self.clients, self.reloads)
        return union

    def bind(self, opened: Opened) -> None:
        """Bind the sockets and load the certificates; nothing is accepted yet."""
        config = self.config
        sockets = self._given_sockets or activated()
        sockets = sockets or [
            bind(config.bind_address, config.secure_port, reuse_port=config.permit_port_sharing)
        ]
        for sock in sockets:
            opened.on_close("a socket", sock.close)
        settings = tls.Settings(
            self.files.serving_cert,
            self.files.serving_key,
            tuple(filter(None, (*self.files.client_ca, config.requestheader_client_ca_file))),
            config.tls_sni_cert_key,
            config.tls_min_version,
            config.tls_cipher_suites,
            not config.disable_http2_serving,
            config.tls_curve_preferences,
        )
        receiving = bodies(budget(config))
        limits = Limits(
            unauthenticated=config.max_unauthenticated_connections,
            body_budget=receiving,
            unfinished_budget=receiving,
        )
        if config.http2_max_streams_per_connection > 0:
            limits = replace(limits, streams=config.http2_max_streams_per_connection)
        contexts = tls.Contexts(settings)
        follow_certificates(self.reloads, settings, contexts, self.authorities, self.authenticator)
        self.listener = Listener(self.pipeline.handle, sockets, contexts, limits, self.pipeline.admit)
        self.metrics.add(ConnectionMetrics(self.listener))
        opened.on_close("the listener", self._end_listener)
        self.writers = Writers(
            config,
            self.files,
            self.authorities,
            self.registry,
            self.services,
            self.admission,
            self.authorizer,
            self.quotas,
            self.listener.port,
            self._intervals.missing,
        )

    async def _end_listener(self) -> None:
        if self.pipeline.edges is not None:
            self.pipeline.edges.stopping = True
        await self.listener.stop(self._drain_seconds, self.cacher.end_watches)

    async def fill(self, opened: Opened) -> None:
        """Write what is missing of the objects of a fresh cluster."""
        self.planned = self.writers.planned()
        server_id = next((one.name for one in self.planned if one.plural == "leases"), "")
        self.envelope.server_id = self.authorization.server_id = self.authentication.server_id = server_id
        self.encryption.server_id = server_id
        if self.handlers.journal is not None:
            self.handlers.journal.server = server_id
        await self.traces.start(server_id)
        for one in await self.writers.fill(self.planned):
            opened.start(one)

    def start_controllers(self, opened: Opened) -> None:
        """Start the controllers that the flags leave on."""
        opened.start(
            Renewal(self._given_config, self.files, self._write_kubeconfig, self._intervals.certificates)
        )
        handlers = self.handlers
        aggregation = Aggregation(
            self.clients.cluster,
            self.resolver,
            handlers.discovery,
            handlers.remote_documents,
            handlers.via,
            self.metrics.add(AggregationMetrics()),
        )
        conversions = self.metrics.add(ConversionMetrics())
        webhooks = ConversionWebhooks(
            self.clients, self.resolver, conversions, self.caches, offload=self.offload
        )
        repairs = self.metrics.add(RepairMetrics())
        for one in self.writers.controllers(aggregation, webhooks, repairs):
            opened.start(one)
        events = self.writers.reload_events(self.planned)
        opened.start(events)
        self.reloads.listen(events.tell)

    async def listen(self, opened: Opened) -> None:
        """Begin to answer requests."""
        await self.listener.start()
        opened.on_close("the pause for load balancers", self._let_balancers_notice)

    async def _let_balancers_notice(self) -> None:
        """Go on answering while load balancers take this server, whose readyz fails, out of their lists."""
        if not self.health.shutting_down:  # the start has failed: nobody was told of this server
            return
        delay = self.config.shutdown_delay_duration
        await asyncio.sleep(delay / 2)
        self.pipeline.draining = True
        await asyncio.sleep(delay / 2)

    def announce(self, opened: Opened) -> None:
        """Tell other servers of this one."""
        for one in self.writers.presence(self.planned):
            opened.start(one)

    # What a server says once it serves

    def _tell(self) -> None:
        config = self.config
        _tell_safeguards(config, self.anonymous_refused)
        pki.record_port(config, self.listener.port)
        self._write_kubeconfig()
        log.info(
            "Serving",
            url=url(reachable(config), self.listener.port),
            address=config.bind_address,
            port=self.listener.port,
            dataDirectory=str(config.data_directory),
            storage=config.backend,
            authorization=",".join(config.authorization_modes),
            audit="on" if config.audit_policy_file else "off",
            encryption="on" if config.encryption_provider_config else "off",
        )

    def _write_kubeconfig(self) -> None:
        """Write the administrator's kubeconfig, unless the certificates are the operator's and no flag asks for it."""
        given = sorted(self.config.given & {"cert-dir", "tls-cert-file"})
        if not self.config.write_kubeconfig and given:
            log.info(
                "No kubeconfig was written, for the certificates are the operator's; `pilothouse kubeconfig` prints one, "
                "and --write-kubeconfig writes it",
                flag=given[0],
            )
            return
        path = pathlib.Path(self.config.write_kubeconfig or self.config.data_directory / "admin.kubeconfig")
        if try_to_write(path, pki.admin_kubeconfig(self.config, self.files, self.listener.port)):
            log.info("A kubeconfig was written", path=str(path))


def _tell_safeguards(config: Config, anonymous_refused: bool) -> None:
    """Log what is on or off though no flag said so."""
    if anonymous_refused:
        log.warning(
            "AnonymousAuth is not allowed with the AlwaysAllow authorizer. Resetting AnonymousAuth to false. "
            "You should use a different authorizer"
        )
    if "NodeRestriction" in enabled(config) and "NodeRestriction" not in config.enable_admission_plugins:
        log.info(
            "admission plugin NodeRestriction is on, as the Node authorizer is; "
            "--disable-admission-plugins=NodeRestriction switches it off"
        )

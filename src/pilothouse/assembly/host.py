"""The parts of a process, whatever it serves:
metrics, health, certificates, caches, threads, ways to other servers, the store."""

import asyncio
import pathlib
import socket
from collections.abc import Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING

from pilothouse import pki
from pilothouse.api.values.clock import SYSTEM, ServerClock
from pilothouse.assembly.audit import auditor
from pilothouse.assembly.certificates import Authorities, follow_certificates
from pilothouse.assembly.egress import Ways
from pilothouse.assembly.intervals import DEFAULT_INTERVALS, Intervals
from pilothouse.assembly.jwt import Authentication, authentication
from pilothouse.assembly.memory import bodies, budget
from pilothouse.assembly.metrics import limits_of
from pilothouse.assembly.storage import etcd_routes
from pilothouse.assembly.tracing import Tracing
from pilothouse.assembly.upkeep import UpkeepMetrics
from pilothouse.audit.auditor import Auditor
from pilothouse.authn.authenticator import UnionAuthenticator
from pilothouse.caches import CacheBudget
from pilothouse.configuration.config import Config
from pilothouse.configuration.features import FeatureMetrics
from pilothouse.endpoints.documents.health import Health
from pilothouse.endpoints.journal.journal import Journal
from pilothouse.endpoints.request.metrics import HealthMetrics
from pilothouse.files import make_private
from pilothouse.flowcontrol.memory import MemoryBudget
from pilothouse.lifecycle import Background, Opened
from pilothouse.metrics.instruments import MetricsRegistry
from pilothouse.offload import Offload
from pilothouse.outbound.clients import Clients
from pilothouse.pki import Files
from pilothouse.process.event_loop import LoopLag
from pilothouse.process.frozen import frozen
from pilothouse.process.metrics import ProcessMetrics, RegisteredMetrics, StartTime
from pilothouse.process.record import record
from pilothouse.registry.crd_strategy import CompiledSchemas
from pilothouse.reload import Reloads
from pilothouse.server import tls
from pilothouse.server.http1 import Limits
from pilothouse.server.listener import Listener, activated, bind
from pilothouse.server.metrics import ConnectionMetrics
from pilothouse.server.request import RequestHandler
from pilothouse.storage.backends import open_storage, upkeep
from pilothouse.storage.interface import Storage
from pilothouse.storage.memory import MemoryStorage
from pilothouse.workers.metrics import WorkerMetrics, Workers

if TYPE_CHECKING:
    from pilothouse.assembly.state_file import StateFile


@frozen(kw_only=True)
class Given:
    """The parts that a server is made with. Bound `sockets` and a `storage`
    that is not started are taken over; by default the flags name them.
    `worker` is the path of one of several workers (workers/metrics.py)."""

    config: Config
    sockets: list[socket.socket] | None = None
    storage: Storage | None = None
    intervals: Intervals = DEFAULT_INTERVALS
    worker: pathlib.Path | None = None


@record(kw_only=True, eq=False)
class Host:
    """The parts that do not depend on what is served.

    config: with the files that were found or made. storage: not started. slis: the metrics of health checks.
    token_key: the private key of service account tokens in PEM, instead of that of the files. clock: the time
    of objects. memory: the budget of the process, None where memory is not limited. audit: the auditor of the
    process, None where nothing is recorded. Both are known once the server's own cluster is open. journal:
    keeps the requests of a cluster, None for one of its own.
    """

    given: Given
    config: Config
    files: Files
    authorities: Authorities
    metrics: MetricsRegistry
    slis: MetricsRegistry
    health: Health
    reloads: Reloads
    caches: CacheBudget
    offload: Offload
    loop_lag: LoopLag
    ways: Ways
    tracing: Tracing
    clients: Clients
    storage: Storage
    memory: MemoryBudget | None = None
    audit: Auditor | None = None
    journal: Journal | None = None
    schemas: CompiledSchemas = field(default_factory=CompiledSchemas)
    token_key: bytes = b""
    clock: ServerClock = SYSTEM
    state: "StateFile | None" = None
    """The state with which the server has begun, where logical clusters begin with it as well."""

    @classmethod
    async def open(cls, given: Given, opened: Opened) -> "Host":
        """Make the parts, in the order in which they depend on each other, and find the store."""
        for sock in given.sockets or ():
            opened.on_close("a socket", sock.close)
        metrics, slis = _metrics(given, opened)
        health = Health(slis.add(HealthMetrics()), given.config.lifecycle.livez_grace_period)
        reloads = metrics.add(Reloads(given.intervals.files))
        loop_lag = metrics.add(LoopLag())
        caches = metrics.add(CacheBudget(given.config.process.cache_memory_mb << 20))
        clock = _clock(given.config, opened)
        state = await _state(given.config, clock)
        files = await asyncio.to_thread(pki.prepare, given.config)
        metrics.add(UpkeepMetrics(given.config.data.directory, files))
        config = pki.completed(given.config, files)
        proxies = config.authentication.request_header
        ways = Ways(config.outbound.egress_selector_config_file, metrics)
        opened.on_close("connections through proxies", ways.egress.close)
        proxied = ways.egress.controlplane if config.outbound.egress_selector_config_file else None
        tracing = Tracing(config.diagnostics.tracing_config_file, config.store.backend, metrics, proxied)
        opened.on_close("the exporter of spans", tracing.close)
        opened.start(caches)
        egress = ways.egress
        routes = await etcd_routes(config.store, egress.etcd, opened) if egress.etcd is not None else None
        clients = Clients(egress)
        metrics.add(clients.metrics)
        return cls(
            given=given,
            config=config,
            files=files,
            authorities=Authorities(files.client_ca, proxies.requestheader_client_ca_file),
            metrics=metrics,
            slis=slis,
            health=health,
            reloads=reloads,
            caches=caches,
            offload=Offload(),
            loop_lag=loop_lag,
            ways=ways,
            tracing=tracing,
            clients=clients,
            storage=given.storage or await _storage(config, routes, clock, state),
            clock=clock,
            state=state if config.clusters.clusters_from_state else None,
        )

    @property
    def told(self) -> Config:
        """The configuration that clients may read."""
        return self.config

    def run_beside_storage(self, opened: Opened) -> None:
        """Start the parts that need the storage or that requests need, and are closed before the storage."""
        opened.on_close("threads", self.offload.close)
        for one in (*upkeep(self.storage, self.config.store, self.health), self.reloads, self.loop_lag):
            opened.start(one)

    def audited(self, opened: Opened) -> Auditor | None:
        """The auditor of a cluster's requests, None where nothing is recorded."""
        outbound = self.clients.controlplane
        self.audit = auditor(
            self.config.audit, outbound, self.metrics, opened, caches=self.caches, reloads=self.reloads
        )
        return self.audit

    def identities(self) -> Authentication:
        """The issuers of tokens by which a cluster knows users. ValueError, OSError."""
        return authentication(self.config.authentication)

    def connect(self, opened: Opened) -> None:
        """Follow the files that say how other servers are reached."""
        self.ways.follow(self.clients, self.reloads)
        self.tracing.follow(self.reloads)
        opened.on_close("connections to other servers", self.clients.close)

    def look_after(self, part: Background, opened: Opened) -> None:
        """Start a part of a cluster that runs beside its requests."""
        opened.start(part)

    def run_controllers(self, controllers: Sequence[Background], opened: Opened) -> None:
        """Start the controllers of a cluster."""
        for one in controllers:
            opened.start(one)

    def bind(self, handler: RequestHandler, authenticator: UnionAuthenticator, opened: Opened) -> Listener:
        """Bind the sockets and load the certificates; nothing is accepted yet."""
        serving, proxies = self.config.serving, self.config.authentication.request_header
        sockets = self.given.sockets or activated()
        sockets = sockets or [
            bind(serving.bind_address, serving.secure_port, reuse_port=serving.permit_port_sharing)
        ]
        for sock in sockets:
            opened.on_close("a socket", sock.close)
        settings = tls.TLSSettings(
            self.files.serving_cert,
            self.files.serving_key,
            client_ca_files=tuple(
                filter(None, (*self.files.client_ca, proxies.requestheader_client_ca_file))
            ),
            sni=serving.tls_sni_cert_key,
            min_version=serving.tls_min_version,
            ciphers=serving.tls_cipher_suites,
            http2=not serving.disable_http2_serving,
            curves=serving.tls_curve_preferences,
        )
        contexts = tls.Contexts(settings)
        follow_certificates(
            self.reloads, settings, contexts, self.authorities, authenticator, self.files.sound
        )
        listener = Listener(handler.handle, sockets, contexts, _limits(self.config), handler.admit)
        self.metrics.add(ConnectionMetrics(listener))
        return listener


def _clock(config: Config, opened: Opened) -> ServerClock:
    """The clock of the server: one that moves where tests may move it."""
    if not config.simulation.movable:
        return SYSTEM
    from pilothouse.simulate import clock

    made = clock.Clock()
    opened.on_close("the clock", made.close)
    return made


async def _state(config: Config, clock: ServerClock) -> "StateFile | None":
    """The state to begin with, whose keys are put into the data directory; None where no flag names one.
    A clock that moves begins where that of the state was, if that is later."""
    if not config.data.from_state:
        return None
    from pilothouse.assembly.state_file import StateFile
    from pilothouse.simulate import clock as movable

    def read() -> StateFile:
        found = StateFile.read(pathlib.Path(config.data.from_state))
        make_private(config.data.directory)
        found.put_keys(config.data.directory, sync=config.store.backend != "memory")
        return found

    state = await asyncio.to_thread(read)
    if isinstance(clock, movable.Clock):
        clock.advance(max(state.time - clock.time(), 0.0))
    return state


async def _storage(
    config: Config, routes: dict[str, str] | None, clock: ServerClock, state: "StateFile | None"
) -> Storage:
    """The store that the flags ask for, not started, with the objects of a state."""
    directory = config.data.directory
    if state is not None and config.store.backend != "memory":
        await asyncio.to_thread(state.restore, directory)
    storage = open_storage(config.store, directory, routes, clock)
    if state is not None and isinstance(storage, MemoryStorage):
        state.load(storage)
    return storage


def _metrics(given: Given, opened: Opened) -> tuple[MetricsRegistry, MetricsRegistry]:
    """The metrics of the server and those of its health checks, with those of the process."""
    limits = limits_of(given.config.metrics)
    metrics, slis = MetricsRegistry(limits), MetricsRegistry(limits)
    for group in (limits, ProcessMetrics(), FeatureMetrics(), RegisteredMetrics(metrics, limits.hides)):
        metrics.add(group)
    if given.worker is not None:
        metrics.add(WorkerMetrics(given.worker.name))
        opened.start(Workers(given.worker, {"metrics": metrics, "slis": slis}))
    slis.add(metrics.add(StartTime()))
    return metrics, slis


def _limits(config: Config) -> Limits:
    receiving = bodies(budget(config.process))
    limits = Limits(
        unauthenticated=config.serving.max_unauthenticated_connections,
        body_budget=receiving,
        unfinished_budget=receiving // 2,  # a thousand connections of strangers take as much beside it
    )
    if config.serving.http2_max_streams_per_connection > 0:
        limits = replace(limits, streams=config.serving.http2_max_streams_per_connection)
    return limits

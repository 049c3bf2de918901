"""Builds and wires every part of a server, starts and stops them in order: the one file that knows all."""

import asyncio
import functools
import ipaddress
import pathlib
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from pilothouse import pki, remote
from pilothouse.admission.chain import Chain
from pilothouse.admission.metrics import AdmissionMetrics
from pilothouse.admission.plugins import chain_of, enabled
from pilothouse.admission.unsupported import stored_without_effect
from pilothouse.api import meta
from pilothouse.api.validate.pod.security import Capabilities
from pilothouse.authn import keys
from pilothouse.authn.authenticator import Authenticator, TokenAuthenticator, UnionAuthenticator
from pilothouse.authn.impersonation import Impersonation
from pilothouse.authn.metrics import AuthenticationMetrics
from pilothouse.authn.requestheader import RequestHeaderAuthenticator
from pilothouse.authn.serviceaccount import ServiceAccountTokens, TokenIssuer
from pilothouse.authn.tokens import BootstrapTokens, TokenFile
from pilothouse.authn.x509 import CertificateAuthenticator
from pilothouse.authz.authorizer import UnionAuthorizer, forbidden, from_modes
from pilothouse.authz.escalation import guard
from pilothouse.authz.metrics import AuthorizationMetrics
from pilothouse.caches import Budget
from pilothouse.controllers import bootstrap, flowschemas
from pilothouse.controllers.apiservices import APIServices
from pilothouse.controllers.bootstrap_writer import BootstrapWriter
from pilothouse.controllers.crds import CustomResourceDefinitions
from pilothouse.controllers.flowschemas import FlowSchemaStatus
from pilothouse.controllers.garbage import GarbageCollector
from pilothouse.controllers.leases import IdentityLease, KubernetesEndpoints
from pilothouse.controllers.namespaces import NamespaceDeletion
from pilothouse.controllers.serviceaccounts import NamespaceContents
from pilothouse.controllers.services import ServiceRepair
from pilothouse.endpoints.discovery import Discovery
from pilothouse.endpoints.dispatch import Dispatcher
from pilothouse.endpoints.flowcontrol_dumps import FlowControlDumps
from pilothouse.endpoints.health import Health
from pilothouse.endpoints.metrics import HealthMetrics, RequestMetrics, WatchMetrics
from pilothouse.endpoints.nonresource import NonResource, version_info
from pilothouse.endpoints.openapi_handlers import OpenAPIHandlers
from pilothouse.endpoints.pipeline import Pipeline, Stages
from pilothouse.endpoints.response import Responder
from pilothouse.endpoints.verbs import Verbs
from pilothouse.flowcontrol.classify import Classifier
from pilothouse.heap import Trim, relax_collector, share_arena
from pilothouse.instruments import Registry
from pilothouse.logs import Logger
from pilothouse.offload import Offload
from pilothouse.options import Config
from pilothouse.outbound.http import Outbound
from pilothouse.process import BuildInfo, ProcessMetrics, StartTime
from pilothouse.registry import encoding
from pilothouse.registry.allocators import Addresses
from pilothouse.registry.cached import CachedReaders
from pilothouse.registry.catalog import Catalog, default_catalog
from pilothouse.registry.client import Client
from pilothouse.registry.consistent import ConsistentReads
from pilothouse.registry.crd import Definitions
from pilothouse.registry.metrics import AllocatorMetrics, ConsistentReadMetrics
from pilothouse.registry.node_ports import NodePorts
from pilothouse.registry.store import Store
from pilothouse.server import tls
from pilothouse.server.accept import raise_descriptor_limit
from pilothouse.server.http1 import Limits
from pilothouse.server.listener import Listener, activated, bind
from pilothouse.server.metrics import ConnectionMetrics
from pilothouse.storage.compaction import CompactionLoop
from pilothouse.storage.encryption import config as encryption_config
from pilothouse.storage.encryption.backend import EncryptedStorage, Encryption
from pilothouse.storage.interface import Storage, Unavailable
from pilothouse.storage.kms.metrics import EnvelopeMetrics
from pilothouse.storage.kms.provider import KMS
from pilothouse.storage.metered import MeteredStorage
from pilothouse.storage.metrics import StorageMetrics, WatchCacheMetrics
from pilothouse.storage.watchcache import Cacher

log = Logger(__name__)

DRAIN_SECONDS = 60.0


@dataclass(slots=True)
class Services:
    """What a few kinds need beside the objects; hooks reach it as `ctx.services`."""

    options: Config
    addresses: Addresses
    node_ports: NodePorts
    issuer: TokenIssuer
    authenticator: UnionAuthenticator
    authorizer: UnionAuthorizer
    outbound: Outbound


class Background(Protocol):
    """Something that runs beside the requests."""

    def start(self) -> None: ...

    async def close(self) -> None: ...


class IssuerDocuments:
    """The documents by which others check this server's service account tokens."""

    def __init__(self, config: Config, public: list[keys.VerifyKey]) -> None:
        self._config = config
        self._public = public

    def jwks(self) -> dict[str, Any]:
        return keys.jwks(self._public)

    def configuration(self) -> dict[str, Any]:
        from pilothouse.authn.serviceaccount import discovery_document

        config = self._config
        uri = (
            config.service_account_jwks_uri
            or f"https://{advertised(config)}:{config.secure_port}/openid/v1/jwks"
        )
        return discovery_document(config.issuers[0], uri, self._public)


class Server:
    """One API server. `start` returns when it is ready; `stop` when everything it took is given back."""

    def __init__(self, config: Config, *, sockets: list[socket.socket] | None = None) -> None:
        self.config = config
        self._sockets = sockets
        self.metrics, self.slis = Registry(), Registry()
        self.metrics.add(ProcessMetrics())
        self.slis.add(self.metrics.add(StartTime()))
        self.health = Health(self.slis.add(HealthMetrics()))
        self.offload = Offload()
        self.envelope = EnvelopeMetrics()
        self.caches = Budget(config.cache_memory_mb << 20)
        self.metrics.add(self.caches)
        self.files: pki.Files
        self.storage: Storage
        self.cacher: Cacher
        self.background: list[Background] = [self.caches]
        self.store: Store
        self.catalog: Catalog
        self.readers: CachedReaders
        self.services: Services
        self.pipeline: Pipeline
        self.listener: Listener
        self.discovery: Discovery
        self.controllers: list[Any] = []
        self.presence: list[Background] = []

    async def start(self) -> None:
        """Open the store, make what is missing, listen."""
        config = self.config
        self.files = await asyncio.to_thread(pki.prepare, config)
        inner = open_storage(config)
        self.catalog = default_catalog(config.runtime_config)
        resource_of = encoding.resources_by_key(self.catalog)
        self.storage = MeteredStorage(inner, self.metrics.add(StorageMetrics(inner, resource_of)))
        self.cacher = self._cacher()
        self.metrics.add(WatchCacheMetrics(self.cacher, resource_of))
        await self.storage.start()
        self.background += watch_over(inner, config, self.health)
        await self.cacher.start()
        self.store = Store(self.storage, self.cacher, config.max_object_bytes)
        self.readers = CachedReaders(self.store, self.catalog)
        self._wire()
        sockets = self._sockets or activated()
        sockets = sockets or [
            bind(config.bind_address, config.secure_port, reuse_port=config.permit_port_sharing)
        ]
        contexts = tls.Contexts(
            tls.Settings(
                self.files.serving_cert,
                self.files.serving_key,
                tuple(filter(None, (*self.files.client_ca, config.requestheader_client_ca_file))),
                config.tls_sni_cert_key,
                config.tls_min_version,
                config.tls_cipher_suites,
            )
        )
        self.listener = Listener(
            self.pipeline.handle,
            sockets,
            contexts,
            Limits(strangers=config.max_unauthenticated_connections),
            self.pipeline.admit,
        )
        self.metrics.add(ConnectionMetrics(self.listener))
        await self._bootstrap()
        self._start_controllers()
        for one in self.background:
            one.start()
        await self.listener.start()
        for each in self.presence:
            each.start()
        self.health.finish()
        for resource, count, sentence in stored_without_effect(self.readers):
            log.warning(sentence, resource=resource, objects=count)
        if config.write_kubeconfig or not config.given & {"cert-dir", "tls-cert-file"}:
            self._write_kubeconfig()
        log.info("Serving", address=config.bind_address, port=self.listener.port)

    def _cacher(self) -> Cacher:
        """The watch cache of the store, which is put behind encryption where that is configured."""
        config = self.config
        path = config.encryption_provider_config
        if not path:
            return Cacher(self.storage, encoding.to_json)
        reload = config.encryption_provider_config_automatic_reload
        make = functools.partial(KMS, metrics=self.envelope)
        rules, digest = encryption_config.load(path, make)
        encryption = Encryption(
            rules, encoding.resources_by_key(self.catalog), "/" + config.etcd_prefix.strip("/")
        )
        if reload:
            self.background.append(encryption_config.Reload(path, digest, encryption, make))
        if reload or encryption.remotes:
            self.health.add_check("kms-providers", encryption.check, endpoints=("healthz", "readyz"))
            self.metrics.add(self.envelope)
        self.storage = EncryptedStorage(self.storage, encryption)

        def to_json(key: str, value: bytes) -> bytes:
            return encoding.to_json(key, encryption.decrypt(key, value))

        return Cacher(self.storage, to_json, encryption.prepare)

    def _wire(self) -> None:
        """Everything between the store and the listener."""
        config, readers = self.config, self.readers
        signing = keys.load_private(pathlib.Path(self.files.signing_key).read_bytes())
        public = public_keys(config, self.files.signing_key)
        audiences = config.api_audiences or config.issuers
        outbound = Outbound()
        authenticator = self._authenticator(public, audiences, outbound)
        webhooks = (
            [remote.webhook_authorizer(config, outbound, self.caches)]
            if config.authorization_webhook_config_file
            else []
        )
        authorization = self.metrics.add(AuthorizationMetrics())
        authorizer = from_modes(
            config.authorization_modes, readers, bootstrap.node_rules(), webhooks, self.caches, authorization
        )
        issuer = TokenIssuer(
            config.issuers[0],
            signing,
            readers,
            tuple(audiences),
            int(config.service_account_max_token_expiration),
            config.service_account_extend_token_expiration,
        )
        Capabilities.allow_privileged = config.allow_privileged
        self.services = Services(
            options=config,
            addresses=Addresses([str(n) for n in config.service_networks]),
            node_ports=NodePorts(self.storage, self.cacher, readers, *config.service_node_port_range),
            issuer=issuer,
            authenticator=authenticator,
            authorizer=authorizer,
            outbound=outbound,
        )
        self.services.addresses.follow(readers)
        self.metrics.add(AllocatorMetrics(self.services.addresses, self.services.node_ports))
        admission: Chain = chain_of(config, self.metrics.add(AdmissionMetrics()))
        _tell_safeguards(config)
        responder = Responder(self.offload, self.caches)
        verbs = Verbs(
            store=self.store,
            catalog=self.catalog,
            readers=readers,
            admission=admission,
            authorizer=authorizer,
            responder=responder,
            services=self.services,
            escalation=guard(authorizer, readers),
            offload=self.offload,
            watch_metrics=self.metrics.add(WatchMetrics()),
            watch_timeout=float(config.min_request_timeout),
        )
        self.discovery = discovery = Discovery(self.catalog, f"{advertised(config)}:{config.secure_port}")
        self.metrics.add(BuildInfo(version_info()))
        nonresource = NonResource(
            discovery,
            self.health,
            metrics=self.metrics,
            slis=self.slis,
            issuer=IssuerDocuments(config, public),
            flags=lambda: flag_values(config),
        )
        OpenAPIHandlers(self.catalog, lambda resource: getattr(resource.codec, "document", None)).install(
            nonresource
        )
        FlowControlDumps(readers).install(nonresource)
        consistent = (
            ConsistentReads(self.store, self.metrics.add(ConsistentReadMetrics()))
            if self.storage.shared
            else None
        )
        dispatcher = Dispatcher(verbs, self.catalog, discovery, nonresource, responder, consistent)
        stages = Stages(
            authenticator=authenticator,
            impersonation=Impersonation(authorizer.authorize, forbidden, self.caches),
            classifier=Classifier(readers, self.caches),
            authorizer=authorizer,
            dispatcher=dispatcher,
            responder=responder,
            offload=self.offload,
            metrics=self.metrics.add(RequestMetrics()),
            authentication=self.metrics.add(AuthenticationMetrics()),
            authorization=authorization,
        )
        self.pipeline = Pipeline(stages, config.request_timeout, config.goaway_chance)

    def _authenticator(
        self, public: list[keys.VerifyKey], audiences: tuple[str, ...], outbound: Outbound
    ) -> UnionAuthenticator:
        config, readers = self.config, self.readers
        methods: list[Authenticator] = []
        if config.requestheader_client_ca_file:
            methods.append(
                RequestHeaderAuthenticator(
                    pathlib.Path(config.requestheader_client_ca_file).read_bytes(),
                    allowed_names=config.requestheader_allowed_names,
                    username_headers=config.requestheader_username_headers,
                    uid_headers=config.requestheader_uid_headers,
                    group_headers=config.requestheader_group_headers,
                    extra_prefixes=config.requestheader_extra_headers_prefix,
                    budget=self.caches,
                )
            )
        client_ca = b"".join(pathlib.Path(p).read_bytes() for p in self.files.client_ca)
        methods.append(CertificateAuthenticator(client_ca, self.caches))
        tokens: list[TokenAuthenticator] = []
        if config.token_auth_file:
            tokens.append(
                TokenFile(pathlib.Path(config.token_auth_file).read_text(), audiences, config.token_auth_file)
            )
        tokens.append(
            ServiceAccountTokens(public, config.issuers, audiences, readers, config.service_account_lookup)
        )
        if config.enable_bootstrap_token_auth:
            tokens.append(BootstrapTokens(readers, audiences))
        if config.oidc_issuer_url:
            tokens.append(remote.oidc_tokens(config, outbound))
        if config.authentication_token_webhook_config_file:
            tokens.append(remote.webhook_tokens(config, outbound, audiences, self.caches))
        return UnionAuthenticator(methods, tokens, audiences, config.anonymous, self.caches)

    async def _bootstrap(self) -> None:
        """The objects of a fresh cluster; on later starts, what is missing of them."""
        config = self.config
        settings = bootstrap.Settings(
            advertise_address=advertised(config),
            secure_port=self.listener.port,
            service_cidrs=tuple(str(n) for n in config.service_networks),
            hostname=self._hostname(),
            now=meta.now(),
            client_ca="".join(pathlib.Path(p).read_text() for p in self.files.client_ca),
            proxy_ca=_text(config.requestheader_client_ca_file),
            proxy_names=config.requestheader_allowed_names,
            username_headers=config.requestheader_username_headers,
            uid_headers=config.requestheader_uid_headers,
            group_headers=config.requestheader_group_headers,
            extra_prefixes=config.requestheader_extra_headers_prefix,
        )
        writer = BootstrapWriter(self.store, self.catalog, self.readers, self.services)
        planned = list(bootstrap.objects(settings))
        self.envelope.server_id = next((p.name for p in planned if p.plural == "leases"), "")
        if self.storage.shared:
            planned = self._announce(planned)
        if waiting := await bootstrap.ensure(writer, planned):
            self.background.append(bootstrap.Rest(writer, waiting))

    def _announce(self, planned: list[bootstrap.Planned]) -> list[bootstrap.Planned]:
        """Leave to leases what tells of this server among others; the rest is planned as ever."""
        client = self._client("kube-apiserver")
        lease = next((p.obj for p in planned if p.plural == "leases"), None)
        if lease is not None:
            self.presence.append(IdentityLease(client, lease))
        if self.config.endpoint_reconciler_type != "none":
            address, port = advertised(self.config), self.listener.port
            self.presence.append(KubernetesEndpoints(client, address, port))
        return [p for p in planned if p.plural not in ("endpoints", "endpointslices")]

    def _hostname(self) -> str:
        """The host's name; with the port where several servers may share one host."""
        name, port = socket.gethostname(), self.listener.port
        return name if not self.storage.shared or port == 6443 else f"{name}-{port}"

    def _client(self, manager: str) -> Client:
        return Client(self.store, self.catalog, self.readers, self.services, manager)

    def _start_controllers(self) -> None:
        config = self.config
        ca = pathlib.Path(self.files.ca_cert).read_text()
        definitions = Definitions(self.store, self.catalog)
        served = CustomResourceDefinitions(self._client("kube-apiserver"), definitions)
        served.start()
        self.controllers.append(served)
        apiservices = APIServices(self._client("kube-apiserver"), self.discovery)
        apiservices.start()
        self.controllers.append(apiservices)
        self.background.append(ServiceRepair(self._client("kube-apiserver"), self.services))
        flow_schemas = FlowSchemaStatus(self._client(flowschemas.MANAGER))
        flow_schemas.start()
        self.controllers.append(flow_schemas)
        known: dict[str, Callable[[], Any]] = {
            "namespace": lambda: NamespaceDeletion(self._client("kube-controller-manager")),
            "serviceaccount": lambda: NamespaceContents(self._client("kube-controller-manager"), ca),
            "garbagecollector": lambda: GarbageCollector(self._client("kube-controller-manager")),
        }
        for name, make in known.items():
            if config.runs(name):
                controller = make()
                controller.start()
                self.controllers.append(controller)

    def _write_kubeconfig(self) -> None:
        path = pathlib.Path(self.config.write_kubeconfig or self.config.data_directory / "admin.kubeconfig")
        pki.write_file(path, pki.admin_kubeconfig(self.config, self.files, self.listener.port))
        log.info("A kubeconfig was written", path=str(path))

    async def stop(self, drain: float = DRAIN_SECONDS) -> None:
        """Fail readyz, wait for load balancers, drain requests and watches, close the store."""
        self.health.shutting_down = True
        for each in self.presence:
            await each.close()
        delay = self.config.shutdown_delay_duration
        await asyncio.sleep(delay / 2)
        self.pipeline.draining = True
        await asyncio.sleep(delay / 2)
        for controller in self.controllers:
            controller.close()
        await self.listener.stop(drain, self.cacher.end_watches)
        await self.services.outbound.close()
        self.offload.close()
        for one in self.background:
            await one.close()
        await self.cacher.close()
        await self.storage.close()


def _tell_safeguards(config: Config) -> None:
    """Log what is on or off though no flag said so."""
    if config.anonymous_auth and not config.anonymous:
        log.warning(
            "AnonymousAuth is not allowed with the AlwaysAllow authorizer. Resetting AnonymousAuth to false. "
            "You should use a different authorizer"
        )
    if "NodeRestriction" in enabled(config) and "NodeRestriction" not in config.enable_admission_plugins:
        log.info(
            "admission plugin NodeRestriction is on, as the Node authorizer is; "
            "--disable-admission-plugins=NodeRestriction switches it off"
        )


def open_storage(config: Config) -> Storage:
    """The store that the flags ask for; Unavailable when what it needs is not installed."""
    if config.backend == "etcd3":
        return open_etcd(config)
    if config.backend == "memory":
        from pilothouse.storage.memory import MemoryStorage

        return MemoryStorage()
    from pilothouse.storage.sqlite.backend import SqliteStorage

    return SqliteStorage(config.data_directory)


def _text(path: str) -> str:
    return pathlib.Path(path).read_text() if path else ""


def open_etcd(config: Config) -> Storage:
    """The etcd of --etcd-servers."""
    try:
        from pilothouse.storage.etcd.backend import TLS, EtcdStorage
    except ImportError as error:
        why = f"--etcd-servers needs the package grpcio: pip install pilothouse[etcd] ({error})"
        raise Unavailable(why) from error
    tls = TLS(config.etcd_cafile, config.etcd_certfile, config.etcd_keyfile)
    return EtcdStorage(config.etcd_servers, tls, config.etcd_prefix, config.lease_reuse_duration_seconds)


def watch_over(storage: Storage, config: Config, health: Health) -> list[Background]:
    """What runs beside a store: compaction, and for etcd a look whether it answers."""
    interval = config.etcd_compaction_interval
    if not storage.shared:
        return [CompactionLoop(storage, interval)] if interval else []
    from pilothouse.storage.etcd.backend import EtcdStorage
    from pilothouse.storage.etcd.compaction import EtcdCompaction
    from pilothouse.storage.etcd.health import EtcdHealth

    assert isinstance(storage, EtcdStorage)
    ready = EtcdHealth(storage, config.etcd_readycheck_timeout)
    alive = ready
    if config.etcd_healthcheck_timeout != config.etcd_readycheck_timeout:
        alive = EtcdHealth(storage, config.etcd_healthcheck_timeout)
    health.add_check("etcd", alive.check)
    health.add_check("etcd-readiness", ready.check, endpoints=("readyz",))
    out: list[Background] = [ready] if alive is ready else [ready, alive]
    return [*out, EtcdCompaction(storage, interval)] if interval else out


def advertised(config: Config) -> str:
    """The address by which the members of the cluster reach this server: never the loopback one if there is another."""
    if config.advertise_address:
        return config.advertise_address
    bound = ipaddress.ip_address(config.bind_address or "::")
    if not bound.is_unspecified and not bound.is_loopback:
        return config.bind_address
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: the kernel only picks the route's address
            address: str = probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"
    return address


def flag_values(config: Config) -> dict[str, str]:
    """The command line as /flagz shows it."""
    from pilothouse.options import all_flags

    return {flag.name: str(getattr(config, flag.name.replace("-", "_"), "")) for flag in all_flags()}


def public_keys(config: Config, signing_key: str) -> list[keys.VerifyKey]:
    """The keys by which service account tokens are checked."""
    paths = config.service_account_key_file or (signing_key,)
    return [key for path in paths for key in keys.load_public(pathlib.Path(path).read_bytes())]


def run(config: Config) -> int:
    """Serve until SIGTERM or SIGINT; the process's exit status."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(config))


async def _run(config: Config) -> int:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    before, after = raise_descriptor_limit()
    if after > before:
        log.info("The limit of open files was raised", before=before, after=after)
    share_arena()
    server, trim = Server(config), Trim()
    try:
        await server.start()
        relax_collector()
        trim.start()
    except Exception as err:
        log.error("The server cannot start", err=err)
        return 1
    await ended.wait()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)
    await trim.close()
    await server.stop()
    return 0

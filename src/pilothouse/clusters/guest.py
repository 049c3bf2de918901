"""The host of a logical cluster: what the process has, without what belongs to one cluster alone.

A guest never shows the certificates by which this server is known to kubelets and aggregated servers. Its
users choose the addresses that are called, and could choose this server's own.
"""

import copy
from collections.abc import Sequence
from dataclasses import fields, replace

from pilothouse.api.values.clock import ServerClock
from pilothouse.assembly.certificates import Authorities
from pilothouse.assembly.host import Host
from pilothouse.assembly.jwt import Authentication
from pilothouse.assembly.metrics import limits_of
from pilothouse.audit.auditor import Auditor
from pilothouse.authn.configuration import ALGORITHMS, AuthenticationConfiguration
from pilothouse.caches import CacheBudget
from pilothouse.clusters.definition import NAME
from pilothouse.configuration.addresses import advertised
from pilothouse.configuration.config import Config
from pilothouse.configuration.sections.audit import AuditOptions
from pilothouse.configuration.sections.authentication import AuthenticationOptions
from pilothouse.configuration.sections.authorization import AuthorizationOptions
from pilothouse.configuration.sections.diagnostics import DiagnosticsOptions
from pilothouse.configuration.sections.flow_control import FlowControlOptions
from pilothouse.configuration.sections.outbound import OutboundOptions
from pilothouse.configuration.sections.process import ProcessOptions
from pilothouse.configuration.sections.service_accounts import ServiceAccountOptions
from pilothouse.configuration.sections.simulation import SimulationOptions
from pilothouse.configuration.sections.store import StoreOptions
from pilothouse.controllers.apiservices import APIServices
from pilothouse.controllers.crds import CustomResourceDefinitions
from pilothouse.controllers.services import ServiceRepair
from pilothouse.endpoints.documents.health import Check, Health
from pilothouse.endpoints.journal.journal import Journal
from pilothouse.endpoints.journal.shared import ClusterJournal
from pilothouse.flowcontrol.gate import FlowControl
from pilothouse.lifecycle import Background, Opened, StartsInTurn
from pilothouse.metrics.instruments import MetricsRegistry
from pilothouse.offload import Share
from pilothouse.reload import Reloads
from pilothouse.server.request import Response
from pilothouse.storage.interface import Storage

NO_ISSUERS = AuthenticationConfiguration()
CACHE_BYTES = 2 << 20
"""Bytes that a cluster may remember between requests."""
EXPLAINED = 2000
"""Requests of a cluster that can be explained where faults are on."""
SHARE = 4
"""One cluster may take one in so many of the server's seats."""
SHARED_MODES = frozenset(("AlwaysAllow", "Node", "RBAC"))
"""The authorizers that clusters can have as the server has them: they need no file."""


class GuestHost(Host):
    """The parts of the process for one logical cluster.

    The parts that would look at something again and again have no timers of their own: `look` and `repair`
    are called while the cluster is used (janitor.py).
    """

    __slots__ = ("_annotations", "_flow_control", "_repair", "issuers")

    issuers: AuthenticationConfiguration
    """The issuers that the cluster's object names."""

    _annotations: dict[str, str]
    """Annotations of the events of audit, which tell the cluster."""
    _flow_control: FlowControl | None
    _repair: ServiceRepair | None

    def audited(self, opened: Opened) -> Auditor | None:
        """The process's auditor, for the requests of this cluster."""
        return self.audit.of_cluster(self._annotations, self.caches) if self.audit is not None else None

    def identities(self) -> Authentication:
        """The issuers of the cluster's object. There may be others later."""
        own, data = super().identities(), b"spec.authentication"
        return replace(own, configuration=self.issuers, data=data, algorithms=ALGORITHMS)

    def look_after(self, part: Background, opened: Opened) -> None:
        """Start a part, unless it is one of those without a timer."""
        if isinstance(part, FlowControl):
            self._flow_control = part
        else:
            opened.start(part)

    def run_controllers(self, controllers: Sequence[Background], opened: Opened) -> None:
        """Start those that say what is served, so that the first request finds it; the others are started
        while requests are answered, and the one that repairs is called by `repair`."""
        later: list[Background] = []
        for one in controllers:
            if isinstance(one, ServiceRepair):
                self._repair = one
            elif isinstance(one, CustomResourceDefinitions | APIServices):
                opened.start(one)
            else:
                later.append(one)
        opened.start(StartsInTurn(later))

    def look(self) -> None:
        """Divide the seats of flow control anew."""
        if self._flow_control is not None:
            self._flow_control.look(adjust=True)

    async def repair(self) -> None:
        """Compare the addresses and ports that are allocated with those that are used."""
        if self._repair is not None:
            await self._repair.repair()

    @property
    def told(self) -> Config:
        """The settings that are the cluster's own: other flags name files and addresses of the process."""
        own = self.config
        return replace(
            Config(),
            requests=own.requests,
            flow_control=own.flow_control,
            authentication=own.authentication,
            authorization=own.authorization,
            admission=own.admission,
            api=own.api,
            objects=own.objects,
            controllers=replace(own.controllers, cluster_signing_cert_file="", cluster_signing_key_file=""),
        )

    def run_beside_storage(self, opened: Opened) -> None:
        """Start nothing: threads, reloads and the upkeep of the storage are the process's."""

    def connect(self, opened: Opened) -> None:
        """Follow nothing: the ways to other servers are the process's."""


class GuestHealth(Health):
    """The health of the process. Clusters add no checks of their own."""

    def __init__(self, whole: Health) -> None:
        self._whole = whole
        self.shutting_down = False

    def add_check(self, name: str, check: Check, *, endpoints: tuple[str, ...] = ()) -> None:
        pass

    def finish(self, *hooks: str) -> None:
        pass

    def paths(self) -> list[str]:
        return self._whole.paths()

    def handle(self, path: str, query: str) -> Response | None:
        return self._whole.handle(path, query)


def guest(
    host: Host,
    config: Config,
    *,
    name: str,
    uid: str,
    storage: Storage,
    token_key: bytes,
    clock: ServerClock,
    issuers: AuthenticationConfiguration = NO_ISSUERS,
    journal: Journal | None = None,
) -> GuestHost:
    """The host of a cluster; `config` is made by `guest_config`. journal: that of all clusters."""
    parts = {one.name: getattr(host, one.name) for one in fields(host)}
    limits = limits_of(config.metrics)
    parts |= {
        "config": config,
        "authorities": _authorities(host.authorities, uid),
        "metrics": MetricsRegistry(limits),
        "slis": MetricsRegistry(limits),
        "health": GuestHealth(host.health),
        "reloads": Reloads(0.0),
        "caches": CacheBudget(CACHE_BYTES),
        "offload": Share(host.offload, uid),
        "storage": storage,
        "token_key": token_key,
        "clock": clock,
        "journal": ClusterJournal(journal, uid) if journal is not None else None,
    }
    made = GuestHost(**parts)
    made._flow_control = made._repair = None
    made.issuers = issuers
    made._annotations = {f"{NAME}/name": name, f"{NAME}/uid": uid}
    return made


def _authorities(whole: Authorities, uid: str) -> Authorities:
    """The CAs of the process, for certificates of one cluster.
    Front proxies are known to the server's own cluster alone."""
    own = copy.copy(whole)
    own.scope = uid
    own.proxies = b""
    own.forget_listeners()
    return own


def guest_config(config: Config) -> Config:
    """The part that the configurations of all clusters have in common: the server's configuration, without
    what names files, other servers or users."""
    given, authorization = config.authentication, config.authorization
    tokens = given.service_accounts
    accounts = replace(
        ServiceAccountOptions(),
        service_account_issuer=tokens.issuers,
        service_account_extend_token_expiration=tokens.service_account_extend_token_expiration,
        service_account_lookup=tokens.service_account_lookup,
        service_account_max_token_expiration=tokens.service_account_max_token_expiration,
    )
    if authorization.authorization_config or not SHARED_MODES.issuperset(authorization.modes):
        authorization = AuthorizationOptions(
            end_revoked_requests=authorization.end_revoked_requests,
            list_permitted_namespaces=authorization.list_permitted_namespaces,
        )
    return replace(
        config,
        process=ProcessOptions(max_memory="0"),
        serving=replace(config.serving, advertise_address=advertised(config.serving)),
        store=_store_of(config.store),
        audit=AuditOptions(),
        authentication=AuthenticationOptions(
            anonymous_auth=given.anonymous_auth,
            enable_bootstrap_token_auth=given.enable_bootstrap_token_auth,
            max_token_bytes=given.max_token_bytes,
            service_accounts=accounts,
        ),
        authorization=authorization,
        flow_control=_share_of(config.flow_control),
        admission=replace(config.admission, admission_control_config_file=""),
        outbound=OutboundOptions(),
        simulation=SimulationOptions(test_api=config.simulation.movable),
        diagnostics=_diagnostics_of(config.diagnostics),
    )


def named(shared: Config, path: str, url: str) -> Config:
    """The configuration of one cluster.

    path: that of the cluster below the server's URL. It follows the server's issuers in those of the cluster,
    so that tokens stay good when the server is reached elsewhere. url: where clients reach the cluster.
    """
    given = shared.authentication
    accounts = replace(
        given.service_accounts,
        service_account_issuer=tuple(one.removesuffix("/") + path for one in given.service_accounts.issuers),
        service_account_jwks_uri=f"{url}/openid/v1/jwks",
    )
    return replace(shared, authentication=replace(given, service_accounts=accounts))


def _store_of(options: StoreOptions) -> StoreOptions:
    """The store of a cluster, which nobody else writes, wherever its rows are; it keeps no history."""
    own = replace(options, history=False, history_policy_file="")
    return replace(own, storage_backend="memory", etcd_servers=()) if own.others_write else own


def _diagnostics_of(options: DiagnosticsOptions) -> DiagnosticsOptions:
    """The diagnostics of a cluster. That of a server for tests keeps its requests by itself."""
    explained = options.explained_requests
    if options.faults_:
        explained = min(explained, EXPLAINED)
    return DiagnosticsOptions(explained_requests=explained, faults_=options.faults_)


def _share_of(options: FlowControlOptions) -> FlowControlOptions:
    """The seats of one cluster: fewer than the server has, so that no cluster takes all of its time."""
    return replace(
        options,
        max_requests_inflight=-(-options.max_requests_inflight // SHARE),
        max_mutating_requests_inflight=-(-options.max_mutating_requests_inflight // SHARE),
    )

"""Creates the request pipeline and the handlers, which connect the listener to the registry."""

from collections.abc import Callable
from dataclasses import field
from typing import TYPE_CHECKING

from pilothouse.admission.chain import Chain
from pilothouse.api import meta
from pilothouse.api.values.clock import SYSTEM
from pilothouse.assembly import faults
from pilothouse.assembly.memory import memory_of, size_of
from pilothouse.assembly.services import ServerServices
from pilothouse.assembly.storage import Registry
from pilothouse.audit.auditor import Auditor
from pilothouse.authn.authenticator import UnionAuthenticator
from pilothouse.authn.impersonation import Impersonation
from pilothouse.authn.metrics import AuthenticationMetrics, ImpersonationMetrics
from pilothouse.authn.serviceaccount import TokenIssuer
from pilothouse.authz.authorizer import UnionAuthorizer, forbidden
from pilothouse.authz.escalation import guard
from pilothouse.authz.metrics import AuthorizationMetrics
from pilothouse.caches import CacheBudget
from pilothouse.configuration.addresses import advertised
from pilothouse.configuration.config import Config, settings
from pilothouse.configuration.flags import READ_ONLY
from pilothouse.configuration.sections.diagnostics import DiagnosticsOptions
from pilothouse.configuration.sections.flow_control import FlowControlOptions
from pilothouse.configuration.sections.outbound import OutboundOptions
from pilothouse.configuration.sections.request_header import RequestHeaderOptions
from pilothouse.endpoints.actions.parts import Actions
from pilothouse.endpoints.actions.reviews import Judges
from pilothouse.endpoints.answers.left_out import LeftOut, LeftOutMetrics
from pilothouse.endpoints.answers.response import Responder
from pilothouse.endpoints.dispatch import Dispatcher
from pilothouse.endpoints.documents.console import Console
from pilothouse.endpoints.documents.discovery import Discovery
from pilothouse.endpoints.documents.flowcontrol_dumps import FlowControlDumps
from pilothouse.endpoints.documents.health import Health
from pilothouse.endpoints.documents.nonresource import NonResource, ServiceAccountIssuer, version_info
from pilothouse.endpoints.documents.openapi_handlers import OpenAPIHandlers
from pilothouse.endpoints.documents.openapi_remote import RemoteDocuments
from pilothouse.endpoints.journal import httplog
from pilothouse.endpoints.journal.journal import Journal
from pilothouse.endpoints.journal.report.reports import Reports
from pilothouse.endpoints.journal.tracer import Tracer
from pilothouse.endpoints.journal.why import Why
from pilothouse.endpoints.objects.scope import Verbs
from pilothouse.endpoints.objects.standing import POLL, OpenRequestJudge, Standing
from pilothouse.endpoints.observer import LoggingObserver, Observer
from pilothouse.endpoints.pipeline import Pipeline, Stages
from pilothouse.endpoints.plan import Planner
from pilothouse.endpoints.request.edges import Edges
from pilothouse.endpoints.request.metrics import (
    DiscoveryMetrics,
    FilterMetrics,
    RequestMetrics,
    StandingMetrics,
    StreamMetrics,
    WatchMetrics,
)
from pilothouse.endpoints.request.permitted import Finder
from pilothouse.endpoints.streams import kubelet
from pilothouse.endpoints.streams.aggregator import Aggregator, new_via
from pilothouse.endpoints.streams.kubelet import Kubelets
from pilothouse.endpoints.streams.parts import Streams
from pilothouse.endpoints.streams.relay import Relay
from pilothouse.flowcontrol.gate import FlowControl, Gate, MaxInFlight
from pilothouse.flowcontrol.memory import MemoryBudget, MemoryShare
from pilothouse.flowcontrol.metrics import FlowControlMetrics
from pilothouse.flowcontrol.width import Widths
from pilothouse.metrics.instruments import MetricsRegistry
from pilothouse.offload import Offload
from pilothouse.outbound.http import Outbound
from pilothouse.process.metrics import BuildInfo
from pilothouse.process.record import record
from pilothouse.registry.catalog import Catalog
from pilothouse.registry.consistent import ConsistentReads
from pilothouse.registry.metrics import ConsistentReadMetrics
from pilothouse.registry.readers import Readers
from pilothouse.registry.service_resolver import ServiceResolver

if TYPE_CHECKING:
    from pilothouse.history.history import History


@record(kw_only=True, eq=False)
class Inputs:
    """The parts that the handlers are made of.
    A test hands in its own; `issuer` and `documents` may be missing.

    The handlers add their metrics to `metrics`; `slis` are those of the health checks. `authorization` are
    the metrics that the authorizer counts in.

    `caches` is the budget of what is remembered between requests; None: each cache has one of its own.
    """

    config: Config
    registry: Registry
    services: ServerServices
    authenticator: UnionAuthenticator
    authorizer: UnionAuthorizer
    admission: Chain
    outbound: Outbound
    resolver: ServiceResolver
    offload: Offload
    health: Health
    metrics: MetricsRegistry
    slis: MetricsRegistry | None = None
    authorization: AuthorizationMetrics | None = None
    caches: CacheBudget | None = None
    issuer: TokenIssuer | None = None
    documents: ServiceAccountIssuer | None = None
    audit: Auditor | None = None
    open_requests: float = POLL
    """Seconds between two looks at open requests, where an option has them judged again."""
    tracer: Tracer = field(default_factory=Tracer)
    history: "History | None" = None
    memory: MemoryBudget | None = None
    """The memory of the process, of which these handlers have a share; None: they have it all."""
    journal: Journal | None = None
    """The journal of requests, None: one of their own."""
    told: Callable[[], Config] | None = None
    """The configuration that /flagz shows, None: `config`."""


class Handlers:
    """The handlers of one server; `pipeline` is the one that the HTTP server calls."""

    def __init__(self, given: Inputs) -> None:
        config, registry = given.config, given.registry
        catalog, serving = registry.catalog, config.serving
        self.relay = _relay(config.authentication.request_header, given.outbound)
        self.via = new_via()
        self.remote_documents = RemoteDocuments()
        left_out = LeftOut(given.metrics.add(LeftOutMetrics()))
        self.responder = Responder(given.offload, given.caches, left_out, registry.clock.time)
        self.discovery = Discovery(
            catalog, f"{advertised(serving)}:{serving.secure_port}", given.metrics.add(DiscoveryMetrics())
        )
        self.widths = Widths(catalog, registry.store, given.caches)
        self.flowcontrol = self._flow_control(given)
        self.impersonation = Impersonation(
            given.authorizer.authorize, forbidden, given.caches, given.metrics.add(ImpersonationMetrics())
        )
        permitted = config.authorization.list_permitted_namespaces
        self.finder = Finder(given.authorizer, catalog) if permitted else None
        self.standing = self._standing(given)
        """Follows open requests, once it is started; None where no option asks for it."""
        self.verbs = self._verbs(given)
        self.streams = self._streams(given)
        self.actions = Actions(
            self.verbs, Judges(given.authorizer, given.authenticator, self.verbs.now), given.outbound
        )
        self.consistent_reads = given.metrics.add(ConsistentReadMetrics())
        self.journal = given.journal if given.journal is not None else _journal(config.diagnostics)
        self.faults = faults.faults_of(config.diagnostics, registry, given.metrics)
        """Faults on request; None where no option asks for them."""
        self.dispatcher = self._dispatcher(given)
        self.requests = given.metrics.add(RequestMetrics())
        observer = self._observer(given)
        self.memory = memory_of(config.process, registry, self.widths, given.caches)
        """The limit that has requests wait for memory, once it is started; None where it is not limited."""
        stages = Stages(
            authenticator=given.authenticator,
            impersonation=self.impersonation,
            gate=self._gate(config.flow_control, catalog),
            authorizer=given.authorizer,
            dispatcher=faults.faulty(self.dispatcher, self.faults),
            responder=self.responder,
            offload=given.offload,
            observer=observer,
            finder=self.finder,
            standing=self.standing,
            memory=self._share(given.memory, given.offload.payer) or self.memory,
            console=self._console(config.diagnostics),
        )
        if self.memory is not None:
            given.metrics.add(self.memory)
        requests, refusing = config.requests, config.lifecycle.shutdown_send_retry_after
        self.pipeline = Pipeline(stages, requests.request_timeout, requests.goaway_chance)
        self.actions.handler = self.pipeline.handle
        origins, directives = requests.cors_allowed_origins, requests.strict_transport_security_directives
        if origins or directives or refusing:
            self.pipeline.edges = Edges(origins, directives, refusing=refusing)
        self.pipeline.planner = self._planner(given, observer)
        if self.faults is not None:
            self.faults.changed.append(faults.unplanned(self.pipeline))

    def _share(self, whole: MemoryBudget | None, payer: str) -> MemoryShare | None:
        return MemoryShare(whole, self.widths, payer) if whole is not None else None

    def _flow_control(self, given: Inputs) -> FlowControl | None:
        """Priority and fairness, None where it is switched off."""
        metrics = given.metrics.add(FlowControlMetrics())
        options = given.config.flow_control
        if not options.enable_priority_and_fairness:
            return None
        seats = options.max_requests_inflight + options.max_mutating_requests_inflight
        return FlowControl(given.registry.readers, self.widths, seats, metrics, given.caches)

    def _console(self, options: DiagnosticsOptions) -> Console | None:
        return Console(read_only=options.console == READ_ONLY) if options.console else None

    def _gate(self, options: FlowControlOptions, catalog: Catalog) -> Gate:
        limits = options.max_requests_inflight, options.max_mutating_requests_inflight
        return self.flowcontrol or MaxInFlight(*limits, catalog)

    def _verbs(self, given: Inputs) -> Verbs:
        registry, authorizer = given.registry, given.authorizer
        requests, diagnostics = given.config.requests, given.config.diagnostics
        return Verbs(
            store=registry.store,
            catalog=registry.catalog,
            readers=registry.readers,
            admission=given.admission,
            authorizer=authorizer,
            responder=self.responder,
            services=given.services,
            widths=self.widths,
            escalation=guard(authorizer, registry.readers),
            offload=given.offload,
            watch_metrics=given.metrics.add(WatchMetrics()),
            issuer=given.issuer,
            explained=bool(
                diagnostics.explained_requests or diagnostics.tracing_config_file or given.tracer.slow
            ),
            watch_timeout=float(requests.min_request_timeout),
            standing=self.standing,
            most_unpaged=size_of(requests.max_unpaged_list_bytes),
            sandboxes=bool(diagnostics.console),
            history=given.history,
            now=meta.now if registry.clock is SYSTEM else lambda: meta.now(registry.clock.time()),
        )

    def _streams(self, given: Inputs) -> Streams:
        options = given.config.outbound
        trust = kubelet.trust_of(
            options.kubelet_certificate_authority,
            options.kubelet_client_certificate,
            options.kubelet_client_key,
        )
        kubelets = Kubelets(given.registry.readers, options.kubelet_preferred_address_types, trust)
        return Streams(self.verbs, self.relay, kubelets, given.metrics.add(StreamMetrics()))

    def _standing(self, given: Inputs) -> Standing | None:
        options = given.config.authorization
        if not (options.end_revoked_requests or options.list_permitted_namespaces):
            return None
        judge = OpenRequestJudge(given.authenticator, self.impersonation, given.authorizer, self.finder)
        metrics = given.metrics.add(StandingMetrics())
        return Standing(judge, metrics, all=options.end_revoked_requests, poll=given.open_requests)

    def _dispatcher(self, given: Inputs) -> Dispatcher:
        registry = given.registry
        return Dispatcher(
            self.verbs,
            self.streams,
            self.actions,
            catalog=registry.catalog,
            discovery=self.discovery,
            nonresource=self._nonresource(given),
            responder=self.responder,
            aggregator=Aggregator(
                self.relay,
                given.resolver,
                documents=self.remote_documents,
                via=self.via,
                reject_redirects=given.config.outbound.aggregator_reject_forwarding_redirect,
            ),
            consistent=ConsistentReads(registry.store, self.consistent_reads)
            if registry.storage.others_write
            else None,
        )

    def _observer(self, given: Inputs) -> Observer:
        """The observer of requests; it logs them where the log is to tell of each.
        Authentication and authorization are counted as filters, too."""
        filters = given.metrics.add(FilterMetrics())
        authentication = given.metrics.add(AuthenticationMetrics())
        authorization = given.authorization or given.metrics.add(AuthorizationMetrics())
        authentication.succeeded.filter = filters.authentication
        authorization.decided.filter = filters.authorization
        kind = LoggingObserver if httplog.wanted() else Observer
        return kind(
            metrics=self.requests,
            filters=filters,
            authentication=authentication,
            authorization=authorization,
            audit=given.audit,
            journal=self.journal,
            tracer=given.tracer,
        )

    def _planner(self, given: Inputs, observer: Observer) -> Planner | None:
        """The planner of reads; None where more is asked of a read than its answer, its metrics and the
        journal: an audit event, spans, a line of the log, headers of browsers, or the newest revision of a
        store that others write."""
        traced = given.tracer.on or given.config.diagnostics.tracing_config_file
        told = given.audit is not None or isinstance(observer, LoggingObserver)
        if told or traced or self.pipeline.edges is not None:
            return None
        if self.flowcontrol is None or self.dispatcher.consistent is not None:
            return None
        planner = Planner(
            given.authenticator,
            given.authorizer,
            responder=self.responder,
            observer=observer,
            store=given.registry.store,
            budget=given.caches,
        )
        planner.follow(self.flowcontrol.classifier, given.registry.catalog)
        return planner

    def _nonresource(self, given: Inputs) -> NonResource:
        version = version_info(given.config.api.reported_version)
        given.metrics.add(BuildInfo(version))
        nonresource = NonResource(
            self.discovery,
            given.health,
            version=version,
            metrics=given.metrics,
            slis=given.slis,
            issuer=given.documents,
            flags=lambda: flag_values(given.told() if given.told is not None else given.config),
        )
        OpenAPIHandlers(given.registry.catalog, remote=self.remote_documents).install(nonresource)
        if self.flowcontrol is not None:
            FlowControlDumps(self.flowcontrol.levels).install(nonresource)
        if given.history is not None and given.history.foreign is not None:
            from pilothouse.endpoints.documents.history_authors import HistoryAuthors

            HistoryAuthors(given.history).install(nonresource)
        if self.journal is not None:
            authorizer = given.authorizer
            shared = given.config.serving.permit_port_sharing
            Why(self.journal, lambda: authorizer.types, shared=shared).install(nonresource)
            told = self.faults.since if self.faults is not None else None
            Reports(self.journal, given.registry.catalog, given.registry.store, told).install(nonresource)
        if self.faults is not None:
            faults.serve(self.faults, nonresource)
        return nonresource


def resolver_for(options: OutboundOptions, readers: Readers) -> ServiceResolver:
    """The resolver of the Services of aggregated servers and webhooks."""
    return ServiceResolver(
        readers,
        by_endpoints=options.enable_aggregator_routing,
        cert_file=options.proxy_client_cert_file,
        key_file=options.proxy_client_key_file,
    )


def _journal(options: DiagnosticsOptions) -> Journal | None:
    """The journal of requests, None where none is to be explained."""
    return Journal(options.explained_requests) if options.explained_requests else None


def _relay(options: RequestHeaderOptions, outbound: Outbound) -> Relay:
    names = (
        *options.requestheader_username_headers,
        *options.requestheader_uid_headers,
        *options.requestheader_group_headers,
    )
    return Relay(outbound, names, options.requestheader_extra_headers_prefix)


def flag_values(config: Config) -> dict[str, str]:
    """The command line as /flagz shows it."""
    return {name: str(config.value(name)) for name in settings()} | {"help": ""}

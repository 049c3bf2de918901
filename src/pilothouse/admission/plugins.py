"""Lists the admission plugins in upstream's order and selects those that the flags enable."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NamedTuple, Protocol

from pilothouse.admission.about import CONNECT, CREATE, UPDATE, About
from pilothouse.admission.authorization import AccessAuthorizer
from pilothouse.admission.certificates import (
    CertificateApproval,
    CertificateSigning,
    CertificateSubjectRestriction,
    ClusterTrustBundleAttest,
)
from pilothouse.admission.chain import AdmissionPlugin, Chain
from pilothouse.admission.configuration import AdmissionConfiguration, load
from pilothouse.admission.configured import ConfiguredMutating, ConfiguredValidating
from pilothouse.admission.ingressclass import DefaultIngressClass
from pilothouse.admission.installed.loader import load_hosted
from pilothouse.admission.limitranger import LimitRanger
from pilothouse.admission.metrics import AdmissionMetrics
from pilothouse.admission.namespace import NamespaceLifecycle
from pilothouse.admission.nodefeatures import NodeDeclaredFeatureValidator
from pilothouse.admission.noderestriction.plugin import NodeRestriction
from pilothouse.admission.nodetaint import TaintNodesByCondition
from pilothouse.admission.podresize import PodResizeValidator
from pilothouse.admission.podsecurity import configuration as podsecurity
from pilothouse.admission.podsecurity.plugin import PodSecurity
from pilothouse.admission.podtopology import PodTopologyLabels
from pilothouse.admission.priority import Priority
from pilothouse.admission.quota.judge import limited_from
from pilothouse.admission.quota.ledger import Ledger
from pilothouse.admission.quota.plugin import ResourceQuota
from pilothouse.admission.reload import AdmissionReload
from pilothouse.admission.runtimeclass import RuntimeClass
from pilothouse.admission.serviceaccount import ServiceAccount
from pilothouse.admission.source import GROUP
from pilothouse.admission.storageclass import (
    DefaultStorageClass,
    PersistentVolumeClaimResize,
    StorageObjectInUseProtection,
)
from pilothouse.admission.tolerations import DefaultTolerationSeconds
from pilothouse.admission.webhooks import configuration as webhooks
from pilothouse.api.values.fields import Object
from pilothouse.configuration.sections.admission import GATED_PLUGINS, AdmissionOptions
from pilothouse.offload import Turns
from pilothouse.outbound.clients import Clients
from pilothouse.registry.catalog import Catalog
from pilothouse.registry.service_resolver import ServiceResolver
from pilothouse.reload import Followed, Reloads


class Creator(Protocol):
    """Creates objects as the server itself (registry/client.py)."""

    async def ensure(self, resource: str, obj: Object) -> None:
        """Create an object unless it is there; by then readers see it."""


class PluginDependencies(NamedTuple):
    """The parts of the server that plugins are given."""

    options: AdmissionOptions
    authorizer: AccessAuthorizer
    catalog: Catalog
    creator: Creator
    metrics: AdmissionMetrics
    clients: Clients
    resolver: ServiceResolver
    configuration: AdmissionConfiguration = AdmissionConfiguration()


Make = Callable[[PluginDependencies], AdmissionPlugin]


def _lazy(module: str, name: str, *parts: Callable[[PluginDependencies], object]) -> Make:
    """Makes a plugin whose module is imported only where it is on; `parts` give its arguments."""

    def make(given: PluginDependencies) -> AdmissionPlugin:
        plugin: AdmissionPlugin = getattr(import_module(f"pilothouse.admission.{module}"), name)(
            *(part(given) for part in parts)
        )
        return plugin

    return make


def _section(name: str) -> Callable[[PluginDependencies], object]:
    return lambda parts: parts.configuration.section(name)


def _policies(kind: str, plurals: Sequence[str]) -> Make:
    """Makes a plugin of policies, whose kind is its name."""
    mutating = kind.startswith("Mutating")
    named = f"policies.{'mutating' if mutating else 'validating'}"
    make = _lazy(named, kind, lambda parts: parts.authorizer, lambda parts: parts.metrics)
    resources = [f"{plural}.{GROUP}" for plural in plurals]
    if mutating:
        return lambda parts: ConfiguredMutating(kind, resources, lambda: make(parts), MUTATED)
    return lambda parts: ConfiguredValidating(kind, resources, lambda: make(parts))


def _webhooks(name: str, plural: str) -> Make:
    """Makes a plugin of webhooks, which calls them with the credentials that its section names.

    Where files configure admission it is made at once, for they may name others later.
    """
    mutating = name.startswith("Mutating")
    named = f"webhooks.{'mutating' if mutating else 'validating'}"
    stand_in = ConfiguredMutating if mutating else ConfiguredValidating

    def make(parts: PluginDependencies) -> AdmissionPlugin:
        from pilothouse.admission.webhooks.calling import WebhookDependencies

        users = webhooks.read(parts.configuration.section(name))
        given = WebhookDependencies(parts.clients, parts.resolver, parts.authorizer, parts.metrics, users)
        return _lazy(named, name, lambda parts: given)(parts)

    def stands_in(parts: PluginDependencies) -> AdmissionPlugin:
        if parts.options.admission_control_config_file:
            return make(parts)
        return stand_in(name, [f"{plural}.{GROUP}"], lambda: make(parts))

    return stands_in


MUTATED = (About((CREATE, UPDATE, CONNECT), ("*/*",)),)
"""The requests that policies which change objects are about."""


ORDER: dict[str, Make] = {
    "AlwaysAdmit": _lazy("always", "AlwaysAdmit"),
    "NamespaceAutoProvision": _lazy("namespaceexists", "NamespaceAutoProvision", lambda parts: parts.creator),
    "NamespaceLifecycle": lambda parts: NamespaceLifecycle(),
    "NamespaceExists": _lazy("namespaceexists", "NamespaceExists"),
    "LimitPodHardAntiAffinityTopology": _lazy("antiaffinity", "LimitPodHardAntiAffinityTopology"),
    "LimitRanger": lambda parts: LimitRanger(),
    "ServiceAccount": lambda parts: ServiceAccount(),
    "NodeRestriction": lambda parts: NodeRestriction(parts.authorizer),
    "TaintNodesByCondition": lambda parts: TaintNodesByCondition(),
    "AlwaysPullImages": _lazy("alwayspullimages", "AlwaysPullImages"),
    "ImagePolicyWebhook": _lazy(
        "imagepolicy",
        "ImagePolicyWebhook",
        _section("ImagePolicyWebhook"),
        lambda parts: parts.clients.direct,
    ),
    "PodSecurity": lambda parts: PodSecurity(
        podsecurity.read(parts.configuration.section("PodSecurity")), parts.metrics
    ),
    "PodNodeSelector": _lazy("podnodeselector", "PodNodeSelector", _section("PodNodeSelector")),
    "Priority": lambda parts: Priority(),
    "DefaultTolerationSeconds": lambda parts: DefaultTolerationSeconds(
        parts.options.default_not_ready_toleration_seconds,
        parts.options.default_unreachable_toleration_seconds,
    ),
    "PodTolerationRestriction": _lazy(
        "podtolerations", "PodTolerationRestriction", _section("PodTolerationRestriction")
    ),
    "EventRateLimit": _lazy("eventratelimit", "EventRateLimit", _section("EventRateLimit")),
    "ExtendedResourceToleration": _lazy("extendedresources", "ExtendedResourceToleration"),
    "DefaultStorageClass": lambda parts: DefaultStorageClass(),
    "StorageObjectInUseProtection": lambda parts: StorageObjectInUseProtection(),
    "OwnerReferencesPermissionEnforcement": _lazy(
        "ownerreferences",
        "OwnerReferencesPermissionEnforcement",
        lambda parts: parts.authorizer,
        lambda parts: parts.catalog,
    ),
    "PersistentVolumeClaimResize": lambda parts: PersistentVolumeClaimResize(),
    "RuntimeClass": lambda parts: RuntimeClass(),
    "CertificateApproval": lambda parts: CertificateApproval(parts.authorizer),
    "CertificateSigning": lambda parts: CertificateSigning(parts.authorizer),
    "ClusterTrustBundleAttest": lambda parts: ClusterTrustBundleAttest(parts.authorizer),
    "CertificateSubjectRestriction": lambda parts: CertificateSubjectRestriction(),
    "DefaultIngressClass": lambda parts: DefaultIngressClass(),
    "DenyServiceExternalIPs": _lazy("externalips", "DenyServiceExternalIPs"),
    "PodTopologyLabels": lambda parts: PodTopologyLabels(),
    "NodeDeclaredFeatureValidator": lambda parts: NodeDeclaredFeatureValidator(),
    "PodResizeValidator": lambda parts: PodResizeValidator(),
    "MutatingAdmissionPolicy": _policies(
        "MutatingAdmissionPolicy", ("mutatingadmissionpolicies", "mutatingadmissionpolicybindings")
    ),
    "MutatingAdmissionWebhook": _webhooks("MutatingAdmissionWebhook", "mutatingwebhookconfigurations"),
    "ValidatingAdmissionPolicy": _policies(
        "ValidatingAdmissionPolicy", ("validatingadmissionpolicies", "validatingadmissionpolicybindings")
    ),
    "ValidatingAdmissionWebhook": _webhooks("ValidatingAdmissionWebhook", "validatingwebhookconfigurations"),
    "ResourceQuota": lambda parts: ResourceQuota(
        limited=limited_from(parts.configuration.section("ResourceQuota") or {})
    ),
    "AlwaysDeny": _lazy("always", "AlwaysDeny"),
}
"""Name -> constructor, in the order in which the plugins run."""

OFF = frozenset(
    (
        "AlwaysAdmit",
        "NamespaceAutoProvision",
        "NamespaceExists",
        "LimitPodHardAntiAffinityTopology",
        "NodeRestriction",
        "AlwaysPullImages",
        "ImagePolicyWebhook",
        "PodNodeSelector",
        "PodTolerationRestriction",
        "EventRateLimit",
        "ExtendedResourceToleration",
        "OwnerReferencesPermissionEnforcement",
        "DenyServiceExternalIPs",
        "AlwaysDeny",
    )
)
"""Plugins that are off unless a flag names them."""

DEFAULT = frozenset(ORDER) - OFF
"""Plugins enabled by default. NodeRestriction is enabled together with the Node authorizer."""


def enabled(options: AdmissionOptions, modes: Sequence[str]) -> set[str]:
    """The names of the plugins that the flags enable; `modes` are those of authorization.

    --admission-control lists all of them; --enable-admission-plugins and --disable-admission-plugins change
    the default set. NodeRestriction is enabled if the Node authorizer is, because otherwise kubelets could
    make themselves administrators.
    """
    with_nodes = {"NodeRestriction"} if "Node" in modes else set()
    default = set(options.admission_control) if options.admission_control else set(DEFAULT)
    return (default | with_nodes | set(options.enable_admission_plugins)) - set(
        options.disable_admission_plugins
    )


def chain_of(
    options: AdmissionOptions,
    modes: Sequence[str],
    authorizer: AccessAuthorizer,
    catalog: Catalog,
    creator: Creator,
    clients: Clients,
    resolver: ServiceResolver,
    metrics: AdmissionMetrics | None = None,
    turns: Turns | None = None,
    reloads: Reloads | None = None,
) -> Chain:
    """The chain of the plugins that are on; `reloads` follows their configuration.
    `clients` and `resolver` are for those that call other servers.

    Plugins of installed packages stand before ResourceQuota, sorted by name. `turns` is told of their calls.
    ConfigurationError when the file of --admission-control-config-file cannot be used.
    """
    on = enabled(options, modes)
    metrics = metrics or AdmissionMetrics()
    configuration = load(options.admission_control_config_file)
    parts = PluginDependencies(
        options,
        authorizer,
        catalog,
        creator,
        metrics=metrics,
        clients=clients,
        resolver=resolver,
        configuration=configuration,
    )
    plugins = []
    for name, make in ORDER.items():
        if name == "ResourceQuota":
            plugins += load_hosted(on - ORDER.keys() - set(GATED_PLUGINS), configuration, metrics, turns)
        if name in on:
            plugins.append(make(parts))
    chain = Chain(plugins, metrics)
    if reloads is not None and options.admission_control_config_file:
        reload = AdmissionReload(options.admission_control_config_file, configuration, chain)
        reloads.follow(Followed(kind="admission", paths=reload.paths, read=reload.read, use=reload.use))
    return chain


def ledger_of(chain: Chain) -> Ledger:
    """The ledger by which a chain charges quotas;
    where ResourceQuota is off, one that nothing is charged to."""
    return next((p.ledger for p in chain.plugins if isinstance(p, ResourceQuota)), None) or Ledger()

"""Which admission plugins there are, in upstream's order, and which of them are on."""

from collections.abc import Callable

from pilothouse.admission.authorization import Authorizer
from pilothouse.admission.certificates import (
    CertificateApproval,
    CertificateSigning,
    CertificateSubjectRestriction,
)
from pilothouse.admission.chain import Chain, Plugin
from pilothouse.admission.ingressclass import DefaultIngressClass
from pilothouse.admission.limitranger import LimitRanger
from pilothouse.admission.metrics import AdmissionMetrics
from pilothouse.admission.namespace import NamespaceLifecycle
from pilothouse.admission.noderestriction.plugin import NodeRestriction
from pilothouse.admission.nodetaint import TaintNodesByCondition
from pilothouse.admission.policies.mutating import MutatingAdmissionPolicy
from pilothouse.admission.policies.validating import ValidatingAdmissionPolicy
from pilothouse.admission.priority import Priority
from pilothouse.admission.runtimeclass import RuntimeClass
from pilothouse.admission.serviceaccount import ServiceAccount
from pilothouse.admission.storageclass import (
    DefaultStorageClass,
    PersistentVolumeClaimResize,
    StorageObjectInUseProtection,
)
from pilothouse.admission.tolerations import DefaultTolerationSeconds
from pilothouse.admission.unsupported import Unsupported
from pilothouse.config import Config

ORDER: dict[str, Callable[[Config, Authorizer], Plugin]] = {
    "NamespaceLifecycle": lambda config, authorizer: NamespaceLifecycle(),
    "LimitRanger": lambda config, authorizer: LimitRanger(),
    "ServiceAccount": lambda config, authorizer: ServiceAccount(),
    "NodeRestriction": lambda config, authorizer: NodeRestriction(authorizer),
    "TaintNodesByCondition": lambda config, authorizer: TaintNodesByCondition(),
    "Priority": lambda config, authorizer: Priority(),
    "DefaultTolerationSeconds": lambda config, authorizer: DefaultTolerationSeconds(
        config.default_not_ready_toleration_seconds, config.default_unreachable_toleration_seconds
    ),
    "DefaultStorageClass": lambda config, authorizer: DefaultStorageClass(),
    "StorageObjectInUseProtection": lambda config, authorizer: StorageObjectInUseProtection(),
    "PersistentVolumeClaimResize": lambda config, authorizer: PersistentVolumeClaimResize(),
    "RuntimeClass": lambda config, authorizer: RuntimeClass(),
    "CertificateApproval": lambda config, authorizer: CertificateApproval(authorizer),
    "CertificateSigning": lambda config, authorizer: CertificateSigning(authorizer),
    "CertificateSubjectRestriction": lambda config, authorizer: CertificateSubjectRestriction(),
    "DefaultIngressClass": lambda config, authorizer: DefaultIngressClass(),
    "MutatingAdmissionPolicy": lambda config, authorizer: MutatingAdmissionPolicy(authorizer),
    "ValidatingAdmissionPolicy": lambda config, authorizer: ValidatingAdmissionPolicy(authorizer),
}
"""Name -> maker, in the order in which they run."""

DEFAULT = frozenset(ORDER) - {"NodeRestriction"}
"""Those that are on when no flag says otherwise; NodeRestriction is where the Node authorizer is."""


def enabled(config: Config) -> set[str]:
    """The names of the plugins that the flags leave on.

    --admission-control names all of them; the other two flags add to the default ones and take from them.
    NodeRestriction goes with the Node authorizer, without which a kubelet could make itself an administrator.
    """
    with_nodes = {"NodeRestriction"} if "Node" in config.authorization_modes else set()
    default = set(config.admission_control) if config.admission_control else set(DEFAULT)
    return (default | with_nodes | set(config.enable_admission_plugins)) - set(
        config.disable_admission_plugins
    )


def chain_of(config: Config, authorizer: Authorizer, metrics: AdmissionMetrics | None = None) -> Chain:
    """The chain of the plugins that are on. What this server cannot carry out is told or refused after them all."""
    on = enabled(config)
    plugins = [make(config, authorizer) for name, make in ORDER.items() if name in on]
    return Chain([*plugins, Unsupported(config.strict_admission, config.warn_unsupported)], metrics)

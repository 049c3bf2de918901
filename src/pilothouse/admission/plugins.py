"""Which admission plugins there are, in upstream's order, and which of them are on."""

from collections.abc import Callable

from pilothouse.admission.certificates import (
    CertificateApproval,
    CertificateSigning,
    CertificateSubjectRestriction,
)
from pilothouse.admission.chain import Chain, Plugin
from pilothouse.admission.ingressclass import DefaultIngressClass
from pilothouse.admission.limitranger import LimitRanger
from pilothouse.admission.namespace import NamespaceLifecycle
from pilothouse.admission.nodetaint import TaintNodesByCondition
from pilothouse.admission.priority import Priority
from pilothouse.admission.runtimeclass import RuntimeClass
from pilothouse.admission.serviceaccount import ServiceAccount
from pilothouse.admission.storageclass import (
    DefaultStorageClass,
    PersistentVolumeClaimResize,
    StorageObjectInUseProtection,
)
from pilothouse.admission.tolerations import DefaultTolerationSeconds
from pilothouse.options import Config

ORDER: dict[str, Callable[[Config], Plugin]] = {
    "NamespaceLifecycle": lambda config: NamespaceLifecycle(),
    "LimitRanger": lambda config: LimitRanger(),
    "ServiceAccount": lambda config: ServiceAccount(),
    "TaintNodesByCondition": lambda config: TaintNodesByCondition(),
    "Priority": lambda config: Priority(),
    "DefaultTolerationSeconds": lambda config: DefaultTolerationSeconds(
        config.default_not_ready_toleration_seconds, config.default_unreachable_toleration_seconds
    ),
    "DefaultStorageClass": lambda config: DefaultStorageClass(),
    "StorageObjectInUseProtection": lambda config: StorageObjectInUseProtection(),
    "PersistentVolumeClaimResize": lambda config: PersistentVolumeClaimResize(),
    "RuntimeClass": lambda config: RuntimeClass(),
    "CertificateApproval": lambda config: CertificateApproval(),
    "CertificateSigning": lambda config: CertificateSigning(),
    "CertificateSubjectRestriction": lambda config: CertificateSubjectRestriction(),
    "DefaultIngressClass": lambda config: DefaultIngressClass(),
}
"""Name -> maker, in the order in which they run."""

DEFAULT = frozenset(ORDER)
"""Those that are on when no flag says otherwise."""


def chain_of(config: Config) -> Chain:
    """The chain that --enable-admission-plugins and --disable-admission-plugins leave."""
    on = (DEFAULT | set(config.enable_admission_plugins)) - set(config.disable_admission_plugins)
    return Chain([make(config) for name, make in ORDER.items() if name in on])

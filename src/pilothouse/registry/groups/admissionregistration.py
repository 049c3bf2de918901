"""admissionregistration.k8s.io/v1: webhook configurations and admission policies."""

from pilothouse.registry.groups import rules
from pilothouse.registry.groups.records import (
    COUNTS_SPEC,
    KEPT_METADATA,
    META,
    SPEC,
    STATUS_APART,
    resource,
    status_strategy,
)
from pilothouse.registry.resource import Resource
from pilothouse.registry.strategy import WHOLE_ALONE, Strategy, UpdateCheck

GROUP = "admissionregistration.k8s.io"
CATEGORY = ("api-extensions",)

MUTATING_WEBHOOKS = Strategy(
    unconditional_update=False,
    generation_on_create=1,
    generation_fields=(("webhooks",),),
    validate=lambda ctx, obj, errs: rules.admissionregistration.validate_mutating_webhooks(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.admissionregistration.validate_mutating_webhooks(
        obj, errs, old
    ),
    update_order=WHOLE_ALONE,
    finalizer_checks=frozenset(),
)
VALIDATING_WEBHOOKS = Strategy(
    unconditional_update=False,
    generation_on_create=1,
    generation_fields=(("webhooks",),),
    validate=lambda ctx, obj, errs: rules.admissionregistration.validate_validating_webhooks(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.admissionregistration.validate_validating_webhooks(
        obj, errs, old
    ),
    update_order=WHOLE_ALONE,
    finalizer_checks=frozenset(),
)
MUTATING_POLICY = Strategy(
    unconditional_update=False,
    validate=lambda ctx, obj, errs: rules.policies.validate_mutating_policy(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.policies.validate_mutating_policy(obj, errs),
    update_order=WHOLE_ALONE,
    finalizer_checks=frozenset(),
    **COUNTS_SPEC,
)
MUTATING_BINDING = Strategy(
    unconditional_update=False,
    validate=lambda ctx, obj, errs: rules.policies.validate_mutating_binding(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.policies.validate_mutating_binding(obj, errs),
    update_order=WHOLE_ALONE,
    finalizer_checks=frozenset(),
    **COUNTS_SPEC,
)
VALIDATING_POLICY = Strategy(
    unconditional_update=False,
    validate=lambda ctx, obj, errs: rules.policies.validate_validating_policy(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.policies.validate_validating_policy(obj, errs),
    update_order=WHOLE_ALONE,
    finalizer_checks=frozenset(),
    **COUNTS_SPEC,
    **STATUS_APART,
)
VALIDATING_BINDING = Strategy(
    unconditional_update=False,
    validate=lambda ctx, obj, errs: rules.policies.validate_validating_binding(obj, errs),
    validate_update=lambda ctx, obj, old, errs: rules.policies.validate_validating_binding(obj, errs),
    update_order=WHOLE_ALONE,
    finalizer_checks=frozenset(),
    **COUNTS_SPEC,
)
_STATUS = status_strategy(
    VALIDATING_POLICY,
    lambda ctx, obj, old, errs: rules.policies.validate_policy_status(obj, old, errs),
    keep_on_update=(SPEC, *KEPT_METADATA),
    apply_reset=(SPEC, META),
    update_order=(UpdateCheck.RULES,),
)


def _record(
    kind: str, plural: str, storage_version_hash: str, strategy: Strategy, status: Strategy | None = None
) -> Resource:
    return resource(GROUP, kind, plural, storage_version_hash, strategy, categories=CATEGORY, status=status)


RESOURCES = [
    _record("MutatingAdmissionPolicy", "mutatingadmissionpolicies", "LYmCf+UMVdg=", MUTATING_POLICY),
    _record(
        "MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings", "90V5FRZZ3Zg=", MUTATING_BINDING
    ),
    _record(
        "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", "Sqi0GUgDaX0=", MUTATING_WEBHOOKS
    ),
    _record(
        "ValidatingAdmissionPolicy", "validatingadmissionpolicies", "6OxvlMmQ6is=", VALIDATING_POLICY, _STATUS
    ),
    _record(
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        "v9715VZqakg=",
        VALIDATING_BINDING,
    ),
    _record(
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        "B0wHjQmsGNk=",
        VALIDATING_WEBHOOKS,
    ),
]

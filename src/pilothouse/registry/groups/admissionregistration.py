"""admissionregistration.k8s.io/v1: webhook configurations and admission policies."""

from pilothouse.registry.groups.records import (
    COUNTS_SPEC,
    KEPT_METADATA,
    META,
    SPEC,
    STATUS_APART,
    resource,
    status_strategy,
)
from pilothouse.registry.strategy import Strategy

GROUP = "admissionregistration.k8s.io"
CATEGORY = ("api-extensions",)

WEBHOOKS = Strategy(unconditional_update=False, generation_on_create=1, generation_fields=(("webhooks",),))
SPEC_ONLY = Strategy(unconditional_update=False, **COUNTS_SPEC)
VALIDATING_POLICY = Strategy(unconditional_update=False, **COUNTS_SPEC, **STATUS_APART)

RESOURCES = [
    resource(
        GROUP,
        "v1",
        "MutatingAdmissionPolicy",
        "mutatingadmissionpolicies",
        "LYmCf+UMVdg=",
        SPEC_ONLY,
        categories=CATEGORY,
    ),
    resource(
        GROUP,
        "v1",
        "MutatingAdmissionPolicyBinding",
        "mutatingadmissionpolicybindings",
        "90V5FRZZ3Zg=",
        SPEC_ONLY,
        categories=CATEGORY,
    ),
    resource(
        GROUP,
        "v1",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        "Sqi0GUgDaX0=",
        WEBHOOKS,
        categories=CATEGORY,
    ),
    resource(
        GROUP,
        "v1",
        "ValidatingAdmissionPolicy",
        "validatingadmissionpolicies",
        "6OxvlMmQ6is=",
        VALIDATING_POLICY,
        categories=CATEGORY,
        status=status_strategy(
            VALIDATING_POLICY, keep_on_update=(SPEC, *KEPT_METADATA), apply_reset=(SPEC, META)
        ),
    ),
    resource(
        GROUP,
        "v1",
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        "v9715VZqakg=",
        SPEC_ONLY,
        categories=CATEGORY,
    ),
    resource(
        GROUP,
        "v1",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        "B0wHjQmsGNk=",
        WEBHOOKS,
        categories=CATEGORY,
    ),
]

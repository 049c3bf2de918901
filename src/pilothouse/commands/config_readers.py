"""The reader of each flag's file."""

import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from pilothouse.admission import configuration as admission
from pilothouse.admission import eventratelimit, imagepolicy
from pilothouse.admission.plugins import enabled
from pilothouse.admission.podsecurity import configuration as podsecurity
from pilothouse.admission.podtolerations import PodTolerationRestriction
from pilothouse.admission.quota.judge import limited_from
from pilothouse.admission.webhooks import configuration as webhooks
from pilothouse.api.values.fields import Object
from pilothouse.audit import policy
from pilothouse.authn import configuration as authentication
from pilothouse.authn import keys, validation
from pilothouse.authn.tokens import TokenFile
from pilothouse.authz import abac
from pilothouse.authz import configuration as authorization
from pilothouse.configuration.config import Config
from pilothouse.outbound import egress_config
from pilothouse.outbound.kubeconfig import read_kubeconfig
from pilothouse.outbound.metrics import EgressMetrics
from pilothouse.storage.encryption import config as encryption
from pilothouse.tracing import configuration as tracing


def _authentication(path: str, config: Config) -> None:
    found = authentication.read(Path(path).read_bytes())
    validation.validated(found, config.authentication.service_accounts.issuers)
    if found.anonymous is not None and "anonymous-auth" in config.given:
        raise ValueError("anonymous: Forbidden: --anonymous-auth is given as well")


def _authorization(path: str, config: Config) -> Iterator[str]:
    """The kubeconfigs that the file names."""
    return (one.webhook.kubeconfig for one in authorization.load(path) if one.webhook is not None)


SECTIONS: Mapping[str, Callable[[Object | None], object]] = MappingProxyType(
    {
        "PodSecurity": podsecurity.read,
        "ResourceQuota": lambda section: limited_from(section or {}),
        "EventRateLimit": eventratelimit.read,
        "ImagePolicyWebhook": imagepolicy.read,
        "PodTolerationRestriction": PodTolerationRestriction,
        "MutatingAdmissionWebhook": webhooks.read,
        "ValidatingAdmissionWebhook": webhooks.read,
    }
)
"""The reader of each built-in admission plugin's configuration."""


def _admission(path: str, config: Config) -> list[str]:
    """The kubeconfig that the file names for the plugin that calls one service.
    Sections of plugins that are not on are not looked at."""
    found, on = admission.load(path), enabled(config.admission, config.authorization.modes)
    for name, read in SECTIONS.items():
        if name in on:
            try:
                read(found.section(name))
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
    named = found.kubeconfig(imagepolicy.NAME) if imagepolicy.NAME in on else ""
    return [named] if named else []


READERS: Mapping[str, Callable[[str, Config], object]] = MappingProxyType(
    {
        "audit-policy-file": lambda path, _: policy.load(path),
        "authentication-config": _authentication,
        "authorization-policy-file": lambda path, _: abac.load(path),
        "encryption-provider-config": lambda path, _: encryption.load(path),
        "egress-selector-config-file": lambda path, _: egress_config.load(path, EgressMetrics()),
        "tracing-config-file": lambda path, _: tracing.load(path),
        "token-auth-file": lambda path, _: TokenFile.load(path),
        "service-account-key-file": lambda path, _: keys.load_public(Path(path).read_bytes()),
        "service-account-signing-key-file": lambda path, _: keys.load_private(Path(path).read_bytes()),
        "audit-webhook-config-file": lambda path, _: read_kubeconfig(Path(path)),
        "authentication-token-webhook-config-file": lambda path, _: read_kubeconfig(Path(path)),
        "authorization-webhook-config-file": lambda path, _: read_kubeconfig(Path(path)),
        **dict.fromkeys(
            (
                "client-ca-file",
                "requestheader-client-ca-file",
                "kubelet-certificate-authority",
                "etcd-cafile",
                "oidc-ca-file",
            ),
            lambda path, _: ssl.create_default_context(cafile=path),
        ),
    }
)
"""The reader of each flag's file; it raises ValueError, OSError or Unavailable."""

Naming = Callable[[str, Config], Iterable[str]]

NAMING: Mapping[str, Naming] = MappingProxyType(
    {"authorization-config": _authorization, "admission-control-config-file": _admission}
)
"""The reader of each flag's file that names kubeconfigs; it returns them."""

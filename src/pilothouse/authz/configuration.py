"""AuthorizationConfiguration: the authorizers of --authorization-config
(apiserver pkg/apis/apiserver, KEP-3221)."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pilothouse.api.configfile import ConfigurationError, expect, parse, refuse, refuse_unknown
from pilothouse.api.values.duration import go_duration, show_duration
from pilothouse.api.values.fields import Errors, Object
from pilothouse.api.values.names import dns_subdomain
from pilothouse.gotext import quote
from pilothouse.process.frozen import frozen

VERSIONS = tuple(f"apiserver.config.k8s.io/{version}" for version in ("v1", "v1beta1", "v1alpha1"))
KIND = "AuthorizationConfiguration"
TYPES = ("ABAC", "AlwaysAllow", "AlwaysDeny", "Node", "RBAC", "Webhook")
MAX_SECONDS = 30
_SECOND = 10**9
_MEMBERS = (
    "authorizedTTL", "cacheAuthorizedRequests", "unauthorizedTTL", "cacheUnauthorizedRequests", "timeout",
    "subjectAccessReviewVersion", "matchConditionSubjectAccessReviewVersion", "failurePolicy",
    "connectionInfo", "matchConditions",
)  # fmt: skip


@frozen(kw_only=True)
class WebhookConfiguration:
    """How a webhook is asked. Times are seconds; a time to live of 0 caches nothing.

    kubeconfig: the file that says where it is.
    deny: whether a failure refuses the request; otherwise it is no opinion.
    """

    kubeconfig: str
    version: str
    authorized_ttl: float
    unauthorized_ttl: float
    timeout: float
    deny: bool
    conditions: tuple[str, ...]


@frozen
class ConfiguredAuthorizer:
    """One authorizer: its type is a mode of --authorization-mode, its name is the one in metrics."""

    type: str
    name: str
    webhook: WebhookConfiguration | None = None


def load(path: str) -> list[ConfiguredAuthorizer]:
    """The authorizers of a file in their order; ConfigurationError with every cause."""
    try:
        data = Path(path).read_bytes()
    except OSError as err:
        raise ConfigurationError(
            f"unable to read authorization configuration from {quote(path)} [{err}]"
        ) from None
    return read(data)


def read(data: bytes) -> list[ConfiguredAuthorizer]:
    """Parse the content of a configuration file, as load() does."""
    config = parse(data, "failed to load AuthorizationConfiguration:")
    expect(config, VERSIONS, KIND, ("authorizers",))
    errs = Errors()
    found = config.get("authorizers") or []
    if not isinstance(found, list):
        raise ConfigurationError("authorizers: it must be a list")
    if not found:
        errs.required("authorizers", "at least one authorization mode must be defined")
    entries: list[ConfiguredAuthorizer] = []
    types: set[str] = set()
    names: set[str] = set()
    for at, one in enumerate(found):
        entry = _entry(one, f"authorizers[{at}]", types, names, errs)
        if entry is not None:
            entries.append(entry)
    refuse(errs)
    return entries


def _entry(
    found: Any, path: str, types: set[str], names: set[str], errs: Errors
) -> ConfiguredAuthorizer | None:
    refuse_unknown(found, ("type", "name", "webhook"), f"{path}.")
    found = found or {}
    type_, name = _text(found, "type", path), _text(found, "name", path)
    if not type_:
        errs.required(f"{path}.type")
        return None
    if type_ not in TYPES:
        errs.not_supported(f"{path}.type", type_, TYPES)
        return None
    if type_ in types and type_ != "Webhook":
        errs.duplicate(f"{path}.type", type_)
        return None
    types.add(type_)
    if not name:
        errs.required(f"{path}.name")
    elif name in names:
        errs.duplicate(f"{path}.name", name)
    elif problems := dns_subdomain(name):
        errs.invalid(f"{path}.name", name, f"authorizer name is invalid: {', '.join(problems)}")
    names.add(name)
    webhook = found.get("webhook")
    if type_ != "Webhook":
        if webhook is not None:
            errs.invalid(f"{path}.webhook", "non-null", "may only be specified when type=Webhook")
        return ConfiguredAuthorizer(type_, name)
    if webhook is None:
        errs.required(f"{path}.webhook", "required when type=Webhook")
        return None
    refuse_unknown(webhook, _MEMBERS, f"{path}.webhook.")
    return ConfiguredAuthorizer(type_, name, _webhook(webhook, path, errs))


def _webhook(found: Object, path: str, errs: Errors) -> WebhookConfiguration:
    timeout = _duration(found, "timeout", path)
    if not timeout:
        errs.required(f"{path}.timeout")
    elif timeout < 0 or timeout > MAX_SECONDS * _SECOND:
        errs.invalid(f"{path}.timeout", show_duration(timeout), "must be > 0s and <= 30s")
    kept = []
    for member, cached, default in (
        ("authorizedTTL", "cacheAuthorizedRequests", 300),
        ("unauthorizedTTL", "cacheUnauthorizedRequests", 30),
    ):
        ttl = _duration(found, member, path) or default * _SECOND
        if ttl < 0:
            errs.invalid(f"{path}.{member}", show_duration(ttl), "must be > 0s")
        kept.append(ttl / _SECOND if _bool(found, cached, path) else 0.0)
    version = _choice(found, "subjectAccessReviewVersion", ("v1", "v1beta1"), path, errs)
    conditions = _conditions(found, path, errs)
    policy = _choice(found, "failurePolicy", ("NoOpinion", "Deny"), path, errs)
    return WebhookConfiguration(
        kubeconfig=_kubeconfig(found, path, errs),
        version=version,
        authorized_ttl=kept[0],
        unauthorized_ttl=kept[1],
        timeout=timeout / _SECOND,
        deny=policy == "Deny",
        conditions=conditions,
    )


def _choice(found: Object, member: str, valid: Sequence[str], path: str, errs: Errors) -> str:
    text = _text(found, member, path)
    if not text:
        errs.required(f"{path}.{member}")
    elif text not in valid:
        errs.not_supported(f"{path}.{member}", text, valid)
    return text


def _conditions(found: Object, path: str, errs: Errors) -> tuple[str, ...]:
    from pilothouse.authz.conditions import MAX_CONDITIONS, ConditionError, compiled

    listed = found.get("matchConditions") or []
    if not isinstance(listed, list):
        raise ConfigurationError(f"{path}.webhook.matchConditions: it must be a list")
    version = _text(found, "matchConditionSubjectAccessReviewVersion", path)
    if version not in ("", "v1"):
        errs.not_supported(f"{path}.matchConditionSubjectAccessReviewVersion", version, ["v1"])
    elif not version and listed:
        errs.required(
            f"{path}.matchConditionSubjectAccessReviewVersion", "required if match conditions are specified"
        )
    if len(listed) > MAX_CONDITIONS:
        errs.too_many(f"{path}.matchConditions", len(listed), MAX_CONDITIONS)
        return ()
    seen: list[str] = []
    for at, condition in enumerate(listed):
        refuse_unknown(condition, ("expression",), f"{path}.webhook.matchConditions[{at}].")
        where = f"{path}.matchConditions[{at}].expression"
        text = _text(condition or {}, "expression", where)
        if not text.strip():
            errs.required(where)
        elif text in seen:
            errs.duplicate(where, text)
        else:
            seen.append(text)
            try:
                compiled(text)
            except ConditionError as err:
                errs.invalid(where, text, str(err))
    return tuple(seen)


def _kubeconfig(found: Object, path: str, errs: Errors) -> str:
    """The kubeconfig of a connection; it is the only type that an API server itself can have."""
    info = refuse_unknown(
        found.get("connectionInfo"), ("type", "kubeConfigFile"), f"{path}.webhook.connectionInfo."
    )
    where = f"{path}.connectionInfo"
    type_, file = _text(info, "type", where), _text(info, "kubeConfigFile", where)
    if not type_:
        errs.required(f"{where}.type")
    elif type_ == "InClusterConfig":
        errs.invalid(f"{where}.type", type_, "an API server has no cluster around it: use KubeConfigFile")
    elif type_ != "KubeConfigFile":
        errs.not_supported(f"{where}.type", type_, ["InClusterConfig", "KubeConfigFile"])
    elif not file:
        errs.required(f"{where}.kubeConfigFile")
    elif not os.path.isabs(file):
        errs.invalid(f"{where}.kubeConfigFile", file, "must be an absolute path")
    else:
        try:
            if not stat.S_ISREG(os.stat(file).st_mode):
                errs.invalid(f"{where}.kubeConfigFile", file, "must be a regular file")
        except (OSError, ValueError) as err:
            why = f"stat {file}: {(getattr(err, 'strerror', None) or str(err)).lower()}"
            errs.invalid(f"{where}.kubeConfigFile", file, f"error loading file: {why}")
    return file


def _text(found: Object, member: str, path: str) -> str:
    value = found.get(member)
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(f"{path}.{member}: it must be a string")
    return value or ""


def _bool(found: Object, member: str, path: str) -> bool:
    value = found.get(member)
    if value is not None and not isinstance(value, bool):
        raise ConfigurationError(f"{path}.{member}: it must be a boolean")
    return value is not False


def _duration(found: Object, member: str, path: str) -> int:
    """Nanoseconds, 0 when there is none."""
    text = _text(found, member, path)
    try:
        return go_duration(text) if text else 0
    except ValueError as err:
        raise ConfigurationError(f"{path}.{member}: {err}") from None

"""Validates webhook configurations, and the parts that they share with admission policies."""

from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

from pilothouse.api import names
from pilothouse.api.equality import identity
from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate.common import (
    report,
    selector_has_invalid_value,
    validate_label_selector,
    validate_qualified_name,
)
from pilothouse.api.validate.expressions import Expressions

REVIEW_VERSIONS = ("v1", "v1beta1")
FAILURE_POLICIES = ("Fail", "Ignore")
MATCH_POLICIES = ("Equivalent", "Exact")
REINVOCATION_POLICIES = ("IfNeeded", "Never")
MAX_MATCH_CONDITIONS = 64
_SIDE_EFFECTS = ("None", "NoneOnDryRun")
_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_SCOPES = ("*", "Cluster", "Namespaced")


# What webhooks and policies share


def validate_operations_rule(rule: Object, path: str, errs: Errors) -> None:
    """Validates a rule's operations, groups, versions, resources and scope."""
    operations = rule.get("operations") or []
    if not operations:
        errs.required(f"{path}.operations")
    _check_wildcard(operations, "operations", f"{path}.operations", errs)
    for i, operation in enumerate(operations):
        if operation not in _OPERATIONS:
            errs.not_supported(f"{path}.operations[{i}]", operation, _OPERATIONS)
    for member, what in (("apiGroups", "API groups"), ("apiVersions", "API versions")):
        values = rule.get(member) or []
        if not values:
            errs.required(f"{path}.{member}")
        _check_wildcard(values, what, f"{path}.{member}", errs)
    for i, version in enumerate(rule.get("apiVersions") or ()):
        if not version:
            errs.required(f"{path}.apiVersions[{i}]")
    _resources(rule.get("resources") or [], f"{path}.resources", errs)
    scope = rule.get("scope")
    if scope is not None and scope not in _SCOPES:
        errs.not_supported(f"{path}.scope", scope, _SCOPES)


def _check_wildcard(values: list[str], what: str, path: str, errs: Errors) -> None:
    if len(values) > 1 and "*" in values:
        errs.invalid(path, values, f"if '*' is present, must not specify other {what}")


def _resources(resources: list[str], path: str, errs: Errors) -> None:
    if not resources:
        errs.required(path)
    whole: set[str] = set()
    everywhere: set[str] = set()
    without_subresource = False
    for i, text in enumerate(resources):
        if not text:
            errs.required(f"{path}[{i}]")
            continue
        resource, slash, sub = text.partition("/")
        if not slash:
            without_subresource = text != "*"
            continue
        if resource in whole:
            errs.invalid(f"{path}[{i}]", text, f"if '{resource}/*' is present, must not specify {text}")
        if sub in everywhere:
            errs.invalid(f"{path}[{i}]", text, f"if '*/{sub}' is present, must not specify {text}")
        if sub == "*":
            whole.add(resource)
        if resource == "*":
            everywhere.add(sub)
    if len(resources) > 1 and "*/*" in resources:
        errs.invalid(path, resources, "if '*/*' is present, must not specify other resources")
    if "*" in resources and without_subresource:
        why = "if '*' is present, must not specify other resources without subresources"
        errs.invalid(path, resources, why)


def validate_match_conditions(
    conditions: Sequence[Object], path: str, errs: Errors, expressions: Expressions
) -> None:
    if len(conditions) > MAX_MATCH_CONDITIONS:
        errs.too_many(path, len(conditions), MAX_MATCH_CONDITIONS)
    seen: set[str] = set()
    for i, condition in enumerate(conditions):
        at, name, text = f"{path}[{i}]", condition.get("name", ""), condition.get("expression", "")
        if not text.strip():
            errs.required(f"{at}.expression")
        else:
            expressions.match_condition(text, f"{at}.expression", errs)
        if not name:
            errs.required(f"{at}.name")
            continue
        validate_qualified_name(name, f"{at}.name", errs)
        if name in seen:
            errs.duplicate(f"{at}.name", name)
        seen.add(name)


# Webhook configurations


def validate_validating_webhooks(obj: Object, errs: Errors, old: Object | None = None) -> None:
    """A new configuration, or with `old` a changed one, which may keep some of its mistakes."""
    _webhooks(obj, errs, old, mutating=False)


def validate_mutating_webhooks(obj: Object, errs: Errors, old: Object | None = None) -> None:
    """A new configuration, or with `old` a changed one, which may keep some of its mistakes."""
    _webhooks(obj, errs, old, mutating=True)


def _webhooks(obj: Object, errs: Errors, old: Object | None, *, mutating: bool) -> None:
    expressions = Expressions()
    hooks: list[Object] = (old or {}).get("webhooks") or []
    excuse_selector = any(
        selector_has_invalid_value(h.get(m)) for h in hooks for m in ("namespaceSelector", "objectSelector")
    )
    known_versions = all(_has_known_version(h) for h in hooks)
    known_conditions = {identity(h.get("matchConditions")) for h in hooks}
    known_names = [h.get("name", "") for h in hooks]
    unique = len(set(known_names)) == len(known_names)
    seen: set[str] = set()
    for i, hook in enumerate(obj.get("webhooks") or ()):
        path, name = f"webhooks[{i}]", hook.get("name", "")
        _webhook(hook, path, errs, excuse_selector, mutating)
        if identity(hook.get("matchConditions")) not in known_conditions:
            conditions = hook.get("matchConditions") or ()
            validate_match_conditions(conditions, f"{path}.matchConditions", errs, expressions)
        _review_versions(hook, f"{path}.admissionReviewVersions", known_versions, errs)
        if name and name in seen and unique:
            errs.duplicate(f"{path}.name", name)
        seen.add(name)


def _has_known_version(hook: Object) -> bool:
    return any(v in REVIEW_VERSIONS for v in hook.get("admissionReviewVersions") or ())


def _review_versions(hook: Object, path: str, must_know_one: bool, errs: Errors) -> None:
    versions = hook.get("admissionReviewVersions") or []
    listed = ", ".join(REVIEW_VERSIONS)
    if not versions:
        errs.required(path, f"must specify one of {listed}")
        return
    seen: set[str] = set()
    for i, version in enumerate(versions):
        if version in seen:
            errs.invalid(f"{path}[{i}]", version, "duplicate version")
        else:
            report(f"{path}[{i}]", version, names.dns1035_label(version), errs)
        seen.add(version)
    if must_know_one and not _has_known_version(hook):
        errs.invalid(path, versions, f"must include at least one of {listed}")


def _webhook(hook: Object, path: str, errs: Errors, excuse_selector: bool, mutating: bool) -> None:
    names.fully_qualified_name(errs, f"{path}.name", hook.get("name", ""))
    for i, rule in enumerate(hook.get("rules") or ()):
        validate_operations_rule(rule, f"{path}.rules[{i}]", errs)
    for member, valid in (("failurePolicy", FAILURE_POLICIES), ("matchPolicy", MATCH_POLICIES)):
        if hook.get(member) is not None and hook[member] not in valid:
            errs.not_supported(f"{path}.{member}", hook[member], valid)
    effects, seconds = hook.get("sideEffects"), hook.get("timeoutSeconds")
    if effects is None:
        errs.required(f"{path}.sideEffects", f"must specify one of {', '.join(_SIDE_EFFECTS)}")
    elif effects not in _SIDE_EFFECTS:
        errs.not_supported(f"{path}.sideEffects", effects, _SIDE_EFFECTS)
    if seconds is not None and not 1 <= seconds <= 30:
        why = "the timeout value must be between 1 and 30 seconds"
        errs.invalid(f"{path}.timeoutSeconds", seconds, why)
    for member in ("namespaceSelector", "objectSelector"):
        at = f"{path}.{member}"
        validate_label_selector(hook.get(member), at, errs, allow_invalid_values=excuse_selector)
    policy = hook.get("reinvocationPolicy")
    if mutating and policy is not None and policy not in REINVOCATION_POLICIES:
        errs.not_supported(f"{path}.reinvocationPolicy", policy, REINVOCATION_POLICIES)
    validate_client_config(hook.get("clientConfig") or {}, f"{path}.clientConfig", errs)


def validate_client_config(config: Object, path: str, errs: Errors) -> None:
    """Validates where a webhook is called: at a URL or a service."""
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        errs.required(path, "exactly one of url or service is required")
    elif url is not None:
        validate_webhook_url(url, f"{path}.url", errs)
    else:
        validate_webhook_service(service or {}, f"{path}.service", errs)


_URL_FORM = "; desired format: https://host[/path]"


def validate_webhook_url(url: str, path: str, errs: Errors) -> None:
    """Validates an https URL that consists of a host and a path only (webhook.ValidateWebhookURL)."""
    try:
        parts = urlsplit(url)
        host = parts.netloc
    except ValueError as err:
        errs.required(path, f"url must be a valid URL: {err}{_URL_FORM}")
        return
    if parts.scheme != "https":
        why = f"'https' is the only allowed URL scheme{_URL_FORM}"
        errs.invalid(path, parts.scheme, why)
    if not host:
        errs.invalid(path, host, f"host must be specified{_URL_FORM}")
    _only_host_and_path(parts, path, errs)


def _only_host_and_path(parts: SplitResult, path: str, errs: Errors) -> None:
    if "@" in parts.netloc:
        user, password, _ = parts.netloc.rpartition("@")[0].partition(":")
        errs.invalid(
            path, f"{user}:xxxxx" if password else user, "user information is not permitted in the URL"
        )
    if parts.fragment:
        errs.invalid(path, parts.fragment, "fragments are not permitted in the URL")
    if parts.query:
        errs.invalid(path, parts.query, "query parameters are not permitted in the URL")


def validate_webhook_service(service: Object, path: str, errs: Errors) -> None:
    """Validates a reference to a service with a port and an optional path.

    Upstream swaps name and namespace in this check, so a missing one is reported as the other.
    """
    for member, reported in (("namespace", "name"), ("name", "namespace")):
        if not service.get(member):
            errs.required(f"{path}.{reported}")
    port = service.get("port") or 0
    wrong = names.port_number(port)
    if wrong:
        errs.invalid(f"{path}.port", port, f"port is not valid: {', '.join(wrong)}")
    _service_path(service.get("path") or "", f"{path}.path", errs)


def _service_path(text: str, path: str, errs: Errors) -> None:
    if text in ("", "/"):
        return
    if text == "//":
        errs.invalid(path, text, "segment[0] may not be empty")
        return
    if not text.startswith("/"):
        errs.invalid(path, text, "must start with a '/'")
    for i, step in enumerate(text[1:].removesuffix("/").split("/")):
        if not step:
            errs.invalid(path, text, f"segment[{i}] may not be empty")
            continue
        report(path, text, [f"segment[{i}]: {m}" for m in names.dns_subdomain(step)], errs)

"""Validates webhook configurations, and the parts that they share with admission policies."""

from collections.abc import Sequence
from functools import cache
from urllib.parse import SplitResult, urlsplit

from pilothouse.api import names
from pilothouse.api.equality import identity
from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import selector_has_invalid_value
from pilothouse.api.validate.conditions import validate_conditions
from pilothouse.api.validate.expressions import Expressions
from pilothouse.api.validate.tables import Rules

REVIEW_VERSIONS = ("v1", "v1beta1")
MAX_MATCH_CONDITIONS = 64

rules = Rules(
    valid_port=d.matches(names.port_number, ", ", "port is not valid: {}"),
    alone_in_operations=d.alone("operations"),
    alone_in_groups=d.alone("API groups"),
    alone_in_versions=d.alone("API versions"),
    conditions=validate_conditions,
)

# What webhooks and policies share

rules.define("""
operations-rule
    operations!
    operations?                         alone-in-operations
    operations[]                        *|CONNECT|CREATE|DELETE|UPDATE
    apiGroups!                          alone-in-groups
    apiVersions!                        alone-in-versions
    apiVersions[]                       nonempty-text
    resources!
    resources?                          resources
    scope?                              *|Cluster|Namespaced
""")


@rules
def _resources(resources: list[str], path: str, errs: Errors) -> None:
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
        d.qualified_name(name, f"{at}.name", errs)
        if name in seen:
            errs.duplicate(f"{at}.name", name)
        seen.add(name)


# Webhook configurations


@cache
def _webhook(any_value: bool, mutating: bool) -> d.Rule:
    """`any_value` if the stored webhooks have selectors with invalid values."""
    selector = "any-selector" if any_value else "label-selector"
    return rules.table(f"""
        name                            fully-qualified-name
        rules[]                         operations-rule
        failurePolicy?                  Fail|Ignore
        matchPolicy?                    Equivalent|Exact
        sideEffects*                    None|NoneOnDryRun : must specify one of None, NoneOnDryRun
        timeoutSeconds?                 1..30 : the timeout value must be between 1 and 30 seconds
        namespaceSelector?              {selector}
        objectSelector?                 {selector}
        {"reinvocationPolicy? IfNeeded|Never" if mutating else ""}
        clientConfig
          @client-config
    """)


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
    known_versions = not any(
        set(REVIEW_VERSIONS).isdisjoint(h.get("admissionReviewVersions") or ()) for h in hooks
    )
    known_conditions = {identity(h.get("matchConditions")) for h in hooks}
    known_names = [h.get("name", "") for h in hooks]
    unique = len(set(known_names)) == len(known_names)
    seen: set[str] = set()
    for i, hook in enumerate(obj.get("webhooks") or ()):
        path, name = f"webhooks[{i}]", hook.get("name", "")
        _webhook(excuse_selector, mutating)(hook, path, errs)
        if identity(hook.get("matchConditions")) not in known_conditions:
            conditions = hook.get("matchConditions") or ()
            validate_match_conditions(conditions, f"{path}.matchConditions", errs, expressions)
        versions, at = hook.get("admissionReviewVersions") or [], f"{path}.admissionReviewVersions"
        if versions:
            validate_review_versions(versions, at, known_versions, errs)
        else:
            errs.required(at, f"must specify one of {', '.join(REVIEW_VERSIONS)}")
        if name and name in seen and unique:
            errs.duplicate(f"{path}.name", name)
        seen.add(name)


def validate_review_versions(versions: list[str], path: str, must_know_one: bool, errs: Errors) -> None:
    """Validates the review versions of webhooks, of which there are some."""
    seen: set[str] = set()
    for i, version in enumerate(versions):
        if version in seen:
            errs.invalid(f"{path}[{i}]", version, "duplicate version")
        else:
            d.dns1035_label(version, f"{path}[{i}]", errs)
        seen.add(version)
    if must_know_one and seen.isdisjoint(REVIEW_VERSIONS):
        errs.invalid(path, versions, f"must include at least one of {', '.join(REVIEW_VERSIONS)}")


rules.define("""
client-config
    if url given and not service given
      url                               webhook-url
    if service given and not url given
      service                           webhook-service
    if url given and service given
      required                          : exactly one of url or service is required
    if not url given and not service given
      required                          : exactly one of url or service is required
""")
_URL_FORM = "; desired format: https://host[/path]"


@rules
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


rules.define("""
webhook-service
    namespace!                          as:name
    name!                               as:namespace
    port=0                              valid-port
    path+                               service-path
""")
validate_webhook_service = rules["webhook-service"]
"""A reference to a service with a port and an optional path. Upstream swaps name and namespace in this check, so a missing one
is reported as the other."""


@rules
def _service_path(text: str, path: str, errs: Errors) -> None:
    if text == "/":
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
        for message in names.dns_subdomain(step):
            errs.invalid(path, text, f"segment[{i}]: {message}")

"""Validates webhook configurations, and the parts that they share with admission policies."""

from collections.abc import Hashable
from typing import NamedTuple
from urllib.parse import SplitResult

from pilothouse.api.urls import parsed
from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import selector_has_invalid_value
from pilothouse.api.validate.conditions import validate_conditions
from pilothouse.api.validate.expressions import Expressions
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values import names
from pilothouse.api.values.equality import identity
from pilothouse.api.values.fields import Errors, Object

REVIEW_VERSIONS = ("v1", "v1beta1")
MAX_MATCH_CONDITIONS = 64

rules = Rules(
    __name__,
    alone_in_operations=d.alone("operations"),
    alone_in_groups=d.alone("API groups"),
    alone_in_versions=d.alone("API versions"),
    conditions=validate_conditions,
    review_versions=lambda versions, path, errs, around: validate_review_versions(
        versions, path, around.known_versions, errs
    ),
)

# What webhooks and policies share

rules.define("""
operations-rule                     api.admissionregistration.v1.RuleWithOperations|NamedRuleWithOperations
    operations!
    operations                          alone-in-operations
    operations[]                        *|CONNECT|CREATE|DELETE|UPDATE
    apiGroups!                          alone-in-groups
    apiVersions!                        alone-in-versions
    apiVersions[]                       nonempty-text
    resources!
    resources                           resources
    scope                               *|Cluster|Namespaced
""")


@rules
def _resources(resources: list[str], path: str, errs: Errors) -> None:
    all_below: set[str] = set()
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
        if resource in all_below:
            errs.invalid(f"{path}[{i}]", text, f"if '{resource}/*' is present, must not specify {text}")
        if sub in everywhere:
            errs.invalid(f"{path}[{i}]", text, f"if '*/{sub}' is present, must not specify {text}")
        if sub == "*":
            all_below.add(resource)
        if resource == "*":
            everywhere.add(sub)
    if len(resources) > 1 and "*/*" in resources:
        errs.invalid(path, resources, "if '*/*' is present, must not specify other resources")
    if "*" in resources and without_subresource:
        why = "if '*' is present, must not specify other resources without subresources"
        errs.invalid(path, resources, why)


@rules
def _match_expression(text: str, path: str, errs: Errors, expressions: Expressions) -> None:
    if text.strip():
        expressions.match_condition(text, path, errs)
    else:
        errs.required(path)


rules.define(f"""
match-conditions                    []api.admissionregistration.v1.MatchCondition
    []                                  most:{MAX_MATCH_CONDITIONS}
      expression                        match-expression
      name!                             qualified-name unique
""")
validate_match_conditions = rules["match-conditions"]


# Webhook configurations


_webhooks = rules.kind("admissionregistration.k8s.io/v1 MutatingWebhookConfiguration")("""
    webhooks[]
      name                              fully-qualified-name
      rules[]                           operations-rule
      failurePolicy                     Fail|Ignore
      matchPolicy                       Equivalent|Exact
      sideEffects*                      None|NoneOnDryRun : must specify one of None, NoneOnDryRun
      timeoutSeconds                    1..30 : the timeout value must be between 1 and 30 seconds
      namespaceSelector,objectSelector $any_value?any-selector:label-selector
      if $mutating
        reinvocationPolicy              IfNeeded|Never
      clientConfig
        @client-config
      @changed-conditions
      admissionReviewVersions!          review-versions : must specify one of v1, v1beta1
      if $unique
        name+                           unique
""")


class _Around(NamedTuple):
    """The circumstances by which webhooks are judged. Webhooks that replace others may
    keep some mistakes of these: selectors with invalid values, no known review versions,
    names that are not unique; equal match conditions need not be judged again."""

    mutating: bool
    any_value: bool
    known_versions: bool
    unique: bool
    conditions: set[Hashable]
    expressions: Expressions

    @classmethod
    def of(cls, hooks: list[Object], *, mutating: bool) -> "_Around":
        selectors = [hook.get(m) for hook in hooks for m in ("namespaceSelector", "objectSelector")]
        return cls(
            mutating,
            any(map(selector_has_invalid_value, selectors)),
            all(set(h.get("admissionReviewVersions") or ()) & set(REVIEW_VERSIONS) for h in hooks),
            len({hook.get("name", "") for hook in hooks}) == len(hooks),
            {identity(hook.get("matchConditions")) for hook in hooks},
            Expressions(),
        )


def validate_validating_webhooks(obj: Object, errs: Errors, old: Object | None = None) -> None:
    """A new configuration, or with `old` a changed one, which may keep some of its mistakes."""
    _webhooks(obj, errs, _Around.of((old or {}).get("webhooks") or [], mutating=False))


def validate_mutating_webhooks(obj: Object, errs: Errors, old: Object | None = None) -> None:
    """A new configuration, or with `old` a changed one, which may keep some of its mistakes."""
    _webhooks(obj, errs, _Around.of((old or {}).get("webhooks") or [], mutating=True))


@rules
def _changed_conditions(hook: Object, path: str, errs: Errors, around: _Around) -> None:
    conditions = hook.get("matchConditions")
    if identity(conditions) not in around.conditions:
        validate_match_conditions(conditions or (), f"{path}.matchConditions", errs, around.expressions)


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
client-config                       api.admissionregistration.v1.WebhookClientConfig|apiextensions-apiserver.pkg.apis.apiextensions.v1.WebhookClientConfig
    if url given and not service given
      url                               webhook-url
    if service given and not url given
      service                           webhook-service
    if none-of url,service or several-of url,service
      required                          : exactly one of url or service is required
""")
_URL_FORM = "; desired format: https://host[/path]"


@rules
def validate_webhook_url(url: str, path: str, errs: Errors) -> None:
    """Validates an https URL that consists of a host and a path only (webhook.ValidateWebhookURL)."""
    try:
        parts = parsed(url)
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
webhook-service                     api.admissionregistration.v1.ServiceReference|apiextensions-apiserver.pkg.apis.apiextensions.v1.ServiceReference
    namespace!                          as:name
    name!                               as:namespace
    port~                               valid-port
    path+                               service-path
""")
"""A reference to a service with a port and an optional path.
Upstream swaps name and namespace in this check, so a missing one is reported as the other."""


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

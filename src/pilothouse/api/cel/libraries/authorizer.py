"""Authorization checks (Kubernetes' pkg/cel/library/authz.go).

Who asks and who decides is handed in: the variable `authorizer` is an `AuthorizerCheck`,
`authorizer.requestResource` a `ResourceCheck`.
"""

from collections.abc import Callable
from dataclasses import field, replace
from typing import Any, NamedTuple

from pilothouse.api.cel import sizes
from pilothouse.api.cel._cel import EvaluationError, Opaque, size_of
from pilothouse.api.cel.functions import Functions, Overload, member, units
from pilothouse.api.cel.host import frozen, names
from pilothouse.api.cel.types import BOOL, STRING, CelType, struct

_PACKAGE = "kubernetes.authorization."
AUTHORIZER = struct(_PACKAGE + "Authorizer", {})
PATH_CHECK = struct(_PACKAGE + "PathCheck", {})
GROUP_CHECK = struct(_PACKAGE + "GroupCheck", {})
RESOURCE_CHECK = struct(_PACKAGE + "ResourceCheck", {})
DECISION = struct(_PACKAGE + "Decision", {})
_CHECK_COST = 350_000
"""Units of one authorization check."""


class CheckDecision(NamedTuple):
    """A decision of the authorizer. error: why nothing could be decided, "" if something was."""

    allowed: bool
    reason: str = ""
    error: str = ""


@frozen
class CheckQuestion:
    """The question for the authorizer: a path, or a resource when `resource` is given. service_account:
    namespace and name of the account that asks instead of the user of the request."""

    verb: str
    path: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    field_selector: str = ""
    label_selector: str = ""
    service_account: tuple[str, str] | None = None


Decide = Callable[[CheckQuestion], CheckDecision]


@frozen
class _Check(Opaque):
    """The part of a question that is known before the verb is."""

    decide: Decide = field(compare=False)
    question: CheckQuestion = CheckQuestion("")


class AuthorizerCheck(_Check):
    type_name = _PACKAGE + "Authorizer"


class PathCheck(_Check):
    type_name = _PACKAGE + "PathCheck"


class GroupCheck(_Check):
    type_name = _PACKAGE + "GroupCheck"


class ResourceCheck(_Check):
    type_name = _PACKAGE + "ResourceCheck"


@frozen
class _Decided(Opaque):
    decision: CheckDecision

    type_name = _PACKAGE + "Decision"


def _path(authorizer: AuthorizerCheck, path: str) -> PathCheck:
    if not path.strip():
        raise EvaluationError("path must not be empty")
    return PathCheck(authorizer.decide, replace(authorizer.question, path=path))


def _group(authorizer: AuthorizerCheck, group: str) -> GroupCheck:
    return GroupCheck(authorizer.decide, replace(authorizer.question, group=group))


def _service_account(authorizer: AuthorizerCheck, namespace: str, name: str) -> AuthorizerCheck:
    if names.dns_subdomain(name):
        raise EvaluationError("Invalid service account name")
    if names.dns_label(namespace):
        raise EvaluationError("Invalid service account namespace")
    return AuthorizerCheck(authorizer.decide, replace(authorizer.question, service_account=(namespace, name)))


def _resource(group: GroupCheck, resource: str) -> ResourceCheck:
    if not resource.strip():
        raise EvaluationError("resource must not be empty")
    return ResourceCheck(group.decide, replace(group.question, resource=resource))


def _with(attribute: str) -> Callable[[ResourceCheck, str], ResourceCheck]:
    def of(check: ResourceCheck, value: str) -> ResourceCheck:
        changes: dict[str, Any] = {attribute: value}
        return ResourceCheck(check.decide, replace(check.question, **changes))

    return of


def _check(check: _Check, verb: str) -> _Decided:
    return _Decided(check.decide(replace(check.question, verb=verb)))


def _selector_cost(check: ResourceCheck, selector: str) -> int:
    size = size_of(selector)
    return 10 + units(size, 0.1) + units(units(size, 0.5), 50)


def _selector_estimate(sizer: sizes.Sizer, check: sizes.Sized, selector: sizes.Sized) -> sizes.Estimate:
    size = sizer.size_of(selector)
    return sizes.Estimate(sizes.fixed(10) + size.times(0.1) + size.times(0.5).times(50))


def _fixed(*_: object) -> sizes.Estimate:
    return sizes.Estimate(sizes.fixed(_CHECK_COST))


def _attribute(id: str, name: str, **more: Any) -> tuple[Overload, ...]:
    return (member(id, (RESOURCE_CHECK, STRING), RESOURCE_CHECK, _with(name), **more),)


def _told(name: str, result: CelType, function: Callable[[CheckDecision], Any]) -> tuple[Overload, ...]:
    return (member(f"decision_{name}", (DECISION,), result, lambda one: function(one.decision)),)


_check_costs: dict[str, Any] = {"cost": _CHECK_COST, "estimate": _fixed}
_selector_costs: dict[str, Any] = {"cost": _selector_cost, "estimate": _selector_estimate}
FUNCTIONS: Functions = {
    "path": (member("authorizer_path", (AUTHORIZER, STRING), PATH_CHECK, _path),),
    "group": (member("authorizer_group", (AUTHORIZER, STRING), GROUP_CHECK, _group),),
    "serviceAccount": (
        member("authorizer_serviceaccount", (AUTHORIZER, STRING, STRING), AUTHORIZER, _service_account),
    ),
    "resource": (member("groupcheck_resource", (GROUP_CHECK, STRING), RESOURCE_CHECK, _resource),),
    "subresource": _attribute("resourcecheck_subresource", "subresource"),
    "namespace": _attribute("resourcecheck_namespace", "namespace"),
    "name": _attribute("resourcecheck_name", "name"),
    "fieldSelector": _attribute("authorizer_fieldselector", "field_selector", **_selector_costs),
    "labelSelector": _attribute("authorizer_labelselector", "label_selector", **_selector_costs),
    "check": (
        member("pathcheck_check", (PATH_CHECK, STRING), DECISION, _check, **_check_costs),
        member("resourcecheck_check", (RESOURCE_CHECK, STRING), DECISION, _check, **_check_costs),
    ),
    "errored": _told("errored", BOOL, lambda one: bool(one.error)),
    "error": _told("error", STRING, lambda one: one.error),
    "allowed": _told("allowed", BOOL, lambda one: one.allowed),
    "reason": _told("reason", STRING, lambda one: one.reason),
}

"""Virtual kinds that query the authorizer or the authenticator and store nothing: access and token reviews."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pilothouse import errors
from pilothouse.api import meta, names, selectors
from pilothouse.api.fields import Errors, Object
from pilothouse.api.identity import AuthorizationAttributes, User
from pilothouse.authn.authenticator import UnionAuthenticator, join
from pilothouse.authz.authorizer import Authorizer, Decision, Rules
from pilothouse.offload import INLINE_WORK, Inline, Work
from pilothouse.registry.resource import Resource

_GROUP = "authorization.k8s.io"
_BOTH = "cannot be specified in combination with resourceAttributes"
_NEITHER = "exactly one of nonResourceAttributes or resourceAttributes must be specified"


class Judge(Authorizer, Protocol):
    """An authorizer that can also list a user's rules."""

    def rules_for(self, user: User, namespace: str) -> Rules: ...


@dataclass(frozen=True, slots=True)
class Judges:
    """Whom the reviews ask."""

    authorizer: Judge
    authenticator: UnionAuthenticator


async def answer(
    resource: Resource, obj: Object, user: User, judges: Judges, work: Work | Inline = INLINE_WORK
) -> Object:
    """The review with its status; `obj` is decoded, its namespace the one of the URL."""
    reviewed: Object = await _KINDS[resource.kind](obj, user, judges, work)
    return reviewed


async def _subject_access(obj: Object, user: User, judges: Judges, work: Work | Inline) -> Object:
    await work.run(_check_subject_access, obj)
    return await _decide(obj, _subject(obj["spec"]), judges, work)


def _check_subject_access(obj: Object) -> None:
    spec, causes = obj.get("spec") or {}, Errors()
    _validate_spec(spec, causes)
    _validate_subject(spec, causes)
    _validate_metadata(obj, causes, "must be empty")
    causes.raise_if_any(_GROUP, "", "")


async def _local_subject_access(obj: Object, user: User, judges: Judges, work: Work | Inline) -> Object:
    await work.run(_check_local_subject_access, obj)
    return await _decide(obj, _subject(obj["spec"]), judges, work)


def _check_local_subject_access(obj: Object) -> None:
    spec, causes = obj.get("spec") or {}, Errors()
    _validate_spec(spec, causes)
    _validate_subject(spec, causes)
    own = (obj.get("metadata") or {}).get("namespace", "")
    _validate_metadata(obj, causes, "must be empty except for namespace", "namespace")
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None and resource.get("namespace", "") != own:
        asked = resource.get("namespace", "")
        causes.invalid("spec.resourceAttributes.namespace", asked, "must match metadata.namespace")
    if path is not None:
        causes.invalid("spec.nonResourceAttributes", _go_path(path), "disallowed on this kind of request")
    causes.raise_if_any(_GROUP, "", "")


async def _self_subject_access(obj: Object, user: User, judges: Judges, work: Work | Inline) -> Object:
    await work.run(_check_self_subject_access, obj)
    return await _decide(obj, user, judges, work)


def _check_self_subject_access(obj: Object) -> None:
    spec, causes = obj.get("spec") or {}, Errors()
    _validate_spec(spec, causes)
    _validate_metadata(obj, causes, "must be empty")
    causes.raise_if_any(_GROUP, "", "")


async def _decide(obj: Object, user: User, judges: Judges, work: Work | Inline) -> Object:
    attributes, faults = await work.run(_attributes, obj["spec"], user)
    decision = await judges.authorizer.authorize(attributes)
    return {**obj, "status": _access_status(decision, faults)}


async def _self_subject_rules(obj: Object, user: User, judges: Judges, work: Work | Inline) -> Object:
    asked = (obj.get("spec") or {}).get("namespace", "")
    if not asked:
        raise errors.BadRequest("no namespace on request")
    rules = judges.authorizer.rules_for(user, asked)
    status: Object = {
        "resourceRules": rules.resource,
        "nonResourceRules": rules.non_resource,
        "incomplete": rules.incomplete,
    }
    if rules.errors:
        status["evaluationError"] = join(rules.errors)
    return {**_head(obj), "metadata": {}, "spec": {}, "status": status}


async def _token(obj: Object, user: User, judges: Judges, work: Work | Inline) -> Object:
    spec = obj.get("spec") or {}
    if not spec.get("token"):
        raise errors.BadRequest("token is required for TokenReview in authentication")
    wanted = tuple(spec.get("audiences") or ()) or judges.authenticator.audiences
    review = await judges.authenticator.review(spec["token"], wanted)
    status: Object = {"user": {}}
    if review.error:
        status["error"] = review.error
    if review.identity is not None:
        audiences = review.identity.audiences
        if wanted and not set(wanted) & set(audiences):
            raise errors.InternalError("Internal error occurred: error validating audiences")
        status.update(authenticated=True, user=user_info(review.identity.user))
        if audiences:
            status["audiences"] = list(audiences)
    return {**obj, "status": status}


async def _self_subject(obj: Object, user: User, judges: Judges, work: Work | Inline) -> Object:
    metadata = {"creationTimestamp": meta.now()}
    return {**_head(obj), "metadata": metadata, "status": {"userInfo": user_info(user)}}


_KINDS: dict[str, Callable[[Object, User, Judges, Work | Inline], Awaitable[Object]]] = {
    "SubjectAccessReview": _subject_access,
    "LocalSubjectAccessReview": _local_subject_access,
    "SelfSubjectAccessReview": _self_subject_access,
    "SelfSubjectRulesReview": _self_subject_rules,
    "TokenReview": _token,
    "SelfSubjectReview": _self_subject,
}


def user_info(user: User) -> Object:
    """A user as authentication/v1 UserInfo, empty members left out."""
    info: Object = {"username": user.name}
    if user.uid:
        info["uid"] = user.uid
    if user.groups:
        info["groups"] = list(user.groups)
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra.items()}
    return info


def _head(obj: Object) -> Object:
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"]}


def _subject(spec: Object) -> User:
    extra = {key: list(values or ()) for key, values in (spec.get("extra") or {}).items()}
    return User(spec.get("user", ""), spec.get("uid", ""), tuple(spec.get("groups") or ()), extra)


def _access_status(decision: Decision, faults: Sequence[str]) -> Object:
    status: Object = {"allowed": decision.allowed}
    if decision.denied:
        status["denied"] = True
    if decision.reason:
        status["reason"] = decision.reason
    if faults:
        status["evaluationError"] = "; ".join(faults)
    return status


def _validate_spec(spec: Object, causes: Errors) -> None:
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None and path is not None:
        causes.invalid("spec.nonResourceAttributes", _go_path(path), _BOTH)
    if resource is None and path is None:
        causes.invalid("spec.resourceAttributes", None, _NEITHER)
    if resource is not None:
        _validate_field_selector(resource.get("fieldSelector"), causes)
        _validate_label_selector(resource.get("labelSelector"), causes)


def _validate_subject(spec: Object, causes: Errors) -> None:
    if not spec.get("user") and not spec.get("groups"):
        causes.invalid("spec.user", spec.get("user", ""), "at least one of user or group must be specified")


def _validate_metadata(obj: Object, causes: Errors, why: str, *allowed: str) -> None:
    metadata = obj.get("metadata") or {}
    if any(value for member, value in metadata.items() if member not in ("managedFields", *allowed)):
        causes.invalid("metadata", {m: metadata[m] for m in _METADATA if metadata.get(m)}, why)


_METADATA = (
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
)
"""The members of ObjectMeta in the order in which Go shows them."""


def _go_path(attributes: Object) -> Object:
    """Non-resource attributes as a message shows them: the internal type has no JSON names."""
    return {"Path": attributes.get("path", ""), "Verb": attributes.get("verb", "")}


def _validate_selector(selector: Object, path: str, causes: Errors) -> None:
    """The rule both selectors share: raw text or requirements."""
    raw, requirements = selector.get("rawSelector", ""), selector.get("requirements") or []
    if raw and requirements:
        causes.invalid(f"{path}.rawSelector", raw, "may not specified at the same time as requirements")
    if not raw and not requirements:
        causes.required(
            f"{path}.requirements",
            f"when {path} is specified, requirements or rawSelector is required",
        )


def _validate_field_selector(selector: Object | None, causes: Errors) -> None:
    path = "spec.resourceAttributes.fieldSelector"
    if selector is None:
        return
    _validate_selector(selector, path, causes)
    for i, requirement in enumerate(selector.get("requirements") or ()):
        at = f"{path}.requirements[{i}]"
        if not requirement.get("key"):
            causes.required(f"{at}.key", "must be specified")
        _validate_values(requirement, at, causes)


def _validate_label_selector(selector: Object | None, causes: Errors) -> None:
    path = "spec.resourceAttributes.labelSelector"
    if selector is None:
        return
    _validate_selector(selector, path, causes)
    for i, requirement in enumerate(selector.get("requirements") or ()):
        at = f"{path}.requirements[{i}]"
        _validate_values(requirement, at, causes)
        for wrong in names.qualified_name(requirement.get("key", "")):
            causes.invalid(f"{at}.key", requirement.get("key", ""), wrong)
        if requirement.get("operator") in _SET_OPERATORS:
            for j, value in enumerate(requirement.get("values") or ()):
                for wrong in names.label_value(value):
                    causes.invalid(f"{at}.values[{j}]", value, wrong)


_SET_OPERATORS = ("In", "NotIn")


def _validate_values(requirement: Object, at: str, causes: Errors) -> None:
    """An operator that is not known passes: what it means is for the authorizer to ignore."""
    operator, values = requirement.get("operator", ""), requirement.get("values") or []
    if operator in _SET_OPERATORS and not values:
        causes.required(f"{at}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif operator in ("Exists", "DoesNotExist") and values:
        causes.forbidden(f"{at}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")


def _attributes(spec: Object, user: User) -> tuple[AuthorizationAttributes, list[str]]:
    """What to judge, and the texts about selectors that could not be understood."""
    path = spec.get("nonResourceAttributes")
    if path is not None:
        return AuthorizationAttributes(user, path.get("verb", ""), path=path.get("path", "")), []
    resource = spec["resourceAttributes"]
    attributes = AuthorizationAttributes(user, resource.get("verb", ""), is_resource=True)
    for member in ("group", "resource", "subresource", "namespace", "name"):
        setattr(attributes, member, resource.get(member, ""))
    attributes.version = resource.get("version") or "*"
    faults: list[str] = []
    attributes.field_selector = _text(
        resource, "fieldSelector", selectors.field_terms, _field_requirement, faults
    )
    attributes.label_selector = _text(
        resource, "labelSelector", selectors.label_terms, _label_requirement, faults
    )
    return attributes, faults


def _text(
    resource: Object,
    member: str,
    parse: Callable[[str], Any],
    convert: Callable[[Object], str],
    faults: list[str],
) -> str:
    """A selector as text; what cannot be understood is left out, which asks for more rather than less."""
    selector = resource.get(member) or {}
    raw, requirements = selector.get("rawSelector", ""), selector.get("requirements") or []
    if raw:
        try:
            parse(raw)
        except (errors.BadRequest, ValueError):
            faults.append(f"spec.resourceAttributes.{member} ignored due to parse error")
            return ""
        text: str = raw
        return text
    terms = [convert(requirement) for requirement in requirements]
    understood = [term for term in terms if term]
    if len(understood) < len(terms):
        partly = "partially ignored" if understood else "ignored"
        faults.append(f"spec.resourceAttributes.{member} {partly} due to parse error")
    return ",".join(understood)


def _field_requirement(requirement: Object) -> str:
    values = requirement.get("values") or []
    operator = {"In": "=", "NotIn": "!="}.get(requirement.get("operator", ""))
    if operator is None or len(values) != 1:
        return ""
    value = values[0].replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
    return f"{requirement.get('key', '')}{operator}{value}"


def _label_requirement(requirement: Object) -> str:
    try:
        selector = selectors.from_label_selector({"matchExpressions": [requirement]})
    except errors.BadRequest:
        return ""
    return selector.label_text

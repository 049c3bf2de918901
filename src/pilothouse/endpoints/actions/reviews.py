"""Reviews: requests that ask the authorizer or the authenticator, and of which nothing is stored."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from pilothouse import errors
from pilothouse.api import meta
from pilothouse.api.values import selectors
from pilothouse.api.values.fields import Errors, Object
from pilothouse.api.values.identity import AuthorizationAttributes, User
from pilothouse.authn.authenticator import UnionAuthenticator, join
from pilothouse.authz.authorizer import Authorizer, Decision, SubjectRules
from pilothouse.offload import INLINE_WORK, Inline, Work
from pilothouse.process.frozen import frozen
from pilothouse.registry.groups import rules
from pilothouse.registry.resource import Action

_GROUP = "authorization.k8s.io"


class RuleLister(Authorizer, Protocol):
    """An authorizer that can also list a user's rules, in the work of a request."""

    async def list_rules(self, user: User, namespace: str, work: Work | Inline) -> SubjectRules: ...


@frozen
class Judges:
    """The authorizer and the authenticator that the reviews ask."""

    authorizer: RuleLister
    authenticator: UnionAuthenticator
    now: Callable[[], str] = meta.now


async def answer(
    action: Action, obj: Object, user: User, judges: Judges, work: Work | Inline = INLINE_WORK
) -> Object:
    """The review with its status; `obj` is decoded, its namespace the one of the URL."""
    return await ANSWERS[action](obj, user, judges, work)


async def _subject_access(obj: Object, user: User, judges: Judges, work: Work | Inline) -> Object:
    await work.run(_check, rules.authorization.validate_subject_access, obj)
    return await _decide(obj, _subject(obj["spec"]), judges, work)


async def _local_subject_access(obj: Object, user: User, judges: Judges, work: Work | Inline) -> Object:
    await work.run(_check, rules.authorization.validate_local_subject_access, obj)
    return await _decide(obj, _subject(obj["spec"]), judges, work)


async def _self_subject_access(obj: Object, user: User, judges: Judges, work: Work | Inline) -> Object:
    await work.run(_check, rules.authorization.validate_self_subject_access, obj)
    return await _decide(obj, user, judges, work)


def _check(rule: Callable[[Object, Errors], None], obj: Object) -> None:
    """Raise the 422 of what a rule finds; it names neither kind nor object, as upstream's does not."""
    errs = Errors()
    rule(obj, errs)
    errs.raise_if_any(_GROUP, "", "")


async def _decide(obj: Object, user: User, judges: Judges, work: Work | Inline) -> Object:
    attributes, faults = await work.run(_attributes, obj["spec"], user)
    decision = await judges.authorizer.authorize(attributes)
    return {**obj, "status": _access_status(decision, faults)}


async def _self_subject_rules(obj: Object, user: User, judges: Judges, work: Work | Inline) -> Object:
    asked = (obj.get("spec") or {}).get("namespace", "")
    if not asked:
        raise errors.BadRequest("no namespace on request")
    rules = await judges.authorizer.list_rules(user, asked, work)
    await work.enter(rules.size)  # the answer is encoded where the rules were listed
    status: Object = {
        "resourceRules": rules.resource,
        "nonResourceRules": rules.non_resource,
        "incomplete": rules.incomplete,
    }
    if rules.errors:
        status["evaluationError"] = await work.run(join, rules.errors)
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
    metadata = {"creationTimestamp": judges.now()}
    return {**_head(obj), "metadata": metadata, "status": {"userInfo": user_info(user)}}


ANSWERS: dict[Action, Callable[[Object, User, Judges, Work | Inline], Awaitable[Object]]] = {
    Action.SUBJECT_ACCESS_REVIEW: _subject_access,
    Action.LOCAL_SUBJECT_ACCESS_REVIEW: _local_subject_access,
    Action.SELF_SUBJECT_ACCESS_REVIEW: _self_subject_access,
    Action.SELF_SUBJECT_RULES_REVIEW: _self_subject_rules,
    Action.TOKEN_REVIEW: _token,
    Action.SELF_SUBJECT_REVIEW: _self_subject,
}
"""The function that answers each review."""


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
    failures = [*faults, *([decision.error] if decision.error else [])]
    if failures:
        status["evaluationError"] = "; ".join(failures)
    return status


def _attributes(spec: Object, user: User) -> tuple[AuthorizationAttributes, list[str]]:
    """The attributes to judge, and the texts about selectors that could not be understood."""
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
    parse: Callable[[str], object],
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

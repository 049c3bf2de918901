"""Asks a webhook for decisions by SubjectAccessReview (--authorization-webhook-config-file)."""

import json
import time
from collections.abc import Callable

from pilothouse import errors
from pilothouse.api import selectors
from pilothouse.api.fields import Object
from pilothouse.api.identity import AuthorizationAttributes, User
from pilothouse.authz.authorizer import NO_OPINION, Decision, Rules
from pilothouse.caches import Budget, Cache, short
from pilothouse.logs import Logger
from pilothouse.outbound.reviews import Post

log = Logger(__name__)


_MAX_CACHED = 10_000
"""The longest review spec, in characters, whose decision is cached: clients choose most of its text."""


class WebhookAuthorizer:
    """Asks the service and caches its decisions for the given seconds of `clock`.

    It has no opinion when the service fails.
    """

    def __init__(
        self,
        post: Post,
        version: str = "v1beta1",
        *,
        allowed_ttl: float = 300.0,
        other_ttl: float = 30.0,
        budget: Budget | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if version not in ("v1", "v1beta1"):
            raise ValueError(
                f'unsupported authorization webhook version "{version}", '
                'supported versions are "v1", "v1beta1"'
            )
        self.post = post
        self.version = version
        self.allowed_ttl = allowed_ttl
        self.other_ttl = other_ttl
        self._clock = clock
        self._known: Cache[str | bytes, tuple[float, Decision]] = Cache(
            "authorization_webhook", budget or Budget(), lifetime=max(allowed_ttl, other_ttl)
        )

    async def authorize(self, attributes: AuthorizationAttributes) -> Decision:
        spec = review_spec(attributes, self.version)
        text = json.dumps(spec)
        key = short(text) if len(text) <= _MAX_CACHED else ""
        known = self._known[key]
        if known is not None and known[0] > self._clock():
            return known[1]
        return await self._ask(spec, key)

    async def _ask(self, spec: Object, key: str | bytes) -> Decision:
        review = {
            "apiVersion": f"authorization.k8s.io/{self.version}",
            "kind": "SubjectAccessReview",
            "metadata": {},
            "spec": spec,
        }
        try:
            answer = await self.post(review)
        except (errors.StatusError, OSError) as error:
            log.error("Failed to make webhook authorizer request", err=error)
            return NO_OPINION
        status = answer.get("status") or {}
        denied = status.get("denied") is True
        allowed = status.get("allowed") is True and not denied
        decision = Decision(allowed, denied, str(status.get("reason") or ""))
        ttl = self.allowed_ttl if allowed else self.other_ttl
        if ttl > 0 and key:
            self._known.put(key, (self._clock() + ttl, decision))
        return decision

    def rules_for(self, user: User, namespace: str) -> Rules:
        return Rules(incomplete=True, errors=["webhook authorizer does not support user rule resolution"])


def review_spec(attributes: AuthorizationAttributes, version: str) -> Object:
    """The attributes as a SubjectAccessReviewSpec; v1beta1 calls the groups `group`."""
    user = attributes.user
    spec: Object = {"user": user.name}
    if user.uid:
        spec["uid"] = user.uid
    if user.groups:
        spec["groups" if version == "v1" else "group"] = list(user.groups)
    if user.extra:
        spec["extra"] = user.extra
    if attributes.is_resource:
        spec["resourceAttributes"] = _resource_attributes(attributes)
    else:
        spec["nonResourceAttributes"] = {"path": attributes.path, "verb": attributes.verb}
    return spec


def _resource_attributes(attributes: AuthorizationAttributes) -> Object:
    names = ("namespace", "verb", "group", "version", "resource", "subresource", "name")
    out: Object = {name: value for name in names if (value := getattr(attributes, name))}
    fields = _field_requirements(attributes.field_selector)
    labels = _label_requirements(attributes.label_selector)
    if fields:
        out["fieldSelector"] = {"requirements": fields}
    if labels:
        out["labelSelector"] = {"requirements": labels}
    return out


def _field_requirements(text: str) -> list[Object]:
    """The terms of a field selector; one that cannot be read asks for everything."""
    try:
        terms = selectors.field_terms(text)
    except (errors.BadRequest, ValueError):
        return []
    operators = {"=": "In", "==": "In", "!=": "NotIn"}
    return [{"key": f, "operator": operators[op], "values": [value]} for f, op, value in terms]


def _label_requirements(text: str) -> list[Object]:
    try:
        terms = selectors.label_terms(text)
    except (errors.BadRequest, ValueError):
        return []
    out: list[Object] = []
    for term in terms:
        operator = _LABEL_OPERATORS.get(term.op)
        if operator is not None:
            out.append({"key": term.key, "operator": operator})
            if term.values:
                out[-1]["values"] = list(term.values)
    return out


_LABEL_OPERATORS = {
    "=": "In",
    "==": "In",
    "in": "In",
    "!=": "NotIn",
    "notin": "NotIn",
    "exists": "Exists",
    "!": "DoesNotExist",
}
"""Comparisons (gt, lt) have no counterpart and are left out, which asks for more."""

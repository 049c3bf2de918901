"""Asks a webhook for decisions by SubjectAccessReview (apiserver plugin/pkg/authorizer/webhook)."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

from pilothouse import errors
from pilothouse.api.values import selectors
from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import AuthorizationAttributes, User
from pilothouse.authz.authorizer import NO_OPINION, Decision, SubjectRules
from pilothouse.authz.conditions import ConditionError, Conditions
from pilothouse.authz.metrics import AuthorizationMetrics
from pilothouse.caches import Cache, CacheBudget, short
from pilothouse.logs import Logger
from pilothouse.outbound.http import Unanswered
from pilothouse.outbound.reviews import Post

log = Logger(__name__)


_MAX_CACHED = 10_000
"""The longest review spec, in characters, whose decision is cached: clients choose most of its text."""


TRIES = 5
"""How often a service is asked that could not answer for a while."""
_FIRST_WAIT = 0.5
_FACTOR = 1.5


class WebhookAuthorizer:
    """Asks the service about requests that meet the conditions,
    and caches its decisions for seconds of `clock`.

    name: the one in metrics. deny: what a failure of the service or of a condition means;
    otherwise no opinion.
    """

    def __init__(
        self,
        post: Post,
        version: str = "v1beta1",
        *,
        name: str = "default",
        deny: bool = False,
        conditions: Conditions | None = None,
        allowed_ttl: float = 300.0,
        other_ttl: float = 30.0,
        budget: CacheBudget | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        metrics: AuthorizationMetrics | None = None,
    ) -> None:
        if version not in ("v1", "v1beta1"):
            raise ValueError(
                f'unsupported authorization webhook version "{version}", '
                'supported versions are "v1", "v1beta1"'
            )
        self.post = post
        self.listeners: list[Callable[[], None]] = []
        """Called when another service is asked."""
        self.version = version
        self.allowed_ttl = allowed_ttl
        self.other_ttl = other_ttl
        self._name = name
        self._deny = deny
        self._metrics = metrics or AuthorizationMetrics()
        self._conditions = conditions or Conditions((), name, self._metrics)
        self._clock = clock
        self._sleep = sleep
        self._known: Cache[str | bytes, tuple[float, Decision]] = Cache(
            "authorization_webhook", budget or CacheBudget(), lifetime=max(allowed_ttl, other_ttl)
        )

    def use(self, post: Post) -> None:
        """Ask another service from now on; what the former one has decided is forgotten."""
        self.post = post
        self._known.clear()
        for listener in self.listeners:
            listener()

    def close(self) -> None:
        """Forget all decisions: others decide from now on."""
        self._known.close()

    async def authorize(self, attributes: AuthorizationAttributes) -> Decision:
        spec = review_spec(attributes, "v1")
        try:
            if not self._conditions.match(spec):
                return NO_OPINION
        except ConditionError as error:
            return self._failed(str(error))
        if self.version == "v1beta1" and "groups" in spec:
            spec = {("group" if key == "groups" else key): value for key, value in spec.items()}
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
        post = self.post
        try:
            answer = await self._exchange(post, review)
        except OSError as error:
            log.error("Failed to make webhook authorizer request", name=self._name, err=error)
            if not self._deny:
                self._metrics.webhook_failed_open.inc(self._name, _result(error))
            return self._failed(str(error))
        decision = _decision(answer.get("status") or {}, self._name)
        allowed = decision.allowed
        ttl = self.allowed_ttl if allowed else self.other_ttl
        if ttl > 0 and key and post is self.post:
            self._known.put(key, (self._clock() + ttl, decision))
        return decision

    async def _exchange(self, post: Post, review: Object) -> Object:
        """The service's answer; OSError when it gives none. One that is busy or restarts is asked again."""
        wait = _FIRST_WAIT
        for attempt in range(1, TRIES + 1):
            started = self._clock()
            result = "canceled"
            try:
                answer = await post(review)
                result = "success"
                return answer
            except OSError as error:
                result = _result(error)
                if attempt == TRIES or not (isinstance(error, Unanswered) and error.passing):
                    raise
            finally:
                self._metrics.webhook_calls.inc(self._name, result)
                self._metrics.webhook_seconds.observe(self._clock() - started, self._name, result)
            await self._sleep(wait)
            wait *= _FACTOR
        raise AssertionError

    def _failed(self, error: str) -> Decision:
        return Decision(allowed=False, denied=self._deny, error=error, by=f"Webhook {self._name}")

    def rules_for(self, user: User, namespace: str) -> SubjectRules:
        return SubjectRules(
            incomplete=True, errors=["webhook authorizer does not support user rule resolution"]
        )


def _decision(status: Object, name: str) -> Decision:
    """The decision in a SubjectAccessReviewStatus of the webhook `name`; both yes and no is no."""
    denied, allowed = status.get("denied") is True, status.get("allowed") is True
    both = denied and allowed
    return Decision(
        allowed and not denied,
        denied,
        str(status.get("reason") or ""),
        "webhook subject access review returned both allow and deny response" if both else "",
        by=f"Webhook {name}",
    )


def _result(error: OSError) -> str:
    return "timeout" if isinstance(error, Unanswered) and error.timed_out else "error"


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

"""The work that both kinds of webhooks share:
which are called for a request, how one is called, and what becomes of failures."""

import asyncio
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager, nullcontext
from time import perf_counter
from typing import Any, NamedTuple, TypeVar

from pilothouse import errors, spans
from pilothouse.admission.annotations import annotate
from pilothouse.admission.authorization import AccessAuthorizer
from pilothouse.admission.expressions import Scope
from pilothouse.admission.matching import Matched
from pilothouse.admission.metrics import ADMIT, VALIDATE, AdmissionMetrics
from pilothouse.admission.views import Views
from pilothouse.admission.webhooks.review import (
    AdmissionResponse,
    InvalidResponse,
    decoded,
    encoded,
    verified,
)
from pilothouse.admission.webhooks.source import AdmissionWebhook
from pilothouse.api import meta
from pilothouse.api.values.fields import Object
from pilothouse.api.values.warnings import enough
from pilothouse.gotext import quote
from pilothouse.logs import Logger
from pilothouse.offload import INLINE
from pilothouse.outbound import webhook
from pilothouse.outbound.clients import Clients
from pilothouse.outbound.kubeconfig import Users
from pilothouse.outbound.webhook import UnusableWebhook, WebhookError
from pilothouse.registry.admission import AdmissionAttributes
from pilothouse.registry.webhook_target import NOBODY, Resolver, target_of

log = Logger(__name__)

RESERVE = 0.5
"""Seconds of a request that webhooks leave it, or a quarter of what it has left: the error of one that does
not answer reaches the client, and where it is ignored the write can still be carried out."""

SLOW = 0.5
"""Seconds of a call from which on the log tells of it."""

ANSWER_BYTES = 4 << 20
"""Bytes of the longest answer that is read:
a patch that makes an object as large as a request may be, in base64."""

T = TypeVar("T")


class Failed(Exception):
    """The call of a webhook has failed, and its failure policy decides (ErrCallingWebhook).
    The text is upstream's. unanswered: as in WebhookError."""

    def __init__(self, hook: AdmissionWebhook, reason: str, code: int, *, unanswered: bool = False) -> None:
        super().__init__(f"failed calling webhook {quote(hook.name)}: {reason}")
        self.code = code
        self.unanswered = unanswered


class Denied(Exception):
    """A webhook refuses the request (ErrWebhookRejection)."""

    def __init__(self, status: errors.StatusError) -> None:
        super().__init__(status.message)
        self.status = status


class WebhookDependencies(NamedTuple):
    """The parts of the server that call webhooks; `users` are the credentials by host."""

    clients: Clients
    resolver: Resolver
    authorizer: AccessAuthorizer
    metrics: AdmissionMetrics
    users: Users = NOBODY


class Caller:
    """Calls webhooks of one kind. step: the `type` label of metrics.
    mutating: whether they may return patches."""

    def __init__(self, parts: WebhookDependencies, step: str, *, mutating: bool) -> None:
        self._parts = parts
        self.metrics = parts.metrics
        self._step = step
        self._mutating = mutating
        self._span = f"Call {'mutating' if mutating else 'validating'} webhook"
        self._where = (
            (ADMIT, "MutatingAdmissionWebhook") if mutating else (VALIDATE, "ValidatingAdmissionWebhook")
        )

    def use(self, users: Users) -> None:
        """Show webhooks other credentials from now on."""
        self._parts = self._parts._replace(users=users)

    def views(self, a: AdmissionAttributes) -> Views:
        """The objects of a request in the versions that webhooks match."""
        return Views(a, self._parts.authorizer)

    async def select(self, views: Views, hook: AdmissionWebhook) -> Matched | None:
        """The resource as which the request matches a webhook, None when it does not (ShouldCallHook).

        NotFound when its namespace is missing, Forbidden when its match conditions fail closed.
        """
        a = views.attributes
        matched = hook.criteria.match(a)
        if matched is None or hook.conditions is None:
            return matched
        found = await hook.conditions.match(await views.scope(matched), None, {})
        if found.error:
            log.warning(
                "Failed evaluating match conditions, failing closed", webhook=hook.name, err=found.error
            )
            raise errors.forbidden(a.resource.group, a.resource.plural, a.name, found.error)
        if found.value:
            return matched
        kind = ADMIT if self._mutating else VALIDATE
        self.metrics.condition_exclusions.inc("webhook", hook.name, a.operation, kind)
        return None

    async def call(
        self,
        a: AdmissionAttributes,
        hook: AdmissionWebhook,
        scope: Scope,
        lock: AbstractAsyncContextManager[Any] | None = None,
    ) -> AdmissionResponse:
        """The response of a webhook that allows the request; Failed, Denied, BadRequest.

        A call holds `lock` while it changes the size of the request's work,
        where several calls are made at a time.
        """
        if a.dry_run and not hook.dry_run:
            raise errors.BadRequest(f"admission webhook {quote(hook.name)} does not support dry run")
        if not hook.version:
            known = "webhook does not accept known AdmissionReview versions (v1, v1beta1)"
            raise Failed(hook, f"could not create admission objects: {known}", 400)
        uid = meta.new_uid()
        body = await a.work.run(encoded, uid, a, scope, hook.version)
        with spans.child(self._span, about(a, hook, uid), threshold=SLOW) as span:
            data = await self._posted(a, hook, body)
            if span is not None:
                span.event("Request completed")
        if len(data) > INLINE:
            async with lock or nullcontext():
                await a.work.enter(len(data))
        try:
            response = await a.work.run(self._read, data, uid, hook.version)
        except WebhookError as err:
            raise Failed(hook, f"failed to call webhook: {err}", err.code) from None
        except InvalidResponse as err:
            raise Failed(hook, f"received invalid webhook response: {err}", 503) from None
        for key, value in response.annotations.items():
            annotate(a, f"{hook.name}/{key}", value)
        a.warnings += enough(response.warnings)
        if not response.allowed:
            raise Denied(denial(hook.name, response.status))
        return response

    def _read(self, data: bytes, uid: str, version: str) -> AdmissionResponse:
        return verified(decoded(data, version), uid, version, mutating=self._mutating)

    async def _posted(self, a: AdmissionAttributes, hook: AdmissionWebhook, body: bytes) -> bytes:
        """The body of the webhook's answer.
        Failed when there is none, or when the webhook's breaker is open."""
        breaker = hook.breaker
        if breaker is not None and (why := breaker.refusal()):
            self.metrics.webhook_skipped.inc(hook.name, self._step)
            raise Failed(hook, f"failed to call webhook: {why}", 503, unanswered=True)
        parts, seconds = self._parts, time_for(hook, a)
        said = False
        try:
            target = target_of(hook.client_config, parts.resolver, seconds, parts.users)
            outbound = parts.clients.for_webhook(by_service=target.service)
            data = await webhook.post(outbound, target, body, seconds, ANSWER_BYTES, deadline=True)
            said = True
        except WebhookError as err:
            said = not err.timed_out
            if breaker is not None and err.timed_out and seconds == hook.seconds:
                breaker.timed_out()
            lead = (
                "could not get REST client" if isinstance(err, UnusableWebhook) else "failed to call webhook"
            )
            raise Failed(hook, f"{lead}: {err}", err.code, unanswered=err.unanswered) from None
        finally:
            if breaker is not None:
                breaker.answered() if said else breaker.gave_up()
        return data

    async def settle(
        self, a: AdmissionAttributes, hook: AdmissionWebhook, call: Awaitable[T], failed_open: str
    ) -> T | None:
        """The outcome of a call, None where it has failed and the webhook's failure policy is Ignore;
        StatusError.

        failed_open: the key of the audit annotation for that.
        """
        started = perf_counter()
        try:
            outcome = await call
        except Failed as err:
            self._count(
                a,
                hook,
                started,
                err.code,
                rejected=not hook.ignore,
                error="calling_webhook_error",
                why=str(err),
            )
            if not hook.ignore:
                log.warning("Failed calling webhook, failing closed", webhook=hook.name, err=err)
                failure = errors.internal(str(err))
                failure.valueless = err.unanswered
                raise failure from None
            log.warning("Failed calling webhook, failing open", webhook=hook.name, err=err)
            self.metrics.webhook_fail_open.inc(hook.name, self._step)
            annotate(a, failed_open, hook.name)
            return None
        except Denied as err:
            self._count(
                a, hook, started, err.status.code, rejected=True, error="no_error", why=err.status.message
            )
            raise err.status from None
        except errors.StatusError as err:
            self._count(a, hook, started, 0, rejected=True, error="apiserver_internal_error", why=err.message)
            raise
        self._count(a, hook, started, 200, rejected=False)
        return outcome

    def _count(
        self,
        a: AdmissionAttributes,
        hook: AdmissionWebhook,
        started: float,
        code: int,
        *,
        rejected: bool,
        error: str = "",
        why: str = "",
    ) -> None:
        took = perf_counter() - started
        a.webhook_seconds = (
            max(took, a.webhook_seconds) if self._step == VALIDATE else took + a.webhook_seconds
        )
        if a.timeline is not None:
            verdict = "refused" if rejected else "failed, ignored" if why else ""
            a.timeline.called(*self._where, hook.name, hook.configuration, took, verdict, why)
        text, truth = str(min(code, 600)), str(rejected).lower()
        metrics = self.metrics
        metrics.webhook_requests.inc(text, hook.name, a.operation, truth, self._step)
        metrics.webhook_seconds.observe(took, hook.name, a.operation, truth, self._step)
        if rejected:
            metrics.webhook_rejections.inc(error, hook.name, a.operation, text, self._step)


def about(a: AdmissionAttributes, hook: AdmissionWebhook, uid: str) -> spans.Attributes:
    """The attributes of the span of a call (plugin/webhook/{mutating,validating}/dispatcher.go)."""
    resource = a.resource
    return {
        "configuration": hook.configuration,
        "webhook": hook.name,
        "resource": f"{resource.group}/{resource.version}, Resource={resource.plural}",
        "subresource": a.subresource,
        "operation": a.operation,
        "UID": uid,
    }


def time_for(hook: AdmissionWebhook, a: AdmissionAttributes) -> float:
    """Seconds that a webhook may take: its own, cut to what the request has left."""
    deadline = a.deadline() if a.deadline is not None else None
    if deadline is None:
        return hook.seconds
    left = max(deadline - asyncio.get_running_loop().time(), 0.001)
    return min(hook.seconds, left - min(RESERVE, left / 4))


class WebhookRefusal(errors.StatusError):
    """A denial in the words of a webhook, which may be long: reports of policies."""

    longest = 64 << 10


def denial(name: str, status: Object | None) -> errors.StatusError:
    """The error of a webhook that refuses, with the code, reason and details that it gives (ToStatusErr)."""
    status = status or {}
    code, reason, why = status.get("code") or 0, status.get("reason") or "", status.get("message") or ""
    text = f"admission webhook {quote(name)} denied the request"
    text = f"{text}: {why or reason}" if why or reason else f"{text} without explanation"
    details = status.get("details")
    err = WebhookRefusal(text, details=details if details else None)
    err.code = code if 400 <= code < 600 else 400 if code < 400 else 500
    err.reason = reason
    return err

"""ValidatingAdmissionWebhook: webhooks that judge an object, all at a time (apiserver webhook/validating)."""

import asyncio
from collections.abc import Awaitable

from pilothouse.admission.expressions import Scope
from pilothouse.admission.metrics import VALIDATE
from pilothouse.admission.webhooks.calling import Caller, WebhookDependencies
from pilothouse.admission.webhooks.plugin import WebhookPlugin
from pilothouse.admission.webhooks.source import VALIDATING, AdmissionWebhook
from pilothouse.registry.admission import AdmissionAttributes

NAME = "ValidatingAdmissionWebhook"
FAILED_OPEN = "failed-open.validating.webhook.admission.k8s.io/round_0_index_"
STEP = "validating"
"""The `type` label of metrics of calls; those of match conditions say VALIDATE."""
PARALLEL = 32
"""Webhooks that one request calls at the same time: each call has a copy of the object."""


class ValidatingAdmissionWebhook(WebhookPlugin):
    """Asks the webhooks that are about a request."""

    name = NAME
    resource = VALIDATING
    phase = VALIDATE

    def __init__(self, parts: WebhookDependencies) -> None:
        super().__init__(Caller(parts, STEP, mutating=False))

    def validate(self, a: AdmissionAttributes) -> Awaitable[None]:
        return self._judge(a)

    async def _judge(self, a: AdmissionAttributes) -> None:
        views = self._caller.views(a)
        relevant: list[tuple[AdmissionWebhook, Scope]] = []
        for hook in self._followed(a.readers).about(a.operation, a.resource, a.subresource):
            matched = await self._caller.select(views, hook)
            if matched is not None:
                relevant.append((hook, await views.scope(matched)))
        lock, room = asyncio.Lock(), asyncio.Semaphore(PARALLEL)

        async def ask(index: int, hook: AdmissionWebhook, scope: Scope) -> None:
            async with room:
                call = self._caller.call(a, hook, scope, lock)
                await self._caller.settle(a, hook, call, f"{FAILED_OPEN}{index}")

        asking = [ask(i, hook, scope) for i, (hook, scope) in enumerate(relevant)]
        if len(asking) == 1:
            await asking[0]
            return
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

"""Converts custom resources by the webhook that their definition names.

Stored objects that were converted are remembered by their content, so that a list that is read again, and
watchers of one version, ask the webhook once.
A definition that changes gets a new converter, which remembers nothing.
"""

import asyncio
import itertools
import time
from collections.abc import Sequence
from hashlib import blake2b
from sys import getsizeof

import orjson

from pilothouse import errors, spans
from pilothouse.api import json, meta
from pilothouse.api.values.fields import Object
from pilothouse.caches import Cache, CacheBudget
from pilothouse.offload import INLINE_WORK, Inline, Offload, Work
from pilothouse.outbound import webhook
from pilothouse.outbound.clients import Clients
from pilothouse.outbound.webhook import WebhookError
from pilothouse.process.record import record
from pilothouse.registry import conversion_review as reviews
from pilothouse.registry.conversion_review import Failure
from pilothouse.registry.metrics import ConversionMetrics
from pilothouse.registry.webhook_target import Resolver, target_of

SLOW, SLOW_EACH = 0.05, 0.008
"""Seconds of a call, and of each object in it,
from which on the log tells of it (conversion/webhook_converter.go)."""
LARGEST = 256 * 1024
"""Bytes of the largest converted object that is remembered."""

ANSWER_FREE, ANSWER_TIMES = 256 << 10, 4
"""Longest answer of a webhook: so many bytes, and this many times the bytes that it was sent."""

Key = tuple[int, str, bytes]
"""The number of a converter, the API version that was asked for, and the digest of the object."""


@record
class _Settled:
    """The end of the conversion of an object by another request: with its bytes, or because nobody answers.

    Neither of the two: the request that waits for it has to ask,
    for the batch failed by another object or was given up.
    """

    made: bytes | None = None
    error: errors.StatusError | None = None


class ConversionWebhooks:
    """Makes the converters of one server, and keeps what they share."""

    def __init__(
        self,
        clients: Clients,
        resolver: Resolver,
        metrics: ConversionMetrics | None = None,
        caches: CacheBudget | None = None,
        seconds: float = webhook.SECONDS,
        offload: Offload | None = None,
    ) -> None:
        """`seconds` is the time for one exchange; long answers are checked on the threads of `offload`."""
        self.offload = offload
        self.clients, self.resolver, self.seconds = clients, resolver, seconds
        self.metrics = metrics or ConversionMetrics()
        self.known: Cache[Key, bytes] = Cache(
            "conversions",
            caches or CacheBudget(),
            largest=LARGEST,
            weigh=lambda key, made: 160 + getsizeof(made),
        )
        self.running: dict[Key, asyncio.Future[_Settled]] = {}
        """The objects that webhooks are converting now."""
        self._numbers = itertools.count()

    def converter_of(self, definition: Object) -> "WebhookConverter | None":
        """The converter of a definition's objects, None where only their API version changes."""
        conversion = definition["spec"].get("conversion") or {}
        if conversion.get("strategy") != "Webhook":
            return None
        return WebhookConverter(self, definition, next(self._numbers))


class WebhookConverter:
    """Converts the objects of one definition as it is now; implements registry.conversion.Converter."""

    def __init__(self, webhooks: ConversionWebhooks, definition: Object, number: int) -> None:
        spec = definition["spec"]
        hook = spec["conversion"].get("webhook") or {}
        group, versions = spec["group"], spec["versions"]
        self._webhooks = webhooks
        self._number = number
        self._name: str = definition["metadata"]["name"]
        self._client: Object = hook.get("clientConfig") or {}
        self._version = reviews.version_for(hook.get("conversionReviewVersions") or ())
        self._known = {f"{group}/{version['name']}" for version in versions}
        self._stored = next((f"{group}/{one['name']}" for one in versions if one.get("storage")), "")

    async def convert(self, objects: Sequence[Object], to: str) -> list[Object]:
        """Like Converter.convert; errors.Unknown with upstream's message when it fails."""
        self._check(objects, to)
        if any(map(_is_empty, objects)):
            full = [obj for obj in objects if not _is_empty(obj)]
            rest = iter(await self.convert(full, to) if full else ())
            return [{**obj, "apiVersion": to} if _is_empty(obj) else next(rest) for obj in objects]
        if to == self._stored:  # what is written is converted once
            return await self._asked(objects, to)
        keys = [(self._number, to, _digest(obj)) for obj in objects]
        made: dict[Key, bytes | Object] = {}
        places = {key: place for place, key in enumerate(keys)}
        while len(made) < len(places):
            mine = self._left(keys, places, made)
            if mine:
                made.update(await self._share([objects[i] for i in mine], [keys[i] for i in mine], to))
            else:
                await self._join(keys, made)
        found = [made[key] for key in keys]
        return [orjson.loads(one) if isinstance(one, bytes) else one for one in found]

    def _check(self, objects: Sequence[Object], to: str) -> None:
        """Refuse versions that the definition does not have any more."""
        if to not in self._known:
            raise errors.Unknown(f"request to convert CR to an invalid group/version: {to}")
        for i, obj in enumerate(objects):
            if obj["apiVersion"] in self._known:
                continue
            if len(objects) == 1:
                text = f"request to convert CR from an invalid group/version: {obj['apiVersion']}"
            else:
                text = (
                    f"request to convert CR list failed, list index {i} has invalid group/version:"
                    f" {obj['apiVersion']}"
                )
            raise errors.Unknown(text)

    # What others convert already

    def _left(
        self, keys: Sequence[Key], places: dict[Key, int], made: dict[Key, bytes | Object]
    ) -> list[int]:
        """Take what is remembered; the places of the objects that nobody is converting."""
        known, running = self._webhooks.known, self._webhooks.running
        out = []
        for place, key in enumerate(keys):
            if key in made or places[key] != place:
                continue
            found = known[key]
            if found is not None:
                made[key] = found
            elif key not in running:
                out.append(place)
        return out

    async def _share(self, objects: Sequence[Object], keys: Sequence[Key], to: str) -> dict[Key, Object]:
        """Convert in one batch, also for the requests that wait for these objects."""
        running, loop = self._webhooks.running, asyncio.get_running_loop()
        for key in keys:
            running[key] = loop.create_future()
        settled = dict.fromkeys(keys, _Settled())
        try:
            out = dict(zip(keys, await self._asked(objects, to), strict=True))
            settled = {key: _Settled(json.dump(obj)) for key, obj in out.items()}
            for key, one in settled.items():
                assert one.made is not None
                self._webhooks.known.put(key, one.made)
            return out
        except _Unanswered as err:
            settled = dict.fromkeys(keys, _Settled(error=err))
            raise
        finally:
            for key in keys:
                running.pop(key).set_result(settled[key])

    async def _join(self, keys: Sequence[Key], made: dict[Key, bytes | Object]) -> None:
        """Wait for what others are converting; what they could not have is left to be asked for."""
        running = self._webhooks.running
        waiting = {key: running[key] for key in keys if key not in made and key in running}
        if not waiting:
            return
        await asyncio.wait(waiting.values())
        for key, future in waiting.items():
            settled = future.result()
            if settled.error is not None:
                raise errors.Unknown(settled.error.message)
            if settled.made is not None:
                made[key] = settled.made

    # The webhook

    async def _asked(self, objects: Sequence[Object], to: str) -> list[Object]:
        """The objects that the webhook makes of a batch; its metrics count the call."""
        metrics, began = self._webhooks.metrics, time.perf_counter()
        change = (self._name, objects[0]["apiVersion"].rpartition("/")[2], to.rpartition("/")[2])
        try:
            made = await self._exchange(objects, to)
        except Failure as err:
            metrics.failed(*change, err.kind, time.perf_counter() - began)
            raise (_Unanswered if err.kind == reviews.CALL else errors.Unknown)(str(err)) from None
        except errors.StatusError:
            metrics.refused(*change, time.perf_counter() - began)
            raise
        metrics.succeeded(*change, time.perf_counter() - began)
        return made

    async def _exchange(self, objects: Sequence[Object], to: str) -> list[Object]:
        webhooks, uid = self._webhooks, meta.new_uid()
        if not self._version:
            raise errors.Unknown("no supported conversion review versions")
        body = reviews.request(self._version, uid, to, objects)
        try:
            target = target_of(self._client, webhooks.resolver, webhooks.seconds)
            limit = ANSWER_FREE + ANSWER_TIMES * len(body)
            outbound = webhooks.clients.for_webhook(by_service=target.service)
            about: spans.Attributes = {
                "custom-resource-definition": self._name,
                "desired-api-version": to,
                "object-count": len(objects),
                "UID": uid,
            }
            slow = SLOW + SLOW_EACH * len(objects)
            with spans.child("Call conversion webhook", about, threshold=slow) as span:
                data = await webhook.post(outbound, target, body, webhooks.seconds, limit)
                if span is not None:
                    span.event("Request completed")
        except WebhookError as err:
            kind = reviews.described(objects[0])
            raise Failure(reviews.CALL, f"conversion webhook for {kind} failed: {err}") from None
        work: Work | Inline = INLINE_WORK
        if webhooks.offload is not None:
            work = Work(webhooks.offload, f"conversion webhook of {self._name}")
        try:
            await work.enter(len(data))
            return await work.run(reviews.response, data, self._version, uid, objects, to)
        finally:
            work.leave()


def _is_empty(obj: Object) -> bool:
    """Whether an object has nothing but its type:
    no webhook is asked for such ones (isEmptyUnstructuredObject)."""
    return obj.keys() == {"kind", "apiVersion"}


def _digest(obj: Object) -> bytes:
    return blake2b(json.dump(obj), digest_size=20).digest()


class _Unanswered(errors.Unknown):
    """The error when nobody answers at the webhook:
    asking once more for the same objects would take as long again."""

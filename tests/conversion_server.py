"""A conversion webhook for the boxes of converters.py:
a real server with TLS, whose answers a test may change."""

import base64
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web
from backend import Backend
from converters import Boxes, turned

from pilothouse.caches import CacheBudget
from pilothouse.registry.conversion_webhook import ConversionWebhooks
from pilothouse.registry.service_resolver import ServiceResolver

Object = dict[str, Any]
Respond = Callable[[Object], Awaitable[web.StreamResponse]]


class ConversionServer(Backend):
    """Converts boxes while it is entered. `reviews` are those that came.

    alter: changes the response of a review before it is sent; respond: answers instead.
    """

    def __init__(
        self, folder: Path, hosts: tuple[str, ...] = ("127.0.0.1",), address: str = "127.0.0.1"
    ) -> None:
        super().__init__(folder, self._converted, hosts, address)
        self.reviews: list[Object] = []
        self.alter: Callable[[Object], Any] = lambda response: None
        self.respond: Respond | None = None

    async def _converted(self, request: web.Request) -> web.StreamResponse:
        review = json.loads(await request.read())
        self.reviews.append(review)
        if self.respond is not None:
            return await self.respond(review)
        asked = review["request"]
        made = [turned(obj, asked["desiredAPIVersion"]) for obj in asked["objects"]]
        response = {"uid": asked["uid"], "convertedObjects": made, "result": {"status": "Success"}}
        answer = {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}
        self.alter(answer)
        return web.json_response(answer)

    def batches(self) -> list[tuple[str, list[str]]]:
        """The version and the names of each batch so far."""
        reviews, self.reviews = self.reviews, []
        asked = [review["request"] for review in reviews]
        return [(r["desiredAPIVersion"], [o["metadata"]["name"] for o in r["objects"]]) for r in asked]

    @property
    def url(self) -> str:
        return f"https://{self.address}:{self.port}/convert"

    def conversion(self, *versions: str, **client: Any) -> Object:
        """The `conversion` of a definition that names this server,
        by its URL unless `client` says otherwise."""
        config = {"caBundle": base64.b64encode(self.ca).decode(), **(client or {"url": self.url})}
        hook = {"clientConfig": config, "conversionReviewVersions": list(versions) or ["v1"]}
        return {"strategy": "Webhook", "webhook": hook}


class Hooked(Boxes):
    """Boxes that `hook` converts."""

    def __init__(self, rig: Any, hook: ConversionServer, conversion: Object, seconds: float = 30) -> None:
        self.hook = hook
        resolver = ServiceResolver(rig.readers, by_endpoints=True)
        self.webhooks = ConversionWebhooks(rig.clients, resolver, caches=CacheBudget(), seconds=seconds)
        super().__init__(rig, self.webhooks.converter_of, conversion)

    def counted(self) -> dict[str, float]:
        """Batches by failure type, "" = converted."""
        return {labels[0]: n for labels, n in self.webhooks.metrics.requests.values.items()}


def setting(*where: Any, value: Any) -> Any:
    """Sets a member of the answer; a value that is Ellipsis deletes it."""

    def alter(answer: Any) -> None:
        for step in where[:-1]:
            answer = answer[step]
        if value is ...:
            del answer[where[-1]]
        else:
            answer[where[-1]] = value

    return alter


FIRST = ("response", "convertedObjects", 0)
META = (*FIRST, "metadata")
"""The paths to the first converted object of an answer, and to its metadata."""

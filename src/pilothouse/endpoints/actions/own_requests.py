"""Requests that the server makes in the name of another one.

They go through the whole pipeline as those of its user: with authorization, admission, quota and audit."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import orjson

from pilothouse.api.values.fields import Object
from pilothouse.endpoints.request.context import Context
from pilothouse.offload import Offload, Work
from pilothouse.registry.resource import Resource
from pilothouse.server.request import Handler, Request, Response

OF_BODY = frozenset(
    (
        "content-length",
        "content-type",
        "content-encoding",
        "transfer-encoding",
        "expect",
        "audit-id",
        "accept",
        "accept-encoding",
        "connection",
        "upgrade",
    )
)
"""Headers that describe the first request's body or connection."""


class OwnAnswer(NamedTuple):
    """The answer to such a request; `obj` is the object or the Status."""

    status: int
    obj: Object

    @property
    def failed(self) -> bool:
        """Whether it tells an error."""
        return self.status >= 400

    @property
    def message(self) -> str:
        """The message of a Status."""
        return str(self.obj.get("message", ""))


class OwnRequests:
    """Makes requests in the name of another one."""

    def __init__(self, handler: Handler, ctx: Context, offload: Offload) -> None:
        self._handler = handler
        self._offload = offload
        self._ctx = ctx

    async def send(
        self,
        method: str,
        resource: Resource,
        namespace: str,
        name: str,
        obj: Object | None,
        query: dict[str, str],
        size: int = 0,
    ) -> OwnAnswer:
        """Carry out one request for an object, or for a new one of a collection without a name.

        size: about how many bytes the object has as JSON. Large ones are encoded and decoded beside the loop.
        """
        root = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.version}"
        if resource.namespaced:
            root += f"/namespaces/{namespace}"
        path = f"{root}/{resource.plural}" + (f"/{quote(name, safe='')}" if name else "")
        text = urlencode(query)
        first = self._ctx.request
        headers = {key: value for key, value in first.headers.items() if key not in OF_BODY}
        headers["accept"] = "application/json"
        body = b""
        if obj is not None:
            body = await self._beside(size, orjson.dumps, obj)
            headers["content-type"] = "application/json"
            headers["content-length"] = str(len(body))
        kept = [(key, value) for key, value in first.all_headers if key.lower() not in OF_BODY]
        kept += [(key, value) for key, value in headers.items() if key in OF_BODY]
        target = f"{path}?{text}" if text else path
        request = Request(method, target, headers, kept, body, first.peer)
        request.peer_certificates = first.peer_certificates
        answer = self._handler(request)
        response = await answer if isinstance(answer, Awaitable) else answer
        data = _bytes_of(response)
        if response.on_done is not None:
            response.on_done(len(data), None)
        found: Any = await self._beside(len(data), orjson.loads, data) if data else {}
        return OwnAnswer(response.status, found if isinstance(found, dict) else {})

    async def _beside(self, size: int, call: Callable[[Any], Any], value: Any) -> Any:
        """The outcome of a call on a value of so many bytes. No room is held while the request itself waits
        for some."""
        work = Work(self._offload, self._ctx.user.name)
        try:
            await work.enter(size, patient=True)
            return await work.run(call, value)
        finally:
            work.leave()


def _bytes_of(response: Response) -> bytes:
    body = response.body
    return body if isinstance(body, bytes) else b"".join(body)

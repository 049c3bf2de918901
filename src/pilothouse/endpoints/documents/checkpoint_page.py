"""Serves the paths by which tests keep states of a server and put them back, and get one as a file.

They are there with --test-api and --simulate:

- POST /debug/pilothouse/checkpoints keeps the state; the answer has its name.
- POST /debug/pilothouse/checkpoints/NAME puts it back. DELETE keeps it no more.
- GET /debug/pilothouse/state is a file from which other servers start.
"""

from collections.abc import Awaitable, Callable

import orjson

from pilothouse.endpoints.documents.nonresource import NonResource
from pilothouse.endpoints.request import refusals
from pilothouse.registry.checkpoints import Checkpoints
from pilothouse.server.request import Request, Response

PATH = "/debug/pilothouse/checkpoints"
STATE_PATH = "/debug/pilothouse/state"
TYPE = "application/x-tar"

Packed = Callable[[], Awaitable[bytes]]
"""Makes the file of the state."""


class CheckpointPage:
    """Keeps states. `packed` makes the file; None where there is none of the cluster."""

    def __init__(self, checkpoints: Checkpoints, packed: Packed | None) -> None:
        self._checkpoints = checkpoints
        self._packed = packed

    def install(self, nonresource: NonResource) -> None:
        """Register the paths with `nonresource`."""
        nonresource.add_prefix(PATH, self._answer, listed=(PATH,))
        if self._packed is not None:
            nonresource.add(STATE_PATH, self._state)

    async def _answer(self, request: Request, path: str) -> Response | None:
        name = path.removeprefix(PATH).strip("/")
        if "/" in name:
            return None
        if not name:
            return await self._all(request)
        if request.method == "DELETE":
            self._checkpoints.drop(name)
            return _told(200, {"name": name})
        if request.method != "POST":
            raise refusals.method_not_allowed()
        return _told(200, {"name": name, "written": await self._checkpoints.restore(name)})

    async def _all(self, request: Request) -> Response:
        if request.method == "GET":
            return _told(200, {"checkpoints": [{"name": name} for name in self._checkpoints.names()]})
        if request.method != "POST":
            raise refusals.method_not_allowed()
        name, objects = await self._checkpoints.take()
        return _told(201, {"name": name, "objects": objects})

    async def _state(self, request: Request, path: str) -> Response:
        if request.method != "GET":
            raise refusals.method_not_allowed()
        assert self._packed is not None
        return Response(200, await self._packed(), TYPE, [("Cache-Control", "no-store")])


def _told(status: int, content: dict[str, object]) -> Response:
    return Response(status, orjson.dumps(content))

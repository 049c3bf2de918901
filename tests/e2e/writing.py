"""Clients that write all the time and remember what was acknowledged, and what of it another server has."""

import asyncio
import ssl
import time
from dataclasses import dataclass, field
from typing import Any

from e2e.http_client import Connection

MAPS = "/api/v1/namespaces/default/configmaps"
KEYS = 20
"""Objects of a writer that are there at the same time, about."""

State = dict[str, tuple[str, int]]
"""The text and the resourceVersion of each object by its name."""


@dataclass
class Writer:
    """Creates, changes and deletes objects of its own,
    one write after the other, `pace` seconds apart or longer."""

    name: str
    port: int
    context: ssl.SSLContext
    pace: float
    writes: list[tuple[str, str, int, float]] = field(default_factory=list)
    """Name, text ("" for a deletion), resourceVersion (0 for a deletion, which does not tell it),
    and when it was answered."""

    async def run(self, over: asyncio.Event) -> None:
        """Write until that is over."""
        client = Connection(self.port, self.context, 30)
        due = time.monotonic()
        turn = 0
        while not over.is_set():
            await self._turn(client, turn)
            turn += 1
            due += self.pace
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        await client.end()

    async def _turn(self, client: Connection, turn: int) -> None:
        """Each object is created, changed in the next round, and deleted in the one after."""
        lap, place = divmod(turn, KEYS)
        name, text = f"{self.name}-{place}", f"{turn}"
        if lap % 3 == 0:
            await self._write(client, 201, "POST", MAPS, {"metadata": {"name": name}, "data": {"a": text}})
        elif lap % 3 == 1:
            body = {"metadata": {"name": name}, "data": {"a": text}}
            await self._write(client, 200, "PUT", f"{MAPS}/{name}", body)
        else:
            await self._write(client, 200, "DELETE", f"{MAPS}/{name}", None)

    async def _write(self, client: Connection, wanted: int, method: str, path: str, body: Any) -> None:
        status, answer = await client.request(method, path, body)
        assert status == wanted, answer
        deleted = body is None
        name = path.rpartition("/")[2] if deleted else body["metadata"]["name"]
        text = "" if deleted else body["data"]["a"]
        version = 0 if deleted else int(answer["metadata"]["resourceVersion"])
        self.writes.append((name, text, version, time.monotonic()))

    def states(self, revision: int) -> list[State]:
        """The states that are possible at a revision:
        all that is known to be written until then, without or with the deletions after it."""
        known = max((i for i, write in enumerate(self.writes) if 0 < write[2] <= revision), default=-1)
        state: State = {}
        out: list[State] = [state] if known < 0 else []
        for i, (name, text, version, _) in enumerate(self.writes):
            if version > revision:
                break
            state = dict(state)
            if version:
                state[name] = text, version
            else:
                state.pop(name, None)
            if i >= known:
                out.append(state)
        return out


def owned(objects: list[dict[str, Any]], writer: str) -> State:
    """The objects of a writer in a list of config maps."""
    return {
        one["metadata"]["name"]: (one["data"]["a"], int(one["metadata"]["resourceVersion"]))
        for one in objects
        if one["metadata"]["name"].startswith(f"{writer}-")
    }

"""The requests of the journal as the report looks at them."""

import json
from typing import NamedTuple

from pilothouse.endpoints.journal.explain import group_resource
from pilothouse.endpoints.journal.journal import Journal, JournalEntry
from pilothouse.endpoints.journal.struck import fault_of
from pilothouse.waiting import Pace

HELPERS = "pilothouse-testing"
"""The user agent of what a test asks of a server by itself, such as `kube.wait`."""
WRITES = ("update", "patch", "apply")


class Seen(NamedTuple):
    """One request that has ended. at, ended: in Unix seconds. what: the resource with its subresource, or
    the path. said: reason and message of a refusal. fields: those that its causes name. revision: of the
    commit, 0 when nothing was written. fault: the name of the one that has struck it."""

    at: float
    ended: float
    verb: str
    what: str
    namespace: str
    name: str
    path: str
    query: str
    user: str
    agent: str
    code: int
    reason: str
    message: str
    revision: int
    error: str
    fault: str
    audit_id: str

    @property
    def about(self) -> str:
        """The object that it is about, without the subresource: `deployments.apps shop/web`."""
        resource = self.what.partition("/")[0]
        return f"{resource} {self.place}" if self.place else resource

    @property
    def place(self) -> str:
        return "/".join(part for part in (self.namespace, self.name) if part)

    @property
    def client(self) -> str:
        """How the client is called: its user agent, else its user."""
        return self.agent.partition(" (")[0] or self.user

    @property
    def writes(self) -> bool:
        return self.verb in WRITES and bool(self.name)


async def requests(journal: Journal, begun: float, wall: float) -> tuple[list[Seen], bool]:
    """The requests since a time, the oldest first, and whether the journal still has all of them.

    `wall` is what time.perf_counter() lacks to Unix seconds.
    """
    out: list[Seen] = []
    users: dict[bytes, str] = {}
    pace = Pace()
    for entry in journal.entries():
        if entry.kept.ended + wall < begun:
            break
        if entry.kept.started + wall >= begun and _counts(entry):
            out.append(_seen(entry, wall, users))
        await pace.pause()
    out.reverse()
    return out, journal.reaches(begun - wall)


def _counts(entry: JournalEntry) -> bool:
    info = entry.info
    return info.is_resource or entry.kept.code >= 400


def _seen(entry: JournalEntry, wall: float, users: dict[bytes, str]) -> Seen:
    kept, info = entry.kept, entry.info
    user = users.get(kept.user)
    if user is None:
        user = users[kept.user] = str(json.loads(kept.user)["username"])
    detail = entry.unpacked()
    refusal, struck = detail.refusal, fault_of(detail)
    resource = info.is_resource
    return Seen(
        at=kept.started + wall,
        ended=kept.ended + wall,
        verb=info.verb,
        what=group_resource(info) if resource else info.path,
        namespace=info.namespace if resource else "",
        name=info.name if resource else "",
        path=info.path,
        query=entry.query,
        user=user,
        agent=entry.agent,
        code=kept.code,
        reason=refusal.reason if refusal is not None else "",
        message=refusal.message if refusal is not None else "",
        revision=detail.revision,
        error=kept.error,
        fault=struck[0] if struck is not None else "",
        audit_id=entry.audit_id,
    )

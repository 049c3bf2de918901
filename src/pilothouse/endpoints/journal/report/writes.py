"""Writes that went wrong though each was allowed: conflicts, and the same write again and again."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from pilothouse.api.values.fields import Object
from pilothouse.endpoints.journal.report.seen import HELPERS, Seen

NOTHING, SAME = 5, 10
"""Writes of one object by one client from which on they are a loop: of those that change nothing, and of
those that leave the spec as it is."""

Generation = Callable[[Seen], int]
"""The metadata.generation of the object that a request is about; 0 where it has none."""


def conflicts(seen: Iterable[Seen]) -> list[Object]:
    """The conflicts (409), by object and by who has lost against whom, the most frequent first."""
    last: dict[str, Seen] = {}
    alike: dict[tuple[str, str, str], list[Seen]] = {}
    for one in sorted(seen, key=lambda each: each.ended):
        if one.code == 409 and one.reason == "Conflict" and not one.fault:
            winner = last.get(one.about)
            alike.setdefault((one.about, one.client, winner.client if winner else ""), []).append(one)
        elif one.revision and one.code < 300:
            last[one.about] = one
    out: list[Object] = [
        {
            "object": about,
            "verb": found[-1].verb,
            "lost": loser,
            "against": winner,
            "message": found[-1].message,
            "auditID": found[-1].audit_id,
            "count": len(found),
        }
        for (about, loser, winner), found in alike.items()
    ]
    out.sort(key=lambda one: -one["count"])
    return out


class _Group(NamedTuple):
    """Writes of one client to one object."""

    writes: list[Seen]
    refused: list[Seen]


def loops(seen: Sequence[Seen], generation: Generation) -> list[Object]:
    """The loops: many writes of one object by one client that change nothing, leave its spec as it is, or
    are refused; and deletions of what comes back."""
    groups: dict[tuple[str, str, str, str], _Group] = {}
    for one in seen:
        if (one.writes or (one.verb == "delete" and one.name)) and one.agent != HELPERS and not one.fault:
            verb = "delete" if one.verb == "delete" else "write"
            found = groups.setdefault((one.client, one.what, one.place, verb), _Group([], []))
            (found.writes if one.code < 300 else found.refused).append(one)
    out = [
        told
        for (client, what, place, verb), found in groups.items()
        if (told := _loop(f"{what} {place}", client, verb, found, generation)) is not None
    ]
    out.sort(key=lambda one: -one["writes"])
    return out


def _loop(about: str, client: str, verb: str, found: _Group, generation: Generation) -> Object | None:
    writes = found.writes
    told: Object = {"object": about, "client": client, "verb": verb}
    if len(found.refused) >= SAME:
        times = found.refused
        told |= {"writes": len(times), "refused": len(times), "reason": times[-1].reason}
    elif verb == "delete":
        if len(writes) < NOTHING:
            return None
        times = writes
        told["writes"] = len(times)
    else:
        idle = [one for one in writes if not one.revision]
        same = _unchanged(writes, idle, generation)
        if len(idle) < NOTHING and same < SAME:
            return None
        times = writes
        told |= {"writes": len(writes), "withoutEffect": len(idle), "sameSpec": same}
    seconds = round(times[-1].ended - times[0].at, 3)
    return told | {"seconds": seconds, "auditID": times[-1].audit_id}


def _unchanged(writes: Sequence[Seen], idle: Sequence[Seen], generation: Generation) -> int:
    """How many writes have left the spec as it was, at least."""
    if not writes or "/" in writes[0].what:  # a subresource such as the status, which is no spec
        return len(writes)
    known = generation(writes[-1])
    return max(len(writes) - (known - 1), len(idle)) if known else len(idle)

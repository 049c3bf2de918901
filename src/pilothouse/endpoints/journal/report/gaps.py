"""Gaps of informers: watches that were too old or were cut, and lists that were made again."""

from collections import Counter
from collections.abc import Sequence
from urllib.parse import parse_qsl

from pilothouse.api.values.fields import Object
from pilothouse.endpoints.journal.report.seen import HELPERS, Seen

OWN = ("ConnectionResetError",)
"""How an answer ends when the client leaves."""
PLACE = ("resourceVersion", "resourceVersionMatch", "limit", "continue", "timeout", "timeoutSeconds")

Key = tuple[str, str, str]
"""Client, resource and namespace."""


def gaps(seen: Sequence[Seen]) -> list[Object]:
    """The gaps of each client and resource: how often each kind of them occurred, the most first."""
    found: dict[Key, Counter[str]] = {}
    for one in seen:
        kind = _kind(one)
        if kind:
            found.setdefault(_key(one), Counter())[kind] += 1
    for key, count in _relists(seen).items():
        found.setdefault(key, Counter())["relists"] = count
    out = [
        {"client": client, "resource": what, "namespace": namespace, **counts}
        for (client, what, namespace), counts in found.items()
    ]
    out.sort(key=lambda one: -sum(value for value in one.values() if isinstance(value, int)))
    return out


def _kind(one: Seen) -> str:
    if one.code == 410 or (one.verb == "watch" and one.reason in ("Expired", "Gone")):
        return "tooOld"
    return "cut" if one.verb == "watch" and one.error and one.error not in OWN else ""


def _key(one: Seen) -> Key:
    return one.client, one.what, one.namespace


def _relists(seen: Sequence[Seen]) -> dict[Key, int]:
    """How often a client that watches a resource has listed it anew, in the same way."""
    watched = {_key(one) for one in seen if one.verb == "watch"}
    lists: Counter[tuple[Key, tuple[tuple[str, str], ...]]] = Counter()
    for one in seen:
        if one.verb == "list" and one.agent != HELPERS and _key(one) in watched:
            query = parse_qsl(one.query)
            if "continue" not in dict(query):
                lists[_key(one), tuple(sorted(pair for pair in query if pair[0] not in PLACE))] += 1
    out: Counter[Key] = Counter()
    for (key, _), count in lists.items():
        if count > 1:
            out[key] += count - 1
    return out

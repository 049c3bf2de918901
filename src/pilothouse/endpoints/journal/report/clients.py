"""Clients and their requests, and those that were refused."""

from collections import Counter
from collections.abc import Sequence

from pilothouse.api.values.fields import Object
from pilothouse.endpoints.journal.report.seen import HELPERS, Seen

FEW_WORTH = (404,)
"""Codes that tell little: many clients ask for what may not be there."""


def by_client(seen: Sequence[Seen]) -> list[Object]:
    """The clients, those with the most requests first: how often each verb, resource and code occurred."""
    counts: dict[tuple[str, str], Counter[tuple[str, str, int]]] = {}
    for one in seen:
        if one.agent != HELPERS:
            counts.setdefault((one.agent, one.user), Counter())[one.verb, one.what, one.code] += 1
    return [
        {
            "userAgent": agent,
            "user": user,
            "requests": found.total(),
            "by": [
                {"verb": verb, "resource": what, "code": code, "count": count}
                for (verb, what, code), count in found.most_common()
            ],
        }
        for (agent, user), found in sorted(counts.items(), key=lambda item: -item[1].total())
    ]


def refusals(seen: Sequence[Seen]) -> list[Object]:
    """The refusals, alike ones together: first those that say most, of these the most frequent ones.

    Conflicts and what faults have done are told elsewhere.
    """
    alike: dict[tuple[str, str, str, int, str, str], list[Seen]] = {}
    for one in seen:
        if one.code >= 400 and not one.fault and one.reason != "Conflict":
            key = one.verb, one.path, one.user, one.code, one.reason, one.message
            alike.setdefault(key, []).append(one)
    out: list[Object] = [
        {
            "verb": verb,
            "path": path,
            "user": user,
            "code": code,
            "reason": reason,
            "message": message,
            "userAgent": found[-1].agent,
            "auditID": found[-1].audit_id,
            "count": len(found),
        }
        for (verb, path, user, code, reason, message), found in alike.items()
    ]
    out.sort(key=lambda one: (one["code"] in FEW_WORTH, -one["count"]))
    return out

"""Settles what earlier versions of this server stored and clients cannot read:
times of deletion beyond the year 9999.

They added a grace period of any length to the time of a delete. Go wraps the period first (`times.after`),
and that is what such a time is read as. `pilothouse doctor --store --repair` writes it back.
"""

import orjson

from pilothouse.api._json import holds
from pilothouse.api.values import times
from pilothouse.api.values.fields import Object
from pilothouse.storage.keys import ROOT

PODS = f"{ROOT}pods/"
"""The keys to look at: only pods are deleted with a grace period."""
_NAME = b"deletionTimestamp"
_MEMBER = b'"%s":"' % _NAME
"""How the member stands in a stored object.
The quotation marks within a text are escaped, so it is in none."""
_DIGITS = 4
"""Digits of a year that clients can read."""
_YEAR = len(_MEMBER) + _DIGITS


def settled(key: str, value: bytes) -> bytes:
    """The stored JSON with a time of deletion that can be read; the same bytes when it has one, or none."""
    if not key.startswith(PODS) or not holds(value, _NAME):  # PERF: every value that is stored comes by here
        return value
    at = value.find(_MEMBER)
    if at < 0 or value[at + _YEAR : at + _YEAR + 1] == b"-":
        return value
    obj: Object = orjson.loads(value)
    return orjson.dumps(obj) if settle(obj.get("metadata") or {}) else value


def settle(metadata: Object) -> bool:
    """Replace a time of deletion that cannot be read by the one that Go's arithmetic gives;
    whether there was one."""
    when = metadata.get("deletionTimestamp")
    if not isinstance(when, str) or not when:
        return False
    if when[_DIGITS : _DIGITS + 1] == "-" and not times.fault(when, times.SECONDS):
        return False
    grace = metadata.get("deletionGracePeriodSeconds") or 0
    try:
        begun = times.to_unix(when)[0] - grace
    except ValueError:
        begun, grace = times.to_unix(metadata["creationTimestamp"])[0], 0
    metadata["deletionTimestamp"] = times.from_unix(times.after(begun, grace)) + "Z"
    return True

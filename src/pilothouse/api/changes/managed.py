"""metadata.managedFields: records which field manager set which field (apimachinery util/managedfields).

A manager that changes a field by another verb than apply takes it from all other managers. A write costs
what it changes, beside one quick look at what is owned: sets share what they have in common, and one that
loses and gains nothing is written as it was read.
"""

from collections.abc import Callable
from typing import Any

from pilothouse.api.changes import _fieldset as fieldset
from pilothouse.api.changes._fieldset import FieldError, ManagedFieldsEntry, Tracker, decode, encode
from pilothouse.api.types.schema import Field, Type
from pilothouse.api.values.fields import Object

Path = tuple[str, ...]
Set = dict[str, Any]
Key = tuple[str, ...]
Entries = dict[Key, ManagedFieldsEntry]
"""Entries by their keys."""
Convert = Callable[[list[Object]], list[Object]]
Versions = Callable[[str], tuple[Type, Convert] | None]
"""Gives for another API version its type and how objects of the request's version become objects of it; None
when the version is no longer known. The conversion may raise Unconverted."""

MAX_UPDATERS = 10
"""Number of Update entries that are kept separate; older ones are merged into one."""
ANCIENT = "ancient-changes"
APPLY, UPDATE = "Apply", "Update"


class Unconverted(Exception):
    """Objects are not there in the API version `to` yet; `content` is the JSON list of them.

    The caller converts them and calls again with the same arguments.
    """

    def __init__(self, content: bytes, to: str) -> None:
        super().__init__(f"objects are not converted to {to} yet")
        self.content = content
        self.to = to


def update(
    live: Object | None,
    new: Object,
    *,
    type: Type,
    manager: str,
    api_version: str,
    subresource: str = "",
    now: str,
    reset: tuple[Path, ...] = (),
    versions: Versions | None = None,
    fits: bool = True,
) -> None:
    """Set new.metadata.managedFields for any write except apply; both objects are in the request's version.

    The managedFields that the client sent are the state before the write, unless they are invalid or the
    write is to a subresource. An empty list, or one with one empty entry, clears them. An object without
    entries stays untracked, and so does one that is not of its type:
    `fits` says that a decoder has made sure of it.
    """
    metadata = new.setdefault("metadata", {})
    sent = metadata.pop("managedFields", None)
    before = (live or {}).get("metadata") or {}
    entries = _base(before.get("managedFields"), sent, subresource)
    if not entries and before.get("uid"):
        return
    if not fits and any(fieldset.validate(type, obj, True) for obj in (new, live) if obj is not None):
        return
    tracker = Tracker(type, api_version, subresource, now, reset, versions)
    try:
        if live is None:
            live = zero(type) if entries else blank(type)
        if tracker.update(entries, live, new, manager) and len(entries) > MAX_UPDATERS:
            cap(entries)
    except FieldError:  # as upstream: an untracked object is better than a refused write
        return
    except Unconverted:
        if sent is not None:
            metadata["managedFields"] = sent
        raise
    if entries:
        metadata["managedFields"] = encode(entries)


def _base(live: list[Object] | None, sent: list[Object] | None, subresource: str) -> Entries:
    """The entries from which a write starts (decodeLiveOrNew)."""
    if not subresource and sent is not None:
        if sent in ([], [{}]):
            return {}
        try:
            if entries := decode(sent, live):
                return entries
        except FieldError:
            pass
    try:
        return decode(live, live)
    except FieldError:
        return {}


def cap(entries: Entries) -> None:
    """Merge the oldest Update entries of each version while there are too many."""
    updaters = sorted(
        (key for key, entry in entries.items() if entry.operation == UPDATE),
        key=lambda key: (entries[key].time, entries[key].identity),
    )
    count = len(updaters)
    first: dict[str, Key] = {}
    joined: dict[Key, list[Set]] = {}  # sets to merge per bucket, united once at the end
    for key in updaters:
        if count <= MAX_UPDATERS:
            break
        entry = entries[key]
        if entry.api_version not in first:
            first[entry.api_version] = key
            continue
        bucket = ManagedFieldsEntry(ANCIENT, UPDATE, entry.api_version)
        if bucket.key not in entries:
            oldest = entries.pop(first[entry.api_version])
            entries[bucket.key] = bucket.replaced(oldest.fields)
        if bucket.key not in joined:
            joined[bucket.key] = [fieldset.parse(entries[bucket.key].fields)]
        joined[bucket.key].append(fieldset.parse(entry.fields))
        del entries[key]
        entries[bucket.key] = bucket.replaced(entries[bucket.key].fields, entry.time)
        count -= 1
    for key, sets in joined.items():
        entries[key] = entries[key].replaced(fieldset.union_all(sets))


def blank(type: Type) -> Object:
    """Like zero(), made once; it must not be changed, nor be converted in place."""
    if type.blank is None:
        type.blank = zero(type)
    found: Object = type.blank
    return found


def zero(type: Type) -> Any:
    """An empty object of a type as Go writes it, with which new objects are compared."""
    if type.kind != "struct":
        return _ZEROS.get(type.kind)
    return {one.name: _zero_member(one) for one in type.fields.values() if not one.omit}


def _zero_member(member: Field) -> Any:
    return None if member.pointer else zero(member.type)


_ZEROS: dict[str, Any] = {
    "string": "",
    "duration": "0s",
    "int32": 0,
    "int64": 0,
    "number": 0,
    "bool": False,
    "quantity": "0",
    "intorstring": 0,
}

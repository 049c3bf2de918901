"""metadata.managedFields: records which field manager set which field (apimachinery util/managedfields).

Entries are keyed by an identity: the JSON text by which upstream sorts them. A manager that changes a field
by another verb than apply takes it from all other managers.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from operator import attrgetter
from typing import Any

from pilothouse.api.changes import _fieldset as fieldset
from pilothouse.api.changes._fieldset import FieldError
from pilothouse.api.types.schema import Field, Type
from pilothouse.api.values.fields import Object
from pilothouse.caches import Memo
from pilothouse.gotext import quote

Path = tuple[str, ...]
Set = dict[str, Any]
Convert = Callable[[list[Object]], list[Object]]
Versions = Callable[[str], tuple[Type, Convert] | None]
"""Gives for another API version its type and how objects of the request's version become objects of it; None
when the version is no longer known. The conversion may raise Unconverted."""

MAX_UPDATERS = 10
"""Number of Update entries that are kept separate; older ones are merged into one."""
ANCIENT = "ancient-changes"
APPLY, UPDATE = "Apply", "Update"

_SYSTEM = ("name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation")
_STRIPPED = fieldset.of(
    [("f:apiVersion",), ("f:kind",), ("f:metadata",)]
    + [("f:metadata", f"f:{name}") for name in (*_SYSTEM, "managedFields", "resourceVersion")]
)


class Unconverted(Exception):
    """Objects are not there in the API version `to` yet; `content` is the JSON list of them.

    The caller converts them and calls again with the same arguments.
    """

    def __init__(self, content: bytes, to: str) -> None:
        super().__init__(f"objects are not converted to {to} yet")
        self.content = content
        self.to = to


class ConversionError(FieldError):
    """An object cannot be converted to the version of an entry."""


@dataclass(slots=True)
class ManagedFieldsEntry:
    """A ManagedFieldsEntry; `time` is RFC 3339 text or "", `fields` is a field set."""

    manager: str
    operation: str
    api_version: str
    subresource: str = ""
    time: str = ""
    fields: Set = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """The entry's key. Applying in another version updates the same entry;
        other writes make one per version."""
        return identity(self.manager, self.operation, self.api_version, self.subresource)

    def holding(self, fields: Set) -> "ManagedFieldsEntry":
        """The same entry with other fields."""
        return ManagedFieldsEntry(
            self.manager, self.operation, self.api_version, self.subresource, self.time, fields
        )

    def encode(self) -> Object:
        out = {"manager": self.manager, "operation": self.operation, "apiVersion": self.api_version}
        if not self.manager:
            del out["manager"]
        encoded: Object = out
        if self.time:
            encoded["time"] = self.time
        encoded["fieldsType"] = "FieldsV1"
        encoded["fieldsV1"] = fieldset.ordered(self.fields)
        if self.subresource:
            encoded["subresource"] = self.subresource
        return encoded


Entries = dict[str, ManagedFieldsEntry]


def identity(manager: str, operation: str, api_version: str, subresource: str) -> str:
    """The text that identifies an entry and sorts conflicts (BuildManagerIdentifier)."""
    if len(manager) + len(api_version) + len(subresource) > _LONG_IDENTITY:
        return _identity(manager, operation, api_version, subresource)
    return _known_identity(manager, operation, api_version, subresource)


def _identity(manager: str, operation: str, api_version: str, subresource: str) -> str:
    parts = {
        "manager": manager,
        "operation": operation,
        "apiVersion": "" if operation == APPLY else api_version,
        "subresource": subresource,
    }
    return json.dumps({name: text for name, text in parts.items() if text}, separators=(",", ":"))


_LONG_IDENTITY = 256
"""Longest identity that is cached, in characters."""
_known_identity = lru_cache(maxsize=1024)(_identity)
Memo("managers", 2 * _LONG_IDENTITY, 1024, lambda: _known_identity.cache_info().currsize)


def decode(encoded: list[Object] | None) -> Entries:
    """Decode managedFields to entries; raises FieldError for an invalid one."""
    out: Entries = {}
    for i, one in enumerate(encoded or ()):
        fields_type = one.get("fieldsType", "")
        if one.get("operation") not in {APPLY, UPDATE}:
            raise FieldError("operation must be `Apply` or `Update`")
        if not one.get("apiVersion"):
            raise FieldError("apiVersion must not be empty")
        if not fields_type:
            raise FieldError(f"missing fieldsType in managed fields entry {i}")
        if fields_type != "FieldsV1":
            raise FieldError(f"invalid fieldsType {quote(fields_type)} in managed fields entry {i}")
        entry = ManagedFieldsEntry(
            one.get("manager", ""),
            one["operation"],
            one["apiVersion"],
            one.get("subresource", ""),
            one.get("time") or "",
            fieldset.parse(one.get("fieldsV1")),
        )
        out[identity(entry.manager, entry.operation, entry.api_version, entry.subresource)] = entry
    return out


def encode(entries: Entries) -> list[Object]:
    """Encode entries as managedFields: Apply entries before Update entries, older ones first."""
    return [entry.encode() for entry in sorted(entries.values(), key=_ORDER)]


_ORDER = attrgetter("operation", "time", "manager", "api_version", "subresource")


@dataclass(slots=True)
class Tracker:
    """Computes field ownership for one write.

    `reset` are paths that cannot be owned through this endpoint. `versions`: see `Versions`; if None, all
    entries are assumed to be in the request's version.
    """

    type: Type
    api_version: str
    subresource: str
    now: str
    reset: tuple[Path, ...] = ()
    versions: Versions | None = None

    def update(self, entries: Entries, live: Object, new: Object, manager: str) -> None:
        """Make `manager` the owner of all fields that differ in `new` (an Update)."""
        if entries:
            self.reconcile(entries)
        added, modified, removed = self.compare(self.type, live, new)
        changed = fieldset.union(modified, added)
        if entries:
            for key, lost, gone in self.losses(entries, live, new, "", (changed, removed)):
                self.take(entries, key, lost, gone)
        own = fieldset.difference(changed, _STRIPPED)
        if not own:
            return
        entry = ManagedFieldsEntry(
            manager or "unknown", UPDATE, self.api_version, self.subresource, self.now, own
        )
        key = identity(entry.manager, UPDATE, self.api_version, self.subresource)
        previous = entries.get(key)
        if previous is not None:
            entry.fields = fieldset.union(own, previous.fields)
        entries[key] = entry
        if len(entries) > MAX_UPDATERS:
            cap(entries)

    def compare(self, type: Type, old: Object, new: Object) -> tuple[Set, Set, Set]:
        """The sets (added, modified, removed) without the paths in `reset`."""
        added, modified, removed = fieldset.compare(type, old, new)
        if self.reset:
            added = added and self.filtered(added)
            modified = modified and self.filtered(modified)
            removed = removed and self.filtered(removed)
        return added, modified, removed

    def filtered(self, fields: Set) -> Set:
        """The set without the paths in `reset`."""
        if not self.reset or not fields:
            return fields
        return fieldset.recursive_difference(fields, _set_of(self.reset))

    def losses(
        self, entries: Entries, live: Object, new: Object, writer: str, changes: tuple[Set, Set]
    ) -> list[tuple[str, Set, Set]]:
        """For each entry except `writer`:
        (identity, its fields that the write changes, fields that it removes).

        `changes` are (changed, removed) in the request's version. Entries of unknown versions are dropped.
        """
        known = {self.api_version: changes}
        out = []
        for key, entry in list(entries.items()):
            if key == writer:
                continue
            if entry.api_version not in known:
                other = self.version(entry.api_version)
                if other is None:
                    del entries[key]
                    continue
                type, convert = other
                before, after = convert([live, new])
                _check_converted(type, before, "old")
                _check_converted(type, after, "new")
                added, modified, removed = self.compare(type, before, after)
                known[entry.api_version] = fieldset.union(modified, added), removed
            changed, removed = known[entry.api_version]
            out.append((key, fieldset.intersection(entry.fields, changed), removed))
        return out

    def version(self, api_version: str) -> tuple[Type, Convert] | None:
        """The type of an entry's version and the conversion to it;
        None if the version is not served any more."""
        if api_version == self.api_version or self.versions is None:
            return self.type, lambda objects: objects
        return self.versions(api_version)

    def back(self, obj: Object) -> Object:
        """An object of another version in the request's version."""
        own = self.versions(self.api_version) if self.versions is not None else None
        return own[1]([obj])[0] if own is not None else obj

    def take(self, entries: Entries, key: str, lost: Set, gone: Set) -> None:
        """Remove fields from an entry that others have changed or that were removed;
        delete it once it is empty."""
        entry = entries[key]
        # Two differences instead of one with a union:
        # `gone` is the same set for each of possibly many entries.
        left = fieldset.difference(fieldset.difference(entry.fields, lost), gone)
        if not left:
            del entries[key]
        elif left is not entry.fields:
            entries[key] = entry.holding(left)

    def reconcile(self, entries: Entries) -> None:
        """Make entries own an atomic field as a whole if it was granular when they were written."""
        for key, entry in list(entries.items()):
            other = self.version(entry.api_version)
            if other is None:
                del entries[key]
                continue
            fields = fieldset.reconcile(other[0], entry.fields)
            if fields is not entry.fields:
                entries[key] = entry.holding(fields)


def _check_converted(type: Type, obj: Object, which: str) -> None:
    """Raise ConversionError if the converted object has members that its type does not know."""
    wrong = fieldset.validate(type, obj, True)
    if wrong:
        raise ConversionError(f"failed to convert {which} object: {fault_text(wrong)}")


def fault_text(wrong: list[str]) -> str:
    """One fault, or all in lines (structured-merge-diff ValidationErrors)."""
    return wrong[0] if len(wrong) == 1 else "\n  ".join(["errors:", *wrong])


@lru_cache(maxsize=256)
def _set_of(members: tuple[Path, ...]) -> Set:
    return fieldset.of(tuple(f"f:{name}" for name in path) for path in members)


def strip(fields: Set) -> Set:
    """The set without fields that nobody can own: the object's identity and fields set by the server."""
    return fieldset.difference(fields, _STRIPPED)


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
        tracker.update(entries, live, new, manager)
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
            if entries := decode(sent):
                return entries
        except FieldError:
            pass
    try:
        return decode(live) if live else {}
    except FieldError:
        return {}


def cap(entries: Entries) -> None:
    """Merge the oldest Update entries of each version while there are too many."""
    updaters = sorted(
        (key for key, entry in entries.items() if entry.operation == UPDATE),
        key=lambda key: (entries[key].time, key),
    )
    count = len(updaters)
    first: dict[str, str] = {}
    joined: dict[str, list[Set]] = {}  # sets to merge per bucket, united once at the end
    for key in updaters:
        if count <= MAX_UPDATERS:
            break
        entry = entries[key]
        if entry.api_version not in first:
            first[entry.api_version] = key
            continue
        bucket = ManagedFieldsEntry(ANCIENT, UPDATE, entry.api_version)
        if bucket.identity not in entries:
            oldest = entries.pop(first[entry.api_version])
            entries[bucket.identity] = replace(bucket, fields=oldest.fields)
        if bucket.identity not in joined:
            joined[bucket.identity] = [entries[bucket.identity].fields]
        joined[bucket.identity].append(entry.fields)
        del entries[key]
        entries[bucket.identity] = replace(bucket, time=entry.time)
        count -= 1
    for key, sets in joined.items():
        entries[key].fields = fieldset.union_all(sets)


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

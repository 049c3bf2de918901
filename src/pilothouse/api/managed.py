"""metadata.managedFields: which manager set which field (apimachinery util/managedfields).

Entries are held by an identity, the JSON text upstream sorts them by. Whoever writes a field by another verb
than apply takes it from all others.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from pilothouse import _fieldset as fieldset
from pilothouse._fieldset import FieldError
from pilothouse.api.fields import Object, quote
from pilothouse.api.schema import Field, Type
from pilothouse.caches import Memo

Path = tuple[str, ...]
Set = dict[str, Any]
Convert = Callable[[list[Object]], list[Object]]
Versions = Callable[[str], tuple[Type, Convert] | None]
"""Gives for another API version its type and how objects of the request's version become objects of it; None when
the version is no longer known. The conversion may raise Unconverted."""

MAX_UPDATERS = 10
"""How many Update entries are kept apart; older ones share one."""
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
    """An object has no form in the version of one of its entries."""


@dataclass(slots=True)
class Entry:
    """A ManagedFieldsEntry; `time` is RFC 3339 text or "", `fields` a set."""

    manager: str
    operation: str
    api_version: str
    subresource: str = ""
    time: str = ""
    fields: Set = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """Applying again in another version goes to the same entry, updating does not."""
        return identity(self.manager, self.operation, self.api_version, self.subresource)

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


Entries = dict[str, Entry]


def identity(manager: str, operation: str, api_version: str, subresource: str) -> str:
    """The text that tells entries apart, and by which conflicts are sorted (BuildManagerIdentifier)."""
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
"""Characters above which an identity is not remembered."""
_known_identity = lru_cache(maxsize=1024)(_identity)
Memo("managers", 2 * _LONG_IDENTITY, 1024, lambda: _known_identity.cache_info().currsize)


def decode(encoded: list[Object] | None) -> Entries:
    """The entries of managedFields; FieldError says what is wrong with one."""
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
        entry = Entry(
            one.get("manager", ""),
            one["operation"],
            one["apiVersion"],
            one.get("subresource", ""),
            one.get("time") or "",
            fieldset.parse(one.get("fieldsV1")),
        )
        out[entry.identity] = entry
    return out


def encode(entries: Entries) -> list[Object]:
    """managedFields: appliers before updaters, older entries first."""

    def order(entry: Entry) -> tuple[str, ...]:
        return entry.operation, entry.time, entry.manager, entry.api_version, entry.subresource

    return [entry.encode() for entry in sorted(entries.values(), key=order)]


@dataclass(slots=True)
class Tracker:
    """What a write knows when it works out who owns what.

    reset: paths that this endpoint never lets anyone own. versions: see `Versions`; without it every entry is
    taken to be in the form of the request's version.
    """

    type: Type
    api_version: str
    subresource: str
    now: str
    reset: tuple[Path, ...] = ()
    versions: Versions | None = None

    def update(self, entries: Entries, live: Object, new: Object, manager: str) -> None:
        """Give `manager` what is different in `new` (an Update)."""
        self.reconcile(entries)
        added, modified, removed = self.compare(self.type, live, new)
        changed = fieldset.union(modified, added)
        for key, lost, gone in self.losses(entries, live, new, "", (changed, removed)):
            self.take(entries, key, lost, gone)
        own = fieldset.difference(changed, _STRIPPED)
        if not own:
            return
        entry = Entry(manager or "unknown", UPDATE, self.api_version, self.subresource, self.now, own)
        previous = entries.get(entry.identity)
        if previous is not None:
            entry.fields = fieldset.union(own, previous.fields)
        entries[entry.identity] = entry
        cap(entries)

    def compare(self, type: Type, old: Object, new: Object) -> tuple[Set, Set, Set]:
        """The sets (added, modified, removed), less what the endpoint resets."""
        added, modified, removed = fieldset.compare(type, old, new)
        return self.filtered(added), self.filtered(modified), self.filtered(removed)

    def filtered(self, fields: Set) -> Set:
        if not self.reset or not fields:
            return fields
        return fieldset.recursive_difference(fields, _set_of(self.reset))

    def losses(
        self, entries: Entries, live: Object, new: Object, writer: str, changes: tuple[Set, Set]
    ) -> list[tuple[str, Set, Set]]:
        """Per entry other than `writer`: (identity, its fields that are written, fields that are removed).

        `changes` are (changed, removed) in the request's version. Entries of forgotten versions are dropped.
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
        """The type of an entry's version and the way there; None for a version that is gone."""
        if api_version == self.api_version or self.versions is None:
            return self.type, lambda objects: objects
        return self.versions(api_version)

    def back(self, obj: Object) -> Object:
        """An object of another version in the request's version."""
        own = self.versions(self.api_version) if self.versions is not None else None
        return own[1]([obj])[0] if own is not None else obj

    def take(self, entries: Entries, key: str, lost: Set, gone: Set) -> None:
        """Take fields that others write or that are gone from an entry, and the entry away when nothing is left."""
        entry = entries[key]
        # Not one difference from a union: there may be many entries, and all that is gone is the same for each.
        left = fieldset.difference(fieldset.difference(entry.fields, lost), gone)
        if not left:
            del entries[key]
        elif left is not entry.fields:
            entries[key] = replace(entry, fields=left)

    def reconcile(self, entries: Entries) -> None:
        """Let entries own an atomic field as a whole that was granular when they were written."""
        for key, entry in list(entries.items()):
            other = self.version(entry.api_version)
            if other is None:
                del entries[key]
                continue
            fields = fieldset.reconcile(other[0], entry.fields)
            if fields is not entry.fields:
                entries[key] = replace(entry, fields=fields)


def _check_converted(type: Type, obj: Object, which: str) -> None:
    """What one version has and another does not know shows only here."""
    wrong = fieldset.validate(type, obj, True)
    if wrong:
        text = wrong[0] if len(wrong) == 1 else "\n  ".join(["errors:", *wrong])
        raise ConversionError(f"failed to convert {which} object: {text}")


@lru_cache(maxsize=256)
def _set_of(members: tuple[Path, ...]) -> Set:
    return fieldset.of(tuple(f"f:{name}" for name in path) for path in members)


def strip(fields: Set) -> Set:
    """A set without the fields that nobody owns: the object's identity and what the server sets."""
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
) -> None:
    """Set new.metadata.managedFields for any write but an apply; both objects are in the request's version.

    What the client sent there counts as the state before, unless it is void or the write is one of a
    subresource; an empty list, or one empty entry, clears it. An object that has no entries stays untracked.
    """
    metadata = new.setdefault("metadata", {})
    sent = metadata.pop("managedFields", None)
    before = (live or {}).get("metadata") or {}
    entries = _base(before.get("managedFields"), sent, subresource)
    if not entries and before.get("uid"):
        return
    tracker = Tracker(type, api_version, subresource, now, reset, versions)
    try:
        tracker.update(entries, zero(type) if live is None else live, new, manager)
    except FieldError:  # as upstream: better untracked than refused
        return
    except Unconverted:
        if sent is not None:
            metadata["managedFields"] = sent
        raise
    if entries:
        metadata["managedFields"] = encode(entries)


def _base(live: list[Object] | None, sent: list[Object] | None, subresource: str) -> Entries:
    """The entries a write starts from (decodeLiveOrNew)."""
    if not subresource and sent is not None:
        if sent in ([], [{}]):
            return {}
        try:
            if entries := decode(sent):
                return entries
        except FieldError:
            pass
    try:
        return decode(live)
    except FieldError:
        return {}


def cap(entries: Entries) -> None:
    """Join the oldest Update entries of a version into one while there are too many."""
    updaters = sorted(
        (key for key, entry in entries.items() if entry.operation == UPDATE),
        key=lambda key: (entries[key].time, key),
    )
    count = len(updaters)
    first: dict[str, str] = {}
    joined: dict[str, list[Set]] = {}  # what goes into each bucket; united at the end, once for all
    for key in updaters:
        if count <= MAX_UPDATERS:
            break
        entry = entries[key]
        if entry.api_version not in first:
            first[entry.api_version] = key
            continue
        bucket = Entry(ANCIENT, UPDATE, entry.api_version)
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


def zero(type: Type) -> Any:
    """An object of a type as Go writes an empty one: what a new object is compared with."""
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

"""Server-side apply: merges a configuration into the live object and updates the ownership of its fields.

Upstream: structured-merge-diff merge/update.go and apimachinery util/managedfields.
"""

import json
from typing import Any

import orjson

from pilothouse import errors
from pilothouse.api import meta
from pilothouse.api.changes import _fieldset as fieldset
from pilothouse.api.changes import managed
from pilothouse.api.changes._fieldset import (
    ConversionError,
    FieldError,
    ManagedFieldsEntry,
    Tracker,
    decode,
    encode,
    fault_text,
)
from pilothouse.api.changes.managed import APPLY, UPDATE, Entries, Key, Path, Set, Versions
from pilothouse.api.changes.patch import copy
from pilothouse.api.types.schema import Type
from pilothouse.api.values import names, times
from pilothouse.api.values.fields import Object
from pilothouse.gotext import quote

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
KUBECTL = "kubectl"
"""The field manager that takes over the fields which kubectl set by client-side apply."""
BEFORE_FIRST_APPLY = "before-first-apply"
"""The manager recorded as owner of all fields of an object
without managedFields when it is first applied to."""


def apply(
    live: Object | None,
    config: Object,
    *,
    type: Type,
    manager: str,
    force: bool,
    api_version: str,
    kind: str = "",
    subresource: str = "",
    now: str,
    reset: tuple[Path, ...] = (),
    versions: Versions | None = None,
) -> Object:
    """Merge `config` into the live object (None: an empty one) and return it with its new managedFields.

    Unchanged parts are shared with `live` and `config`. `live` is in the request's version. The result is
    neither defaulted nor canonical yet. Raises BadRequest for a configuration of another kind, errors.Unknown
    (500) for one that does not fit the type, and Conflict.
    """
    check_identity(config, api_version, kind)
    tracker = Tracker(type, api_version, subresource, now, reset, versions)
    current = managed.zero(type) if live is None else live
    try:
        owned = (current.get("metadata") or {}).get("managedFields")
        entries = decode(owned, owned)
    except FieldError as err:
        raise errors.Unknown(f"failed to decode managed fields: {err}") from None
    if not entries:
        _track_existing(tracker, entries, current)
    check_config(type, config)
    entry = ManagedFieldsEntry(manager, APPLY, api_version, subresource)
    attempt = _Attempt(tracker, current, config, entry, entries)
    conflicts = [] if force else attempt.conflicts()
    if conflicts and manager == KUBECTL:
        allowed = _kept_since_last_applied(type, current, api_version)
        conflicts = [one for one in conflicts if not fieldset.has(allowed, one[1])]
    if conflicts:
        raise _conflict(conflicts)
    obj = attempt.result()
    if manager == KUBECTL:
        _keep_last_applied(obj, config)
    return obj


def check_identity(config: Object, api_version: str, kind: str) -> None:
    """Refuse a configuration of another version or kind (BadRequest)."""
    named = config.get("apiVersion"), config.get("kind")
    have = tuple(map(_text, named))
    if have[0] != api_version or (kind and have[1] != kind):
        raise errors.BadRequest(f"invalid object type: {_kind_text(*have)}")


def _text(value: Any) -> str:
    """A member that may have any type: a text, else ""."""
    return value if isinstance(value, str) else ""


def _kind_text(api_version: str, kind: str) -> str:
    """Go's text for a GroupVersionKind: `apps/v1, Kind=Deployment`."""
    group, _, version = api_version.rpartition("/")
    return f"{group}/{version}, Kind={kind}"


_MANAGED = ".metadata.managedFields"
_UNDECLARED = ": field not declared in schema"
"""The end of a fault that a reader of managedFields does not see: it passes by unknown members."""


def check_config(type: Type, config: Object) -> None:
    """Refuse a configuration that does not fit its type
    (500, errors.Unknown) or brings managedFields (BadRequest)."""
    metadata = config.get("metadata")
    inner = metadata if isinstance(metadata, dict) else {}
    wrong = fieldset.validate(type, config)
    given = inner.get("managedFields") is not None and not unreadable(inner)
    if given and not any(_MANAGED in text and not text.endswith(_UNDECLARED) for text in wrong):
        raise errors.BadRequest("metadata.managedFields must be nil")
    if wrong:
        raise errors.Unknown(
            f"failed to create typed patch object ({_named_kind(config)}): {fault_text(wrong)}"
        )


def unreadable(metadata: Object) -> str:
    """Why applied managedFields cannot be read, as upstream reads them; then they count as none. Else ""."""
    entries = metadata.get("managedFields")
    texts = [one.get("time") for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []
    return next(
        filter(None, (times.fault(text, times.SECONDS) for text in texts if isinstance(text, str))), ""
    )


def _track_existing(tracker: Tracker, entries: Entries, live: Object) -> None:
    """Create an entry that owns all fields of an object without managedFields."""
    try:
        tracker.update(entries, managed.zero(tracker.type), live, BEFORE_FIRST_APPLY)
    except FieldError as err:
        wrong = [text for text in fieldset.validate(tracker.type, live) if _TWICE not in text]
        text = fault_text(wrong or [str(err)])
        why = f"failed to convert new object ({_named_kind(live)}) to smd typed: {text}"
        raise errors.Unknown(f"failed to create manager for existing fields: {why}") from None


_TWICE = ": duplicate entries for key "
"""A fault of what is applied, and none of what is there."""


def _named_kind(obj: Object) -> str:
    metadata = obj.get("metadata")
    inner = metadata if isinstance(metadata, dict) else {}
    named = f"{_text(inner.get('namespace'))}/{_text(inner.get('name'))}"
    return f"{named}; {_kind_text(obj.get('apiVersion') or '', obj.get('kind') or '')}"


class _Attempt:
    """One apply: the merged object, and the fields that it takes from other managers."""

    def __init__(
        self, tracker: Tracker, live: Object, config: Object, entry: ManagedFieldsEntry, entries: Entries
    ) -> None:
        self.tracker, self.live, self.entries = tracker, live, entries
        self.key = entry.key
        try:
            tracker.reconcile(entries)
            merged = fieldset.merge(tracker.type, live, config)
            fields = tracker.filtered(fieldset.from_object(tracker.type, config))
            last = entries.get(self.key)
            entries[self.key] = entry.replaced(fields, None if last is None else last.time)
            self.merged = merged if last is None else self._prune(merged, last)
            changes = tracker.changes(tracker.type, live, self.merged)
            self.losses = tracker.losses(entries, live, self.merged, entries[self.key], changes)
        except ConversionError as err:
            raise errors.Unknown(str(err)) from None
        except FieldError as err:
            raise errors.Unknown(f"failed to merge config: {err}") from None

    def conflicts(self) -> list[tuple[ManagedFieldsEntry, Path]]:
        """Fields of other managers that would change, sorted by manager and path."""
        found = sorted((entry.identity, entry, lost) for entry, lost, _ in self.losses if lost)
        return [(entry, path) for _, entry, lost in found for path in fieldset.paths(lost)]

    def result(self) -> Object:
        """The merged object with its managedFields; the entry's time is kept if the object is unchanged."""
        for entry, lost, removed in self.losses:
            self.tracker.take(self.entries, entry, lost, removed)
        own = self.entries[self.key]
        fields = fieldset.strip(own.fields)
        if fields:
            same = self.merged == self.live
            self.entries[self.key] = own.replaced(fields, own.time if same else self.tracker.now)
        else:
            del self.entries[self.key]
        obj: Object = dict(self.merged)
        metadata = obj["metadata"] = dict(obj.get("metadata") or {})
        metadata.pop("managedFields", None)
        if self.entries:
            metadata["managedFields"] = encode(self.entries)
        return obj

    def _prune(self, merged: Object, last: ManagedFieldsEntry) -> Object:
        """Remove fields that the manager applied last time but not now, unless another manager owns them."""
        other = self.tracker.version(last.api_version)
        last_fields = fieldset.parse(last.fields)
        if not last_fields or other is None:
            return merged
        if last.api_version == self.tracker.api_version and not fieldset.difference(
            last_fields, self.entries[self.key].fields
        ):
            return merged  # all of these fields are applied again
        type, convert = other
        (converted,) = convert([merged])
        last_set = fieldset.with_named_members(type, last_fields)
        pruned = fieldset.remove(type, converted, last_set)
        pruned = self._add_back_owned(type, converted, pruned, last.api_version)
        gone = fieldset.difference(_named(type, converted), _named(type, pruned))
        left: Object = fieldset.remove(type, converted, fieldset.intersection(gone, last_set))
        if last.api_version == self.tracker.api_version:
            return left
        # The last apply was in another version: remove from the merged object what was removed there.
        missing = fieldset.difference(_named(type, converted), _named(type, left))
        try:
            kept: Object = fieldset.remove(self.tracker.type, merged, missing)
        except FieldError:  # this version calls them otherwise
            return self.tracker.back(left)
        return kept

    def _add_back_owned(self, type: Type, converted: Object, pruned: Any, api_version: str) -> Any:
        """Restore fields that another manager, or this configuration, owns."""
        claimed = fieldset.union_all(
            fieldset.parse(entry.fields)
            for entry in self.entries.values()
            if entry.api_version == api_version or self.tracker.versions is None or entry.key == self.key
        )
        keep = fieldset.union(_named(type, pruned), fieldset.with_named_members(type, claimed))
        return fieldset.remove(type, converted, fieldset.difference(_named(type, converted), keep))


def _named(type: Type, value: Any) -> Set:
    return fieldset.with_named_members(type, fieldset.from_object(type, value))


# Conflicts


MAX_LISTED = 64 * 1024
"""Characters of paths that a conflict lists;
an object may have very many fields, each with long list keys."""


def _conflict(conflicts: list[tuple[ManagedFieldsEntry, Path]]) -> errors.Conflict:
    """The Conflict that lists the fields and their managers."""
    causes: list[dict[str, str]] = []
    lines: list[str] = []
    last: Key = ()
    length = 0
    for entry, path in conflicts:
        manager, field = _manager_text(entry), fieldset.path_text(path)
        message = f"conflict with {manager}"
        causes.append({"reason": "FieldManagerConflict", "message": message, "field": field})
        if len(conflicts) == 1:
            lines.append(f"{message}: {field}")
            break
        if entry.key != last:
            last = entry.key
            lines.append(f"conflicts with {manager}:")
        lines.append(f"- {field}")
        length += len(field) + len(message)
        if length > MAX_LISTED:
            lines.append(f"... and {len(conflicts) - len(causes)} more")
            break
    count = "1 conflict" if len(conflicts) == 1 else f"{len(conflicts)} conflicts"
    text = f"{count}: " + "\n".join(lines)
    return errors.FieldConflicts(f"Apply failed with {text}", details={"causes": causes})


def _manager_text(entry: ManagedFieldsEntry) -> str:
    text = quote(entry.manager)
    if entry.subresource:
        text += f" with subresource {quote(entry.subresource)}"
    return f"{text} using {entry.api_version}" if entry.operation == UPDATE else text


# Migration from kubectl's client-side apply


def _kept_since_last_applied(type: Type, live: Object, api_version: str) -> Set:
    """Fields in the last-applied annotation that are unchanged, which kubectl may take over."""
    text = ((live.get("metadata") or {}).get("annotations") or {}).get(LAST_APPLIED)
    if not text:
        return {}
    try:
        last = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(last, dict) or last.get("apiVersion") != api_version or fieldset.validate(type, last):
        return {}
    try:
        kept = fieldset.from_object(type, last)
        for changed in fieldset.compare(type, last, live):
            kept = fieldset.difference(kept, changed)
    except FieldError:
        return {}
    return kept


def _keep_last_applied(obj: Object, config: Object) -> None:
    """Update the last-applied annotation, for clients that still use client-side apply."""
    annotations = obj["metadata"].get("annotations") or {}
    if not annotations.get(LAST_APPLIED):
        return
    applied = copy(config)
    inner = (applied.get("metadata") or {}).get("annotations")
    if inner:
        inner.pop(LAST_APPLIED, None)
    text = json.dumps(applied, separators=(",", ":"), sort_keys=True, ensure_ascii=False) + "\n"
    text = text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    annotations = obj["metadata"]["annotations"] = {**annotations, LAST_APPLIED: text}
    if (
        sum(names.size(name) + names.size(value) for name, value in annotations.items())
        > meta.ANNOTATIONS_MAX
    ):
        del annotations[LAST_APPLIED]

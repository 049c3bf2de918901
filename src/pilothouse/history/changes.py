"""Kept changes as objects of the API (history/resources.py)."""

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from pilothouse.api.values.fields import Object
from pilothouse.history._delta import difference
from pilothouse.history.delta import ABSENT, Difference, differences
from pilothouse.history.file import ChangeKind
from pilothouse.history.kept import KeptChange
from pilothouse.history.paths import hidden, shown
from pilothouse.history.places import Place
from pilothouse.history.resources import API_VERSION
from pilothouse.history.times import timestamp
from pilothouse.registry.catalog import Catalog
from pilothouse.storage.sqlite.changes import first_of, revision_of

OPERATIONS = {
    ChangeKind.CREATED: "Created",
    ChangeKind.CHANGED: "Changed",
    ChangeKind.REPLACED: "Changed",
    ChangeKind.DELETED: "Deleted",
    ChangeKind.UNREADABLE: "Changed",
    ChangeKind.UNREADABLE_DELETED: "Deleted",
}
MOST_SUMMARY = 120
MOST_DELTA = 1 << 30


def name_of(change: KeptChange) -> str:
    """The name of a change: its revision, and its place among the changes of that."""
    return name_of_id(change.id)


def name_of_id(id: int) -> str:
    """The name of the change with an id."""
    revision = revision_of(id)
    place = id - first_of(revision)
    return f"r{revision}.{place}" if place else f"r{revision}"


def id_of(name: str) -> int:
    """The id of the change with a name, 0 when no change has it."""
    revision, _, place = name.removeprefix("r").partition(".")
    if not f"{revision}{place}".isascii() or not revision.isdigit() or len(name) > 24:
        return 0
    id = first_of(int(revision)) + (int(place) if place.isdigit() else 0)
    return id if name == name_of_id(id) else 0


def values_of(change: KeptChange, after: bytes | None) -> Iterator[Difference]:
    """The values that a change has changed. `after` is the object after it, which is needed where the whole
    object before it is kept."""
    if change.kind is ChangeKind.CHANGED:
        yield from differences(orjson.loads(change.value))
    elif change.kind is ChangeKind.REPLACED and after is not None:
        delta = difference(change.value, after, MOST_DELTA)
        if delta is None:
            yield Difference((), orjson.loads(change.value), orjson.loads(after))
        else:
            yield from differences(orjson.loads(delta))


class Changes:
    """Makes objects of kept changes. catalog: tells the kinds of resources."""

    def __init__(self, catalog: Catalog, place_of: Callable[[str], Place]) -> None:
        self._catalog = catalog
        self._place_of = place_of

    def place_of(self, change: KeptChange) -> Place:
        """The resource, namespace and name of the object."""
        return self._place_of(change.key)

    def shown(self, change: KeptChange, after: bytes | None) -> Object:
        """A change as an object of kind Change or ClusterChange."""
        place = self.place_of(change)
        fields = [field(one) for one in values_of(change, after) if not hidden(one.path)]
        metadata: Object = {
            "name": name_of(change),
            "resourceVersion": str(change.revision),
            "creationTimestamp": timestamp(change.time_ms)[:19] + "Z",
        }
        if place.namespace:
            metadata["namespace"] = place.namespace
        return {
            "apiVersion": API_VERSION,
            "kind": "Change" if place.namespace else "ClusterChange",
            "metadata": metadata,
            "object": self._object(place),
            "operation": OPERATIONS[change.kind],
            **authorship(change),
            "summary": summary(change, fields),
            "fields": fields,
        }

    def _object(self, place: Place) -> Object:
        out: Object = {"resource": place.resource, "name": place.name}
        if place.namespace:
            out["namespace"] = place.namespace
        resource = self._catalog.by_group_resource(place.resource)
        if resource is not None:
            out.update(apiVersion=resource.api_version, kind=resource.kind)
        return out


def authorship(change: KeptChange) -> Object:
    """The members that tell who has made a change, when, and by which request."""
    out: Object = {"time": timestamp(change.time_ms), "revision": str(revision_of(change.id))}
    if change.audit_id:
        out["auditID"] = change.audit_id
    author = change.author
    if author is not None and not author.is_known:
        out["authorUnknown"] = "another server has made the change"
    elif author is not None:
        out["user"] = {"username": author.user, "groups": list(author.groups)}
        out["verb"] = author.verb
        for name, value in (("manager", author.manager), ("subresource", author.subresource)):
            if value:
                out[name] = value
        if author.addresses:
            out["sourceIPs"] = author.addresses.split(",")
    return out


def field(one: Difference) -> Object:
    """A changed value as an item of `fields`."""
    out: Object = {"path": shown(one.path)}
    if one.old is not ABSENT:
        out["old"] = one.old
    if one.new is not ABSENT:
        out["new"] = one.new
    return out


def summary(change: KeptChange, fields: list[Object]) -> str:
    """One line about a change: the first field that was changed, and how many others."""
    if change.kind is ChangeKind.CREATED:
        return "created"
    if change.deletes:
        return "deleted"
    if not change.is_readable:
        return "a value could not be decrypted"
    if not fields:
        return "nothing but managed fields"
    first = fields[0]
    text = f"{first['path']}: {_brief(first, 'old')} -> {_brief(first, 'new')}"
    more = f" (+{len(fields) - 1})" if len(fields) > 1 else ""
    most = MOST_SUMMARY - len(more)
    return (text if len(text) <= most else text[: most - 3] + "...") + more


def _brief(field: Object, which: str) -> str:
    if which not in field:
        return "none"
    value: Any = field[which]
    return value if isinstance(value, str) and value and value.isprintable() else orjson.dumps(value).decode()

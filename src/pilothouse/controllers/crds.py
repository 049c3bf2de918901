"""Accepts the names of custom resource definitions, serves them, and deletes their objects with them.

Upstream: apiextensions-apiserver pkg/controller/{status,establish,apiapproval,finalizer}. Names are resolved
one group at a time from an index of accepted names, without reading the store.
"""

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import orjson

from pilothouse import errors
from pilothouse.api.validate import pem
from pilothouse.api.validate.common import is_true
from pilothouse.api.validate.crd import approval
from pilothouse.api.values.fields import Object
from pilothouse.controllers.queue import WorkQueue
from pilothouse.gotext import quote
from pilothouse.lifecycle import Background
from pilothouse.logs import Logger
from pilothouse.process.frozen import frozen
from pilothouse.registry.client import Client
from pilothouse.registry.crd import Definition, Definitions, Digests
from pilothouse.registry.groups.apiextensions import CLEANUP, GROUP, set_condition
from pilothouse.registry.resource import Resource
from pilothouse.storage._entry import Entry

log = Logger(__name__)

RETRY_SECONDS = 0.25
"""Seconds between two checks of the remaining objects of a definition that is being deleted."""
BATCH = 256
LARGE = 128 << 10
"""Bytes; the schemas of definitions above this size take milliseconds to compile, so a thread does it."""

FAULT = "NonStructuralSchema"
"""The condition of a stored definition that cannot be served."""

APPROVAL = {
    "invalid": ("False", "InvalidAnnotation"),
    "missing": ("False", "MissingAnnotation"),
    "approved": ("True", "ApprovedAnnotation"),
    "bypassed": ("False", "UnapprovedAnnotation"),
}


class _Accepted:
    """The accepted names of each definition of a group, and the number of definitions for each name."""

    def __init__(self) -> None:
        self.names: dict[str, Object] = {}
        self.resources: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()

    def put(self, definition: str, names: Object | None) -> Object | None:
        """Set a definition's names, None if it is deleted; returns its previous names."""
        before = self.names.pop(definition, None)
        if before is not None:
            self._count(before, -1)
        if names is not None:
            self.names[definition] = names
            self._count(names, 1)
        return before

    def _count(self, names: Object, by: int) -> None:
        resources = [names.get("plural"), names.get("singular"), *(names.get("shortNames") or ())]
        for counts, texts in (
            (self.resources, resources),
            (self.kinds, [names.get("kind"), names.get("listKind")]),
        ):
            for text in filter(None, texts):
                counts[text] += by
                if not counts[text]:
                    del counts[text]


@frozen
class _Findings:
    """The content of a stored definition, without its schemas.

    digests, definition: what several clusters have in common; None where nothing is.
    unfinished: its status may have to be updated though it has no fault.
    """

    obj: Object
    trouble: str
    unfinished: bool
    digests: Digests | None = None
    definition: Definition | None = None


def _found(obj: Object) -> _Findings:
    return _Findings(obj, _trouble(obj), _unfinished(obj, ""))


class CustomResourceDefinitions(Background):
    """Follows the definitions. Always enabled, because custom resources are served only through it."""

    def __init__(self, client: Client, definitions: Definitions) -> None:
        self.client = client
        self.definitions = definitions
        self.resource = client.resource(GROUP, "v1", "customresourcedefinitions")
        self._accepted: dict[str, _Accepted] = defaultdict(_Accepted)
        """Group -> accepted names of its definitions."""
        self._waiting: dict[str, dict[str, None]] = defaultdict(dict)
        """Group -> definitions whose status must be updated."""
        self._refused: dict[str, set[str]] = defaultdict(set)
        """Group -> definitions that wait for names which another definition has."""
        self._naming = WorkQueue("crd-naming", self._name_group, metrics=client.metrics)
        self._deleting = WorkQueue("crd-deletion", self._empty, workers=4, metrics=client.metrics)
        self._compiling = WorkQueue("crd-compilation", self._compile, workers=1, metrics=client.metrics)

    def start(self) -> None:
        """Serve the existing definitions and follow their changes."""
        cache, readers = self.client.store.cache(self.resource), self.client.readers
        entries = cache.list(self.resource.key_prefix, None).entries
        judge = partial(self._to_share, entries)
        known = readers.judged("definitions", (self.resource.group_resource,), judge) or {}
        for entry in entries:
            self._process(entry.value, known.get(entry.key))
        cache.subscribe(self._changed)

    def _to_share(self, entries: Iterable[Entry]) -> dict[str, _Findings]:
        """The findings about the definitions that can be read, by their keys."""
        out = {}
        for entry in entries:
            with contextlib.suppress(Exception):  # it is told where each is processed
                obj = orjson.loads(entry.value)
                digests = Digests(entry.value, obj)
                made = None if digests.fault else self.definitions.to_share(entry.value, obj, digests)
                for version in obj["spec"]["versions"]:
                    version.pop("schema", None)
                out[entry.key] = replace(_found(obj), digests=digests, definition=made)
        return out

    async def close(self) -> None:
        await self._naming.close()
        await self._deleting.close()
        await self._compiling.close()

    def _changed(self, new: Entry | None, old: Entry | None) -> None:
        if new is not None:
            self._process(new.value)
        elif old is not None:
            self._unregister(orjson.loads(old.value))

    def _process(self, raw: bytes, known: _Findings | None = None) -> None:
        """Process a stored definition, with what is known of it; one that cannot be processed does not stop
        the others."""
        try:
            self._register(raw, known or _found(orjson.loads(raw)))
        except Exception:
            log.exception("A definition cannot be read", begins=repr(raw[:200]))

    def _register(self, raw: bytes, found: _Findings) -> None:
        obj = found.obj
        name, group = obj["metadata"]["name"], obj["spec"].get("group", "")
        accepted = (obj.get("status") or {}).get("acceptedNames") or {}
        before = self._accepted[group].put(name, accepted)
        self.definitions.apply(raw, obj, found.digests, found.definition)
        self.client.store.metrics.served(name, found.trouble)
        if len(raw) > LARGE:
            self._compiling.add(name)
        if before is not None and before != accepted:
            self._retry(group)
        fault = self.definitions.fault(name)
        if _unfinished(obj, fault) if fault else found.unfinished:
            self._waiting[group][name] = None
            self._naming.add(group)
        metadata = obj["metadata"]
        if metadata.get("deletionTimestamp") and CLEANUP in (metadata.get("finalizers") or ()):
            self._deleting.add(name)

    def _unregister(self, obj: Object) -> None:
        name, group = obj["metadata"]["name"], obj["spec"].get("group", "")
        self._accepted[group].put(name, None)
        self._refused[group].discard(name)
        self.definitions.remove(name)
        self.client.store.metrics.served(name)
        self._retry(group)
        if not self._accepted[group].names:
            for index in (self._accepted, self._waiting, self._refused):
                index.pop(group, None)

    def _retry(self, group: str) -> None:
        """Names were released: process the definitions again that wait for names."""
        if self._refused[group]:
            self._waiting[group].update(dict.fromkeys(self._refused[group]))
            self._refused[group].clear()
            self._naming.add(group)

    async def _compile(self, name: str) -> None:
        """Compile a large definition's schemas on a thread,
        so that its first request does not block the loop."""
        definition = self.definitions.get(name)
        if definition is not None:
            await asyncio.to_thread(definition.compile)

    # Names and conditions

    async def _name_group(self, group: str) -> float | None:
        waiting = self._waiting[group]
        while waiting:
            name = next(iter(waiting))
            del waiting[name]
            try:
                await self._name(group, name)
            except (errors.NotFound, errors.Conflict):
                continue
        return None

    async def _name(self, group: str, name: str) -> None:
        obj = self.client.get(self.resource, "", name)
        if obj is None:
            return
        now = self.client.now()
        status = self._status(group, obj, now)
        if not is_true({"status": status}, "NamesAccepted"):
            self._refused[group].add(name)
        if status == obj["status"]:
            return

        def edit(live: Object) -> None:
            live["status"] = self._status(group, live, now)

        await self.client.change(self.resource, "", name, edit, "status", obj["metadata"]["uid"])

    def _status(self, group: str, obj: Object, now: str) -> Object:
        """The status that a definition should have now."""
        out: Object = {"status": dict(obj["status"])}
        names, wrong = self._names(group, obj)
        status: Object = out["status"]
        known = {condition["type"] for condition in status.get("conditions") or ()}
        if obj["spec"]["names"] != status.get("acceptedNames") or "NamesAccepted" not in known:
            status["acceptedNames"] = names
            if wrong:
                set_condition(out, "NamesAccepted", "False", *wrong, now)
            else:
                set_condition(out, "NamesAccepted", "True", "NoConflicts", "no conflicts found", now)
        fault = self.definitions.fault(obj["metadata"]["name"])
        if fault:
            set_condition(out, FAULT, "True", "Violations", fault, now)
            set_condition(out, "Established", "False", "NotServed", f"not served: {fault}", now)
        elif FAULT in known:
            status["conditions"] = [c for c in status["conditions"] if c["type"] != FAULT]
        if not fault and not is_true(out, "Established"):
            self._establish(obj, out, now)
        if approval.is_protected(group):
            state, reason = approval.state(obj["metadata"].get("annotations"))
            set_condition(out, "KubernetesAPIApprovalPolicyConformant", *APPROVAL[state], reason, now)
        return status

    def _establish(self, obj: Object, out: Object, now: str) -> None:
        client = ((obj["spec"].get("conversion") or {}).get("webhook") or {}).get("clientConfig") or {}
        if not is_true(out, "NamesAccepted"):
            if all(c["type"] != "Established" for c in out["status"].get("conditions") or ()):
                set_condition(out, "Established", "False", "NotAccepted", "not all names are accepted", now)
        elif client.get("caBundle") and not pem.is_bundle(client["caBundle"]):
            why = "The conversion webhook CABundle is invalid"
            set_condition(out, "Established", "False", "InvalidCABundle", why, now)
        else:
            why = "the initial names have been accepted"
            set_condition(out, "Established", "True", "InitialNamesAccepted", why, now)

    def _names(self, group: str, obj: Object) -> tuple[Object, tuple[str, str] | None]:
        """The accepted names; and reason and message if a requested name is taken."""
        asked, have = obj["spec"]["names"], obj["status"].get("acceptedNames") or {}
        resources, kinds = self._accepted[group].resources, self._accepted[group].kinds
        out: Object = dict(have)
        wrong: tuple[str, str] | None = None
        for member, taken, reason in (
            ("plural", resources, "PluralConflict"),
            ("singular", resources, "SingularConflict"),
            ("shortNames", resources, "ShortNamesConflict"),
            ("kind", kinds, "KindConflict"),
            ("listKind", kinds, "ListKindConflict"),
        ):
            if member == "shortNames":
                own = set(have.get(member) or ())
                clashes = [s for s in asked.get(member) or () if s not in own and s in taken]
            else:
                clashes = (
                    [asked[member]] if asked[member] != have.get(member) and asked[member] in taken else []
                )
            if clashes:
                texts = list(dict.fromkeys(f"{quote(name)} is already in use" for name in clashes))
                wrong = reason, texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
            else:
                _copy_name(out, member, asked)
        _copy_name(out, "categories", asked)
        return out, wrong

    # Deletion

    async def _empty(self, name: str) -> float | None:
        """Delete a definition's objects, and remove its finalizer once none is left."""
        obj = self.client.get(self.resource, "", name)
        if obj is None or not obj["metadata"].get("deletionTimestamp"):
            return None
        if CLEANUP not in (obj["metadata"].get("finalizers") or ()):
            return None
        uid = obj["metadata"]["uid"]
        definition = self.definitions.get(name)
        if definition is None or not (definition.fault or is_true(obj, "Established")):
            outcome = ("NeverEstablished", "resource was never established")
        else:
            if await self._delete_all(definition.storage):
                await self._report(name, uid)
                return RETRY_SECONDS
            outcome = ("InstanceDeletionCompleted", "removed all instances")

        def finish(live: Object) -> None:
            set_condition(live, "Terminating", "False", *outcome, self.client.now())
            left = [f for f in live["metadata"].get("finalizers") or () if f != CLEANUP]
            live["metadata"]["finalizers"] = left
            if not left:
                del live["metadata"]["finalizers"]

        try:
            await self.client.change(self.resource, "", name, finish, "status", uid)
        except (errors.NotFound, errors.Conflict):
            return None
        return None

    async def _delete_all(self, resource: Resource) -> bool:
        """Delete all objects of a resource;
        returns whether some remain, for example because of finalizers."""
        cache, after = self.client.store.readable(resource), ""
        while True:
            listing = cache.list(resource.key_prefix, None, after=after, limit=BATCH)
            places = [
                entry.key.removeprefix(resource.key_prefix).rpartition("/") for entry in listing.entries
            ]
            await asyncio.gather(*(self.client.delete(resource, place[0], place[2]) for place in places))
            if not listing.more:
                left = self.client.store.readable(resource).list(resource.key_prefix, None, limit=1)
                return bool(left.entries)
            after = listing.entries[-1].key

    async def _report(self, name: str, uid: str) -> None:
        def edit(live: Object) -> None:
            message = "CustomResource deletion is in progress"
            set_condition(
                live, "Terminating", "True", "InstanceDeletionInProgress", message, self.client.now()
            )

        try:
            await self.client.change(self.resource, "", name, edit, "status", uid)
        except (errors.NotFound, errors.Conflict):
            return


def _copy_name(out: Object, member: str, asked: Object) -> None:
    """Copy a requested name into the accepted names, or remove it."""
    if asked.get(member) is None:
        out.pop(member, None)
    else:
        out[member] = asked[member]


def _trouble(obj: Object) -> str:
    """The reason why a definition is not served as it says, "" while its conditions tell none."""
    if is_true(obj, FAULT):
        return FAULT
    found = {one["type"]: one for one in (obj.get("status") or {}).get("conditions") or ()}
    for kind in ("NamesAccepted", "Established"):
        if kind in found and not is_true(obj, kind):
            return str(found[kind].get("reason") or kind)
    return ""


def _unfinished(obj: Object, fault: str) -> bool:
    """Whether the definition's status may have to be updated."""
    status = obj.get("status") or {}
    if bool(fault) != is_true(obj, FAULT):
        return True
    if obj["spec"]["names"] != status.get("acceptedNames"):
        return True
    if not is_true(obj, "NamesAccepted") or not (fault or is_true(obj, "Established")):
        return True
    if not approval.is_protected(obj["spec"].get("group", "")):
        return False
    reason = approval.state(obj["metadata"].get("annotations"))[1]
    known = [
        c.get("message")
        for c in status.get("conditions") or ()
        if c["type"].startswith("KubernetesAPIApproval")
    ]
    return known != [reason]

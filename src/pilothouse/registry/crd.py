"""Serves custom resources: each version of a CustomResourceDefinition becomes a record of the catalog.

A version's schema is compiled when its first object is written. A definition that cannot be served has a
fault, which its conditions show; it does not affect the others.
"""

import contextlib
import functools
import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import field, replace
from typing import Any

import orjson

from pilothouse import errors
from pilothouse.api import json
from pilothouse.api.changes.managed import Convert
from pilothouse.api.changes.patch import copy
from pilothouse.api.structural.codec import StructuralCodec
from pilothouse.api.types.schema import Type
from pilothouse.api.validate.common import is_true
from pilothouse.api.values import jsonpath
from pilothouse.api.values.fields import Object
from pilothouse.logs import Logger
from pilothouse.process.frozen import frozen
from pilothouse.registry.catalog import Catalog
from pilothouse.registry.conventions import CUSTOM
from pilothouse.registry.conversion import Conversion, Converter, OtherVersions
from pilothouse.registry.crd_strategy import Checked, CompiledSchemas, Instances, nested, split
from pilothouse.registry.groups.records import own, scale
from pilothouse.registry.object_metrics import ObjectMetrics
from pilothouse.registry.printers.common import Columns
from pilothouse.registry.printers.tables import custom_columns, custom_scale_columns
from pilothouse.registry.resource import Resource, Subresource
from pilothouse.registry.store import Store
from pilothouse.registry.versions import version_key
from pilothouse.storage.keys import ROOT

log = Logger(__name__)

VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
TERMINATING_VERBS = ("delete", "deletecollection", "get", "list", "watch")


FEW_VERSIONS = 8
"""Most versions whose schemas are read from the bytes of the whole definition;
beyond, each version keeps its own."""


class CustomCodec(StructuralCodec):
    """The codec of a version, and its schema and the digest of that for the OpenAPI documents."""

    def __init__(self, group: str, version: str, kind: str, checked: Checked) -> None:
        super().__init__(group, version, kind, checked.compiled)
        self._checked = checked
        self.digest = checked.digest

    @property
    def document(self) -> Object:
        """The openAPIV3Schema as it was declared."""
        return self._checked.declared()


@frozen(eq=False, kw_only=True)
class CustomResource(Resource):
    """A record that comes from a definition. `siblings` are the records of all its versions, served or not.

    converter: what brings its objects to other versions, None = nothing but their API version changes.
    """

    codec: CustomCodec
    siblings: Mapping[str, "CustomResource"] = field(default_factory=dict)
    list_name: str = ""
    converter: Converter | None = None

    @property
    def list_kind(self) -> str:
        return self.list_name or self.kind + "List"

    @property
    def declared(self) -> CustomCodec:
        return self.codec

    @property
    def selectable_fields(self) -> tuple[str, ...]:
        return tuple(self.selectable)

    def decode(
        self, body: bytes, content_type: str, validation: str, accepted: Collection[tuple[str, str]] = ()
    ) -> tuple[Object, list[str]]:
        """Like Resource.decode, by the schema that the definition declares."""
        return self.codec.decode(body, content_type, validation)

    def decode_value(
        self, raw: Object, kept: Object | None = None, applied: bool = False
    ) -> tuple[Object, list[str]]:
        """Like Resource.decode_value, by the schema that the definition declares;
        `raw` is changed in place."""
        return self.codec.decode_value(raw, applied)

    def version_of(self, api_version: str) -> tuple[Type, Convert] | None:
        """Like Resource.version_of, for versions that are not served too; only the API version changes."""
        type_ = self.type_of_version(api_version)
        if type_ is None:
            return None
        return type_, lambda objects: [{**obj, "apiVersion": api_version} for obj in objects]

    def other_versions(self) -> OtherVersions | None:
        """Like Resource.other_versions()."""
        return OtherVersions(self.converter, self.type_of_version) if self.converter is not None else None


class Definition:
    """One definition and its records. `raw` are its served bytes; `storage` is the record that is stored.

    converter: what converts the objects between versions, None = only their API version changes.
    shared: other clusters serve it as well, and it stays as it is.
    fault: why its resources are not served, "" when they are; the record that is stored is there all the
    same, for its objects have to be deleted.
    """

    def __init__(
        self,
        raw: bytes,
        obj: Object,
        digests: "Digests",
        converter: Converter | None = None,
        metrics: ObjectMetrics | None = None,
        schemas: CompiledSchemas | None = None,
    ) -> None:
        self.converter = converter
        self.shared = False
        self.digest = digests.definition
        self.fault = digests.fault
        self.name: str = obj["metadata"]["name"]
        self.uid: str = obj["metadata"].get("uid", "")
        self.terminating = is_terminating(obj)
        self.established = is_true(obj, "Established")
        spec, accepted = obj["spec"], obj["status"].get("acceptedNames") or {}
        self._raw = raw
        changed = obj["metadata"].get("generation", 1) > 1
        self.group: str = spec["group"]
        self.kind: str = accepted.get("kind", "")
        self._checked: dict[str, Checked] = {}
        siblings: dict[str, CustomResource] = {}
        versions = spec["versions"]
        stored = next(version["name"] for version in versions if version.get("storage"))
        for i, version in enumerate(versions):
            load = functools.partial(_declared, raw, i)
            if len(versions) > FEW_VERSIONS:
                load = functools.partial(orjson.loads, json.dump(_schema(version)))
            about = f"version {version['name']} of definition {self.name}"
            self._checked[version["name"]] = Checked(load, digests.versions[i], about, metrics, schemas)
        self._codecs = {
            f"{self.group}/{name}": CustomCodec(self.group, name, self.kind, checked)
            for name, checked in self._checked.items()
        }
        self._incomplete = changed or _defaults_status(next(v for v in versions if v["name"] == stored))
        """Whether objects may be stored without the defaults that they are served with."""
        newest = _newest(spec)
        made = {v["name"]: self._record(v, spec, accepted, stored, siblings, newest) for v in versions}
        self.storage = made[stored]
        selectable: dict[str, Any] = {}
        for record in made.values():
            selectable |= record.selectable
        self.hub = self.storage
        """The record of the watch cache: it has the selectable fields of all versions."""
        if selectable.keys() != self.storage.selectable.keys():
            self.hub = replace(self.storage, selectable=selectable, indexed=tuple(selectable))
        for name, record in made.items():
            if name != stored:
                made[name] = replace(record, storage=self.hub)
            siblings[record.api_version] = made[name]
        self.records = [made[v["name"]] for v in versions if v.get("served") and not self.fault]

    def _record(
        self,
        version: Object,
        spec: Object,
        accepted: Object,
        stored: str,
        siblings: dict[str, CustomResource],
        newest: str,
    ) -> CustomResource:
        name, group, plural = version["name"], self.group, accepted.get("plural", "")
        checked, codec = self._checked[name], self._codecs[f"{group}/{name}"]
        subresources = version.get("subresources") or {}

        conversion = None
        if name != stored or self._incomplete:
            conversion = self._conversion(codec, name, stored)
        rules = Instances(group, name, self.kind, checked, subresources, self._is_terminating)
        selectable = _selectable(version, self._field_form(conversion, stored))
        return CustomResource(
            group=group,
            version=name,
            plural=plural,
            kind=self.kind,
            singular=accepted.get("singular", ""),
            namespaced=spec.get("scope") == "Namespaced",
            verbs=TERMINATING_VERBS if self.terminating else VERBS,
            short_names=tuple(accepted.get("shortNames") or ()),
            categories=tuple(accepted.get("categories") or ()),
            storage_version_hash=storage_hash(group, stored, spec["names"].get("kind", "")),
            key_prefix=f"{ROOT}{group}/{plural}/",
            type_of=checked.type,
            strategy=rules.strategy(),
            subresources=_subresources(rules, subresources, (group, name, self.kind)),
            selectable=selectable,
            indexed=tuple(selectable),
            converted_fields=_selectable(version, None) if conversion is not None and self.converter else {},
            conversion=conversion,
            conventions=CUSTOM,
            codec=codec,
            columns=_columns(version),
            deprecated=_deprecation(version, spec, newest) if version.get("deprecated") else "",
            siblings=siblings,
            converter=self.converter,
            list_name=accepted.get("listKind", ""),
        )

    def _conversion(self, codec: CustomCodec, name: str, stored: str) -> Conversion:
        """How objects come from the stored version to another one,
        or to the same one after the schema has changed.

        A stored object gets the defaults of the version that it is stored in, and what comes of it is pruned
        by the schema of the version that is served (apiextensions-apiserver crdConversionRESTOptionsGetter).
        """
        stored_version = f"{self.group}/{stored}"

        def present(obj: Object) -> Object:
            obj = copy(obj)
            if self._incomplete:
                own = self._codecs.get(obj["apiVersion"])
                if own is None or own.digest == codec.digest:
                    return codec.restore(obj)
                own.default(
                    obj
                )  # PERF: what its own version does not know is most often pruned below as well
            return codec.reduce(obj)

        def complete(obj: Object) -> Object:
            own = self._codecs.get(obj["apiVersion"])
            return obj if own is None else own.restore(copy(obj))

        def store(obj: Object) -> Object:
            return obj if name == stored else self._codecs[stored_version].restore(copy(obj))

        waits = self.converter is not None
        return Conversion(
            present=(lambda obj: codec.reduce(copy(obj))) if waits else present,
            store=store,
            converter=self.converter,
            complete=complete if waits and self._incomplete else None,
            served=codec.api_version,
            stored=stored_version,
        )

    def _field_form(self, conversion: Conversion | None, stored: str) -> Callable[[Object], Object] | None:
        """The function that makes, of a stored object, the form from which selectable fields are read;
        None = the object itself.

        The watch cache cannot wait: where there is a converter the fields are those of the stored version,
        and a list that selects reads the others from the converted objects (Resource.converted_fields).
        """
        if conversion is None or conversion.converter is None:
            return conversion.present if conversion is not None else None
        codec = self._codecs[f"{self.group}/{stored}"]
        return lambda obj: codec.restore(copy(obj))

    def compile(self) -> None:
        """Compile the schemas of what is served and stored;
        one that cannot be stays an error for its requests."""
        for name in {record.version for record in (*self.records, self.storage)}:
            with contextlib.suppress(errors.InternalError):
                self._checked[name].compiled()

    def _is_terminating(self) -> bool:
        return self.terminating


def _subresources(rules: Instances, declared: Object, kind: tuple[str, str, str]) -> dict[str, Subresource]:
    """The subresources that a version declares; `kind` is the group, version and kind of its objects."""
    out: dict[str, Subresource] = {}
    if "status" in declared:
        out["status"] = own("status", *kind, rules.status_strategy())
    if declared.get("scale"):
        out["scale"] = _scale(declared["scale"])
    return out


def _declared(raw: bytes, i: int) -> Object:
    """The schema of one version out of a definition's bytes."""
    return _schema(orjson.loads(raw)["spec"]["versions"][i])


def _schema(version: Object) -> Object:
    out: Object = (version.get("schema") or {}).get("openAPIV3Schema") or {}
    return out


def _defaults_status(version: Object) -> bool:
    """Whether a status has a default: objects are stored without one, so they get it when they are read."""
    properties = _schema(version).get("properties") or {}
    return "status" in (version.get("subresources") or {}) and "default" in (properties.get("status") or {})


def storage_hash(group: str, version: str, kind: str) -> str:
    """The hash in discovery of the version that is stored (apiserver discovery.StorageVersionHash)."""
    import base64

    digest = hashlib.sha256(f"{group}/{version}/{kind}".encode()).digest()
    return base64.b64encode(digest[:8]).decode()


def _selectable(version: Object, restore: Callable[[Object], Object] | None) -> dict[str, Any]:
    paths = [one["jsonPath"] for one in version.get("selectableFields") or ()]
    return {path.removeprefix("."): _reader(path, restore) for path in paths}


def _reader(path: str, restore: Callable[[Object], Object] | None) -> Callable[[Object], str]:
    """The text of a selectable field as it is served, "" where it is absent."""
    find = jsonpath.compile(path)

    def read(obj: Object) -> str:
        try:
            found = find(obj if restore is None else restore(obj))
        except (ValueError, TypeError, LookupError):
            return ""
        value = found[0] if found else None
        if value is None:
            return ""
        return str(value).lower() if isinstance(value, bool) else str(value)

    return read


def _columns(version: Object) -> Columns | None:
    columns = version.get("additionalPrinterColumns")
    return custom_columns(columns) if columns else None


def _newest(spec: Object) -> str:
    """The newest version that is served and not deprecated, "" when there is none."""
    usable = [one["name"] for one in spec["versions"] if one.get("served") and not one.get("deprecated")]
    return max(usable, key=version_key, default="")


def _deprecation(version: Object, spec: Object, newest: str) -> str:
    """The text that a deprecated version warns with, its own or the usual one."""
    if version.get("deprecationWarning") is not None:
        text: str = version["deprecationWarning"]
        return text
    kind, group, name = spec["names"].get("kind", ""), spec["group"], version["name"]
    text = f"{group}/{name} {kind} is deprecated"
    if newest and version_key(name) < version_key(newest):
        return f"{text}; use {group}/{newest} {kind}"
    return text


UNNAMED_SCALE = (
    'no kind is registered for the type v1.Scale in scheme "pkg/apiserver/customresource_handler.go:781"'
)
"""Upstream's 400 for any Scale that does not decode: it cannot name the type that its handler expects."""


UNSET = -(2**31)
"""The replicas of a Scale that is to be changed, of an object that has none."""


def _scale(paths: Object) -> Subresource:
    """The scale subresource: how a Scale is read out of an object of the version and laid back into it."""
    replicas, current, selector = (
        paths.get(name, "") for name in ("specReplicasPath", "statusReplicasPath", "labelSelectorPath")
    )

    def read(obj: Object) -> Object:
        found = read_to_change(obj)
        if found["spec"].get("replicas") == UNSET:
            why = f'the spec replicas field "{replicas}" does not exist'
            raise errors.internal(why)
        return found

    def read_to_change(obj: Object) -> Object:
        try:
            wanted, there = nested(obj, replicas, int), nested(obj, current, int)
            label = nested(obj, selector, str) if selector else None
        except ValueError as err:
            raise errors.InternalError(str(err)) from None
        if wanted is None:
            wanted = UNSET
        metadata = obj["metadata"]
        kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        status: Object = {"replicas": there or 0}
        if label:
            status["selector"] = label
        return {
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": {name: metadata[name] for name in kept if metadata.get(name)},
            "spec": {"replicas": wanted} if wanted else {},
            "status": status,
        }

    steps = tuple(split(replicas))

    def write(obj: Object, body: Object) -> None:
        wanted = (body.get("spec") or {}).get("replicas") or 0
        if wanted == UNSET:
            raise errors.BadRequest(f'the spec replicas field "{replicas}" cannot be empty')
        above = obj
        for i, step in enumerate(steps[:-1]):
            inner = above.get(step, {})
            if not isinstance(inner, dict):
                path = ".".join(("", *steps[: i + 1]))
                raise errors.Unknown(f"value cannot be set because {path} is not a map[string]interface{{}}")
            copied = dict(inner)  # the stored object has it as well
            above[step] = copied
            above = copied
        above[steps[-1]] = wanted

    return scale(
        read,
        write,
        steps,
        custom_scale_columns,
        read_to_change=read_to_change,
        undecodable=UNNAMED_SCALE,
    )


def is_terminating(obj: Object) -> bool:
    """Whether a definition is being deleted."""
    return bool(obj["metadata"].get("deletionTimestamp")) or is_true(obj, "Terminating")


def no_converter(definition: Object) -> Converter | None:
    """No converter: every definition has the conversion strategy None."""
    return None


class Definitions:
    """Adds the resources of definitions to the catalog, and removes them."""

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        converter_of: Callable[[Object], Converter | None] = no_converter,
        schemas: CompiledSchemas | None = None,
    ) -> None:
        """`converter_of` gives what converts the objects of a definition,
        None where only the API version changes. `schemas` are those that several clusters share."""
        self._schemas = schemas
        self._converter_of = converter_of
        self._store = store
        self._catalog = catalog
        self._known: dict[str, Definition] = {}
        self._faults: dict[str, str] = {}
        """Faults of definitions for which no record could be made, by name."""

    def get(self, name: str) -> Definition | None:
        """The definition as it is served, by its name."""
        return self._known.get(name)

    def load(self, objects: Iterable[tuple[bytes, Object]]) -> None:
        """Serve the definitions that the store has at start."""
        for raw, obj in objects:
            self.apply(raw, obj)

    def fault(self, name: str) -> str:
        """Why a definition is not served, "" when nothing is wrong with it."""
        known = self._known.get(name)
        return self._faults.get(name, "") or (known.fault if known is not None else "")

    def to_share(self, raw: bytes, obj: Object, digests: "Digests") -> Definition | None:
        """A definition that several clusters serve; None for one that has to be made for each."""
        if self._converter_of(obj) is not None:
            return None
        made = self._made(raw, obj, digests)
        made.shared = True
        return made

    def apply(
        self, raw: bytes, obj: Object, digests: "Digests | None" = None, made: Definition | None = None
    ) -> None:
        """Serve a definition as it is now; watches of its objects end when what it says has changed.
        `digests` are its own, and `made` is what others serve, where these are known.

        One that is stored and cannot be served keeps nobody from being served: what went wrong is its fault.
        """
        name = obj["metadata"]["name"]
        self._faults.pop(name, None)
        try:
            self._apply(name, raw, obj, digests, made)
        except Exception as err:
            log.exception("A definition is not served", name=name)
            self.remove(name)
            self._faults[name] = f"{type(err).__name__}: {err}"

    def _apply(
        self, name: str, raw: bytes, obj: Object, digests: "Digests | None", shared: Definition | None
    ) -> None:
        known = self._known.get(name)
        if not (is_true(obj, "NamesAccepted") or is_true(obj, "Established")):
            if known is not None:
                self.remove(name)
            return
        digests = digests or Digests(raw, obj)
        if known is not None and known.uid != obj["metadata"].get("uid", ""):
            self.remove(name)
            known = None
        if known is not None and known.digest == digests.definition:
            terminating, established = is_terminating(obj), is_true(obj, "Established")
            if (known.terminating, known.established) != (terminating, established):
                if known.shared:  # others go on with it
                    known = self._known[name] = self._made(raw, obj, digests)
                known.terminating, known.established = terminating, established
                verbs = TERMINATING_VERBS if terminating else VERBS
                known.records = [replace(record, verbs=verbs) for record in known.records]
                for record in known.records:
                    self._catalog.add(record)
            return
        made = shared or self._made(raw, obj, digests)
        if made.fault:
            log.error("A definition is not served", name=name, err=made.fault)
        if known is not None:
            self._withdraw(known, keep={(r.group, r.version, r.plural) for r in made.records})
            if known.hub.selectable or made.hub.selectable:
                self._drop(known)  # what the fields select may be another by other defaults
            else:
                self._store.cache(known.hub).end_watches()
        self._known[name] = made
        if made.hub is not made.storage:
            self._store.cache(made.hub)
        for record in made.records:
            self._catalog.add(record)
        self._store.metrics.published(name, "update" if known is not None else "add", _versions(made))

    def _made(self, raw: bytes, obj: Object, digests: "Digests") -> Definition:
        return Definition(raw, obj, digests, self._converter_of(obj), self._store.metrics, self._schemas)

    def remove(self, name: str) -> None:
        """Serve a definition's resources no longer; their objects stay where they are."""
        self._faults.pop(name, None)
        known = self._known.pop(name, None)
        if known is not None:
            self._withdraw(known, keep=set())
            self._drop(known)
            self._store.metrics.published(name, "remove", _versions(known))

    def _withdraw(self, known: Definition, keep: set[tuple[str, str, str]]) -> None:
        for record in known.records:
            place = (record.group, record.version, record.plural)
            if place not in keep and self._catalog.get(*place) is record:
                self._catalog.remove(*place)

    def _drop(self, known: Definition) -> None:
        self._store.forget(known.storage)
        self._store.cacher.drop(known.storage.key_prefix)


def _versions(definition: Definition) -> set[tuple[str, str]]:
    """Group and version of each record of a definition that is served."""
    return {(record.group, record.version) for record in definition.records}


class Digests:
    """Digests that show whether the records of a definition change:
    one of each version's schema, and one of all.

    fault: why they cannot be made.
    """

    def __init__(self, raw: bytes, obj: Object) -> None:
        self.fault = ""
        self.versions: list[bytes] = []
        spec, names = obj["spec"], (obj.get("status") or {}).get("acceptedNames")
        try:
            self.versions = [_sha256(_schema(version)) for version in spec["versions"]]
            rest = [{n: v for n, v in version.items() if n != "schema"} for version in spec["versions"]]
            listed = [digest.hex() for digest in self.versions]
            self.definition = _sha256([{**spec, "versions": rest}, names, listed])
        except TypeError:
            self.fault = "its schema is nested too deeply"
            self.versions = [b""] * len(spec["versions"])
            self.definition = hashlib.sha256(raw).digest()


def _sha256(value: Any) -> bytes:
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).digest()

"""Lists the operations on a resource for OpenAPI documents (apiserver endpoints/installer.go).

Operations are independent of how OpenAPI versions 2 and 3 encode them.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from typing import Any, Protocol

from pilothouse.api.openapi.flavour import ANY_TYPE, TYPED, Flavour
from pilothouse.api.openapi.parameters import (
    CONNECT,
    DELETE,
    FORCE,
    LIST,
    LOG,
    NAMESPACE,
    PATH,
    PRETTY,
    SELECTION,
    WRITE,
    Parameter,
    common,
    named,
)
from pilothouse.process.record import record

Document = dict[str, Any]

_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
STATUS, DELETE_OPTIONS = f"{_META}.Status", f"{_META}.DeleteOptions"
PATCH, WATCH_EVENT, RESOURCE_LIST = f"{_META}.Patch", f"{_META}.WatchEvent", f"{_META}.APIResourceList"
SCALE = "io.k8s.api.autoscaling.v1.Scale"

DEFINITION = "io.k8s."
"""Prefix of the names of built-in definitions; all other types of answers are plain JSON types."""


class Sub(Protocol):
    """The attributes of registry.resource.Subresource that are used here."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def group(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def verbs(self) -> tuple[str, ...]: ...


class DeclaredSchema(Protocol):
    """The schema of a resource that comes from a definition."""

    @property
    def digest(self) -> bytes:
        """A digest that differs for different schemas."""

    @property
    def document(self) -> Document:
        """The declared openAPIV3Schema; raises an exception if it cannot be read."""


class OpenAPIResource(Protocol):
    """The attributes of registry.resource.Resource that are used here."""

    @property
    def group(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def plural(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def namespaced(self) -> bool: ...

    @property
    def verbs(self) -> tuple[str, ...]: ...

    @property
    def subresources(self) -> Mapping[str, Sub]:
        """The subresources by name."""

    @property
    def declared(self) -> DeclaredSchema | None:
        """The schema from a definition; None for a built-in kind."""

    @property
    def list_kind(self) -> str:
        """The kind of its lists."""

    @property
    def selectable_fields(self) -> tuple[str, ...]:
        """The fields of which a definition says that they can be selected by,
        as paths without a leading dot."""

    @property
    def returns_deleted(self) -> bool:
        """Whether the answer to a delete is the object instead of a Status."""

    @property
    def openapi(self) -> Flavour:
        """The properties of the document of its group version."""


@record(kw_only=True)
class Operation:
    """One method of one path.

    `answer` and `body` name a definition or a plain JSON type. `parameters` are those of the query and of the
    path. `consumes` and `answer_types` are media types.
    """

    path: str
    method: str
    id: str
    tags: list[str]
    description: str
    action: str = ""
    group_version_kind: Document | None = None
    parameters: tuple[Parameter, ...] = ()
    consumes: tuple[str, ...] = ANY_TYPE
    body: str = ""
    body_required: bool = False
    codes: tuple[int, ...] = (200,)
    answer: str = ""
    answer_types: tuple[str, ...] = TYPED

    def head(self) -> Document:
        """The members that it has alike in both versions."""
        out: Document = {"tags": self.tags, "description": self.description, "operationId": self.id}
        if self.action:
            out["x-kubernetes-action"] = self.action
            out["x-kubernetes-group-version-kind"] = self.group_version_kind
        return out


CODES = {200: "OK", 201: "Created", 202: "Accepted"}
"""The descriptions of answers by their status."""


def by_path(operations: Iterable[Operation]) -> list[tuple[str, list[Operation]]]:
    """Operations together with the others of their path, in the order of the paths."""
    found: dict[str, list[Operation]] = {}
    for operation in operations:
        found.setdefault(operation.path, []).append(operation)
    return sorted(found.items())


def path_item(
    operations: Iterable[Operation],
    show: Callable[[Operation, list[Parameter]], Document],
    show_parameter: Callable[[Parameter], Document],
) -> Document:
    """The operations of one path. `show` is given an operation and the parameters that all of them have,
    which stand once."""
    operations = tuple(operations)
    of_path = common(one.parameters for one in operations)
    item: Document = {one.method: show(one, of_path) for one in operations}
    if of_path:
        item["parameters"] = [show_parameter(one) for one in of_path]
    return item


_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def identifier(text: str, capital: bool) -> str:
    """Convert text to a part of an operation's ID:
    letters and digits, with a capital after any other character."""
    first, *parts = re.split(r"[^A-Za-z0-9_]+|^[0-9]", text)
    joined = first + "".join(part[:1].upper() + part[1:] for part in parts)
    return joined[:1].upper() + joined[1:] if capital else joined


def name_of(path: str, verb: str, rest: str) -> tuple[str, list[str]]:
    """The ID and tags of an operation, from its path, its verb and the rest of its name."""
    parts = path.strip("/").split("/")
    if parts[0] == "api":
        parts = ["apis", "core", *parts[1:]]
    if parts[0] != "apis" or len(parts) < 2:
        return verb + identifier(rest, True), [identifier(parts[0], False)]
    group = parts[1].removesuffix(".k8s.io")
    prefix, tag = verb + identifier(group, True), identifier(group, False)
    if len(parts) > 2:
        prefix, tag = prefix + identifier(parts[2], True), f"{tag}_{identifier(parts[2], False)}"
    return prefix + identifier(rest, True), [tag]


class Paths:
    """Makes the operations of resources.
    `definition` returns the name of a kind's definition, "" if it has none."""

    def __init__(self, definition: Callable[[str, str, str], str]) -> None:
        self._definition = definition

    def of(self, kind: OpenAPIResource) -> list[Operation]:
        """All operations on a resource and its subresources."""
        root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
        scope = "/namespaces/{namespace}" if kind.namespaced else ""
        collection = f"{root}{scope}/{kind.plural}"
        maker = _Maker(kind, self._definition)
        out = maker.collection(collection)
        if kind.namespaced and "list" in kind.verbs:
            out.append(maker.listing(f"{root}/{kind.plural}", everywhere=True))
        out += maker.item(f"{collection}/{{name}}")
        if "watch" in kind.verbs and kind.openapi.watch_paths:
            out.append(maker.watch(f"{root}/watch{scope}/{kind.plural}", "watchlist"))
            out.append(maker.watch(f"{root}/watch{scope}/{kind.plural}/{{name}}", "watch"))
            if kind.namespaced:
                out.append(maker.watch(f"{root}/watch/{kind.plural}", "watchlist", everywhere=True))
        for sub in kind.subresources.values():
            out += maker.subresource(f"{collection}/{{name}}/{sub.name}", sub)
        return out


@record
class _Maker:
    """Makes the operations on one resource."""

    kind: OpenAPIResource
    definition: Callable[[str, str, str], str]
    flavour: Flavour = field(init=False)
    ref: str = field(init=False)

    def __post_init__(self) -> None:
        self.flavour = self.kind.openapi
        self.ref = self.definition(self.kind.group, self.kind.version, self.kind.kind)

    def _make(self, path: str, method: str, verb: str, rest: str, description: str, **more: Any) -> Operation:
        id, tags = name_of(path, verb, rest)
        kind = self.kind
        parameters: list[Parameter] = [*more.pop("parameters", ())]
        if "{namespace}" in path:
            parameters.append(NAMESPACE)
        if "{name}" in path:
            parameters.append(named(kind.kind))
        if "{path}" in path:
            parameters.append(PATH)
        more.setdefault("answer_types", self.flavour.media_types)
        more.setdefault("consumes", self.flavour.consumes)
        own = {"group": kind.group, "version": kind.version, "kind": kind.kind}
        more.setdefault("group_version_kind", own)
        return Operation(
            path=path,
            method=method,
            id=id,
            tags=tags,
            description=description,
            parameters=tuple(parameters),
            **more,
        )

    def _noun(self, everywhere: bool = False) -> str:
        return f"{'Namespaced' if self.kind.namespaced and not everywhere else ''}{self.kind.kind}"

    def listing(self, path: str, *, everywhere: bool = False) -> Operation:
        kind = self.kind
        what = "list or watch" if self.flavour.watch_paths else "list"
        return self._make(
            path,
            "get",
            "list",
            f"{kind.kind}ForAllNamespaces" if everywhere else self._noun(),
            f"{what} objects of kind {kind.kind}",
            action="list",
            parameters=(*PRETTY, *LIST),
            answer=self.definition(kind.group, kind.version, kind.list_kind),
            answer_types=(*self.flavour.media_types, *self.flavour.stream_types),
        )

    def collection(self, path: str) -> list[Operation]:
        kind, out = self.kind, []
        if "list" in kind.verbs:
            out.append(self.listing(path))
        if "create" in kind.verbs:
            out.append(self._write(path, "post", "create", f"create {_article(kind.kind)}", (200, 201, 202)))
        if "deletecollection" in kind.verbs:
            options = self.flavour.delete_options
            out.append(
                self._make(
                    path,
                    "delete",
                    "delete",
                    f"Collection{self._noun()}",
                    f"delete collection of {kind.kind}",
                    action="deletecollection",
                    parameters=(*PRETTY, *SELECTION, *DELETE) if options else (*PRETTY, *LIST),
                    body=DELETE_OPTIONS if options else "",
                    answer=STATUS,
                )
            )
        return out

    def item(self, path: str) -> list[Operation]:
        kind, out = self.kind, []
        if "get" in kind.verbs:
            out.append(self._read(path, f"read the specified {kind.kind}", self.ref))
        if "update" in kind.verbs:
            out.append(self._write(path, "put", "replace", f"replace the specified {kind.kind}", (200, 201)))
        if "patch" in kind.verbs:
            out.append(self._patch(path, f"partially update the specified {kind.kind}", self.ref))
        if "delete" in kind.verbs:
            out.append(
                self._make(
                    path,
                    "delete",
                    "delete",
                    self._noun(),
                    f"delete {_article(kind.kind)}",
                    action="delete",
                    parameters=(*PRETTY, *DELETE),
                    body=DELETE_OPTIONS,
                    codes=(200, 202),
                    answer=self.ref if kind.returns_deleted else STATUS,
                )
            )
        return out

    def _read(self, path: str, description: str, answer: str, sub: str = "", **more: Any) -> Operation:
        rest = self._noun() + _title(sub)
        return self._make(
            path, "get", "read", rest, description, action="get", parameters=PRETTY, answer=answer, **more
        )

    def _write(
        self, path: str, method: str, verb: str, description: str, codes: tuple[int, ...], **more: Any
    ) -> Operation:
        sub = more.pop("sub", "")
        ref = more.pop("ref", self.ref)
        rest = self._noun() + _title(sub)
        return self._make(
            path,
            method,
            verb,
            rest,
            description,
            action=method,
            parameters=(*PRETTY, *WRITE),
            body=ref,
            body_required=True,
            codes=codes,
            answer=ref,
            **more,
        )

    def _patch(self, path: str, description: str, answer: str, sub: str = "", **more: Any) -> Operation:
        return self._make(
            path,
            "patch",
            "patch",
            self._noun() + _title(sub),
            description,
            action="patch",
            parameters=(*PRETTY, *WRITE, *FORCE),
            body=PATCH,
            consumes=self.flavour.patch_types,
            body_required=True,
            codes=self.flavour.patch_codes,
            answer=answer,
            **more,
        )

    def watch(self, path: str, action: str, *, everywhere: bool = False) -> Operation:
        kind = self.kind
        if action == "watch":
            what = f"watch changes to an object of kind {kind.kind}"
            instead = ", filtered to a single item with the 'fieldSelector' parameter"
            rest = self._noun()
        else:
            what, instead = f"watch individual changes to a list of {kind.kind}", ""
            rest = f"{kind.kind}ListForAllNamespaces" if everywhere else f"{self._noun()}List"
        return self._make(
            path,
            "get",
            "watch",
            rest,
            f"{what}. deprecated: use the 'watch' parameter with a list operation instead{instead}.",
            action=action,
            parameters=(*PRETTY, *LIST),
            answer=WATCH_EVENT,
            answer_types=(*self.flavour.media_types, *self.flavour.stream_types),
        )

    def subresource(self, path: str, sub: Sub) -> list[Operation]:
        kind = self.kind
        if sub.name in CONNECT:
            return self._connect(path, sub)
        ref = SCALE if sub.kind == "Scale" else self.definition(sub.group, sub.version, sub.kind)
        own: Document = {"group": sub.group, "version": sub.version, "kind": sub.kind}
        more: dict[str, Any] = {"group_version_kind": own} if self.flavour.subresource_kinds else {}
        what = f"{sub.name} of the specified {kind.kind}"
        out: list[Operation] = []
        if sub.name == "log":
            types = ("text/plain", *self.flavour.media_types)
            log = self._read(path, f"read {what}", "string", sub.name, answer_types=types, **more)
            log.parameters += LOG
            return [log]
        if "get" in sub.verbs:
            out.append(self._read(path, f"read {what}", ref, sub.name, **more))
        if "update" in sub.verbs:
            out.append(
                self._write(
                    path, "put", "replace", f"replace {what}", (200, 201), sub=sub.name, ref=ref, **more
                )
            )
        if "patch" in sub.verbs:
            out.append(self._patch(path, f"partially update {what}", ref, sub.name, **more))
        if "create" in sub.verbs:
            text = f"create {sub.name} of {_article(kind.kind)}"
            codes = (200, 201, 202)
            out.append(self._write(path, "post", "create", text, codes, sub=sub.name, ref=ref, **more))
        return out

    def _connect(self, path: str, sub: Sub) -> list[Operation]:
        """All methods of a connect subresource; proxy also has HEAD, OPTIONS and paths below it."""
        methods = [method for method, verb in _VERBS.items() if verb in sub.verbs]
        out = []
        for suffix in ("", "/{path}") if sub.name == "proxy" else ("",):
            for method in [*methods, *(("HEAD", "OPTIONS") if sub.name == "proxy" else ())]:
                rest = f"{method.capitalize()}{self._noun()}{_title(sub.name)}{'WithPath' if suffix else ''}"
                out.append(
                    self._make(
                        path + suffix,
                        method.lower(),
                        "connect",
                        rest,
                        f"connect {method} requests to {sub.name} of {self.kind.kind}",
                        action="connect",
                        group_version_kind={"group": sub.group, "version": sub.version, "kind": sub.kind},
                        parameters=CONNECT[sub.name],
                        consumes=ANY_TYPE,
                        answer="string",
                        answer_types=ANY_TYPE,
                    )
                )
        return out


def _article(noun: str) -> str:
    return f"{'an' if noun[:1] in 'AEIOU' else 'a'} {noun}"


def _title(sub: str) -> str:
    return sub[:1].upper() + sub[1:]


def document_path(
    path: str, rest: str, description: str, answer: str, types: Iterable[str], consumes: Iterable[str]
) -> Operation:
    """A GET on a path that names no resource."""
    id, tags = name_of(path, "get", rest)
    return Operation(
        path=path,
        method="get",
        id=id,
        tags=tags,
        description=description,
        consumes=tuple(consumes),
        answer=answer,
        answer_types=tuple(types),
    )

"""Lists the operations on a resource for OpenAPI documents (apiserver endpoints/installer.go).

Operations are independent of how OpenAPI versions 2 and 3 encode them.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pilothouse.api.openapi.flavour import ANY_TYPE, TYPED, Flavour

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


class Declared(Protocol):
    """The schema of a resource that comes from a definition."""

    @property
    def digest(self) -> bytes:
        """A digest that differs for different schemas."""

    @property
    def document(self) -> Document:
        """The declared openAPIV3Schema; raises an exception if it cannot be read."""


class Kind(Protocol):
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
    def declared(self) -> Declared | None:
        """The schema from a definition; None for a built-in kind."""

    @property
    def openapi(self) -> Flavour:
        """The properties of the document of its group version."""


class Parameter:
    """A parameter in a path or in the query."""

    __slots__ = ("description", "name", "place", "type")

    def __init__(self, name: str, type: str, description: str, place: str = "query") -> None:
        self.name = name
        self.type = type
        self.description = description
        self.place = place


@dataclass(slots=True, kw_only=True)
class Operation:
    """One method of one path. `answer` and `body` name a definition or a plain JSON type."""

    path: str
    method: str
    id: str
    tags: list[str]
    description: str
    action: str = ""
    group_version_kind: Document | None = None
    parameters: tuple[Parameter, ...] = ()
    path_parameters: tuple[Parameter, ...] = ()
    body: str = ""
    body_types: tuple[str, ...] = ANY_TYPE
    body_required: bool = False
    codes: tuple[int, ...] = (200,)
    answer: str = ""
    answer_types: tuple[str, ...] = TYPED
    deprecated: bool = False


def _query(*rows: tuple[str, str, str]) -> tuple[Parameter, ...]:
    return tuple(Parameter(*row) for row in rows)


_NAME = Parameter("name", "string", "name of the {kind}", "path")
_NAMESPACE = Parameter(
    "namespace", "string", "object name and auth scope, such as for teams and projects", "path"
)
_PATH = Parameter("path", "string", "path to the resource", "path")
_PRETTY = _query(("pretty", "string", "If 'true', then the output is pretty printed."))
_SELECTION = _query(
    ("continue", "string", "The token of the previous answer, to go on where it ended."),
    ("fieldSelector", "string", "Restricts the objects to those whose fields match. Defaults to everything."),
    ("labelSelector", "string", "Restricts the objects to those whose labels match. Defaults to everything."),
    ("limit", "integer", "The most objects that an answer may have."),
    ("resourceVersion", "string", "The version that the objects are read at."),
    ("resourceVersionMatch", "string", "How resourceVersion is applied: Exact or NotOlderThan."),
    ("sendInitialEvents", "boolean", "Begin a watch with an ADDED event for every object that there is."),
    ("timeoutSeconds", "integer", "How long the call may take."),
)
_BOOKMARKS = _query(
    ("allowWatchBookmarks", "boolean", "Ask for BOOKMARK events, which carry a resourceVersion alone."),
)
_WATCH = _query(("watch", "boolean", "Stream changes instead of a list. Specify resourceVersion."))
_DRY_RUN = _query(("dryRun", "string", "Nothing is kept when it is All."))
_WRITE = (
    *_DRY_RUN,
    *_query(
        ("fieldManager", "string", "The name of who makes these changes."),
        ("fieldValidation", "string", "What unknown or duplicate fields lead to: Ignore, Warn or Strict."),
    ),
)
_FORCE = _query(("force", "boolean", "Take over fields that others have applied."))
_DELETE = (
    *_DRY_RUN,
    *_query(
        ("gracePeriodSeconds", "integer", "How long the object may take to go; 0 is at once."),
        (
            "ignoreStoreReadErrorWithClusterBreakingPotential",
            "boolean",
            "Delete an object that cannot be read from the store.",
        ),
        ("orphanDependents", "boolean", "Deprecated: use propagationPolicy."),
        ("propagationPolicy", "string", "What becomes of dependents: Orphan, Background or Foreground."),
    ),
)
_LIST = (*_BOOKMARKS, *_SELECTION, *_WATCH)
_STREAM = _query(
    ("container", "string", "The container to connect to. Defaults to the only one in the pod."),
    ("stderr", "boolean", "Redirect standard error."),
    ("stdin", "boolean", "Redirect standard input."),
    ("stdout", "boolean", "Redirect standard output."),
    ("tty", "boolean", "Allocate a terminal."),
)
_CONNECT: dict[str, tuple[Parameter, ...]] = {
    "attach": _STREAM,
    "exec": (*_query(("command", "string", "What to run: argv, not in a shell.")), *_STREAM),
    "portforward": _query(("ports", "integer", "Ports to forward.")),
    "proxy": _query(("path", "string", "The URL path to use for the request.")),
}
_LOG = _query(
    ("container", "string", "The container whose log is wanted. Defaults to the only one in the pod."),
    ("follow", "boolean", "Go on with what is logged from now."),
    ("insecureSkipTLSVerifyBackend", "boolean", "Do not check the certificate of the node."),
    ("limitBytes", "integer", "The most bytes to be sent."),
    ("previous", "boolean", "The log of the container that ran before."),
    ("sinceSeconds", "integer", "Only what is younger than so many seconds."),
    ("stream", "string", "Which stream: All, Stdout or Stderr."),
    ("tailLines", "integer", "Only so many lines from the end."),
    ("timestamps", "boolean", "Put a time in front of every line."),
)

_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def identifier(text: str, capital: bool) -> str:
    """Convert text to a part of an operation's ID: letters and digits, with a capital after any other character."""
    parts = [part for part in re.split(r"[^A-Za-z0-9]+", text) if part]
    joined = "".join(part[0].upper() + part[1:] for part in parts)
    return joined if capital or not joined else parts[0][0] + joined[1:]


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
    """Makes the operations of resources. `definition` returns the name of a kind's definition, "" if it has none."""

    def __init__(self, definition: Callable[[str, str, str], str]) -> None:
        self._definition = definition

    def of(self, kind: Kind) -> list[Operation]:
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


@dataclass(slots=True)
class _Maker:
    """Makes the operations on one resource."""

    kind: Kind
    definition: Callable[[str, str, str], str]
    flavour: Flavour = field(init=False)
    ref: str = field(init=False)

    def __post_init__(self) -> None:
        self.flavour = self.kind.openapi
        self.ref = self.definition(self.kind.group, self.kind.version, self.kind.kind)

    def _make(self, path: str, method: str, verb: str, rest: str, description: str, **more: Any) -> Operation:
        id, tags = name_of(path, verb, rest)
        kind = self.kind
        known = [_NAMESPACE] if "{namespace}" in path else []
        if "{name}" in path:
            known.insert(0, Parameter("name", "string", f"name of the {kind.kind}", "path"))
        if "{path}" in path:
            known.append(_PATH)
        more.setdefault("answer_types", self.flavour.media_types)
        own = {"group": kind.group, "version": kind.version, "kind": kind.kind}
        more.setdefault("group_version_kind", own)
        return Operation(
            path=path,
            method=method,
            id=id,
            tags=tags,
            description=description,
            path_parameters=tuple(known),
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
            parameters=(*_PRETTY, *_LIST),
            answer=self.definition(kind.group, kind.version, f"{kind.kind}List"),
            answer_types=(*self.flavour.media_types, *self.flavour.stream_types),
        )

    def collection(self, path: str) -> list[Operation]:
        kind, out = self.kind, []
        if "list" in kind.verbs:
            out.append(self.listing(path))
        if "create" in kind.verbs:
            out.append(self._write(path, "post", "create", f"create {_article(kind.kind)}", (200, 201, 202)))
        if "deletecollection" in kind.verbs:
            out.append(
                self._make(
                    path,
                    "delete",
                    "delete",
                    f"Collection{self._noun()}",
                    f"delete collection of {kind.kind}",
                    action="deletecollection",
                    parameters=(*_PRETTY, *_SELECTION, *_DELETE),
                    body=DELETE_OPTIONS,
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
                    parameters=(*_PRETTY, *_DELETE),
                    body=DELETE_OPTIONS,
                    codes=(200, 202),
                    answer=STATUS,
                )
            )
        return out

    def _read(self, path: str, description: str, answer: str, sub: str = "", **more: Any) -> Operation:
        rest = self._noun() + _title(sub)
        return self._make(
            path, "get", "read", rest, description, action="get", parameters=_PRETTY, answer=answer, **more
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
            parameters=(*_PRETTY, *_WRITE),
            body=ref,
            body_types=self.flavour.body_types,
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
            parameters=(*_PRETTY, *_WRITE, *_FORCE),
            body=PATCH,
            body_types=self.flavour.patch_types,
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
            parameters=(*_PRETTY, *_LIST),
            answer=WATCH_EVENT,
            answer_types=(*self.flavour.media_types, *self.flavour.stream_types),
        )

    def subresource(self, path: str, sub: Sub) -> list[Operation]:
        kind = self.kind
        if sub.name in _CONNECT:
            return self._connect(path, sub)
        ref = SCALE if sub.kind == "Scale" else self.definition(sub.group, sub.version, sub.kind)
        own: Document = {"group": sub.group, "version": sub.version, "kind": sub.kind}
        more: dict[str, Any] = {"group_version_kind": own} if self.flavour.subresource_kinds else {}
        what = f"{sub.name} of the specified {kind.kind}"
        out: list[Operation] = []
        if sub.name == "log":
            log = self._read(path, f"read {what}", "string", sub.name, **more)
            log.parameters = (*_LOG, *_PRETTY)
            log.answer_types = ("text/plain", *self.flavour.media_types)
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
                        parameters=_CONNECT[sub.name],
                        answer="string",
                        answer_types=ANY_TYPE,
                    )
                )
        return out


def _article(noun: str) -> str:
    return f"{'an' if noun[:1] in 'AEIOU' else 'a'} {noun}"


def _title(sub: str) -> str:
    return sub[:1].upper() + sub[1:]


def document_path(path: str, rest: str, description: str, answer: str, types: Iterable[str]) -> Operation:
    """A GET on a path that names no resource."""
    id, tags = name_of(path, "get", rest)
    return Operation(
        path=path,
        method="get",
        id=id,
        tags=tags,
        description=description,
        answer=answer,
        answer_types=tuple(types),
    )

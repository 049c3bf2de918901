"""Cases that change an existing object: PUT, every kind of patch, subresources, and options of DELETE."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from fuzz.growth import Case, Group, http
from fuzz.growth_fillers import Filler, dumped, example, fillers, numbered
from fuzz.growth_kinds import HOLE, Path, around, collection, good, holed, members, shown, tree
from fuzz.growth_requests import MAPS, ONE

from pilothouse.api.types import schema
from pilothouse.api.types.schema import Type
from pilothouse.registry.resource import Resource

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"


def stored(resource: Resource) -> bool:
    return not resource.virtual and {"create", "update", "patch", "delete"} <= set(resource.verbs)


def changes(resource: Resource) -> Iterator[Group]:
    """PUT and every kind of patch on an object that is there, with each list, map and struct filled."""
    for path, inner, there in members(tree(resource), lasting(resource)):
        if inner.kind in ("list", "map", "struct", "any"):
            yield partial(_changed, resource, path, inner, there)


def _changed(resource: Resource, path: Path, inner: Type, there: Any) -> Iterator[Case]:
    type, base = tree(resource), lasting(resource)
    name = base["metadata"]["name"]
    where, one = collection(resource), f"{collection(resource)}/{name}"
    first, last = _there(resource, base)
    named = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}}
    whole, only, lone = (
        around(holed(type, base, path)),
        around(holed(type, named, path)),
        around(_nested(path)),
    )
    label = f"{resource.group_resource}/{resource.version}"
    for sub in ("", *(f"/{name}" for name, sub in resource.subresources.items() if sub.strategy is not None)):
        for filler, fill in fillers(inner, there):
            what = f"{label}{sub} {shown(path)}: {filler}"
            yield from _changes(what, one + sub, fill, path, whole, only, lone, first, last)
    if inner.kind == "list":
        yield from _directives(f"{label} {shown(path)}", one, path, inner, first, last)
        yield from _grown(label, where, one, path, inner, there, whole, only, last)


def _nested(path: Path) -> Any:
    value: Any = HOLE
    for step in reversed(path):
        value = [value] if isinstance(step, int) else {step: value}
    return value


Parts = tuple[bytes, bytes]


def _changes(
    label: str,
    one: str,
    fill: Filler,
    path: Path,
    whole: Parts,
    only: Parts,
    lone: Parts,
    first: list[bytes],
    last: list[bytes],
) -> Iterator[Case]:
    def case(verb: str, make: Callable[[int], bytes]) -> Case:
        return Case(f"{verb} {label}", make, lambda _: first, lambda _: last)

    dry = f"{one}?dryRun=All"
    yield case("update", lambda n: http("PUT", dry, whole[0] + fill(n) + whole[1]))
    yield case("merge", lambda n: http("PATCH", dry, lone[0] + fill(n) + lone[1], content_type=MERGE))
    yield case("strategic", lambda n: http("PATCH", dry, only[0] + fill(n) + only[1], content_type=STRATEGIC))
    yield case(
        "apply",
        lambda n: http(
            "PATCH", f"{dry}&fieldManager=m&force=true", only[0] + fill(n) + only[1], content_type=APPLY
        ),
    )
    pointer = "/" + "/".join(str(step) for step in path)
    opening = f'[{{"op":"add","path":"{pointer}","value":'.encode()
    yield case("json", lambda n: http("PATCH", dry, opening + fill(n) + b"}]", content_type=JSON_PATCH))


def _directives(
    label: str, one: str, path: Path, inner: Type, first: list[bytes], last: list[bytes]
) -> Iterator[Case]:
    """A strategic patch that says what to do with the items of a list."""
    assert inner.items is not None
    item = dumped(example(inner.items))
    dry = f"{one}?dryRun=All"
    parent, name = path[:-1], str(path[-1])

    def case(what: str, members: Callable[[int], bytes], dry: str = dry) -> Case:
        before, after = around(_nested(parent)) if parent else (b"", b"")
        return Case(
            f"strategic {label}: {what}",
            lambda n: http("PATCH", dry, before + b"{" + members(n) + b"}" + after, content_type=STRATEGIC),
            lambda _: first,
            lambda _: last,
        )

    key = dumped(name)
    if item.startswith(b"{"):
        marked = b'{"$patch":"delete"' + (b"," if len(item) > 2 else b"") + item[1:]
        yield case("delete each", lambda n: key + b":" + numbered(marked)(n))
        replaced = marked.replace(b"delete", b"replace")
        yield case("replace each", lambda n: key + b":" + numbered(replaced)(n))
    half = lambda n: key + b":" + numbered(item)(n // 2)
    yield case(
        "order", lambda n: half(n) + b',"$setElementOrder/' + name.encode() + b'":' + numbered(item)(n // 2)
    )
    yield case("order alone", lambda n: b'"$setElementOrder/' + name.encode() + b'":' + numbered(item)(n))
    yield case(
        "delete texts",
        lambda n: b'"$deleteFromPrimitiveList/' + name.encode() + b'":' + numbered(b'"k\\u0000"')(n),
    )
    yield case("retain keys", lambda n: b'"$retainKeys":' + numbered(b'"k\\u0000"')(n))


def _grown(
    label: str,
    where: str,
    one: str,
    path: Path,
    inner: Type,
    there: Any,
    whole: Parts,
    only: Parts,
    last: list[bytes],
) -> Iterator[Case]:
    """Changes of a list that is long already, by one as long."""
    for filler, fill in fillers(inner, there):
        if filler in ("items", "good items", "paths", "networks"):
            there_first = partial(_long, where, whole, fill)
            for change, made in (
                ("other", partial(_other, fill)),
                ("same", fill),
                ("reversed", partial(_reversed, fill)),
            ):
                label_of = f"{label} {shown(path)}: {change} after many {filler}"
                for verb, method, query, kind in (
                    ("update", "PUT", "", "application/json"),
                    ("merge", "PATCH", "", MERGE),
                    ("strategic", "PATCH", "", STRATEGIC),
                    ("apply", "PATCH", "&fieldManager=m&force=true", APPLY),
                ):
                    parts = whole if verb == "update" else only
                    make = partial(_request, method, f"{one}?dryRun=All{query}", parts, made, kind)
                    yield Case(f"{verb} {label_of}", make, there_first, lambda _: last)


def _long(where: str, parts: Parts, fill: Filler, size: int) -> list[bytes]:
    return [http("POST", where, parts[0] + fill(size) + parts[1])]


def _request(method: str, target: str, parts: Parts, fill: Filler, media: str, size: int) -> bytes:
    return http(method, target, parts[0] + fill(size) + parts[1], content_type=media)


def _other(fill: Filler, size: int) -> bytes:
    """Items of other names."""
    return fill(size).replace(b"k", b"q")


def _reversed(fill: Filler, size: int) -> bytes:
    """The same items, the last first."""
    items = fill(size)[1:-1].replace(b"},{", b"}\x00{").replace(b'","', b'"\x00"').split(b"\x00")
    return b"[" + b",".join(reversed(items)) + b"]"


def lasting(resource: Resource) -> dict[str, Any]:
    """A good object that goes away when it is deleted."""
    base = good(resource)
    base["metadata"].pop("finalizers", None)
    return base


SUBRESOURCES = ("Binding", "Eviction", "TokenRequest", "Scale")
"""Kinds of bodies of subresources that are not the object itself."""


def subresources(resource: Resource) -> Iterator[Group]:
    """Bodies of the subresources that have a kind of their own."""
    base = lasting(resource)
    first, last = _there(resource, base)
    for name, sub in resource.subresources.items():
        if sub.kind not in SUBRESOURCES:
            continue
        body = {
            "apiVersion": f"{sub.group}/{sub.version}".lstrip("/"),
            "kind": sub.kind,
            "metadata": {"name": base["metadata"]["name"]},
        }
        target = f"{collection(resource)}/{base['metadata']['name']}/{name}?dryRun=All"
        method = "POST" if "create" in sub.verbs else "PUT"
        type = schema.for_kind(sub.group, sub.version, sub.kind)
        yield from _bodies(f"{resource.group_resource}/{name}", type, body, method, (target,), first, last)


def _bodies(
    label: str,
    type: Type,
    body: Any,
    method: str,
    targets: tuple[str, ...],
    first: list[bytes],
    last: list[bytes],
) -> Iterator[Group]:
    """Bodies of a type in which each member is filled, as JSON and as YAML."""
    for path, inner, there in members(type, body):
        yield partial(
            _filled,
            f"{method} {label} {shown(path)}",
            type,
            body,
            path,
            inner,
            there,
            method,
            targets,
            first,
            last,
        )


def _filled(
    label: str,
    type: Type,
    body: Any,
    path: Path,
    inner: Type,
    there: Any,
    method: str,
    targets: tuple[str, ...],
    first: list[bytes],
    last: list[bytes],
) -> Iterator[Case]:
    before, after = around(holed(type, body, path))
    for filler, fill in fillers(inner, there):
        for media in ("json", "yaml"):
            for number, target in enumerate(targets):

                def make(size: int, fill: Filler = fill, media: str = media, target: str = target) -> bytes:
                    return http(
                        method, target, before + fill(size) + after, content_type=f"application/{media}"
                    )

                yield Case(f"{label}: {filler} ({media}, {number})", make, lambda _: first, lambda _: last)


def _there(resource: Resource, base: dict[str, Any]) -> tuple[list[bytes], list[bytes]]:
    """The requests that make an object and take it away."""
    where = collection(resource)
    one = f"{where}/{base['metadata']['name']}?gracePeriodSeconds=0"
    return [http("POST", where, dumped(base))], [
        http("DELETE", one, dumped({"propagationPolicy": "Background"}))
    ]


def deletions() -> Iterator[Group]:
    """DeleteOptions, of one object and of all."""
    type = schema.for_kind("", "v1", "DeleteOptions")
    body = {"apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"]}
    targets = (f"{ONE}?dryRun=All", f"{MAPS}?dryRun=All&labelSelector=no%3Dsuch")
    yield from _bodies("options", type, body, "DELETE", targets, [], [])

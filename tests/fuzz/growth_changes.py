"""Cases of what changes an object that is there: PUT, every kind of patch, subresources, and the options of a DELETE."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from growth import Case, http
from growth_fillers import NUMBERED, Filler, dumped, example, fillers, numbered
from growth_kinds import HOLE, Path, around, collection, good, holed, members, shown, tree
from growth_requests import MAPS, ONE

from pilothouse.api import schema
from pilothouse.api.schema import Type
from pilothouse.registry.resource import Resource

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"


def stored(resource: Resource) -> bool:
    return not resource.virtual and {"create", "update", "patch", "delete"} <= set(resource.verbs)


def changes(resource: Resource, seen: set[tuple[str, str]] | None = None) -> Iterator[Case]:
    """PUT and every kind of patch on an object that is there, with each list, map and struct filled."""
    if not stored(resource):
        return
    type, base = tree(resource), lasting(resource)
    where = collection(resource)
    one = f"{where}/{base['metadata']['name']}"
    label = f"{resource.group_resource}/{resource.version}"
    first, last = _there(resource, base)
    targets = [("", type)] + [
        (f"/{n}", type) for n, s in resource.subresources.items() if s.strategy is not None
    ]
    name = base["metadata"]["name"]
    for path, inner, there in members(type, base, (), seen):
        if inner.kind not in ("list", "map", "struct", "any"):
            continue
        before, after = around(holed(type, base, path))
        only = around(
            holed(
                type,
                {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}},
                path,
            )
        )
        lone = around(_nested(path))
        for sub, _ in targets:
            if sub == "" or path[0] in ("status", "metadata") or sub not in ("/status",):
                for filler, fill in fillers(inner, there):
                    yield from _changes(
                        f"{label}{sub} {shown(path)}: {filler}",
                        f"{one}{sub}",
                        fill,
                        path,
                        (before, after),
                        only,
                        lone,
                        first,
                        last,
                    )
        if inner.kind == "list":
            yield from _directives(f"{label} {shown(path)}", one, path, inner, first, last)
            yield from _grown(label, where, one, path, inner, there, (before, after), only, last)


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

    def case(what: str, members: Callable[[int], bytes]) -> Case:
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
    half = lambda n: key + b":" + numbered(item)(n // 2)  # noqa: E731
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
        if filler not in ("items", "good items", "paths", "networks"):
            continue
        before = lambda n, fill=fill: [http("POST", where, whole[0] + fill(n) + whole[1])]  # noqa: E731
        other = lambda n, fill=fill: fill(n).replace(b"k", b"q")  # noqa: E731
        back = lambda n, fill=fill: (
            b"["
            + b",".join(
                reversed(fill(n)[1:-1].replace(b"},{", b"}\x00{").replace(b'","', b'"\x00"').split(b"\x00"))
            )
            + b"]"
        )  # noqa: E731
        dry = f"{one}?dryRun=All"
        for change, made in (("other", other), ("same", fill), ("reversed", back)):
            for verb, method, query, parts, kind in (
                ("update", "PUT", "", whole, "application/json"),
                ("merge", "PATCH", "", only, MERGE),
                ("strategic", "PATCH", "", only, STRATEGIC),
                ("apply", "PATCH", "&fieldManager=m&force=true", only, APPLY),
            ):
                yield Case(
                    f"{verb} {label} {shown(path)}: {change} after many {filler}",
                    lambda n, made=made, method=method, query=query, parts=parts, kind=kind: http(
                        method, dry + query, parts[0] + made(n) + parts[1], content_type=kind
                    ),
                    before,
                    lambda _: last,
                )


def lasting(resource: Resource) -> dict[str, Any]:
    """A good object that goes away when it is deleted."""
    base = good(resource)
    base["metadata"].pop("finalizers", None)
    return base


SUBRESOURCES = ("Binding", "Eviction", "TokenRequest", "Scale")
"""Kinds of bodies of subresources that are not the object itself."""


def subresources(resource: Resource) -> Iterator[Case]:
    """Bodies of the subresources that have a kind of their own."""
    base, where = lasting(resource), collection(resource)
    one = f"{where}/{base['metadata']['name']}"
    first, last = _there(resource, base)
    for name, sub in resource.subresources.items():
        if sub.kind not in SUBRESOURCES:
            continue
        type = schema.for_kind(sub.group, sub.version, sub.kind)
        body = {
            "apiVersion": f"{sub.group}/{sub.version}".lstrip("/"),
            "kind": sub.kind,
            "metadata": {"name": base["metadata"]["name"]},
        }
        method = "POST" if "create" in sub.verbs else "PUT"
        for path, inner, there in members(type, body):
            before, after = around(holed(type, body, path))
            for filler, fill in fillers(inner, there):
                for media in ("json", "yaml"):
                    yield Case(
                        f"{method} {resource.group_resource}/{name} {shown(path)}: {filler} ({media})",
                        lambda n, fill=fill, before=before, after=after, name=name, method=method, media=media: (
                            http(
                                method,
                                f"{one}/{name}?dryRun=All",
                                before + fill(n) + after,
                                content_type=f"application/{media}",
                            )
                        ),
                        lambda _: first,
                        lambda _: last,
                    )


def _there(resource: Resource, base: dict[str, Any]) -> tuple[list[bytes], list[bytes]]:
    """The requests that make an object and take it away."""
    where = collection(resource)
    one = f"{where}/{base['metadata']['name']}?gracePeriodSeconds=0"
    return [http("POST", where, dumped(base))], [
        http("DELETE", one, dumped({"propagationPolicy": "Background"}))
    ]


def deletions() -> Iterator[Case]:
    """DeleteOptions, of one object and of all."""
    type = schema.for_kind("", "v1", "DeleteOptions")
    body = {"apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"]}
    for path, inner, there in members(type, body):
        before, after = around(holed(type, body, path))
        for filler, fill in fillers(inner, there):
            for media in ("json", "yaml"):
                for what, target in (
                    ("one", f"{ONE}?dryRun=All"),
                    ("all", f"{MAPS}?dryRun=All&labelSelector=no%3Dsuch"),
                ):
                    yield Case(
                        f"delete {what} {shown(path)}: {filler} ({media})",
                        lambda n, fill=fill, before=before, after=after, target=target, media=media: http(
                            "DELETE", target, before + fill(n) + after, content_type=f"application/{media}"
                        ),
                    )

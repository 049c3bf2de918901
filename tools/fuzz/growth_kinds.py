"""Cases for every built-in kind: each member filled in each way, created as JSON, YAML and protobuf."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from fuzz.good_objects import GOOD
from fuzz.growth import Case, Group, NotMadeError, http
from fuzz.growth_fillers import NUMBERED, Filler, dumped, example, fillers

from pilothouse.api.protobuf.writer import write
from pilothouse.api.types.schema import Type
from pilothouse.registry.catalog import built_in
from pilothouse.registry.resource import Resource

Path = tuple[str | int, ...]
PROTOBUF = "application/vnd.kubernetes.protobuf"

HOLE = "\x02"
NAMESPACE = "default"
_GOOD = dict(GOOD)


def collection(resource: Resource) -> str:
    """The path of all objects of a resource, in one namespace."""
    root = f"/apis/{resource.group}/{resource.version}" if resource.group else "/api/v1"
    return (
        f"{root}/namespaces/{NAMESPACE}/{resource.plural}"
        if resource.namespaced
        else f"{root}/{resource.plural}"
    )


def tree(resource: Resource) -> Type:
    assert resource.type_of is not None
    return resource.type_of()


def good(resource: Resource) -> dict[str, Any]:
    """An object that is taken, or at least read; all texts of it are short."""
    path = collection(resource)
    found = _GOOD.get(path)
    if found is None:
        made = json.loads(json.dumps(example(tree(resource))).replace(json.dumps(NUMBERED)[1:-1], "0"))
        found = {"metadata": {"name": "fuzz"}, **{k: v for k, v in made.items() if k != "metadata"}}
        spec = tree(resource).fields.get("spec")
        if spec is not None and "spec" not in found:
            found["spec"] = {}
    out = json.loads(json.dumps(found))
    out["apiVersion"], out["kind"] = resource.api_version, resource.kind
    if not resource.virtual:
        out["metadata"].setdefault("name", "fuzz")
    return dict(out)


def members(
    type: Type, value: Any, path: Path = (), seen: set[tuple[str, str]] | None = None
) -> Iterator[tuple[Path, Type, Any]]:
    """Every member of a type with its path and the value that is there; each member of a struct once."""
    seen = set() if seen is None else seen
    if type.kind == "struct":
        for name, field in type.fields.items():
            known = (type.name, name)
            if known in seen or (not path and name in ("apiVersion", "kind")):
                continue
            seen.add(known)
            inner = value.get(name) if isinstance(value, dict) else None
            yield (*path, name), field.type, inner
            yield from members(field.type, inner, (*path, name), seen)
    elif type.kind == "list" and type.items is not None:
        inner = value[0] if isinstance(value, list) and value else None
        yield from members(type.items, inner, (*path, 0), seen)
    elif type.kind == "map" and type.items is not None:
        yield from members(type.items, None, (*path, "k"), seen)
    elif type.kind == "schemaor" and type.items is not None:
        yield from members(type.items, None, path, seen)


def holed(type: Type, value: Any, path: Path) -> Any:
    """A copy of a value with a hole at a path; what leads there is made."""
    if not path:
        return HOLE
    step, rest = path[0], path[1:]
    if type.kind == "list":
        assert type.items is not None
        items = list(value) if isinstance(value, list) else []
        first = items[0] if items else _zeroed(example(type.items))
        return [holed(type.items, first, rest), *items[1:]]
    if type.kind == "map":
        assert type.items is not None
        return {**(value or {}), step: holed(type.items, (value or {}).get(step), rest)}
    if type.kind == "schemaor":
        assert type.items is not None
        return holed(type.items, value, path)
    there = value if isinstance(value, dict) else _zeroed(example(type))
    return {**there, step: holed(type.fields[str(step)].type, there.get(step), rest)}


def _zeroed(value: Any) -> Any:
    return json.loads(json.dumps(value).replace(json.dumps(NUMBERED)[1:-1], "0"))


def around(value: Any) -> tuple[bytes, bytes]:
    """JSON before and after the hole."""
    before, _, after = dumped(value).partition(json.dumps(HOLE).encode())
    return before, after


def shown(path: Path) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def creations(resource: Resource, encoding: str = "application/json") -> Iterator[Group]:
    """A POST for every member and filler; nothing is stored."""
    type, base = tree(resource), good(resource)
    for path, inner, there in members(type, base):
        yield partial(_created, resource, type, base, path, inner, there, encoding)


def _created(
    resource: Resource, type: Type, base: Any, path: Path, inner: Type, there: Any, encoding: str
) -> Iterator[Case]:
    before, after = around(holed(type, base, path))
    where = collection(resource) + ("" if resource.virtual else "?dryRun=All")
    label = f"create {resource.group_resource}/{resource.version} {shown(path)}"
    for name, fill in fillers(inner, there):

        def make(size: int, fill: Filler = fill) -> bytes:
            body = before + fill(size) + after
            if encoding == PROTOBUF:
                body = as_protobuf(resource, body)
            return http("POST", where, body, content_type=encoding)

        yield Case(f"{label}: {name} ({encoding})", make)


def as_protobuf(resource: Resource, body: bytes) -> bytes:
    """The same body as protobuf; NotMadeError where its types do not allow it."""
    try:
        return write(json.loads(body), resource.api_version, resource.kind)
    except Exception as error:
        raise NotMadeError from error


def resources() -> list[Resource]:
    """Every resource of which something can be created."""
    return [r for r in built_in() if r.type_of is not None and "create" in r.verbs]

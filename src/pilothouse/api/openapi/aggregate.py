"""Takes the OpenAPI documents of other servers apart and adds them to this server's
(kube-openapi pkg/aggregator).

What another server sends may be anything.
It is read with limits, and ValueError is raised for all that is no document.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import orjson

from pilothouse.api.openapi.paths import Document
from pilothouse.api.types.depth import is_too_deep

DEFINITIONS, PARAMETERS = "#/definitions/", "#/parameters/"
GVK = "x-kubernetes-group-version-kind"

Find = Callable[[str], Document | None]
"""A definition by its name, None if there is none."""


class AggregatedDocument(NamedTuple):
    """The contribution of a group version to the document of version 2."""

    paths: Document
    definitions: Document


def read(data: bytes) -> Document:
    """Decode a document; ValueError for what is none, or is nested too deeply."""
    document = orjson.loads(data)
    if not isinstance(document, dict) or is_too_deep(document):
        raise ValueError("no OpenAPI document")
    return document


def part_of(document: Document, group: str, version: str) -> AggregatedDocument:
    """The paths of a group version, and the definitions that they use, with their names;
    ValueError for a malformed one.

    References to common parameters are replaced by the parameters,
    as this server's own document has none to share.
    """
    prefix = f"/apis/{group}/{version}/" if group else f"/api/{version}/"
    found = {path: item for path, item in _members(document, "paths") if path.startswith(prefix)}
    common = dict(_members(document, "parameters"))
    paths = {path: _with_parameters(item, common) for path, item in found.items()}
    return AggregatedDocument(paths, _used(paths, dict(_members(document, "definitions"))))


def _members(document: Document, name: str) -> Iterator[tuple[str, Document]]:
    """The members of a map of objects."""
    members = document.get(name)
    if members is None:
        return
    if not isinstance(members, dict):
        raise ValueError(f"{name}: it must be an object")
    for key, value in members.items():
        if not isinstance(value, dict):
            raise ValueError(f"{name}.{key}: it must be an object")
        yield key, value


def _with_parameters(item: Document, common: Document) -> Document:
    """A path item with the parameters that it and its operations refer to."""

    def resolved(holder: Any) -> Any:
        if not isinstance(holder, dict) or not isinstance(holder.get("parameters"), list):
            return holder
        return {**holder, "parameters": [_parameter(one, common) for one in holder["parameters"]]}

    return {name: resolved(member) for name, member in resolved(item).items()}


def _parameter(one: Any, common: Document) -> Any:
    reference = one.get("$ref") if isinstance(one, dict) else None
    if isinstance(reference, str) and reference.startswith(PARAMETERS):
        return common.get(reference.removeprefix(PARAMETERS), one)
    return one


def _used(paths: Document, definitions: Document) -> Document:
    """The definitions to which paths lead, in the document's order."""
    used: set[str] = set()
    waiting: list[Any] = [paths]
    while waiting:
        for name in references(waiting.pop()):
            if name in definitions and name not in used:
                used.add(name)
                waiting.append(definitions[name])
    return {name: schema for name, schema in definitions.items() if name in used}


def references(value: Any) -> Iterator[str]:
    """The names of the definitions to which a value refers anywhere within."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            reference = one.get("$ref")
            if isinstance(reference, str) and reference.startswith(DEFINITIONS):
                yield reference.removeprefix(DEFINITIONS)
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def merge(parts: Iterable[AggregatedDocument], own: Find) -> AggregatedDocument:
    """Join the parts of other servers, in the order of their priority,
    into one that is added to this server's document.

    `own` finds this server's definitions. A definition of the same name that differs gets another name:
    `Name_v2`. One that differs only in its group version kinds stays one, with those of both.
    A path that is there already is left out.
    """
    paths: Document = {}
    definitions: Document = {}

    def find(name: str) -> Document | None:
        found = definitions.get(name)
        return found if found is not None else own(name)

    for part in parts:
        kept = {path: item for path, item in part.paths.items() if path not in paths}
        used = part.definitions if len(kept) == len(part.paths) else _used(kept, part.definitions)
        names = _renames(used, find)
        for name, schema in used.items():
            name = names.get(name, name)
            schema, existing = _renamed(schema, names), find(name)
            definitions[name] = schema if existing is None else _with_kinds(existing, schema)
        paths |= _renamed(kept, names)
    return AggregatedDocument(paths, definitions)


def _renames(definitions: Document, find: Find) -> dict[str, str]:
    """New names for the definitions whose names are taken by others that differ."""
    renames: dict[str, str] = {}
    for name, schema in definitions.items():
        existing = find(name)
        if existing is not None and not _same(existing, schema):
            renames[name] = _new_name(name, schema, find, {*definitions, *renames.values()})
    return renames


def _new_name(name: str, schema: Document, find: Find, taken: set[str]) -> str:
    """The first name that is free, or that an equal definition has got before."""
    for number in itertools.count(2):
        new = f"{name}_v{number}"
        existing = find(new)
        if existing is None and new not in taken:
            return new
        if existing is not None and _same(existing, schema):
            return new
    raise AssertionError("unreachable")


def _same(one: Document, other: Document) -> bool:
    """Whether two definitions are equal but for their group version kinds."""
    return {**one, GVK: None} == {**other, GVK: None}


def _with_kinds(existing: Document, other: Document) -> Document:
    """A definition with the group version kinds of both."""
    kinds, more = existing.get(GVK), other.get(GVK)
    if not isinstance(more, list) or more == kinds:
        return existing
    if not isinstance(kinds, list):
        return {**existing, GVK: more}
    new = [kind for kind in more if kind not in kinds]
    return {**existing, GVK: sorted([*kinds, *new], key=_order)} if new else existing


def _order(kind: Any) -> tuple[str, str, str]:
    if not isinstance(kind, dict):
        return "", "", ""
    return str(kind.get("group", "")), str(kind.get("version", "")), str(kind.get("kind", ""))


def _renamed(value: Any, names: dict[str, str]) -> Any:
    """A copy in which references follow the new names; the value itself when there are none."""
    if not names:
        return value
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    out = {}
    for name, member in value.items():
        if name == "$ref" and isinstance(member, str):
            found = names.get(member.removeprefix(DEFINITIONS)) if member.startswith(DEFINITIONS) else None
            out[name] = f"{DEFINITIONS}{found}" if found else member
        else:
            out[name] = _renamed(member, names)
    return out


def digest(value: Any) -> str:
    """A hash of JSON in the form of an ETag's text: upper-case hexadecimal SHA-512."""
    data = value if isinstance(value, bytes) else orjson.dumps(value)
    return hashlib.sha512(data).hexdigest().upper()

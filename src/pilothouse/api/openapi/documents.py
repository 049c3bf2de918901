"""Builds OpenAPI documents on demand:
version 3 documents per group version, and the parts of the version 2 document.

A document depends only on the served resources and their schemas. Its hash is computed from these without
building the document, so the index of version 3 is cheap.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from pilothouse.api.openapi import version_2, version_3
from pilothouse.api.openapi.custom import META, custom_list, custom_name, custom_schema, custom_schema_v2
from pilothouse.api.openapi.descriptions import Descriptions
from pilothouse.api.openapi.flavour import INSTALLED, JSON, TYPED
from pilothouse.api.openapi.paths import (
    DEFINITION,
    RESOURCE_LIST,
    DeclaredSchema,
    Document,
    OpenAPIResource,
    Operation,
    Paths,
    document_path,
)
from pilothouse.api.types import schema
from pilothouse.logs import Logger
from pilothouse.process.patterns import pattern
from pilothouse.process.version import VERSION

log = Logger(__name__)

_BUILT_IN = pattern(re.escape(DEFINITION) + r"[A-Za-z0-9.-]{1,200}")

PLAIN_PATHS: dict[str, tuple[str, str, str, tuple[str, ...], tuple[str, ...]]] = {
    "api": ("APIVersions", "get available API versions", f"{META}.APIVersions", TYPED, TYPED),
    "apis": ("APIVersions", "get available API versions", f"{META}.APIGroupList", TYPED, TYPED),
    "version": (
        "CodeVersion",
        "get the version information for this server",
        "io.k8s.apimachinery.pkg.version.Info",
        (JSON,),
        (JSON,),
    ),
    ".well-known/openid-configuration": (
        "ServiceAccountIssuerOpenIDConfiguration",
        "get service account issuer OpenID configuration, also known as the 'OIDC discovery doc'",
        "string",
        (JSON,),
        (),
    ),
    "openid/v1/jwks": (
        "ServiceAccountIssuerOpenIDKeyset",
        "get service account issuer OpenID JSON Web Key Set (contains public token verification keys)",
        "string",
        ("application/jwk-set+json",),
        (),
    ),
}
"""Name -> what `document_path` takes behind the path."""


class OpenAPI:
    """Builds the documents for the served resources.

    `versions()` lists (group, version); `resources(group, version)` returns the records served there.
    """

    def __init__(
        self,
        versions: Callable[[], Iterable[tuple[str, str]]],
        resources: Callable[[str, str], Iterable[OpenAPIResource]],
        descriptions: Descriptions | None = None,
    ) -> None:
        self._versions = versions
        self._resources = resources
        self._descriptions = descriptions or Descriptions()
        self._held: dict[str, list[list[OpenAPIResource]]] = {}
        """Document name -> the records that each builder now at work uses."""

    def names(self) -> list[str]:
        """The names of the version 3 documents: their paths without the leading slash."""
        found = dict.fromkeys(PLAIN_PATHS)
        for group, version in self._versions():
            found[f"apis/{group}/{version}" if group else f"api/{version}"] = None
            if group and f"apis/{group}" not in found and self._lists_group(group, version):
                found[f"apis/{group}"] = None
        return list(found)

    def hash(self, name: str) -> str:
        """The hash of a document: upper-case hexadecimal SHA-512; raises KeyError."""
        parts = self._parts(name)
        basis: list[Any] = [name, INSTALLED.version, VERSION, self._descriptions.digest]
        if parts is not None:
            basis += [self._basis(kind) for kind in self._resources(*parts)]
        return hashlib.sha512(json.dumps(basis, sort_keys=True).encode()).hexdigest().upper()

    def kinds(self, name: str) -> list[OpenAPIResource]:
        """The resource records that a document describes; raises KeyError."""
        held = self._held.get(name)
        return held[-1] if held else self._kinds(name)

    def _kinds(self, name: str) -> list[OpenAPIResource]:
        parts = self._parts(name)
        return list(self._resources(*parts)) if parts is not None else []

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Keep the current records for a document while a thread builds it; raises KeyError like `kinds`."""
        kinds = self._kinds(name)
        held = self._held.setdefault(name, [])
        held.append(kinds)
        try:
            yield
        finally:
            held.pop()
            if not held:
                self._held.pop(name, None)

    def document(self, name: str) -> Document:
        """Build a version 3 document; raises KeyError."""
        kinds = self.kinds(name)
        flavour = kinds[0].openapi if kinds else INSTALLED
        operations = self._operations(name, kinds)
        described = self._descriptions.reader()
        schemas = dict(self._custom(kinds, custom_schema))
        for found in _reached(_roots(operations, schemas)):
            schemas[found] = version_3.definition(schema.definition(found), described.of(found))
        return version_3.document(flavour, operations, schemas)

    def part_v2(self, name: str) -> version_2.GroupVersionDocument:
        """The part that a group version adds to the version 2 document besides built-in definitions;
        raises KeyError."""
        kinds = self.kinds(name)
        operations = self._operations(name, kinds)
        own = {found: version_2.definition(of) for found, of in self._custom(kinds, custom_schema_v2)}
        return version_2.part(operations, own, tuple(sorted(_roots(operations, own))))

    def built_in_v2(self, uses: Iterable[str]) -> version_2.GroupVersionDocument:
        """The built-in definitions of version 2 that parts use, with those to which they refer."""
        described = self._descriptions.reader()
        found = {
            name: version_3.definition(schema.definition(name), described.of(name)) for name in _reached(uses)
        }
        return version_2.GroupVersionDocument(
            {}, {name: version_2.definition(of) for name, of in found.items()}, {}
        )

    def built_in_key(self, uses: Iterable[str]) -> str:
        """A key of the built-in definitions that parts use."""
        return hashlib.sha256(json.dumps([self._descriptions.digest, *sorted(uses)]).encode()).hexdigest()

    def finder_v2(self) -> Callable[[str], Document | None]:
        """A function that finds a definition of version 2 by its name;
        for threads, it does not see later changes."""
        described = self._descriptions.reader()
        own = {
            custom_name(kind.group, kind.version, kind.kind): kind
            for version in self._versions()
            for kind in self._resources(*version)
            if kind.declared is not None
        }

        def find(name: str) -> Document | None:
            kind = own.get(name)
            if kind is not None and kind.declared is not None:
                return version_2.definition(custom_schema_v2(kind, self._schema(kind, kind.declared)))
            if not _BUILT_IN.fullmatch(name):
                return None  # it may come from another server, and it would become the name of a file
            try:
                found = version_3.definition(schema.definition(name), described.of(name))
                return version_2.definition(found)
            except KeyError:
                return None

        return find

    def _lists_group(self, group: str, version: str) -> bool:
        return all(kind.openapi.group_paths for kind in self._resources(group, version))

    def _parts(self, name: str) -> tuple[str, str] | None:
        """Group and version of a document name; None for documents of single paths."""
        if name in PLAIN_PATHS:
            return None
        parts = name.split("/")
        if len(parts) == 2 and parts[0] == "apis" and name in self.names():
            return None
        if (parts[0], len(parts)) not in (("api", 2), ("apis", 3)):
            raise KeyError(name)
        group, version = ("", *parts[1:]) if parts[0] == "api" else parts[1:]
        if not any(self._resources(group, version)):
            raise KeyError(name)
        return group, version

    def _basis(self, kind: OpenAPIResource) -> list[Any]:
        subresources = [(sub.name, sub.kind, sub.verbs) for sub in kind.subresources.values()]
        own = kind.declared.digest.hex() if kind.declared is not None else None
        names = [kind.plural, kind.kind, kind.list_kind]
        return [names, kind.namespaced, kind.verbs, subresources, kind.selectable_fields, own]

    def _operations(self, name: str, kinds: list[OpenAPIResource]) -> list[Operation]:
        if name in PLAIN_PATHS:
            return [document_path(f"/{name}/", *PLAIN_PATHS[name])]
        text = "get available resources"
        if not kinds:
            about = "get information of a group"
            return [document_path(f"/{name}/", "APIGroup", about, f"{META}.APIGroup", TYPED, TYPED)]
        paths = Paths(_definitions(kinds))
        operations = [op for kind in kinds for op in paths.of(kind)]
        if all(kind.openapi.group_paths for kind in kinds):
            head = document_path(f"/{name}/", "APIResources", text, RESOURCE_LIST, TYPED, TYPED)
            operations.insert(0, head)
        return operations

    def _schema(self, kind: OpenAPIResource, declared: DeclaredSchema) -> Document:
        """A declared schema; an unreadable one is replaced by one that allows anything,
        so others are served."""
        try:
            return declared.document
        except Exception:
            log.exception("A schema is left out of the OpenAPI documents", kind=kind.kind)
            return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}

    def _custom(
        self, kinds: Iterable[OpenAPIResource], write: Callable[[OpenAPIResource, Document], Document]
    ) -> Iterator[tuple[str, Document]]:
        """The definitions of custom resources,
        which `write` makes of declared schemas, and those of their lists."""
        for kind in kinds:
            if kind.declared is not None:
                own = custom_name(kind.group, kind.version, kind.kind)
                yield own, write(kind, self._schema(kind, kind.declared))
                yield custom_name(kind.group, kind.version, kind.list_kind), custom_list(kind, own)


def _roots(operations: Iterable[Operation], custom: Document) -> set[str]:
    """The built-in definitions to which operations and the definitions of custom resources refer.

    Custom resources of a group below k8s.io have names that begin as those of built-in ones.
    """
    names = {name for op in operations for name in (op.answer, op.body) if name.startswith(DEFINITION)}
    if custom:
        names |= {f"{META}.ObjectMeta", f"{META}.ListMeta"}
    return names - custom.keys()


def _reached(roots: Iterable[str]) -> Iterator[str]:
    """Built-in definitions and all to which they refer, directly or indirectly."""
    waiting = sorted(roots, reverse=True)
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += version_3.references(schema.definition(name))
            yield name


def _definitions(kinds: Iterable[OpenAPIResource]) -> Callable[[str, str, str], str]:
    """Returns a function from group, version and kind to a definition's name, "" if it has none."""
    custom = {
        (k.group, k.version, kind) for k in kinds if k.declared is not None for kind in (k.kind, k.list_kind)
    }

    def find(group: str, version: str, kind: str) -> str:
        group_version = f"{group}/{version}" if group else version
        found = schema.index()["kinds"].get(group_version, {}).get(kind)
        if found is not None:
            return str(found)
        return custom_name(group, version, kind) if (group, version, kind) in custom else ""

    return find

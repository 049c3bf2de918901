"""Probes aggregated API servers and reads which resources they serve.

Reads the aggregated discovery document if the server has one, else the resource list of the version.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import orjson

from pilothouse.api.values.fields import Object
from pilothouse.outbound.http import Answer, ClientError, Outbound
from pilothouse.registry.resource import AggregatedServer
from pilothouse.registry.service_resolver import ServiceResolver, Unroutable

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
LIMIT = 4 << 20
"""Largest document that is read, in bytes; kube-apiserver's own has 160 KB."""

KEPT = 64
"""Servers whose document is remembered, so that it is read again only when it has changed."""

SECONDS = 5.0
"""Seconds to wait for an answer."""

_NO_KIND = {"group": "", "version": "", "kind": ""}

SYSTEM = (("X-Remote-User", "system:kube-aggregator"), ("X-Remote-Group", "system:masters"))
"""The user as whom this server sends requests of its own."""


class _Known(NamedTuple):
    """The aggregated discovery of a server that was read last:
    its ETag, and the resources of each group version."""

    tag: str
    versions: dict[tuple[str, str], list[Object]]


class RemoteDiscovery:
    """Asks backends which resources they serve.
    `headers` are sent with each request besides those that name the user."""

    def __init__(
        self, outbound: Outbound, resolver: ServiceResolver, headers: Iterable[tuple[str, str]] = ()
    ) -> None:
        self._outbound = outbound
        self._resolver = resolver
        self._headers = (*SYSTEM, *headers)
        self._known: OrderedDict[AggregatedServer, _Known] = OrderedDict()

    async def probe(self, backend: AggregatedServer, group: str, version: str) -> str:
        """Request a backend's discovery document; returns the error, "" if it answers."""
        try:
            base = self._resolver.url(backend)
        except Unroutable as err:
            return str(err)
        url = f"{base}{_path(group, version)}"
        try:
            answer = await self._open(url, backend)
        except ClientError as err:
            return f'failing or missing response from {url}: Get "{url}": {err}'
        answer.close()
        if not 200 <= answer.status < 300:
            return f"failing or missing response from {url}: bad status from {url}: {answer.status}"
        return ""

    async def resources_of(self, backend: AggregatedServer, group: str, version: str) -> list[Object] | None:
        """The APIResourceDiscovery objects of a group version; None if they cannot be read."""
        try:
            async with asyncio.timeout(SECONDS):
                base = self._resolver.url(backend)
                found = await self._aggregated(f"{base}/apis", backend)
                if found is not None:
                    return found.get((group, version), [])
                return await self._legacy(f"{base}{_path(group, version)}", backend, group, version)
        except (Unroutable, ClientError, ValueError, KeyError, TypeError, AttributeError, TimeoutError):
            return None

    async def _aggregated(
        self, url: str, backend: AggregatedServer
    ) -> dict[tuple[str, str], list[Object]] | None:
        """The resources of all group versions that a server has;
        None where it does not know such a document."""
        key = replace(backend, uid="", available=True)
        known = self._known.get(key)
        headers = [("Accept", AGGREGATED)]
        if known is not None and known.tag:
            headers.append(("If-None-Match", known.tag))
        answer = await self._open(url, backend, headers)
        if answer.status == 304 and known is not None:
            answer.close()
            self._known.move_to_end(key)
            return known.versions
        if answer.status == 503:
            answer.close()
            raise ClientError(f"status {answer.status}")
        if answer.status != 200 or "as=APIGroupDiscoveryList" not in answer.header("content-type"):
            answer.close()
            return None
        versions = _versions(orjson.loads(await answer.read(LIMIT)))
        self._known[key] = _Known(answer.header("etag"), versions)
        if len(self._known) > KEPT:
            self._known.popitem(last=False)
        return versions

    async def _legacy(self, url: str, backend: AggregatedServer, group: str, version: str) -> list[Object]:
        answer = await self._open(url, backend, [("Accept", "application/json")])
        if answer.status != 200:
            answer.close()
            raise ClientError(f"status {answer.status}")
        return _converted(orjson.loads(await answer.read(LIMIT)), group, version)

    async def _open(
        self, url: str, backend: AggregatedServer, headers: Iterable[tuple[str, str]] = ()
    ) -> Answer:
        trust = self._resolver.trust(backend)
        return await self._outbound.open(
            "GET", url, headers=[*self._headers, *headers], trust=trust, timeout=SECONDS, counted=True
        )


def _path(group: str, version: str) -> str:
    return f"/apis/{group}/{version}" if group else f"/api/{version}"


def _versions(document: Object) -> dict[tuple[str, str], list[Object]]:
    """The resources of each group version in an APIGroupDiscoveryList."""
    return {
        ((item.get("metadata") or {}).get("name", ""), one["version"]): [
            _with_kinds(resource) for resource in one.get("resources") or ()
        ]
        for item in document["items"]
        for one in item.get("versions") or ()
    }


def _with_kinds(resource: Object) -> Object:
    """A resource all of whose kinds are set:
    clients of v0.26 fail on one that is null (kubernetes#118361)."""
    out = {**resource, "responseKind": resource.get("responseKind") or _NO_KIND}
    if resource.get("subresources"):
        out["subresources"] = [
            {**sub, "responseKind": sub.get("responseKind") or _NO_KIND} for sub in resource["subresources"]
        ]
    return out


def _converted(document: Object, group: str, version: str) -> list[Object]:
    """Convert an APIResourceList into the aggregated form (endpoints.ConvertGroupVersionIntoToDiscovery)."""
    made: dict[str, Object] = {}
    for entry in document.get("resources") or ():
        plural, _, sub = entry["name"].partition("/")
        kind = {
            "group": entry.get("group") or group,
            "version": entry.get("version") or version,
            "kind": entry["kind"],
        }
        scope = "Namespaced" if entry.get("namespaced") else "Cluster"
        if sub:
            parent = made.setdefault(
                plural,
                {"resource": plural, "responseKind": {}, "scope": scope, "singularResource": "", "verbs": []},
            )
            one = {"subresource": sub, "responseKind": kind, "verbs": entry["verbs"]}
            parent.setdefault("subresources", []).append(one)
            continue
        own = made.setdefault(plural, {})
        own.update(
            resource=plural,
            responseKind=kind,
            scope=scope,
            singularResource=entry.get("singularName", ""),
            verbs=entry["verbs"],
        )
        for member in ("shortNames", "categories"):
            if entry.get(member):
                own[member] = entry[member]
    return list(made.values())

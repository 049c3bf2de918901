"""Probes aggregated API servers and reads which resources they serve.

Reads the aggregated discovery document if the server has one, else the resource list of the version.
"""

import orjson

from pilothouse.api.fields import Object
from pilothouse.outbound.http import Answer, ClientError, Outbound
from pilothouse.registry.resource import Backend
from pilothouse.registry.service_resolver import ServiceResolver, Unroutable

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
LIMIT = 16 << 20
"""Largest document that is read, in bytes."""

SECONDS = 5.0
"""Seconds to wait for the head of an answer."""

SYSTEM = (("X-Remote-User", "system:kube-aggregator"), ("X-Remote-Group", "system:masters"))
"""The user as whom this server sends requests of its own."""


class RemoteDiscovery:
    """Asks backends which resources they serve."""

    def __init__(self, outbound: Outbound, resolver: ServiceResolver) -> None:
        self._outbound = outbound
        self._resolver = resolver

    async def probe(self, backend: Backend, group: str, version: str) -> str:
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

    async def resources_of(self, backend: Backend, group: str, version: str) -> list[Object] | None:
        """The APIResourceDiscovery objects of a group version; None if they cannot be read."""
        try:
            base = self._resolver.url(backend)
            found, document = await self._get(f"{base}/apis", AGGREGATED, backend)
            if "as=APIGroupDiscoveryList" in found:
                return _of_version(document, group, version)
            _, document = await self._get(f"{base}{_path(group, version)}", "application/json", backend)
            return _converted(document, group, version)
        except (Unroutable, ClientError, ValueError, KeyError, TypeError, AttributeError):
            return None

    async def _get(self, url: str, accept: str, backend: Backend) -> tuple[str, Object]:
        """Content type and document; the type is "" if the answer has none of the accepted types."""
        answer = await self._open(url, backend, accept)
        body = await answer.read(LIMIT)
        if answer.status != 200:
            if accept == AGGREGATED and answer.status != 503:
                return "", {}
            raise ClientError(f"status {answer.status}")
        document: Object = orjson.loads(body)
        return answer.header("content-type"), document

    async def _open(self, url: str, backend: Backend, accept: str = "") -> Answer:
        headers = [*SYSTEM, ("Accept", accept)] if accept else SYSTEM
        trust = self._resolver.trust(backend)
        return await self._outbound.open("GET", url, headers=headers, trust=trust, timeout=SECONDS)


def _path(group: str, version: str) -> str:
    return f"/apis/{group}/{version}" if group else f"/api/{version}"


def _of_version(document: Object, group: str, version: str) -> list[Object]:
    for item in document["items"]:
        if (item.get("metadata") or {}).get("name", "") != group:
            continue
        for one in item.get("versions") or ():
            if one["version"] == version:
                resources: list[Object] = one.get("resources") or []
                return resources
    return []


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

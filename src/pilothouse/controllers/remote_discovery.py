"""What an aggregated server says it serves: in one aggregated document, else in the list of each version."""

import orjson

from pilothouse.api.fields import Object
from pilothouse.endpoints import aggregator
from pilothouse.endpoints.aggregator import Reach
from pilothouse.outbound.http import ClientError
from pilothouse.registry.resource import Backend

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
LIMIT = 16 << 20


async def resources_of(reach: Reach, backend: Backend, group: str, version: str) -> list[Object] | None:
    """The APIResourceDiscovery objects of a group version, None when they cannot be had."""
    try:
        base = reach.base(backend)
        found, document = await _get(reach, f"{base}/apis", AGGREGATED, backend)
        if "as=APIGroupDiscoveryList" in found:
            return _of_version(document, group, version)
        path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        _, document = await _get(reach, base + path, "application/json", backend)
        return _converted(document, group, version)
    except (aggregator.Unroutable, ClientError, ValueError, KeyError, TypeError, AttributeError):
        return None


async def _get(reach: Reach, url: str, accept: str, backend: Backend) -> tuple[str, Object]:
    """Content type and document; the type is "" where the answer is another than asked for."""
    answer = await reach.outbound.open(
        "GET",
        url,
        headers=[*aggregator.SYSTEM, ("Accept", accept)],
        trust=aggregator.trust_of(backend, reach.options),
        timeout=aggregator.DISCOVERY_SECONDS,
    )
    body = await answer.read(LIMIT)
    if answer.status != 200:
        if accept == AGGREGATED and answer.status != 503:
            return "", {}
        raise ClientError(f"status {answer.status}")
    document: Object = orjson.loads(body)
    return answer.header("content-type"), document


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
    """An APIResourceList in the aggregated form (endpoints.ConvertGroupVersionIntoToDiscovery)."""
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

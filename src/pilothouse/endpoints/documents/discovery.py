"""Serves /api and /apis: the discovery of groups, versions and resources, plain and aggregated.

Each document is built and encoded on first use and kept until the resource catalog changes.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import orjson

from pilothouse.endpoints.request import negotiation, refusals
from pilothouse.endpoints.request.metrics import DiscoveryMetrics
from pilothouse.endpoints.request.negotiation import Media
from pilothouse.registry.catalog import Catalog
from pilothouse.registry.resource import Resource, Subresource
from pilothouse.registry.versions import version_key
from pilothouse.server.request import Request, Response

Document = dict[str, Any]


class Discovery:
    """Answers the discovery paths from a resource catalog.

    `server_address` is the host:port by which clients reach the server. `set_remote` announces what an
    aggregated API server serves: a list of APIResourceDiscovery objects, or None while that server cannot be
    reached.
    """

    def __init__(
        self, catalog: Catalog, server_address: str = "", metrics: DiscoveryMetrics | None = None
    ) -> None:
        self._catalog = catalog
        self._metrics = metrics or DiscoveryMetrics()
        self._server_address = server_address
        self._remote: dict[tuple[str, str], list[Document] | None] = {}
        self._announced: set[tuple[str, str]] = set()
        self._documents: dict[tuple[str, str], Document | None] = {}
        self._bodies: dict[tuple[str, str, bool], tuple[bytes, str]] = {}
        catalog.changed.append(self._forget)

    def _forget(self, group: str, version: str) -> None:
        self._documents.clear()
        self._bodies.clear()

    def announce(self, group: str, version: str) -> None:
        """List a version in the plain documents because it has an APIService,
        even if nothing here serves it."""
        remote = self._remote.pop((group, version), self) is not self
        if remote or (group, version) not in self._announced:
            self._announced.add((group, version))
            self._forget(group, version)

    def set_remote(self, group: str, version: str, resources: list[Document] | None) -> None:
        """Announce a version that an aggregated server serves; `resources` None marks it as stale."""
        key = group, version
        known = key in self._announced and key in self._remote
        if known and self._remote[key] == resources:
            return
        self._announced.add(key)
        self._remote[key] = resources
        self._forget(group, version)

    def remove_remote(self, group: str, version: str) -> None:
        """Stop announcing a version that an aggregated server served."""
        self._announced.discard((group, version))
        self._remote.pop((group, version), None)
        self._forget(group, version)

    def handle(self, request: Request, path: str) -> Response | None:
        """Answer a discovery path, with or without slashes at its end; None for every other path.

        Raises StatusError. An unserved version of a built-in group gets a Status, any other one a plain-text
        404.
        """
        if path != "/api" and not path.startswith(("/api/", "/apis")):
            return None
        accept = request.headers.get("accept")
        if path.startswith("/apis//"):
            return refusals.page_not_found()
        parts = path.strip("/").split("/")
        if parts[0] == "api" and len(parts) <= 2:
            return self._core(request, parts, accept)
        if parts[0] != "apis" or len(parts) > 3:
            return None
        if len(parts) == 1:
            return self._groups(request, accept, as_document=path == "/apis")
        if len(parts) == 2:
            return self._plain(request, "/".join(parts), accept) or refusals.page_not_found()
        return self._version(request, parts, accept)

    def missing(self, group: str, version: str) -> Response:
        """The 404 for a path below an unserved version:
        plain text, or NotFound raised for a built-in group."""
        if self._is_routed(group):
            raise refusals.path_not_found()
        return refusals.page_not_found()

    def paths(self) -> list[str]:
        """The group and version paths that `/` lists."""
        out = ["/api", *(f"/api/{version}" for version in self._versions("")), "/apis", "/apis/"]
        for group in self._group_names():
            out.append(f"/apis/{group}")
            out += [f"/apis/{group}/{version}" for version in self._versions(group)]
        return out

    def _core(self, request: Request, parts: list[str], accept: str | None) -> Response:
        if len(parts) == 2 and parts[1] not in self._versions(""):
            raise refusals.path_not_found()
        if request.method != "GET":
            raise refusals.method_not_allowed()
        negotiation.acceptable(accept)
        if len(parts) == 1:
            aggregated = negotiation.negotiate_discovery(accept)
            if aggregated is not None:
                return self._aggregated(request, "api", aggregated)
        response = self._plain(request, "/".join(parts), accept)
        assert response is not None
        return response

    def _groups(self, request: Request, accept: str | None, *, as_document: bool) -> Response:
        """`as_document`: the aggregated form may be asked for,
        which is not served with a slash behind the path."""
        aggregated = negotiation.negotiate_discovery(accept) if as_document else None
        if aggregated is not None:
            return self._aggregated(request, "apis", aggregated)
        response = self._plain(request, "apis", accept)
        assert response is not None
        return response

    def _version(self, request: Request, parts: list[str], accept: str | None) -> Response | None:
        _, group, version = parts
        if (group, version) in self._remote:
            return None
        resources = self._catalog.resources(group, version)
        if not resources:
            return self.missing(group, version)
        if resources[0].conventions.routed:
            if request.method != "GET":
                raise refusals.method_not_allowed()
            negotiation.acceptable(accept)
        return self._plain(request, "/".join(parts), accept)

    def _is_routed(self, group: str) -> bool:
        return any(
            resource.conventions.routed
            for version in self._catalog.versions(group)
            for resource in self._catalog.resources(group, version)
        )

    def _plain(self, request: Request, name: str, accept: str | None) -> Response | None:
        document = self._document("plain", name)
        if document is None:
            return None
        media = negotiation.negotiate_plain(accept)
        body, _ = self._body(request, name, document, media)
        return Response(200, body, media.content_type)

    def _aggregated(self, request: Request, name: str, media: Media) -> Response:
        document = self._document("aggregated", name)
        assert document is not None
        body, etag = self._body(request, name, document, media)
        headers = [("ETag", etag), ("Vary", "Accept"), ("Cache-Control", "public")]
        if request.headers.get("if-none-match") == etag:
            return Response(304, b"", "", headers)
        return Response(200, body, media.content_type, headers)

    def _body(self, request: Request, name: str, document: Document, media: Media) -> tuple[bytes, str]:
        pretty = media.pretty or negotiation.wants_pretty(
            request.query, request.headers.get("user-agent", "")
        )
        key = (name, media.content_type, pretty)
        found = self._bodies.get(key)
        if found is None:
            etag = f'"{hashlib.sha512(orjson.dumps(document)).hexdigest().upper()}"'
            found = self._bodies[key] = (negotiation.encode(document, media, pretty=pretty), etag)
        return found

    def _document(self, form: str, name: str) -> Document | None:
        key = (form, name)
        if key not in self._documents:
            document = self._build_aggregated(name) if form == "aggregated" else self._build(name)
            if document is None:
                return None
            self._documents[key] = document
        return self._documents[key]

    def _group_names(self, *, announced: bool = True) -> list[str]:
        """The names of all groups but core, highest priority first, including those of aggregated servers."""
        best: dict[str, int] = {}
        more = self._announced if announced else self._remote
        for group in [*self._catalog.groups(), *(group for group, _ in more if group)]:
            versions = self._versions(group, announced=announced)
            best[group] = max(self._catalog.priority(group, version)[0] for version in versions)
        return sorted(best, key=lambda group: (-best[group], group))

    def _versions(self, group: str, *, announced: bool = True) -> list[str]:
        more = self._announced if announced else self._remote
        found = {*self._catalog.versions(group), *(v for g, v in more if g == group)}
        return sorted(
            found, key=lambda v: (self._catalog.priority(group, v)[1], version_key(v)), reverse=True
        )

    def _build(self, name: str) -> Document | None:
        parts = name.split("/")
        if name == "api":
            return {
                "kind": "APIVersions",
                "versions": self._versions(""),
                "serverAddressByClientCIDRs": [
                    {"clientCIDR": "0.0.0.0/0", "serverAddress": self._server_address}
                ],
            }
        if name == "apis":
            groups = [self._api_group(group) for group in self._group_names()]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        if parts[0] == "api" or len(parts) == 3:
            return self._resource_list("" if parts[0] == "api" else parts[1], parts[-1])
        if not self._versions(parts[1]):
            return None
        return {"kind": "APIGroup", "apiVersion": "v1", **self._api_group(parts[1])}

    def _api_group(self, group: str) -> Document:
        versions = [{"groupVersion": f"{group}/{v}", "version": v} for v in self._versions(group)]
        return {"name": group, "versions": versions, "preferredVersion": versions[0]}

    def _resource_list(self, group: str, version: str) -> Document:
        group_version = f"{group}/{version}" if group else version
        out: Document = {"kind": "APIResourceList"}
        if group:
            out["apiVersion"] = "v1"
        out["groupVersion"] = group_version
        out["resources"] = [
            entry
            for resource in self._catalog.resources(group, version)
            for entry in _plain_entries(resource)
        ]
        return out

    def _build_aggregated(self, name: str) -> Document:
        self._metrics.aggregations.inc()
        groups = [""] if name == "api" else self._group_names(announced=False)
        return {
            "kind": "APIGroupDiscoveryList",
            "apiVersion": "apidiscovery.k8s.io/v2",
            "metadata": {},
            "items": [
                {
                    "metadata": {"name": group} if group else {},
                    "versions": [
                        self._aggregated_version(group, version)
                        for version in self._versions(group, announced=False)
                    ],
                }
                for group in groups
            ],
        }

    def _aggregated_version(self, group: str, version: str) -> Document:
        freshness = "Current"
        if (group, version) in self._remote:
            resources = self._remote[group, version]
            if resources is None:
                freshness = "Stale"
        else:
            resources = [_aggregated_entry(r) for r in self._catalog.resources(group, version)]
        out: Document = {"version": version}
        if resources:
            out["resources"] = resources
        out["freshness"] = freshness
        return out


def _subresources(resource: Resource) -> Iterable[Subresource]:
    """The subresources in upstream's order: built-in ones by name, those of a definition as declared."""
    found = resource.subresources.values()
    return sorted(found, key=lambda sub: sub.name) if resource.conventions.sorted_subresources else found


def _foreign(resource: Resource, sub: Subresource) -> bool:
    """Whether the subresource's kind belongs to another group or version than the resource."""
    return (sub.group, sub.version) != (resource.group, resource.version)


def _plain_entries(resource: Resource) -> list[Document]:
    entry: Document = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    _add_names(entry, resource)
    if resource.storage_version_hash:
        entry["storageVersionHash"] = resource.storage_version_hash
    out = [entry]
    for sub in _subresources(resource):
        entry = {
            "name": f"{resource.plural}/{sub.name}",
            "singularName": "",
            "namespaced": resource.namespaced,
        }
        if _foreign(resource, sub):
            entry |= {"group": sub.group, "version": sub.version}
        out.append({**entry, "kind": sub.kind, "verbs": list(sub.verbs)})
    return out


def _aggregated_entry(resource: Resource) -> Document:
    own = (resource.group, resource.version) if resource.conventions.full_kinds else ("", "")
    entry: Document = {
        "resource": resource.plural,
        "responseKind": {"group": own[0], "version": own[1], "kind": resource.kind},
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    _add_names(entry, resource)
    subresources = []
    for sub in _subresources(resource):
        group, version = (sub.group, sub.version) if _foreign(resource, sub) else own
        kind = {"group": group, "version": version, "kind": sub.kind}
        subresources.append({"subresource": sub.name, "responseKind": kind, "verbs": list(sub.verbs)})
    if subresources:
        entry["subresources"] = subresources
    return entry


def _add_names(entry: Document, resource: Resource) -> None:
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)

"""Reads the OpenAPI documents of aggregated servers,
and again each minute (kube-aggregator controllers/openapi{,v3})."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from time import perf_counter
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qs, quote, urlsplit

import orjson

from pilothouse.api.openapi import aggregate
from pilothouse.api.openapi.convert_v2 import to_v3
from pilothouse.api.values.fields import Object
from pilothouse.controllers.apiservices import APISERVICES, backend_of
from pilothouse.controllers.metrics import AggregationMetrics
from pilothouse.controllers.queue import WorkQueue
from pilothouse.endpoints.documents.openapi_remote import (
    GroupVersion,
    Packed,
    RemoteSpec,
    document_name,
    pack,
)
from pilothouse.lifecycle import Background
from pilothouse.logs import Logger
from pilothouse.outbound.http import Answer, ClientError, Outbound
from pilothouse.registry.client import Client
from pilothouse.registry.resource import AggregatedServer
from pilothouse.registry.service_resolver import ServiceResolver, Unroutable

log = Logger(__name__)

AGAIN, LONGEST = 60.0, 3600.0
"""Seconds until a server is asked again,
and the longest such time after failures, each of which doubles it."""

SECONDS = 60.0
"""Time for all documents of a server."""

INDEX_BYTES, LIMIT = 1 << 20, 8 << 20
"""Largest index of version 3, and largest document of version 2, that is read."""

WORKERS = 4
"""Servers that are asked at a time. Their documents are taken apart one after another."""

HASH_CHARACTERS = 256
USER = ("X-Remote-User", "system:aggregator")
"""The user as whom this server asks."""


class Documents(Protocol):
    """Keeps the documents of group versions."""

    def set(self, version: GroupVersion, spec: RemoteSpec) -> RemoteSpec:
        """Keep what is known of a group version; returns what there is room for."""

    def remove(self, version: GroupVersion) -> None:
        """Forget a group version."""


class Tags(NamedTuple):
    """The documents that were read last, with their ETags."""

    v3: str = ""
    v2: str = ""
    spec: RemoteSpec = RemoteSpec()


class RemoteOpenAPI(Background):
    """Keeps the documents of each group version that an available aggregated server answers."""

    def __init__(
        self,
        client: Client,
        fetch: "OpenAPIFetch",
        documents: Documents,
        metrics: AggregationMetrics | None = None,
    ) -> None:
        self._client = client
        self._metrics = metrics or AggregationMetrics()
        self._apiservices = client.resource("apiregistration.k8s.io", "v1", "apiservices")
        self._fetch = fetch
        self._documents = documents
        self._queue = WorkQueue("openapi", self._sync, WORKERS, metrics=client.metrics)
        self._versions: dict[str, GroupVersion] = {}
        self._known: dict[str, Tags] = {}
        self._failures: dict[str, int] = {}

    def start(self) -> None:
        readers = self._client.readers
        if readers.judged("openapi", (APISERVICES,), self._all_local):
            readers.follow(APISERVICES, self._changed)
        else:
            readers.subscribe(APISERVICES, self._changed)

    def _all_local(self) -> bool:
        """Whether no server is aggregated."""
        return not any(one["spec"].get("service") for one in self._client.readers.list(APISERVICES))

    async def close(self) -> None:
        await self._queue.close()

    def _changed(self, key: str, new: Object | None, old: Object | None) -> None:
        """Ask at once when a server has become available, or another one answers; drop what is gone."""
        name = key.rpartition("/")[2]
        if new is None or new["spec"].get("service") is None:
            self._forget(name)
            return
        now, was = backend_of(new), None
        if old is not None and old["spec"].get("service") is not None:
            was = backend_of(old)
        if was is not None and replace(was, available=now.available) != now:
            self._known.pop(name, None)
        if was != now:
            self._failures.pop(name, None)
            self._queue.add(name)

    def _forget(self, name: str) -> None:
        self._known.pop(name, None)
        self._failures.pop(name, None)
        version = self._versions.pop(name, None)
        if version is not None:
            began = perf_counter()
            self._documents.remove(version)
            self._metrics.published(name, "delete", perf_counter() - began)

    async def _sync(self, name: str) -> float | None:
        obj = self._client.get(self._apiservices, "", name)
        if obj is None or obj["spec"].get("service") is None:
            self._forget(name)
            return None
        backend = backend_of(obj)
        if not backend.available:
            return None
        version = obj["spec"].get("group", ""), obj["spec"]["version"]
        known = self._known.get(name, Tags())
        try:
            async with asyncio.timeout(SECONDS):
                tags = await self._fetch(backend, version, known)
        except (Unroutable, ClientError, ValueError, TimeoutError, RecursionError) as error:
            failures = self._failures[name] = self._failures.get(name, 0) + 1
            log.warning("Loading the OpenAPI documents of an aggregated server failed", name=name, err=error)
            return min(AGAIN * 2.0 ** (failures - 1), LONGEST)
        self._failures.pop(name, None)
        current = self._client.get(self._apiservices, "", name)
        if current is not None and current["metadata"]["uid"] == backend.uid:
            reason = "update" if name in self._versions else "add"
            self._versions[name] = version
            began = perf_counter()
            kept = self._documents.set(version, tags.spec)
            if reason == "add" or tags != known:
                self._metrics.published(name, reason, perf_counter() - began)
            self._known[name] = tags if kept == tags.spec else Tags(tags.v3, "", kept)
        return AGAIN


class OpenAPIFetch:
    """Reads the documents of one group version from its server."""

    def __init__(
        self, outbound: Outbound, resolver: ServiceResolver, headers: Iterable[tuple[str, str]] = ()
    ) -> None:
        """`headers` are sent with each request besides those that name the user."""
        self._outbound = outbound
        self._resolver = resolver
        self._headers = (USER, *headers)
        self._packing = asyncio.Lock()

    async def __call__(self, backend: AggregatedServer, version: GroupVersion, known: Tags) -> Tags:
        """Read the documents that the server has now;
        raises Unroutable, ClientError, or ValueError for what is no document."""
        base = self._resolver.url(backend)
        tag, proxied = await self._index(f"{base}/openapi/v3", backend, version, known)
        v2_tag, converted, part = await self._v2(
            f"{base}/openapi/v2", backend, version, known, proxied is None
        )
        return Tags(tag, v2_tag, RemoteSpec(proxied or {}, converted, part))

    async def _index(
        self, url: str, backend: AggregatedServer, version: GroupVersion, known: Tags
    ) -> tuple[str, dict[str, str] | None]:
        """ETag and documents of version 3 that the group version has;
        None where the server knows no version 3."""
        answer = await self._get(url, backend, known.v3)
        if answer.status == 304:
            answer.close()
            return known.v3, known.spec.proxied
        if answer.status == 404:
            answer.close()
            return "", None
        if answer.status != 200:
            answer.close()
            raise ClientError("Error, could not get list of group versions for APIService")
        index = orjson.loads(await answer.read(INDEX_BYTES))
        paths = index.get("paths") if isinstance(index, dict) else None
        names = (document_name(version), f"apis/{version[0]}")
        return answer.header("etag"), {
            name: _hash(paths[name]) for name in names if isinstance(paths, dict) and name in paths
        }

    async def _v2(
        self, url: str, backend: AggregatedServer, version: GroupVersion, known: Tags, convert: bool
    ) -> tuple[str, Packed | None, Packed | None]:
        """ETag, the document of version 3 made of it if `convert`,
        and the part of the document of version 2."""
        answer = await self._get(url, backend, known.v2 if convert == bool(known.spec.converted) else "")
        if answer.status == 304:
            answer.close()
            return known.v2, known.spec.converted, known.spec.part
        if answer.status == 404:
            answer.close()
            return "", None, None
        if answer.status != 200:
            text = (await answer.read(INDEX_BYTES)).decode("utf-8", "replace")
            raise ClientError(f"failed to retrieve openAPI spec, http error: {answer.status}: {text[:1024]}")
        data = await answer.read(LIMIT)
        async with self._packing:
            return answer.header("etag"), *await asyncio.to_thread(_packed, data, version, convert)

    async def _get(self, url: str, backend: AggregatedServer, tag: str) -> Answer:
        headers = [*self._headers, ("Accept", "application/json")]
        if tag:
            headers.append(("If-None-Match", tag))
        trust = self._resolver.trust(backend)
        return await self._outbound.open(
            "GET", url, headers=headers, trust=trust, timeout=SECONDS, counted=True
        )


def _packed(data: bytes, version: GroupVersion, convert: bool) -> tuple[Packed | None, Packed | None]:
    """The part of a version 2 document that is kept; ValueError for what is none."""
    document = aggregate.read(data)
    part = aggregate.part_of(document, *version)
    if not part.paths:
        return None, None
    written = orjson.dumps({"paths": part.paths, "definitions": part.definitions})
    converted = None
    if convert:
        v3 = orjson.dumps(to_v3(part, document.get("info")))
        converted = pack(v3, aggregate.digest(v3))
    return converted, pack(written, aggregate.digest(written))


def _hash(item: Any) -> str:
    """The hash in the URL of a document; the hash of the URL where it has none that can be used."""
    url = str(item.get("serverRelativeURL") or "") if isinstance(item, dict) else ""
    try:
        found = parse_qs(urlsplit(url).query).get("hash", [""])[0]
    except ValueError:
        found = ""
    if found and len(found) <= HASH_CHARACTERS:
        return quote(found, safe="")
    return aggregate.digest(url.encode("utf-8", "replace"))

"""The OpenAPI documents of aggregated servers: what is read of them, and when."""

import asyncio
import base64
import gzip
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aggregated import (
    ADDRESS,
    APISERVICES,
    FLUNDER,
    GROUP,
    NAME,
    PREFIX,
    VERSION,
    Aggregated,
    api_service,
    backend,
    register,
)
from backend import Backend
from harness import Rig
from metric_samples import samples

from pilothouse.controllers import remote_openapi
from pilothouse.controllers.remote_openapi import OpenAPIFetch, RemoteOpenAPI, Tags
from pilothouse.endpoints.documents.openapi_remote import Packed, RemoteDocuments, RemoteSpec
from pilothouse.outbound.http import ClientError
from pilothouse.registry.resource import AggregatedServer as Service
from pilothouse.registry.service_resolver import ServiceResolver, Unroutable

OWN = GROUP, VERSION
MERGE = {"Content-Type": "application/merge-patch+json"}
real = pytest.mark.skipif(not ADDRESS, reason="not on this host: it has the loopback address only")


class Server(Backend):
    """The tests' aggregated server, and what reads its documents."""

    def __init__(self, folder: Path, rig: Rig) -> None:
        self.api = Aggregated()
        super().__init__(folder, self.api, ("w.default.svc",), ADDRESS)
        resolver = ServiceResolver(rig.readers, by_endpoints=True)
        self._fetch = OpenAPIFetch(rig.outbound, resolver, [("Via", "1.1 me")])
        self.known = Tags()

    @property
    def text(self) -> str:
        return base64.b64encode(self.ca).decode()

    async def fetch(self) -> RemoteSpec:
        """Read once more; `statuses` are those of the answers to it."""
        self.requests.clear()
        self.known = await self._fetch(backend(ca_bundle=self.text), OWN, self.known)
        return self.known.spec

    @property
    def asked(self) -> list[tuple[str, bool]]:
        """The paths that were asked for, and whether with an ETag."""
        return [(path, "if-none-match" in headers) for _, path, headers, _ in self.requests]


@asynccontextmanager
async def serving(rig: Rig, folder: Path) -> AsyncIterator[Server]:
    async with Server(folder, rig) as server:
        await register(rig, server.port, server.text)
        yield server


def document(packed: Packed) -> Any:
    return json.loads(gzip.decompress(packed.data))


@real
async def test_both_versions_are_read(rig: Rig, tmp_path: Path) -> None:
    async with serving(rig, tmp_path) as server:
        spec = await server.fetch()
        assert spec.proxied == {PREFIX[1:]: "A1", f"apis/{GROUP}": "A1"}  # neither other groups' nor /version
        assert spec.converted is None
        assert list(document(spec.part)["paths"]) == [f"{PREFIX}/flunders"]
        headers = server.requests[0][2]
        assert headers["x-remote-user"] == ["system:aggregator"] and "x-remote-group" not in headers
        assert headers["via"] == ["1.1 me"]


@real
async def test_what_has_not_changed_is_not_sent_again(rig: Rig, tmp_path: Path) -> None:
    async with serving(rig, tmp_path) as server:
        first = await server.fetch()
        assert server.asked == [("/openapi/v3", False), ("/openapi/v2", False)]
        assert await server.fetch() == first
        assert server.asked == [("/openapi/v3", True), ("/openapi/v2", True)]
        server.api.v2["definitions"][FLUNDER]["description"] = "Another one."
        assert (await server.fetch()).part.hash != first.part.hash
        server.api.tags = False
        last = await server.fetch()
        await server.fetch()
        assert server.asked == [("/openapi/v3", False), ("/openapi/v2", False)]
        assert (await server.fetch()).part == last.part


@real
async def test_a_server_without_version_3(rig: Rig, tmp_path: Path) -> None:
    """The server's document of version 2 is converted; a 304 for it does not stand for the conversion."""
    async with serving(rig, tmp_path) as server:
        await server.fetch()
        server.api.v3 = False
        spec = await server.fetch()
        assert server.asked == [("/openapi/v3", True), ("/openapi/v2", False)]
        assert spec.proxied == {}
        assert FLUNDER in document(spec.converted)["components"]["schemas"]
        assert await server.fetch() == spec
        assert server.asked == [("/openapi/v3", False), ("/openapi/v2", True)]
        server.api.v3 = True
        assert (await server.fetch()).converted is None


@real
async def test_a_server_without_documents(rig: Rig, tmp_path: Path) -> None:
    async with serving(rig, tmp_path) as server:
        server.api.v3, server.api.v2 = False, None
        assert await server.fetch() == RemoteSpec()
        server.api.v2 = {"swagger": "2.0"}
        assert await server.fetch() == RemoteSpec()


@real
@pytest.mark.parametrize("document", [[], {"paths": {"/apis/x": 1}}, {"x": "y" * remote_openapi.LIMIT}])
async def test_documents_that_cannot_be_used(rig: Rig, tmp_path: Path, document: Any) -> None:
    async with serving(rig, tmp_path) as server:
        server.api.v2 = document
        with pytest.raises((ValueError, ClientError)):
            await server.fetch()


async def test_a_server_without_service(rig: Rig) -> None:
    fetch = OpenAPIFetch(rig.outbound, ServiceResolver(rig.readers))
    with pytest.raises(Unroutable):
        await fetch(backend(), OWN, Tags())


@pytest.mark.parametrize(
    ("item", "hash"),
    [
        ({"serverRelativeURL": "/openapi/v3/apis/a/v1?hash=0AF"}, "0AF"),
        ({"serverRelativeURL": "https://evil.example.com/?hash=a%22b%26c"}, "a%22b%26c"),
        ({"serverRelativeURL": "//[?hash=1"}, ""),
        ({"serverRelativeURL": f"/?hash={'1' * 257}"}, ""),
        ({}, ""),
        (1, ""),
    ],
)
def test_only_a_hash_is_taken_of_a_url(item: Any, hash: str) -> None:
    found = remote_openapi._hash(item)
    assert found == hash or (not hash and len(found) == 128)


# When it is read


class Script:
    """Stands for the requests: returns or raises what `answers` says, then what it said last; notes when."""

    def __init__(self, loop: Any, *answers: Any) -> None:
        self.loop = loop
        self.answers = list(answers)
        self.calls: list[tuple[float, Tags]] = []
        self.backends: list[Service] = []

    async def __call__(self, backend: Service, version: Any, known: Tags) -> Tags:
        self.calls.append((self.loop.time(), known))
        self.backends.append(backend)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Tags)
        return answer

    @property
    def pauses(self) -> list[float]:
        times = [time for time, _ in self.calls]
        return [round(later - sooner) for sooner, later in itertools.pairwise(times)]


def tags(name: str, size: int = 1) -> Tags:
    return Tags(f"v3-{name}", f"v2-{name}", RemoteSpec({PREFIX[1:]: name}, None, Packed(name, b"x" * size)))


@asynccontextmanager
async def following(rig: Rig, script: Script, documents: Any) -> AsyncIterator[RemoteOpenAPI]:
    controller = RemoteOpenAPI(rig.client("kube-apiserver"), script, documents)  # type: ignore[arg-type]
    controller.start()
    try:
        yield controller
    finally:
        await controller.close()


async def available(rig: Rig, status: str = "True") -> None:
    patch = {"status": {"conditions": [{"type": "Available", "status": status, "lastTransitionTime": None}]}}
    await rig.ok("PATCH", f"{APISERVICES}/{NAME}/status", patch, headers=MERGE)
    await rig.settle()


async def test_each_minute_once_it_is_available(rig: Rig, virtual: Any) -> None:
    script, documents = Script(virtual, tags("a"), tags("b")), RemoteDocuments()
    async with following(rig, script, documents):
        await rig.ok("POST", APISERVICES, api_service(""))
        await virtual.advance(100)
        assert script.calls == []
        await available(rig)
        assert documents.get(OWN) == tags("a").spec
        await virtual.advance(130)
        assert script.pauses == [60, 60]
        assert [known for _, known in script.calls] == [Tags(), tags("a"), tags("b")]
        assert documents.get(OWN) == tags("b").spec
        await available(rig, "False")
        await virtual.advance(200)
        assert len(script.calls) == 3
        assert documents.get(OWN) == tags("b").spec  # as long as it is registered


async def test_ever_more_rarely_after_failures(rig: Rig, virtual: Any) -> None:
    script, documents = Script(virtual, ClientError("no")), RemoteDocuments()
    async with following(rig, script, documents):
        await rig.ok("POST", APISERVICES, api_service(""))
        await available(rig)
        await virtual.advance(15000)
        assert script.pauses == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
        script.answers = [tags("a")]
        await available(rig, "False")
        await available(rig)
        assert documents.get(OWN) == tags("a").spec


async def test_what_is_removed_is_forgotten(rig: Rig, virtual: Any) -> None:
    script, documents = Script(virtual, tags("a")), RemoteDocuments()
    async with following(rig, script, documents) as controller:
        await rig.ok("POST", APISERVICES, api_service(""))
        await available(rig)
        await rig.ok(
            "PATCH", f"{APISERVICES}/{NAME}", {"spec": {"service": None, "caBundle": None}}, headers=MERGE
        )
        await rig.settle()
        assert documents.get(OWN) is None
        found = samples(controller._metrics)
        for reason in ("add", "delete"):
            count = "aggregator_openapi_v2_regeneration_count"
            assert found[f'{count}{{apiservice="{NAME}",reason="{reason}"}}'] == "1"
            assert f'aggregator_openapi_v2_regeneration_duration{{reason="{reason}"}}' in found
        await virtual.advance(100)
        assert len(script.calls) == 1
        await rig.ok("DELETE", f"{APISERVICES}/{NAME}")
        await rig.settle()


async def test_another_server_is_asked_without_the_etags_of_the_first(rig: Rig, virtual: Any) -> None:
    script, documents = Script(virtual, tags("a")), RemoteDocuments()
    async with following(rig, script, documents):
        await rig.ok("POST", APISERVICES, api_service(""))
        await available(rig)
        await rig.ok("PATCH", f"{APISERVICES}/{NAME}", {"spec": {"service": {"port": 444}}}, headers=MERGE)
        await rig.settle()
        assert [known for _, known in script.calls] == [Tags(), Tags()]
        assert replace(script.backends[0], port=444) == script.backends[1]


async def test_what_was_left_out_is_read_in_full_again(rig: Rig, virtual: Any) -> None:
    script, documents = Script(virtual, tags("a", 100)), RemoteDocuments(kept_bytes=10)
    async with following(rig, script, documents):
        await rig.ok("POST", APISERVICES, api_service(""))
        await available(rig)
        await virtual.advance(70)
        kept = RemoteSpec({PREFIX[1:]: "a"})
        assert documents.get(OWN) == kept
        assert [known for _, known in script.calls] == [Tags(), Tags("v3-a", "", kept)]


async def test_a_server_that_hangs_is_given_up(rig: Rig, virtual: Any) -> None:
    class Hanging(Script):
        async def __call__(self, *arguments: Any) -> Tags:
            await super().__call__(*arguments)
            return await asyncio.Future()

    script = Hanging(virtual, tags("a"))
    async with following(rig, script, RemoteDocuments()):
        await rig.ok("POST", APISERVICES, api_service(""))
        await available(rig)
        await virtual.advance(130)
        assert script.pauses == [120]

"""Two servers with one etcd read and change each other's objects: one of every kind, in both directions.

The other server is a second Pilothouse, or kube-apiserver if PILOTHOUSE_REFERENCE is the path of its binary:

    PILOTHOUSE_REFERENCE=/path/to/kube-apiserver make test-interop
"""

import asyncio
import pathlib
import subprocess
import time
from collections.abc import Coroutine, Iterator
from typing import Any, Self

import pytest
from e2e.every_kind import IN, NAMESPACE, definition, every_kind
from e2e.http_client import Connection
from e2e.reference import COMMON, EITHER, flags
from e2e.stored_forms import Form, load
from eventually import aeventually, eventually

from pilothouse.registry.catalog import default_catalog
from pilothouse.testing.etcd import BINARY, EtcdCluster
from pilothouse.testing.ports import check, free_ports
from pilothouse.testing.server import Subprocess, ready

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BINARY is None, reason="no etcd binary; apt-get install etcd-server"),
]

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
OBJECTS = every_kind()
COLLECTIONS = sorted(OBJECTS)
LARGE = [
    form
    for form in load()["v1.36"]
    if ".example.com/" not in form.key and form.path != "/api/v1/namespaces/default"
]
"""Objects of all built-in kinds in which nearly every member is set."""
FACES = {
    f"/apis/autoscaling/v2{IN}/horizontalpodautoscalers": (
        f"/apis/autoscaling/v1{IN}/horizontalpodautoscalers"
    ),
    f"/api/v1{IN}/events": f"/apis/events.k8s.io/v1{IN}/events",
}
"""Collections that can be read in another group version."""


class Other(Subprocess):
    """A server started by kube-apiserver's own flags, with the certificates and keys of another one."""

    def __init__(self, program: list[str], etcd: str, first: Subprocess) -> None:
        super().__init__()
        self.program = program
        self.etcd = etcd
        self.first = first

    @property
    def ca_file(self) -> pathlib.Path:
        return self.first.ca_file

    @property
    def client_cert(self) -> pathlib.Path:
        return self.first.client_cert

    @property
    def client_key(self) -> pathlib.Path:
        return self.first.client_key

    def fills_namespaces(self) -> bool:
        return False

    def command(self) -> list[str]:
        made = flags(self.first.directory, [self.etcd], self.port, self.directory)
        return [*self.program, *made, "--endpoint-reconciler-type=none"]

    def start(self) -> Self:
        [self.port] = free_ports(1)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log)
        eventually(self._is_ready, "kube-apiserver is ready", 60)
        return self

    def _is_ready(self) -> bool:
        check(self.process, self.log)
        return ready(self)


@pytest.fixture(
    scope="module",
    params=EITHER,
)
def servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Subprocess]]:
    with EtcdCluster(tmp_path_factory.mktemp("etcd")) as etcd:
        started_with = ["--storage-backend=etcd3", f"--etcd-servers={etcd.urls[0]}", *COMMON]
        with Subprocess(started_with) as ours, Other(request.param, etcd.urls[0], ours) as other:
            asyncio.run(prepare(ours))
            yield [ours, other]


class Clients:
    """A connection to each server, ours first, and their loop."""

    def __init__(self, servers: list[Subprocess]) -> None:
        self._runner = asyncio.Runner()
        self.ours, self.other = (Connection(server.port, server.context(), 30) for server in servers)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a part of a test."""
        self._runner.run(work)

    def close(self) -> None:
        for client in (self.ours, self.other):
            self.run(client.end())
        self._runner.close()


@pytest.fixture(scope="module")
def clients(servers: list[Subprocess]) -> Iterator[Clients]:
    """The connections of all tests: handshakes take longer than most requests."""
    shared = Clients(servers)
    yield shared
    shared.close()


async def prepare(server: Subprocess) -> None:
    client = Connection(server.port, server.context(), 30)
    made = await client.request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    assert made[0] == 201, made
    await client.end()


async def same(one: Connection, other: Connection, path: str, written: Any) -> Any:
    """The object that both have at a path:
    as it was written, or as a controller has changed it meanwhile; equal in any case."""
    end = time.monotonic() + 30
    while True:
        status, there = await other.request("GET", path)
        assert status == 200, there
        version = there["metadata"]["resourceVersion"]
        assert int(version) >= int(written["metadata"]["resourceVersion"]), "a stale read"
        if version == written["metadata"]["resourceVersion"]:
            assert there == written
            return there
        assert time.monotonic() < end, f"{path} changes all the time"
        _, written = await one.request("GET", path)


async def pass_through(writer: Connection, reader: Connection, collection: str) -> None:
    """Make an object through one, read, list,
    watch and change it through the other, and delete it through the first."""
    obj = OBJECTS[collection]
    path = f"{collection}/{obj['metadata']['name']}"
    made = await make_watched(writer, reader, collection)
    there = await same(writer, reader, path, made)
    if collection in FACES:
        face = f"{FACES[collection]}/{obj['metadata']['name']}"
        shown = [(await client.request("GET", face)) for client in (writer, reader)]
        assert shown[0] == shown[1] and shown[0][0] == 200
    changed, written = await annotate(reader, path, there)
    assert written["metadata"]["annotations"]["interop.example.com/by"] == "the reader"
    last = await same(reader, writer, path, written)
    stale, refused = await writer.request("PUT", path, changed)
    assert stale == 409, refused
    items = (await writer.request("GET", collection))[1]["items"]
    assert last["metadata"]["uid"] in [item["metadata"]["uid"] for item in items]
    status, gone = await writer.request("DELETE", path)
    assert status in (200, 202), gone
    await vanish(reader, path)


async def make_watched(writer: Connection, reader: Connection, collection: str) -> Any:
    """The answer to the creation of an object at one server; a watch of the other tells the same."""
    watcher = Connection(reader.port, reader.context, 30)
    _, listed = await reader.request("GET", collection)
    try:
        watch = await watcher.watch(
            f"{collection}?watch=1&resourceVersion={listed['metadata']['resourceVersion']}"
        )
        status, made = await writer.request("POST", collection, OBJECTS[collection])
        assert status == 201, made
        event = await asyncio.wait_for(watch.next(), 30)
        assert event is not None and (event["type"], event["object"]) == ("ADDED", made)
        return made
    finally:
        await watcher.end()


async def annotate(client: Connection, path: str, there: Any) -> tuple[Any, Any]:
    """The object that was sent as a change, and the answer.
    It is tried again where a controller was faster."""
    end = time.monotonic() + 30
    while True:
        annotations = {"interop.example.com/by": "the reader"}
        changed = {**there, "metadata": {**there["metadata"], "annotations": annotations}}
        status, written = await client.request("PUT", path, changed)
        if status != 409 or time.monotonic() > end:
            assert status == 200, written
            return changed, written
        _, there = await client.request("GET", path)


async def vanish(reader: Connection, path: str) -> None:
    """Until an object is gone; one that waits for a controller first must be marked,
    and is rid of its finalizers."""
    status, found = await reader.request("GET", path)
    if status == 200:
        assert found["metadata"]["deletionTimestamp"]
        found["metadata"].pop("finalizers", None)
        namespace = found["kind"] == "Namespace"
        if namespace:
            found["spec"]["finalizers"] = []
        await reader.request("PUT", f"{path}/finalize" if namespace else path, found)
    await answered(reader, path, 404)


async def answered(client: Connection, path: str, status: int) -> None:
    """Wait until a GET has this status."""

    async def reached() -> bool:
        return (await client.request("GET", path))[0] == status

    await aeventually(reached, f"{status} from {path}")


def test_every_kind_that_is_stored_has_an_object() -> None:
    wanted = set()
    for resource in default_catalog({}).all():
        if not resource.virtual and resource.storage is None:
            start = f"/apis/{resource.group}/{resource.version}" if resource.group else "/api/v1"
            wanted.add(f"{start}{IN if resource.namespaced else ''}/{resource.plural}")
    assert set(OBJECTS) == wanted


@pytest.mark.parametrize("collection", COLLECTIONS)
@pytest.mark.parametrize("direction", ["written by ours", "written by the other"])
def test_of_every_kind_each_takes_what_the_other_wrote(
    clients: Clients, direction: str, collection: str
) -> None:
    writer, reader = clients.ours, clients.other
    if direction == "written by the other":
        writer, reader = reader, writer
    clients.run(pass_through(writer, reader, collection))


@pytest.mark.parametrize("form", LARGE, ids=lambda form: form.key)
def test_large_objects_that_ours_writes_are_read_alike(clients: Clients, form: Form) -> None:
    clients.run(read_alike(clients.ours, clients.other, form))


async def read_alike(ours: Connection, other: Connection, form: Form) -> None:
    """Make an object at ours, with its status, and compare what both show of it."""
    obj = form.object
    kept = ("name", "namespace", "labels", "annotations", "finalizers")
    obj["metadata"] = {k: v for k, v in obj["metadata"].items() if k in kept}
    if obj["kind"] == "Job":  # the server makes both
        del obj["spec"]["selector"], obj["spec"]["template"]["metadata"]["labels"]
    status, made = await ours.request("POST", form.collection, obj)
    assert status == 201, made
    if "status" in obj:
        there = (await ours.request("GET", form.path))[1]
        await ours.request("PUT", f"{form.path}/status", {**there, "status": obj["status"]})
    for path in form.answers:
        await same(ours, other, path, (await ours.request("GET", path))[1])
    assert (await other.request("DELETE", f"{form.path}?gracePeriodSeconds=0"))[0] in (200, 202)
    await vanish(ours, form.path)


@pytest.mark.parametrize("direction", ["defined by ours", "defined by the other"])
def test_custom_resources(clients: Clients, direction: str) -> None:
    one, other = clients.ours, clients.other
    if direction == "defined by the other":
        one, other = other, one
    clients.run(custom(one, other))


async def custom(one: Connection, other: Connection) -> None:
    """Define a kind at one, use it at both, take it away at the other."""
    made = await one.request("POST", DEFINITIONS, definition("things", "Thing"))
    assert made[0] == 201, made
    things = f"/apis/interop.example.com/v1{IN}/things"
    for client in (one, other):
        await answered(client, things, 200)
    for writer, reader in ((one, other), (other, one)):
        thing = {"apiVersion": "interop.example.com/v1", "kind": "Thing", "metadata": {"name": "a"}}
        thing |= {"spec": {"size": 3, "name": "ü", "dropped": 1}, "free": {"any": [{"thing": 1.5}]}}
        status, written = await writer.request("POST", things, thing)
        assert status == 201 and "dropped" not in written["spec"], written
        there = await same(writer, reader, f"{things}/a", written)
        there["spec"]["size"] = 4
        status, changed = await reader.request("PUT", f"{things}/a", there)
        assert (status, changed["metadata"]["generation"]) == (200, 2), changed
        await same(reader, writer, f"{things}/a", changed)
        assert (await writer.request("DELETE", f"{things}/a"))[0] == 200
        await vanish(reader, f"{things}/a")
    assert (await other.request("DELETE", f"{DEFINITIONS}/things.interop.example.com"))[0] == 200
    await answered(one, things, 404)

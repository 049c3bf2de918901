"""Objects and node ports that are created and released with a service."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import orjson
import pytest
from harness import Rig, plug
from logged import pairs

from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.registry.node_ports import KEY, TAKEN, decode, encode
from pilothouse.storage.interface import Unavailable
from pilothouse.storage.memory import MemoryStorage

SERVICES = "/api/v1/namespaces/default/services"
ADDRESSES = "/apis/networking.k8s.io/v1/ipaddresses"
PORTS = [{"port": 80}]
MERGE = {"Content-Type": "application/merge-patch+json"}


class Contended(MemoryStorage):
    """A store that other servers write to.
    Each of `rivals` is awaited once, before a write of a key below `contested`."""

    def __init__(self) -> None:
        super().__init__()
        self.contested = KEY
        self.rivals: list[Callable[[str, Any], Awaitable[None]]] = []

    async def create(self, key: str, value: Any, ttl: int = 0, author: bytes = b"") -> Any:
        await self._let_rivals(key, value)
        return await super().create(key, value, ttl, author)

    async def update(self, key: str, value: Any, expect: Any, ttl: int = 0, author: bytes = b"") -> Any:
        await self._let_rivals(key, value)
        return await super().update(key, value, expect, ttl, author)

    async def _let_rivals(self, key: str, value: Any) -> None:
        if self.rivals and key.startswith(self.contested):
            await self.rivals.pop(0)(key, value)

    async def elsewhere(self, key: str, value: Any) -> None:
        """Write an object as another server does."""
        known = await self.get(key)
        if known is None:
            await super().create(key, value)
        else:
            await super().update(key, value, known.mod)


@pytest.fixture
def rig(runner: asyncio.Runner) -> Iterator[Any]:
    rig = Rig(storage=Contended())
    runner.run(rig.start())
    yield rig
    runner.run(rig.stop())


def service(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"ports": PORTS, **spec}}


async def addresses(rig: Rig) -> dict[Any, Any]:
    items = (await rig.ok("GET", ADDRESSES))["items"]
    return {item["metadata"]["name"]: item["spec"]["parentRef"]["name"] for item in items}


async def test_an_address_lives_as_long_as_its_service_has_it(rig: Rig) -> None:
    before = await addresses(rig)
    ip = (await rig.ok("POST", SERVICES, service("a")))["spec"]["clusterIP"]
    made = await rig.ok("GET", f"{ADDRESSES}/{ip}")
    assert made["spec"]["parentRef"] == {"resource": "services", "namespace": "default", "name": "a"}
    assert made["metadata"]["labels"] == {
        "ipaddress.kubernetes.io/ip-family": "IPv4",
        "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
    }
    outside = {"spec": {"type": "ExternalName", "externalName": "example.org"}}
    await rig.ok("PATCH", f"{SERVICES}/a", outside, headers=MERGE)
    assert await addresses(rig) == before
    again = await rig.ok("PATCH", f"{SERVICES}/a", {"spec": {"type": "ClusterIP"}}, headers=MERGE)
    assert await addresses(rig) == {**before, again["spec"]["clusterIP"]: "a"}
    await rig.ok("DELETE", f"{SERVICES}/a")
    assert await addresses(rig) == before


async def test_what_is_not_written_leaves_no_address(rig: Rig) -> None:
    before = await addresses(rig)
    await rig.ok("POST", SERVICES + "?dryRun=All", service("a"))
    await rig.ok("POST", SERVICES, service("headless", clusterIP="None"))
    taken = await rig.ok("POST", SERVICES, service("b"))
    await rig.fail(409, "POST", SERVICES, service("b"))
    assert await addresses(rig) == {**before, taken["spec"]["clusterIP"]: "b"}


async def test_an_address_that_somebody_made_is_taken(rig: Rig) -> None:
    ip = (await rig.ok("POST", SERVICES, service("a")))["spec"]["clusterIP"]
    await rig.ok("DELETE", f"{SERVICES}/a")
    mine = {"metadata": {"name": ip}, "spec": {"parentRef": {"resource": "gateways", "name": "g"}}}
    await rig.ok("POST", ADDRESSES, mine)
    message = await rig.fail(422, "POST", SERVICES, service("a", clusterIP=ip))
    assert f"failed to allocate IP {ip}: provided IP is already allocated" in message
    await rig.ok("DELETE", f"{ADDRESSES}/{ip}")
    await rig.ok("POST", SERVICES, service("a", clusterIP=ip))


async def test_endpoints_go_with_their_service(rig: Rig) -> None:
    await rig.ok("POST", SERVICES, service("a"))
    endpoints = "/api/v1/namespaces/default/endpoints"
    await rig.ok("POST", endpoints, {"metadata": {"name": "a"}})
    await rig.ok("POST", endpoints, {"metadata": {"name": "b"}})
    await rig.ok("DELETE", f"{SERVICES}/a?dryRun=All")
    await rig.ok("GET", endpoints + "/a")
    await rig.ok("DELETE", f"{SERVICES}/a")
    await rig.fail(404, "GET", endpoints + "/a")
    await rig.ok("GET", endpoints + "/b")


async def marked(rig: Rig) -> Any:
    kv = await rig.storage.get(KEY)
    bits = decode(kv.value)[1] if kv is not None else 0
    return {30000 + n for n in range(bits.bit_length()) if bits >> n & 1}


def ports(*numbers: Any) -> list[Any]:
    return [
        {"name": f"p{i}", "port": i, "nodePort": n} if n else {"name": f"p{i}", "port": i}
        for i, n in enumerate(numbers, 1)
    ]


async def test_a_node_port_is_marked_as_long_as_its_service_has_it(rig: Rig) -> None:
    made = await rig.ok("POST", SERVICES, service("a", type="NodePort", ports=ports(30007, 0)))
    chosen = made["spec"]["ports"][1]["nodePort"]
    assert await marked(rig) == {30007, chosen}
    changed = {"spec": {"ports": ports(30008)}}
    await rig.ok("PATCH", f"{SERVICES}/a", changed, headers=MERGE)
    assert await marked(rig) == {30008}
    await rig.fail(422, "POST", SERVICES, service("b", type="NodePort", ports=ports(30008)))
    await rig.ok("PATCH", f"{SERVICES}/a", {"spec": {"type": "ClusterIP"}}, headers=MERGE)
    assert await marked(rig) == set()
    await rig.ok("POST", SERVICES, service("b", type="NodePort", ports=ports(30008)))
    await rig.ok("DELETE", f"{SERVICES}/b")
    assert await marked(rig) == set()


async def test_what_is_not_written_marks_no_port(rig: Rig) -> None:
    wanted = service("a", type="NodePort", ports=ports(30007))
    await rig.ok("POST", SERVICES + "?dryRun=All", wanted)
    assert await marked(rig) == set()
    await rig.ok("POST", SERVICES, wanted)
    await rig.fail(409, "POST", SERVICES, service("a", type="NodePort", ports=ports(30008)))
    assert await marked(rig) == {30007}
    await rig.ok("POST", SERVICES, service("b", type="NodePort", ports=ports(30008)))


async def test_a_health_check_port_is_marked(rig: Rig) -> None:
    spec = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30009}
    await rig.ok("POST", SERVICES, service("a", **spec, allocateLoadBalancerNodePorts=False))
    assert await marked(rig) == {30009}
    await rig.ok("DELETE", f"{SERVICES}/a")
    assert await marked(rig) == set()


def others_take(rig: Rig, *numbers: Any) -> None:
    """Other servers mark ports between our choice and our claim, once for each number;
    0 is the port we have chosen."""

    def rival(number: Any) -> Any:
        async def take(key: str, value: Any) -> None:
            known = await rig.storage.get(KEY)
            bits = decode(known.value)[1] if known is not None else 0
            chosen = decode(value)[1] & ~bits
            taken = 1 << number - 30000 if number else chosen & -chosen
            await rig.storage.elsewhere(KEY, encode("30000-32767", bits | taken))

        return take

    rig.storage.rivals = [rival(number) for number in numbers]


async def test_a_port_that_another_server_was_faster_to_take_is_refused(rig: Rig) -> None:
    others_take(rig, 30007, 30009)
    text = await rig.fail(422, "POST", SERVICES, service("a", type="NodePort", ports=ports(0, 30007)))
    assert f"spec.ports[1].nodePort: Invalid value: 30007: {TAKEN}" in text
    assert await marked(rig) == {30007} and await addresses(rig) == {}
    spec = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30009}
    lost = service("b", **spec, allocateLoadBalancerNodePorts=False)
    text = await rig.fail(500, "POST", SERVICES, lost)
    assert text.endswith(f"failed to allocate requested HealthCheck NodePort 30009: {TAKEN}")


@pytest.mark.parametrize("verb", ["POST", "PUT", "apply", "change"])
async def test_a_chosen_port_that_is_lost_is_chosen_anew(rig: Rig, verb: str) -> None:
    wanted = service("a", type="NodePort", ports=ports(0))
    if verb == "change":
        await rig.ok("POST", SERVICES, service("a", ports=ports(0)))
    others_take(rig, 0, 0, 0)
    if verb == "POST":
        made = await rig.ok("POST", SERVICES, wanted)
    elif verb == "PUT":
        made = await rig.ok("PUT", f"{SERVICES}/a", wanted)
    elif verb == "apply":
        whole = {"apiVersion": "v1", "kind": "Service", **wanted}
        headers = {"Content-Type": "application/apply-patch+yaml"}
        made = await rig.ok("PATCH", f"{SERVICES}/a?fieldManager=m", whole, headers=headers)
    else:
        made = await rig.ok("PATCH", f"{SERVICES}/a", {"spec": {"type": "NodePort"}}, headers=MERGE)
    found = await marked(rig)
    assert len(found) == 4 and made["spec"]["ports"][0]["nodePort"] in found
    assert len(await addresses(rig)) == 1


async def test_a_full_range_is_said(rig: Rig) -> None:
    await rig.storage.create(KEY, encode("30000-32767", (1 << 2768) - 1))
    text = await rig.fail(500, "POST", SERVICES, service("a", type="NodePort", ports=ports(0)))
    assert text == "Internal error occurred: failed to allocate a nodePort: range is full"


async def test_a_chosen_address_that_is_somebodys_is_chosen_anew(rig: Rig) -> None:
    taken = []

    async def gateway(key: str, value: Any) -> None:
        obj = orjson.loads(value)
        taken.append(obj["metadata"]["name"])
        obj["spec"]["parentRef"] = {"resource": "gateways", "namespace": "default", "name": "g"}
        await rig.storage.elsewhere(key, orjson.dumps(obj))

    rig.storage.contested = "/registry/ipaddresses/"
    rig.storage.rivals = [gateway, gateway]
    made = await rig.ok("POST", SERVICES, service("a"))
    assert await addresses(rig) == {**dict.fromkeys(taken, "g"), made["spec"]["clusterIP"]: "a"}
    assert len({*taken, made["spec"]["clusterIP"]}) == 3


async def test_what_can_not_be_given_back_does_not_fail_the_delete(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    await rig.ok("POST", SERVICES, service("a", type="NodePort", ports=ports(30007)))

    async def gone(key: str, value: Any) -> None:
        raise Unavailable("no leader")

    rig.storage.rivals = [gone]
    with caplog.at_level(logging.WARNING):
        await rig.ok("DELETE", f"{SERVICES}/a")
    assert "no leader" in str(pairs(caplog.records[-1])["err"])
    assert await marked(rig) == {30007}


class Refuse(AdmissionPlugin):
    """Refuses the objects that come with a service."""

    def __init__(self, *operations: Any) -> None:
        self.operations = operations
        self.asked: list[tuple[str, str, str]] = []

    def wants(self, a: Any) -> Any:
        return a.resource.plural in ("ipaddresses", "endpoints") and a.operation in self.operations

    def validate(self, a: Any) -> None:
        self.asked.append((a.operation, a.resource.plural, a.user.name))
        raise a.refuse("no")


async def test_an_address_passes_admission(rig: Rig) -> None:
    before = await addresses(rig)
    plugin = Refuse("CREATE")
    plug(rig.chain, plugin)
    message = await rig.fail(500, "POST", SERVICES, service("a"))
    assert message.startswith("Internal error occurred: failed to allocate a serviceIP: ipaddresses")
    assert message.endswith("is forbidden: no")
    message = await rig.fail(422, "POST", SERVICES, service("a", clusterIP="10.0.0.77"))
    assert "spec.clusterIPs: Invalid value" in message
    assert (
        'failed to allocate IP 10.0.0.77: ipaddresses.networking.k8s.io "10.0.0.77" is forbidden: no'
        in message
    )
    assert plugin.asked == [("CREATE", "ipaddresses", "system:apiserver")] * 2
    assert await addresses(rig) == before
    await rig.fail(404, "GET", f"{SERVICES}/a")


async def test_endpoints_go_without_admission(rig: Rig) -> None:
    endpoints = "/api/v1/namespaces/default/endpoints"
    await rig.ok("POST", SERVICES, service("a"))
    await rig.ok("POST", endpoints, {"metadata": {"name": "a"}})
    plugin = Refuse("DELETE")
    plug(rig.chain, plugin)
    await rig.ok("DELETE", f"{SERVICES}/a")
    await rig.fail(404, "GET", endpoints + "/a")
    assert plugin.asked == [("DELETE", "ipaddresses", "system:apiserver")]

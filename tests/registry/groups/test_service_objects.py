"""The objects that come and go with a service."""

SERVICES = "/api/v1/namespaces/default/services"
ADDRESSES = "/apis/networking.k8s.io/v1/ipaddresses"
PORTS = [{"port": 80}]
MERGE = {"Content-Type": "application/merge-patch+json"}


def service(name, **spec):
    return {"metadata": {"name": name}, "spec": {"ports": PORTS, **spec}}


async def addresses(rig):
    items = (await rig.ok("GET", ADDRESSES))["items"]
    return {item["metadata"]["name"]: item["spec"]["parentRef"]["name"] for item in items}


async def test_an_address_lives_as_long_as_its_service_has_it(rig):
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


async def test_what_is_not_written_leaves_no_address(rig):
    before = await addresses(rig)
    await rig.ok("POST", SERVICES + "?dryRun=All", service("a"))
    await rig.ok("POST", SERVICES, service("headless", clusterIP="None"))
    taken = await rig.ok("POST", SERVICES, service("b"))
    await rig.fail(409, "POST", SERVICES, service("b"))
    assert await addresses(rig) == {**before, taken["spec"]["clusterIP"]: "b"}


async def test_an_address_that_somebody_made_is_taken(rig):
    ip = (await rig.ok("POST", SERVICES, service("a")))["spec"]["clusterIP"]
    await rig.ok("DELETE", f"{SERVICES}/a")
    mine = {"metadata": {"name": ip}, "spec": {"parentRef": {"resource": "gateways", "name": "g"}}}
    await rig.ok("POST", ADDRESSES, mine)
    message = await rig.fail(422, "POST", SERVICES, service("a", clusterIP=ip))
    assert f"failed to allocate IP {ip}: provided IP is already allocated" in message
    await rig.ok("DELETE", f"{ADDRESSES}/{ip}")
    await rig.ok("POST", SERVICES, service("a", clusterIP=ip))


async def test_endpoints_go_with_their_service(rig):
    await rig.ok("POST", SERVICES, service("a"))
    endpoints = "/api/v1/namespaces/default/endpoints"
    await rig.ok("POST", endpoints, {"metadata": {"name": "a"}})
    await rig.ok("POST", endpoints, {"metadata": {"name": "b"}})
    await rig.ok("DELETE", f"{SERVICES}/a?dryRun=All")
    await rig.ok("GET", endpoints + "/a")
    await rig.ok("DELETE", f"{SERVICES}/a")
    await rig.fail(404, "GET", endpoints + "/a")
    await rig.ok("GET", endpoints + "/b")

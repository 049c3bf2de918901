"""Simulated nodes: what they say of themselves, and how they are broken."""

from eventually import aeventually
from simulate.simulated import LEASES, NODES, SIMULATE, Simulated, condition, holds

from pilothouse.admission.nodetaint import TaintNodesByCondition
from pilothouse.simulate.clock import Clock
from pilothouse.simulate.leases import RENEW

ONLY = "nodes"


async def test_nodes_are_created_with_all_that_a_kubelet_says(clock: Clock) -> None:
    flag = (
        "nodes=3,cpu=8,memory=32Gi,pods=50,zones=2,arch=arm64,labels=disk=ssd,taints=a=b:NoSchedule,x.y/z=2"
    )
    async with Simulated(clock, flag, only=ONLY) as rig:
        nodes = (await rig.ok("GET", NODES))["items"]
        assert [node["metadata"]["name"] for node in nodes] == ["node-0", "node-1", "node-2"]
        node = nodes[2]
        labels = node["metadata"]["labels"]
        assert labels["kubernetes.io/hostname"] == "node-2" and labels["disk"] == "ssd"
        assert labels["kubernetes.io/arch"] == "arm64" and labels["kubernetes.io/os"] == "linux"
        assert labels["topology.kubernetes.io/zone"] == "zone-0"
        assert node["spec"]["taints"] == [{"key": "a", "value": "b", "effect": "NoSchedule"}]
        status = node["status"]
        wanted = {"cpu": "8", "memory": "32Gi", "pods": "50", "ephemeral-storage": "100Gi", "x.y/z": "2"}
        assert status["capacity"] == status["allocatable"] == wanted
        assert [(one["type"], one["status"]) for one in status["conditions"]] == [
            ("MemoryPressure", "False"),
            ("DiskPressure", "False"),
            ("PIDPressure", "False"),
            ("Ready", "True"),
        ]
        assert status["nodeInfo"]["architecture"] == "arm64"
        assert status["nodeInfo"]["kubeletVersion"].startswith("v1.")
        networks = {one["spec"]["podCIDR"] for one in nodes}
        addresses = {one["status"]["addresses"][0]["address"] for one in nodes}
        assert len(networks) == len(addresses) == 3


async def test_a_new_node_is_ready_from_its_first_moment(clock: Clock) -> None:
    async with Simulated(
        clock, "nodes=1,taints=a:NoExecute", only=ONLY, plugins=[TaintNodesByCondition()]
    ) as rig:
        await rig.ok("POST", NODES, {"metadata": {"name": "mine", "annotations": {f"{SIMULATE}node": ""}}})
        await rig.ok("POST", NODES, {"metadata": {"name": "theirs"}})
        await rig.settle()
        nodes = {one["metadata"]["name"]: one for one in (await rig.ok("GET", NODES))["items"]}
        assert nodes["node-0"]["spec"]["taints"] == [{"key": "a", "effect": "NoExecute"}]
        assert "taints" not in nodes["mine"]["spec"] and nodes["theirs"]["spec"]["taints"]


async def test_leases_are_renewed_and_those_of_unreachable_nodes_are_not(clock: Clock) -> None:
    async with Simulated(clock, "nodes=2", only=ONLY) as rig:
        first = {one["metadata"]["name"]: one for one in (await rig.ok("GET", LEASES))["items"]}
        assert first["node-0"]["spec"]["holderIdentity"] == "node-0"
        assert first["node-0"]["metadata"]["ownerReferences"][0]["kind"] == "Node"
        await rig.edit(f"{NODES}/node-1", {"metadata": {"annotations": {f"{SIMULATE}state": "Unreachable"}}})
        await rig.pass_time(RENEW + 1)
        after = {one["metadata"]["name"]: one for one in (await rig.ok("GET", LEASES))["items"]}
        assert after["node-0"]["spec"]["renewTime"] > first["node-0"]["spec"]["renewTime"]
        assert after["node-1"]["spec"]["renewTime"] == first["node-1"]["spec"]["renewTime"]
        await rig.edit(f"{NODES}/node-1", {"metadata": {"annotations": {f"{SIMULATE}state": None}}})
        await rig.pass_time(1)
        back = await rig.ok("GET", f"{LEASES}/node-1")
        assert back["spec"]["renewTime"] > after["node-0"]["spec"]["renewTime"]


async def test_an_annotation_makes_a_node_not_ready_and_ready_again(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        path = f"{NODES}/node-0"
        await rig.edit(path, {"metadata": {"annotations": {f"{SIMULATE}state": "NotReady, DiskPressure"}}})

        async def broken() -> bool:
            node = await rig.ok("GET", path)
            return not holds(node, "Ready") and holds(node, "DiskPressure")

        await aeventually(broken, "the node is broken")
        node = await rig.ok("GET", path)
        assert condition(node, "Ready")["reason"] == "KubeletNotReady"
        assert condition(node, "DiskPressure")["reason"] == "KubeletHasDiskPressure"
        await rig.edit(path, {"metadata": {"annotations": {f"{SIMULATE}state": None}}})

        async def whole() -> bool:
            node = await rig.ok("GET", path)
            return holds(node, "Ready") and not holds(node, "DiskPressure")

        await aeventually(whole, "the node is whole")


async def test_a_node_that_others_create_with_the_annotation_is_simulated(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        made = {"metadata": {"name": "mine", "annotations": {f"{SIMULATE}node": ""}}}
        made["status"] = {"capacity": {"cpu": "64"}}
        await rig.ok("POST", NODES, made)

        async def ready() -> bool:
            return holds(await rig.ok("GET", f"{NODES}/mine"), "Ready")

        await aeventually(ready, "the node is ready")
        node = await rig.ok("GET", f"{NODES}/mine")
        assert node["status"]["allocatable"]["cpu"] == "64" and node["status"]["allocatable"]["pods"] == "110"
        assert node["spec"]["podCIDR"] != (await rig.ok("GET", f"{NODES}/node-0"))["spec"]["podCIDR"]


async def test_a_node_that_is_deleted_stays_away_until_the_next_start(clock: Clock) -> None:
    async with Simulated(clock, "nodes=2", only=ONLY) as rig:
        kept = (await rig.ok("GET", f"{NODES}/node-1"))["spec"]["podCIDR"]
        await rig.ok("DELETE", f"{NODES}/node-0")
        await rig.pass_time(RENEW + 1)
        assert [one["metadata"]["name"] for one in (await rig.ok("GET", NODES))["items"]] == ["node-1"]
        await rig.restart()
        nodes = {one["metadata"]["name"]: one for one in (await rig.ok("GET", NODES))["items"]}
        assert list(nodes) == ["node-0", "node-1"]
        assert nodes["node-1"]["spec"]["podCIDR"] == kept != nodes["node-0"]["spec"]["podCIDR"]


async def test_the_network_of_a_node_that_is_gone_is_given_to_another(clock: Clock) -> None:
    async with Simulated(clock, "nodes=2", only=ONLY) as rig:
        free = (await rig.ok("GET", f"{NODES}/node-0"))["spec"]["podCIDR"]
        await rig.ok("DELETE", f"{NODES}/node-0")
        await rig.ok("POST", NODES, {"metadata": {"name": "mine", "annotations": {f"{SIMULATE}node": ""}}})
        await rig.settle()
        assert (await rig.ok("GET", f"{NODES}/mine"))["spec"]["podCIDR"] == free


async def test_nothing_is_written_while_nothing_happens_but_leases(clock: Clock) -> None:
    async with Simulated(clock, "nodes=3", only=ONLY) as rig:
        before = rig.storage.revision
        await rig.pass_time(RENEW * 10)
        assert rig.storage.revision - before <= 3 * 10

"""The scheduler against the API: who gets a node, who is told what, and when it looks again."""

from eventually import aeventually
from simulate.simulated import NODES, PODS, Simulated, condition, requesting

from pilothouse.simulate.clock import Clock

ONLY = "scheduler"


async def test_a_pod_gets_a_node_and_an_event_tells_of_it(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        await rig.node("one")
        await rig.create("a", spec=requesting(cpu="1"))
        assert await rig.placed("a") == "one"
        found = await rig.pod("a")
        assert condition(found, "PodScheduled")["status"] == "True"
        assert await rig.events("a") == [("Scheduled", "Successfully assigned default/a to one")]


async def test_without_nodes_the_pod_says_so_and_a_new_node_is_used(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        await rig.create("a")
        assert await rig.refusal("a") == "no nodes available to schedule pods"
        await rig.node("late")
        assert await rig.placed("a") == "late"


async def test_a_pod_that_fits_nowhere_is_told_why_and_waits_for_room(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        for number in range(5):
            await rig.node(f"n{number}", allocatable={"cpu": "1"})
            await rig.create(f"full{number}", spec=requesting(cpu="800m"))
            await rig.settle()
        await rig.create("a", spec=requesting(cpu="500m"))
        assert await rig.refusal("a") == (
            "0/5 nodes are available: 5 Insufficient cpu. no new claims to deallocate,"
            " preemption: 0/5 nodes are available: 5 No preemption victims found for incoming pod."
        )
        assert ("FailedScheduling", await rig.refusal("a")) in await rig.events("a")
        before = rig.storage.revision
        await rig.edit(f"{NODES}/n0", {"metadata": {"labels": {"x": "y"}}})  # all are looked at again
        await rig.settle()
        assert rig.storage.revision == before + 1, "nothing new is told"
        await rig.ok("DELETE", f"{PODS}/full3", {"gracePeriodSeconds": 0})
        assert await rig.placed("a") == "n3"


async def test_what_no_node_could_ever_hold_is_told_apart(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        await rig.node("one", allocatable={"pods": "0"})
        await rig.create("a", spec=requesting(cpu="5", memory="1Gi"))
        assert await rig.refusal("a") == (
            "0/1 nodes are available: 1 Insufficient cpu, 1 Too many pods. no new claims to deallocate,"
            " preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
        )
        assert condition(await rig.pod("a"), "PodScheduled")["observedGeneration"] == 1


async def test_other_schedulers_gates_and_given_nodes_are_left_alone(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        await rig.node("one")
        await rig.create("other", spec={"schedulerName": "mine"})
        await rig.create("gated", spec={"schedulingGates": [{"name": "x.y/z"}]})
        await rig.create("given", spec={"nodeName": "elsewhere"})
        assert await rig.placed("other") == await rig.placed("gated") == ""
        assert await rig.placed("given") == "elsewhere"
        assert not condition(await rig.pod("other"), "PodScheduled")
        assert await rig.events("gated") == []
        await rig.edit(f"{PODS}/gated", {"spec": {"schedulingGates": None}})
        assert await rig.placed("gated") == "one"


async def test_pods_on_a_node_count_whoever_has_placed_them(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        await rig.node("one", allocatable={"cpu": "1"})
        await rig.create("given", spec={"nodeName": "one", **requesting(cpu="1")})
        await rig.create("a", spec=requesting(cpu="1"))
        assert "1 Insufficient cpu" in await rig.refusal("a")
        ended = {"status": {"phase": "Succeeded"}}
        await rig.edit(f"{PODS}/given/status", ended)
        assert await rig.placed("a") == "one"


async def test_a_cordoned_node_takes_no_pods_until_it_is_let_free(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        await rig.node("one", spec={"unschedulable": True})
        await rig.create("a")
        assert (await rig.refusal("a")).startswith(
            "0/1 nodes are available: 1 node(s) were unschedulable. no new claims to deallocate, preemption:"
        )
        await rig.edit(f"{NODES}/one", {"spec": {"unschedulable": None}})
        assert await rig.placed("a") == "one"


async def test_the_more_important_pod_gets_its_turn_first(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        await rig.create("low", spec={"priority": 1, "preemptionPolicy": "Never", **requesting(cpu="1")})
        await rig.create("high", spec={"priority": 2, "preemptionPolicy": "Never", **requesting(cpu="1")})
        await rig.settle()
        await rig.node("one", allocatable={"cpu": "1"})
        assert await rig.placed("high") == "one"
        assert await rig.placed("low") == ""
        assert (await rig.refusal("low")).endswith("preemption: not eligible due to preemptionPolicy=Never.")


async def test_preemption_makes_room_and_tells_the_victims(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        await rig.node("one", allocatable={"cpu": "2"})
        await rig.create("weak", spec={"priority": 1, **requesting(cpu="1")})
        await rig.create("weaker", spec={"priority": 0, **requesting(cpu="1")})
        assert await rig.placed("weak") == await rig.placed("weaker") == "one"
        await rig.create("strong", spec={"priority": 10, **requesting(cpu="1")})

        async def preempted() -> bool:
            return bool((await rig.pod("weaker"))["metadata"].get("deletionTimestamp"))

        await aeventually(preempted, "a pod is preempted")
        victim = await rig.pod("weaker")
        target = condition(victim, "DisruptionTarget")
        assert (target["reason"], target["observedGeneration"]) == ("PreemptionByScheduler", 1)
        assert target["message"] == "default-scheduler: preempting to accommodate a higher priority pod"
        assert not (await rig.pod("weak"))["metadata"].get("deletionTimestamp")
        assert (await rig.status("strong"))["nominatedNodeName"] == "one"
        await rig.node("small", allocatable={"cpu": "100m"})  # it is looked at again
        waits = "preemption: not eligible due to a terminating pod on the nominated node."
        await rig.reached(
            "strong", lambda one: condition(one, "PodScheduled")["message"].endswith(waits), waits
        )
        assert (await rig.status("strong"))["nominatedNodeName"] == "one"
        await rig.create("late", spec={"priority": 5, **requesting(cpu="1")})
        await rig.ok("DELETE", f"{PODS}/weaker", {"gracePeriodSeconds": 0})
        assert await rig.placed("strong") == "one"
        assert "nominatedNodeName" not in await rig.status("strong")
        assert (
            "Preempted",
            f"Preempted by pod {(await rig.pod('strong'))['metadata']['uid']} on node one",
        ) in (await rig.events("weaker"))


async def test_claims_of_the_first_consumer_get_the_node_and_the_pod_waits_for_them(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        await rig.node("one")
        claims = "/api/v1/namespaces/default/persistentvolumeclaims"
        volume = {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]}
        await rig.create("a", spec=volume)
        assert (await rig.refusal("a")) == (
            '0/1 nodes are available: persistentvolumeclaim "data" not found. not found'
        )
        await rig.ok(
            "POST",
            "/apis/storage.k8s.io/v1/storageclasses",
            {
                "metadata": {"name": "later"},
                "provisioner": "x.y/z",
                "volumeBindingMode": "WaitForFirstConsumer",
            },
        )
        wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        made = {"metadata": {"name": "data"}, "spec": {"storageClassName": "later", **wanted}}
        await rig.ok("POST", claims, made)

        async def selected() -> bool:
            claim = await rig.ok("GET", f"{claims}/data")
            annotations = claim["metadata"].get("annotations") or {}
            return annotations.get("volume.kubernetes.io/selected-node") == "one"

        await aeventually(selected, "the claim gets the node")
        assert await rig.placed("a") == ""
        await rig.edit(f"{claims}/data", {"spec": {"volumeName": "pv"}})
        await rig.edit(f"{claims}/data/status", {"status": {"phase": "Bound"}})
        assert await rig.placed("a") == "one"


async def test_an_unbound_claim_that_does_not_wait_keeps_the_pod_from_all_nodes(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        await rig.node("one")
        await rig.ok(
            "POST",
            "/apis/storage.k8s.io/v1/storageclasses",
            {"metadata": {"name": "now"}, "provisioner": "x.y/z", "volumeBindingMode": "Immediate"},
        )
        wanted = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        await rig.ok(
            "POST",
            "/api/v1/namespaces/default/persistentvolumeclaims",
            {"metadata": {"name": "data"}, "spec": {"storageClassName": "now", **wanted}},
        )
        volumes = {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]}
        await rig.create("a", spec=volumes)
        assert await rig.refusal("a") == (
            "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"
        )

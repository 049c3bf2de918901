"""Pods on simulated nodes, from their start to their end."""

from eventually import aeventually
from simulate.simulated import NODES, PODS, SIMULATE, Simulated, condition, container, holds, on_node, said

from pilothouse.simulate.clock import Clock

ONLY = "nodes,kubelet"


async def test_a_pod_becomes_ready_at_once(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        await rig.create("a", spec=on_node())
        status = await rig.status("a")
        assert status["phase"] == "Running"
        assert [(one["type"], one["status"]) for one in status["conditions"]] == [
            ("PodReadyToStartContainers", "True"),
            ("Initialized", "True"),
            ("Ready", "True"),
            ("ContainersReady", "True"),
            ("PodScheduled", "True"),
        ]
        assert status["startTime"] == clock.stamp()
        node = await rig.ok("GET", f"{NODES}/node-0")
        assert status["hostIP"] == node["status"]["addresses"][0]["address"]
        assert status["podIPs"] == [{"ip": status["podIP"]}]
        assert status["podIP"].rpartition(".")[0] == node["spec"]["podCIDR"].rpartition(".")[0]
        assert status["qosClass"] == "BestEffort" and status["observedGeneration"] == 1
        [one] = status["containerStatuses"]
        assert one["ready"] and one["started"] and one["restartCount"] == 0
        assert one["state"] == {"running": {"startedAt": clock.stamp()}} and one["lastState"] == {}
        assert one["imageID"].startswith("nginx@sha256:") and one["containerID"].startswith("simulated://")
        assert await rig.events("a") == [("Started", "Container started")]


async def test_it_is_created_and_ready_after_the_times_that_annotations_say(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        await rig.create("a", spec=on_node(), annotations=said(start_after="3s", ready_after="5"))
        status = await rig.status("a")
        assert status["phase"] == "Pending"
        assert status["containerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
        assert condition({"status": status}, "Ready")["reason"] == "ContainersNotReady"
        assert condition({"status": status}, "Ready")["message"] == "containers with unready status: [c]"
        await rig.pass_time(3)
        found = await rig.pod("a")
        assert found["status"]["phase"] == "Running" and not holds(found, "Ready")
        await rig.pass_time(4)
        assert not holds(await rig.pod("a"), "Ready")
        await rig.pass_time(1)
        assert holds(await rig.pod("a"), "Ready")
        await rig.events("a")
        found = await rig.ok("GET", "/api/v1/namespaces/default/events")
        assert [(one["reason"], one["count"]) for one in found["items"]] == [("Started", 1)]


async def test_an_image_that_cannot_be_pulled_keeps_the_pod_pending(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        notes = said(waiting="ImagePullBackOff", waiting_message="no such image")
        await rig.create("a", spec=on_node(), annotations=notes)
        status = await rig.status("a")
        assert status["phase"] == "Pending"
        assert status["containerStatuses"][0]["state"]["waiting"] == {
            "reason": "ImagePullBackOff",
            "message": "no such image",
        }


async def test_pods_that_are_not_restarted_complete_or_fail(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        await rig.create("good", spec=on_node(restartPolicy="Never"))
        await rig.create("bad", spec=on_node(restartPolicy="Never"), annotations=said(exit_code="3"))
        slow = said(exit_after="10s", termination_message="done")
        await rig.create("slow", spec=on_node(restartPolicy="OnFailure"), annotations=slow)
        good, bad, going = await rig.status("good"), await rig.status("bad"), await rig.status("slow")
        assert good["phase"] == "Succeeded"
        assert good["containerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"
        assert condition({"status": good}, "Ready")["reason"] == "PodCompleted"
        assert bad["phase"] == "Failed"
        ended = bad["containerStatuses"][0]["state"]["terminated"]
        assert (ended["exitCode"], ended["reason"]) == (3, "Error")
        assert going["phase"] == "Running"
        await rig.pass_time(10)
        slow_status = await rig.status("slow")
        assert slow_status["phase"] == "Succeeded"
        assert slow_status["containerStatuses"][0]["state"]["terminated"]["message"] == "done"


async def test_a_container_that_fails_is_restarted_with_back_off(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        await rig.create("a", spec=on_node(), annotations=said(exit_code="1", exit_after="5"))
        await rig.status("a")
        await rig.pass_time(5)
        one = container(await rig.pod("a"))
        assert one["restartCount"] == 1 and "running" in one["state"]  # the first restart is at once
        assert one["lastState"]["terminated"]["exitCode"] == 1
        await rig.pass_time(5)
        one = container(await rig.pod("a"))
        uid = (await rig.pod("a"))["metadata"]["uid"]
        assert one["state"]["waiting"] == {
            "reason": "CrashLoopBackOff",
            "message": f"back-off 10s restarting failed container=c pod=a_default({uid})",
        }
        assert one["containerID"] == one["lastState"]["terminated"]["containerID"]
        assert (await rig.pod("a"))["status"]["phase"] == "Running" and not one["ready"]
        await rig.pass_time(9)
        assert container(await rig.pod("a"))["restartCount"] == 1
        await rig.pass_time(1)
        assert container(await rig.pod("a"))["restartCount"] == 2
        await rig.pass_time(5)
        assert "back-off 20s" in container(await rig.pod("a"))["state"]["waiting"]["message"]
        note = f"Back-off restarting failed container c in pod a_default({uid})"
        assert ("BackOff", note) in await rig.events("a")


async def test_exit_codes_of_one_run_after_the_other(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        notes = said(exit_code="1,2,0")
        await rig.create("a", spec=on_node(restartPolicy="OnFailure"), annotations=notes)
        await rig.status("a")
        await rig.pass_time(10)
        found = await rig.pod("a")
        assert found["status"]["phase"] == "Succeeded"
        one = container(found)
        assert one["restartCount"] == 2 and one["lastState"]["terminated"]["exitCode"] == 2


async def test_an_hour_that_passes_at_once_has_as_many_restarts_as_one_that_goes_by(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        await rig.create("jump", spec=on_node(), annotations=said(exit_code="1"))
        await rig.create("walk", spec=on_node(), annotations=said(exit_code="1"))
        await rig.settle()
        await rig.ok("GET", f"{PODS}/walk")
        for _ in range(60):
            await rig.pass_time(60)
        walked = container(await rig.pod("walk"))["restartCount"]
        assert walked == container(await rig.pod("jump"))["restartCount"] > 10
        await rig.create("late", spec=on_node(), annotations=said(exit_code="1"))
        await rig.settle()
        await rig.pass_time(3600)
        assert container(await rig.pod("late"))["restartCount"] == walked


async def test_init_containers_and_sidecars_begin_in_their_order(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        init = [
            {"name": "first", "image": "i"},
            {"name": "side", "image": "i", "restartPolicy": "Always"},
            {"name": "second", "image": "i"},
        ]
        notes = said(exit_after__first="5", exit_after__second="5")
        await rig.create("a", spec=on_node(initContainers=init), annotations=notes)
        status = await rig.status("a")
        found = await rig.pod("a")
        assert status["phase"] == "Pending"
        assert "running" in container(found, "first")["state"]
        assert container(found, "side")["state"] == {"waiting": {"reason": "PodInitializing"}}
        told = condition(found, "Initialized")
        assert told["reason"] == "ContainersNotInitialized"
        assert told["message"] == "containers with incomplete status: [first side second]"
        await rig.pass_time(5)
        found = await rig.pod("a")
        assert container(found, "first")["ready"] and "running" in container(found, "side")["state"]
        assert "running" in container(found, "second")["state"]
        assert condition(found, "Initialized")["message"] == "containers with incomplete status: [second]"
        await rig.pass_time(5)
        found = await rig.pod("a")
        assert found["status"]["phase"] == "Running" and holds(found, "Ready") and holds(found, "Initialized")


async def test_a_pod_with_a_sidecar_completes_and_a_failed_init_container_fails_it(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        side = {"name": "side", "image": "i", "restartPolicy": "Always"}
        await rig.create("done", spec=on_node(initContainers=[side], restartPolicy="Never"))
        found = await rig.reached("done", lambda one: one["status"]["phase"] == "Succeeded", "completes")
        assert container(found, "side")["state"]["terminated"]["exitCode"] == 0
        bad = {"name": "bad", "image": "i"}
        notes = said(exit_code__bad="1")
        spec = on_node(initContainers=[bad], restartPolicy="Never")
        await rig.create("failed", spec=spec, annotations=notes)
        found = await rig.reached("failed", lambda one: one["status"]["phase"] == "Failed", "fails")
        assert container(found)["state"] == {"waiting": {"reason": "PodInitializing"}}


async def test_containers_may_have_restart_policies_and_rules_of_their_own(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        rule = {"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}
        containers = [
            {"name": "c", "image": "i"},
            {"name": "once", "image": "i", "restartPolicy": "Never"},
            {"name": "ruled", "image": "i", "restartPolicy": "Never", "restartPolicyRules": [rule]},
        ]
        notes = said(exit_code__ruled="42,1")
        await rig.create("a", spec=on_node(containers=containers), annotations=notes)
        assert (await rig.status("a"))["phase"] == "Running"
        found = await rig.pod("a")
        assert "running" in container(found)["state"]
        assert container(found, "once")["state"]["terminated"]["exitCode"] == 0
        assert container(found, "ruled")["state"]["terminated"]["exitCode"] == 1
        assert container(found, "ruled")["restartCount"] == 1


async def test_containers_for_debugging_join_a_pod_that_runs(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        await rig.create("a", spec=on_node())
        await rig.settle()
        debugger = {"name": "debug", "image": "busybox"}
        await rig.edit(f"{PODS}/a/ephemeralcontainers", {"spec": {"ephemeralContainers": [debugger]}})
        await rig.settle()
        found = await rig.pod("a")
        assert "running" in found["status"]["ephemeralContainerStatuses"][0]["state"]
        assert holds(found, "Ready")
        await rig.ok("DELETE", f"{PODS}/a")
        await rig.settle()
        assert (await rig.call("GET", f"{PODS}/a")).status == 404


async def test_readiness_gates_keep_a_pod_from_being_ready(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        await rig.create("a", spec=on_node(readinessGates=[{"conditionType": "x.y/open"}]))
        status = await rig.status("a")
        assert condition({"status": status}, "ContainersReady")["status"] == "True"
        told = condition({"status": status}, "Ready")
        assert told["reason"] == "ReadinessGatesNotReady"
        assert told["message"] == 'corresponding condition of pod readiness gate "x.y/open" does not exist.'
        conditions = [*status["conditions"], {"type": "x.y/open", "status": "True"}]
        await rig.edit(f"{PODS}/a/status", {"status": {"conditions": conditions}})
        await rig.reached("a", lambda one: holds(one, "Ready"), "is ready")


async def test_a_deleted_pod_ends_within_its_grace_period(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        slow = said(terminate_after="20s")
        for name, notes in (("quick", {}), ("slow", slow), ("stuck", said(terminate_after="100"))):
            await rig.create(name, spec=on_node(), annotations=notes)
            await rig.settle()
            await rig.ok("DELETE", f"{PODS}/{name}")
        await rig.settle()
        assert (await rig.call("GET", f"{PODS}/quick")).status == 404
        assert holds(await rig.pod("slow"), "Ready")
        await rig.pass_time(20)
        assert (await rig.call("GET", f"{PODS}/slow")).status == 404
        assert (await rig.call("GET", f"{PODS}/stuck")).status == 200
        await rig.pass_time(10)
        assert (await rig.call("GET", f"{PODS}/stuck")).status == 404
        await rig.create("hurried", spec=on_node(), annotations=said(terminate_after="100"))
        await rig.settle()
        await rig.ok("DELETE", f"{PODS}/hurried")
        await rig.pass_time(5)
        await rig.ok("DELETE", f"{PODS}/hurried", {"gracePeriodSeconds": 3})
        await rig.settle()
        await rig.pass_time(2)
        assert (await rig.call("GET", f"{PODS}/hurried")).status == 200
        await rig.pass_time(1)
        assert (await rig.call("GET", f"{PODS}/hurried")).status == 404


async def test_a_finalizer_keeps_a_pod_that_has_ended(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        await rig.create("a", spec=on_node(), finalizers=["x.y/z"])
        await rig.settle()
        await rig.ok("DELETE", f"{PODS}/a")
        found = await rig.reached("a", lambda one: one["status"]["phase"] == "Succeeded", "has ended")
        assert not holds(found, "Ready")
        await rig.edit(f"{PODS}/a", {"metadata": {"finalizers": None}})

        async def gone() -> bool:
            return (await rig.call("GET", f"{PODS}/a")).status == 404

        await aeventually(gone, "the pod is gone")


async def test_a_pod_that_never_started_ends_as_well(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        await rig.create("a", spec=on_node(), finalizers=["x.y/z"], annotations=said(waiting="ErrImagePull"))
        await rig.settle()
        await rig.ok("DELETE", f"{PODS}/a")
        found = await rig.reached("a", lambda one: one["status"]["phase"] == "Failed", "has failed")
        assert container(found)["state"]["terminated"]["reason"] == "ContainerStatusUnknown"


async def test_the_deadline_of_a_pod_fails_it(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        await rig.create("a", spec=on_node(activeDeadlineSeconds=30))
        await rig.status("a")
        await rig.pass_time(29)
        assert (await rig.pod("a"))["status"]["phase"] == "Running"
        await rig.pass_time(1)
        status = await rig.status("a")
        assert (status["phase"], status["reason"]) == ("Failed", "DeadlineExceeded")


async def test_pods_of_an_unreachable_node_stay_as_they_are(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        await rig.create("a", spec=on_node())
        await rig.settle()
        node = f"{NODES}/node-0"
        await rig.edit(node, {"metadata": {"annotations": {f"{SIMULATE}state": "Unreachable"}}})
        await rig.create("b", spec=on_node())
        await rig.ok("DELETE", f"{PODS}/a")
        await rig.pass_time(100)
        assert "containerStatuses" not in (await rig.pod("b"))["status"]
        assert (await rig.pod("a"))["metadata"]["deletionTimestamp"]
        await rig.edit(node, {"metadata": {"annotations": {f"{SIMULATE}state": None}}})
        await rig.reached("b", lambda one: holds(one, "Ready"), "is ready")
        assert (await rig.call("GET", f"{PODS}/a")).status == 404


async def test_addresses_are_unique_and_come_back(clock: Clock) -> None:
    async with Simulated(clock, "nodes=2", only=ONLY) as rig:
        for number in range(6):
            await rig.create(f"p{number}", spec={"nodeName": f"node-{number % 2}"})
        await rig.settle()
        ips = {(await rig.pod(f"p{number}"))["status"]["podIP"] for number in range(6)}
        assert len(ips) == 6
        await rig.create("host", spec=on_node(hostNetwork=True))
        status = await rig.status("host")
        assert status["podIP"] == status["hostIP"]


async def test_what_runs_goes_on_after_a_restart_of_the_server(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        await rig.create("a", spec=on_node(), annotations=said(exit_after="60", exit_code="1"))
        await rig.create("done", spec=on_node(restartPolicy="Never"), annotations=said(logs="x"))
        before, ended = await rig.status("a"), await rig.status("done")
        await rig.pass_time(50)
        await rig.restart()
        assert await rig.status("a") == before
        assert await rig.status("done") == ended
        assert await rig.ok("GET", f"{PODS}/done/log") == "x\n"
        await rig.ok("DELETE", f"{PODS}/done")
        await rig.settle()
        assert (await rig.call("GET", f"{PODS}/done")).status == 404
        await rig.pass_time(10)
        assert container(await rig.pod("a"))["restartCount"] == 1
        assert (await rig.pod("a"))["status"]["podIP"] == before["podIP"]


async def test_annotations_that_cannot_be_read_are_told(clock: Clock) -> None:
    async with Simulated(clock, only=ONLY) as rig:
        await rig.create("a", spec=on_node(), annotations=said(exit_after="soon"))
        assert holds({"status": await rig.status("a")}, "Ready")
        reasons = [reason for reason, _ in await rig.events("a")]
        assert "InvalidSimulation" in reasons


async def test_nothing_is_written_for_a_pod_to_which_nothing_happens(clock: Clock) -> None:
    async with Simulated(clock, only="kubelet") as rig:
        await rig.node("node-0")
        await rig.edit(f"{NODES}/node-0", {"metadata": {"annotations": {f"{SIMULATE}node": ""}}})
        await rig.create("a", spec=on_node())
        await rig.events("a")
        before = rig.storage.revision
        await rig.edit(f"{PODS}/a", {"metadata": {"annotations": {"x": "y"}}})
        await rig.pass_time(1000)
        assert rig.storage.revision == before + 1

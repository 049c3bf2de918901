"""Jobs run pods until enough have succeeded, or too many have failed."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from harness import plug

from pilothouse.admission.about import About
from pilothouse.admission.chain import AdmissionPlugin
from pilothouse.registry.admission import AdmissionAttributes
from pilothouse.simulate.workloads.job.tally import TRACKED
from pilothouse.simulate.workloads.moments import seconds

BATCH = "/apis/batch/v1"
CONTROLLER = "job-controller"
NEVER = {"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Never"}


def job(pod: Any = None, **spec: Any) -> Any:
    return {"metadata": {"name": "j"}, "spec": {"template": {"spec": {**NEVER, **(pod or {})}}, **spec}}


async def get(cluster: Any) -> Any:
    await cluster.settle()
    return await cluster.get("jobs/j", BATCH)


async def running(cluster: Any) -> list[str]:
    """The names of the pods that run and stay."""
    pods = await cluster.pods()
    stay = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    return [pod["metadata"]["name"] for pod in stay if pod["status"]["phase"] == "Running"]


def conditions(obj: Any) -> list[tuple[str, str, str]]:
    return [(c["type"], c["status"], c["reason"]) for c in obj["status"].get("conditions") or ()]


async def test_a_job_completes(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("jobs", job(completions=3, parallelism=2), BATCH)
    first = await running(cluster)
    pods = await cluster.pods()
    assert len(first) == 2 and pods[0]["metadata"]["finalizers"] == [TRACKED]
    assert pods[0]["metadata"]["ownerReferences"][0]["kind"] == "Job"
    found = (await get(cluster))["status"]
    assert found.pop("startTime")
    assert found == {"active": 2, "ready": 2, "terminating": 0, "uncountedTerminatedPods": {}}
    for name in first:
        await cluster.kubelet.finish(name)
        await cluster.settle()
    [last] = await running(cluster)
    found = await get(cluster)
    assert (found["status"]["succeeded"], found["status"]["active"]) == (2, 1) and not conditions(found)
    await cluster.kubelet.finish(last)
    found = await get(cluster)
    assert conditions(found) == [
        ("SuccessCriteriaMet", "True", "CompletionsReached"),
        ("Complete", "True", "CompletionsReached"),
    ]
    assert found["status"]["conditions"][1]["message"] == "Reached expected number of succeeded pods"
    assert found["status"]["completionTime"] and found["status"]["succeeded"] == 3
    assert "active" not in found["status"] and found["status"]["uncountedTerminatedPods"] == {}
    assert all("finalizers" not in pod["metadata"] for pod in await cluster.pods())
    assert ("Completed", "Job completed") in await cluster.events("Job")


class Meanwhile(AdmissionPlugin):
    """Does something while the controller writes that it has counted a pod."""

    about = (About(("UPDATE",), ("jobs.batch/status",)),)

    def __init__(self, act: Callable[[], Awaitable[None]]) -> None:
        self.act: Callable[[], Awaitable[None]] | None = act

    async def validate(self, a: AdmissionAttributes) -> None:
        act, self.act = self.act, None
        if act is not None:
            await act()


async def test_a_pod_that_ends_while_another_is_counted(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("jobs", job(completions=2, parallelism=2), BATCH)
    first, second = await running(cluster)
    plug(cluster.chain, Meanwhile(lambda: cluster.kubelet.finish(second)))
    await cluster.kubelet.finish(first)
    found = await get(cluster)
    made = [reason for reason, _ in await cluster.events("Job") if reason == "SuccessfulCreate"]
    assert found["status"]["succeeded"] == len(made) == 2


async def test_each_end_is_counted_once_over_a_restart(cluster: Any) -> None:
    """A status that lists a pod whose finalizer is gone already: the pod was not added to the numbers yet."""
    await cluster.run(CONTROLLER)
    await cluster.post("jobs", job(completions=2, parallelism=1), BATCH)
    await cluster.running.pop(CONTROLLER).close()
    [name] = await running(cluster)
    uid = (await cluster.get(f"pods/{name}"))["metadata"]["uid"]
    await cluster.kubelet.finish(name)
    listed = {"status": {"uncountedTerminatedPods": {"succeeded": [uid]}}}
    await cluster.patch("jobs/j/status", listed, BATCH)
    await cluster.patch(f"pods/{name}", {"metadata": {"finalizers": None}})
    await cluster.run(CONTROLLER)
    found = await get(cluster)
    assert found["status"]["succeeded"] == 1 and found["status"]["uncountedTerminatedPods"] == {}


async def test_failures_are_retried_after_longer_and_longer(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("jobs", job(backoffLimit=2), BATCH)
    for number, delay in ((1, 10), (2, 20)):
        [name] = await running(cluster)
        await cluster.kubelet.finish(name, 1)
        assert (await get(cluster))["status"]["failed"] == number
        assert await running(cluster) == []
        await cluster.advance(delay - 3)
        assert await running(cluster) == []
        await cluster.advance(4)
    [name] = await running(cluster)
    await cluster.kubelet.finish(name, 1)
    found = await get(cluster)
    assert conditions(found) == [
        ("FailureTarget", "True", "BackoffLimitExceeded"),
        ("Failed", "True", "BackoffLimitExceeded"),
    ]
    assert found["status"]["conditions"][1]["message"] == "Job has reached the specified backoff limit"
    assert found["status"]["failed"] == 3 and "completionTime" not in found["status"]
    note = "Job has reached the specified backoff limit"
    assert ("BackoffLimitExceeded", note) in await cluster.events("Job")


async def test_a_job_is_too_long_active(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("jobs", job(activeDeadlineSeconds=60), BATCH)
    [name] = await running(cluster)
    await cluster.advance(50)
    assert conditions(await get(cluster)) == []
    await cluster.advance(11)
    found = await get(cluster)
    assert ("SuccessfulDelete", f"Deleted pod: {name}") in await cluster.events("Job")
    assert conditions(found)[-1] == ("Failed", "True", "DeadlineExceeded")
    assert await cluster.pods() == [] and found["status"]["failed"] == 1


async def test_pods_that_have_ended_before_the_deadline_is_noticed(cluster: Any) -> None:
    """The clock may jump over the deadline, and over what the pods have done meanwhile."""
    await cluster.run(CONTROLLER)
    await cluster.post("jobs", job(activeDeadlineSeconds=60), BATCH)
    [name] = await running(cluster)
    await cluster.kubelet.finish(name)
    cluster.clock.advance(100)
    assert conditions(await get(cluster))[-1] == ("Complete", "True", "CompletionsReached")


async def test_a_suspended_job_has_no_pods(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("jobs", job(completions=2, parallelism=2), BATCH)
    began = seconds((await get(cluster))["status"]["startTime"])
    await cluster.patch("jobs/j", {"spec": {"suspend": True}}, BATCH)
    found = await get(cluster)
    assert conditions(found) == [("Suspended", "True", "JobSuspended")]
    assert await cluster.pods() == [] and "failed" not in found["status"]
    await cluster.advance(100)
    await cluster.patch("jobs/j", {"spec": {"suspend": False}}, BATCH)
    again = await get(cluster)
    assert conditions(again) == [("Suspended", "False", "JobResumed")]
    assert len(await running(cluster)) == 2
    assert "startTime" not in found["status"] and seconds(again["status"]["startTime"]) >= began + 100
    told = [event for event in await cluster.events("Job") if event[0] != "SuccessfulCreate"]
    assert ("Suspended", "Job suspended") in told and ("Resumed", "Job resumed") in told


async def test_a_job_that_is_resumed_while_it_is_suspended(
    cluster: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The status of a former spec is not written: it would be refused."""
    await cluster.run(CONTROLLER)
    await cluster.post("jobs", job(), BATCH)
    resume = {"spec": {"suspend": False}}
    plug(cluster.chain, Meanwhile(lambda: cluster.patch("jobs/j", resume, BATCH)))
    await cluster.patch("jobs/j", {"spec": {"suspend": True}}, BATCH)
    assert (await get(cluster))["status"]["active"] == len(await running(cluster)) == 1
    assert caplog.text == ""


async def test_a_job_without_completions_ends_with_its_workers(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("jobs", job(parallelism=2), BATCH)
    first, second = await running(cluster)
    await cluster.kubelet.finish(first)
    assert await get(cluster) and await running(cluster) == [second], "no new worker is made"
    await cluster.kubelet.finish(second)
    assert conditions(await get(cluster))[-1][0] == "Complete"


async def test_indexes(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("jobs", job(completions=4, parallelism=4, completionMode="Indexed"), BATCH)
    pods = {
        pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"]: pod
        for pod in await cluster.pods()
    }
    assert sorted(pods) == ["0", "1", "2", "3"]
    one = pods["2"]
    assert one["metadata"]["name"].startswith("j-2-") and one["spec"]["hostname"] == "j-2"
    assert one["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] == "2"
    assert one["spec"]["containers"][0]["env"][0]["name"] == "JOB_COMPLETION_INDEX"
    for index in ("0", "1", "3"):
        await cluster.kubelet.finish(pods[index]["metadata"]["name"])
    found = await get(cluster)
    assert (found["status"]["completedIndexes"], found["status"]["succeeded"]) == ("0,1,3", 3)
    await cluster.kubelet.finish(one["metadata"]["name"])
    found = await get(cluster)
    assert found["status"]["completedIndexes"] == "0-3" and conditions(found)[-1][0] == "Complete"


async def test_each_index_has_a_limit_of_its_own(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    spec = {"completions": 2, "parallelism": 2, "completionMode": "Indexed", "backoffLimitPerIndex": 1}
    await cluster.post("jobs", job(**spec), BATCH)
    first = next(name for name in await running(cluster) if name.startswith("j-0-"))
    await cluster.kubelet.finish(first, 1)
    await cluster.settle()
    assert (await cluster.get(f"pods/{first}"))["metadata"]["finalizers"] == [TRACKED]
    await cluster.advance(11)
    second = next(name for name in await running(cluster) if name.startswith("j-0-"))
    notes = (await cluster.get(f"pods/{second}"))["metadata"]["annotations"]
    assert notes["batch.kubernetes.io/job-index-failure-count"] == "1"
    assert (await get(cluster))["status"]["failed"] == 1
    await cluster.kubelet.finish(second, 1)
    found = await get(cluster)
    assert found["status"]["failedIndexes"] == "0" and conditions(found) == []
    other = next(name for name in await running(cluster) if name.startswith("j-1-"))
    await cluster.kubelet.finish(other)
    found = await get(cluster)
    assert conditions(found)[-1] == ("Failed", "True", "FailedIndexes")
    assert found["status"]["completedIndexes"] == "1" and found["status"]["failed"] == 2


async def test_an_index_that_waits_for_its_next_pod_keeps_its_place(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    spec = {"completionMode": "Indexed", "completions": 2, "parallelism": 1, "backoffLimitPerIndex": 1}
    await cluster.post("jobs", job(**spec), BATCH)
    [name] = await running(cluster)
    await cluster.kubelet.finish(name, 1)
    assert await running(cluster) == []
    await cluster.advance(11)
    [again] = await running(cluster)
    assert again.rpartition("-")[0] == name.rpartition("-")[0] and again != name


async def test_rules_for_failures(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    rules = [
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}},
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    ]
    await cluster.post("jobs", job(podFailurePolicy={"rules": rules}, backoffLimit=0), BATCH)
    [name] = await running(cluster)
    gone = {"type": "DisruptionTarget", "status": "True"}
    await cluster.kubelet.finish(name, 1, conditions=[gone])
    found = await get(cluster)
    assert conditions(found) == [] and "failed" not in found["status"]
    assert await running(cluster) == [], "the job waits all the same"
    await cluster.advance(11)
    [name] = await running(cluster)
    await cluster.kubelet.finish(name, 42)
    found = await get(cluster)
    assert conditions(found)[-1] == ("Failed", "True", "PodFailurePolicy")
    assert found["status"]["conditions"][-1]["message"] == (
        f"Container c for pod default/{name} failed with exit code 42 matching FailJob rule at index 0"
    )


async def test_rules_for_success(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    rules = {"successPolicy": {"rules": [{"succeededIndexes": "0"}]}}
    await cluster.post("jobs", job(completions=3, parallelism=3, completionMode="Indexed", **rules), BATCH)
    leader = next(name for name in await running(cluster) if name.startswith("j-0-"))
    await cluster.kubelet.finish(leader)
    found = await get(cluster)
    assert conditions(found) == [
        ("SuccessCriteriaMet", "True", "SuccessPolicy"),
        ("Complete", "True", "SuccessPolicy"),
    ]
    assert found["status"]["conditions"][0]["message"] == "Matched rules at index 0"
    assert found["status"]["completedIndexes"] == "0" and await running(cluster) == []


@pytest.mark.parametrize("member", ["containerStatuses", "initContainerStatuses"])
async def test_restarts_in_place_are_failures(cluster: Any, member: str) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("jobs", job({"restartPolicy": "OnFailure"}, backoffLimit=2), BATCH)
    [name] = await running(cluster)
    container = {"name": "c", "image": "i", "imageID": "", "ready": False}
    await cluster.kubelet.status(name, **{member: [{**container, "restartCount": 1}]})
    assert conditions(await get(cluster)) == []
    await cluster.kubelet.status(name, **{member: [{**container, "restartCount": 2}]})
    assert conditions(await get(cluster))[-1] == ("Failed", "True", "BackoffLimitExceeded")


async def test_a_pod_is_replaced_when_it_has_ended(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("jobs", job(podReplacementPolicy="Failed"), BATCH)
    [name] = await running(cluster)
    await cluster.patch(f"pods/{name}", {"metadata": {"finalizers": [TRACKED, "example.com/slow"]}})
    await cluster.ok("DELETE", f"/api/v1/namespaces/default/pods/{name}")
    found = await get(cluster)
    assert await running(cluster) == [] and found["status"]["terminating"] == 1
    assert "failed" not in found["status"]
    await cluster.kubelet.finish(name, 1)
    assert (await get(cluster))["status"]["failed"] == 1
    await cluster.advance(11)
    assert len(await running(cluster)) == 1


async def test_fewer_workers(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("jobs", job(completions=5, parallelism=3), BATCH)
    await cluster.patch("jobs/j", {"spec": {"parallelism": 1}}, BATCH)
    found = await get(cluster)
    assert len(await running(cluster)) == found["status"]["active"] == 1 and "failed" not in found["status"]


async def test_pods_of_a_deleted_job_are_let_go(cluster: Any) -> None:
    await cluster.run(CONTROLLER, garbage=True)
    await cluster.post("jobs", job(), BATCH)
    await cluster.ok("DELETE", f"{BATCH}/namespaces/default/jobs/j?propagationPolicy=Background")
    await cluster.settle()
    assert await cluster.pods() == []
    await cluster.post("jobs", job(), BATCH)
    await cluster.ok("DELETE", f"{BATCH}/namespaces/default/jobs/j?propagationPolicy=Orphan")
    await cluster.settle()
    [pod] = await cluster.pods()
    assert "finalizers" not in pod["metadata"]


async def test_a_job_of_another_controller_is_left_alone(cluster: Any) -> None:
    await cluster.run(CONTROLLER)
    await cluster.post("jobs", job(managedBy="example.com/other"), BATCH)
    assert await cluster.pods() == [] and (await get(cluster)).get("status") in (None, {})

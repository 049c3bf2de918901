"""Finished jobs are deleted after the time that they name."""

from typing import Any

from virtual_time import VirtualLoop

BATCH = "/apis/batch/v1"
POD = {"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Never"}


async def test_a_finished_job_goes_with_its_pods(cluster: Any, virtual: VirtualLoop) -> None:
    await cluster.run("ttl-after-finished-controller", "job-controller", garbage=True)
    job = {"metadata": {"name": "j"}, "spec": {"template": {"spec": POD}, "ttlSecondsAfterFinished": 60}}
    await cluster.post("jobs", job, BATCH)
    await cluster.advance(100)
    [pod] = await cluster.pods()
    await cluster.kubelet.finish(pod["metadata"]["name"])
    await cluster.settle()
    await cluster.advance(50)
    assert "deletionTimestamp" not in (await cluster.get("jobs/j", BATCH))["metadata"]
    await cluster.advance(11)
    await virtual.advance(1)
    assert (await cluster.get("jobs", BATCH))["items"] == [] and await cluster.pods() == []

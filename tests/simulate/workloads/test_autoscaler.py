"""Autoscalers without metrics keep bounds, and say what they lack."""

from typing import Any

import pytest

APPS, AUTOSCALING = "/apis/apps/v1", "/apis/autoscaling/v2"
CONTROLLERS = ("horizontal-pod-autoscaler-controller", "deployment-controller", "replicaset-controller")


def deployment(replicas: int) -> Any:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    selector = {"matchLabels": {"app": "web"}}
    return {
        "metadata": {"name": "web"},
        "spec": {"replicas": replicas, "selector": selector, "template": template},
    }


def autoscaler(least: int = 1, most: int = 5) -> Any:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    return {
        "metadata": {"name": "h"},
        "spec": {"scaleTargetRef": target, "minReplicas": least, "maxReplicas": most},
    }


async def status(cluster: Any) -> Any:
    await cluster.settle()
    return (await cluster.get("horizontalpodautoscalers/h", AUTOSCALING))["status"]


def condition(found: Any, kind: str) -> tuple[str, str, str]:
    one = next(c for c in found["conditions"] if c["type"] == kind)
    return one["status"], one["reason"], one["message"]


async def test_metrics_cannot_be_had(cluster: Any) -> None:
    await cluster.run(*CONTROLLERS)
    await cluster.post("deployments", deployment(2), APPS)
    await cluster.post("horizontalpodautoscalers", autoscaler(), AUTOSCALING)
    found = await status(cluster)
    assert condition(found, "AbleToScale")[:2] == ("True", "SucceededGetScale")
    failed = condition(found, "ScalingActive")
    assert failed[:2] == ("False", "FailedGetResourceMetric")
    assert failed[2] == (
        "the HPA was unable to compute the replica count: "
        "failed to get cpu utilization: unable to get metrics for resource cpu: "
        "unable to fetch metrics from resource metrics API: "
        "the server could not find the requested resource (get pods.metrics.k8s.io)"
    )
    assert (found["currentReplicas"], found["desiredReplicas"]) == (2, 0)
    assert found["currentMetrics"] == [{"type": ""}]
    told = dict(await cluster.events("HorizontalPodAutoscaler"))
    assert told["FailedComputeMetricsReplicas"].startswith(
        "invalid metrics (1 invalid out of 1), first error is: "
    )


@pytest.mark.parametrize(
    ("metric", "reason", "said", "told"),
    [
        (
            {
                "type": "External",
                "external": {"metric": {"name": "q"}, "target": {"type": "Value", "value": "1"}},
            },
            "FailedGetExternalMetric",
            "unable to get external metric default/q/nil: unable to fetch metrics from external metrics API: "
            "the server could not find the requested resource (get q.external.metrics.k8s.io)",
            "failed to get q external metric value: failed to get external metric q: ",
        ),
        (
            {
                "type": "Pods",
                "pods": {"metric": {"name": "r"}, "target": {"type": "AverageValue", "averageValue": "1"}},
            },
            "FailedGetPodsMetric",
            "unable to get metric r: unable to fetch metrics from custom metrics API: "
            "no custom metrics API (custom.metrics.k8s.io) registered",
            "failed to get pods metric value: ",
        ),
    ],
)
async def test_other_metrics(cluster: Any, metric: Any, reason: str, said: str, told: str) -> None:
    await cluster.run(*CONTROLLERS)
    await cluster.post("deployments", deployment(2), APPS)
    made = autoscaler()
    made["spec"]["metrics"] = [metric]
    await cluster.post("horizontalpodautoscalers", made, AUTOSCALING)
    unable = "the HPA was unable to compute the replica count: "
    assert condition(await status(cluster), "ScalingActive") == ("False", reason, unable + said)
    events = dict(await cluster.events("HorizontalPodAutoscaler"))
    assert events["FailedComputeMetricsReplicas"].endswith(f"first error is: {told}{said}")


async def test_bounds(cluster: Any) -> None:
    await cluster.run(*CONTROLLERS)
    await cluster.post("deployments", deployment(8), APPS)
    await cluster.post("horizontalpodautoscalers", autoscaler(), AUTOSCALING)
    await cluster.settle()
    assert (await cluster.get("deployments/web", APPS))["spec"]["replicas"] == 5
    note = "New size: 5; reason: Current number of replicas above Spec.MaxReplicas"
    assert ("SuccessfulRescale", note) in await cluster.events("HorizontalPodAutoscaler")
    found = await status(cluster)
    assert found["desiredReplicas"] == found["currentReplicas"] == 5 and found["lastScaleTime"]
    await cluster.patch("deployments/web", {"spec": {"replicas": 2}}, APPS)
    await cluster.patch("horizontalpodautoscalers/h", {"spec": {"minReplicas": 3}}, AUTOSCALING)
    assert (await cluster.get("deployments/web", APPS))["spec"]["replicas"] == 3
    await cluster.patch("deployments/web", {"spec": {"replicas": 0}}, APPS)
    found = await status(cluster)
    assert condition(found, "ScalingActive")[:2] == ("False", "ScalingDisabled")
    assert (await cluster.get("deployments/web", APPS))["spec"]["replicas"] == 0


async def test_a_target_that_is_not_there(cluster: Any) -> None:
    await cluster.run(*CONTROLLERS)
    await cluster.post("horizontalpodautoscalers", autoscaler(), AUTOSCALING)
    assert condition(await status(cluster), "AbleToScale") == (
        "False",
        "FailedGetScale",
        'the HPA controller was unable to get the target\'s current scale: deployments.apps "web" not found',
    )
    await cluster.post("deployments", deployment(1), APPS)
    assert condition(await status(cluster), "AbleToScale")[0] == "True"

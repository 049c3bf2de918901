"""Conversion between the versions of a kind, and through its internal type."""

import json
from typing import Any

from pilothouse.api import codec
from pilothouse.api.convert import kinds as convert
from pilothouse.api.types import schema

HPA = "HorizontalPodAutoscaler"
METRICS = "autoscaling.alpha.kubernetes.io/metrics"
BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"


def decode(kind: tuple[str, str, str], **body: Any) -> dict[str, Any]:
    return codec.decode(json.dumps(body).encode(), "", schema.for_kind(*kind), kind)[0]


def autoscaler(version: str, **spec: Any) -> dict[str, Any]:
    return decode(("autoscaling", version, HPA), metadata={"name": "a"}, spec={"maxReplicas": 3, **spec})


def test_the_same_version_is_the_same_object() -> None:
    obj = autoscaler("v2")
    assert convert.convert(obj, HPA, "autoscaling", "v2") is obj


def test_v1_autoscaler_as_v2() -> None:
    found = convert.convert(autoscaler("v1"), HPA, "autoscaling", "v2")
    assert found["spec"]["metrics"][0]["resource"]["target"] == {
        "type": "Utilization",
        "averageUtilization": 80,
    }
    assert found["status"] == {"currentMetrics": None, "desiredReplicas": 0}
    back = convert.convert(found, HPA, "autoscaling", "v1")
    assert back["spec"]["targetCPUUtilizationPercentage"] == 80
    assert back["status"] == {"currentReplicas": 0, "desiredReplicas": 0}
    assert "annotations" not in back["metadata"]


def metric(kind: str, **source: Any) -> dict[str, Any]:
    return {"type": kind[0].upper() + kind[1:], kind: source}


def test_every_metric_survives_v1() -> None:
    named = {"name": "m", "selector": {"matchLabels": {"a": "b"}}}
    metrics = [
        metric(
            "object",
            describedObject={"kind": "K", "name": "n"},
            metric=named,
            target={"type": "Value", "value": "1"},
        ),
        metric("pods", metric=named, target={"type": "AverageValue", "averageValue": "2"}),
        metric("resource", name="memory", target={"type": "AverageValue", "averageValue": "1Gi"}),
        metric(
            "containerResource",
            name="cpu",
            container="c",
            target={"type": "Utilization", "averageUtilization": 5},
        ),
        metric("external", metric=named, target={"type": "Value", "value": "3"}),
    ]
    behavior = {"scaleUp": {"tolerance": "100m"}}
    obj = autoscaler("v2", metrics=metrics, behavior=behavior)
    v1 = convert.convert(obj, HPA, "autoscaling", "v1")
    assert json.loads(v1["metadata"]["annotations"][BEHAVIOR])["ScaleUp"]["Tolerance"] == "100m"
    assert convert.convert(v1, HPA, "autoscaling", "v2") == obj


def test_status_of_an_autoscaler_survives_v1() -> None:
    obj = autoscaler("v2")
    current = metric("resource", name="cpu", current={"averageUtilization": 40, "averageValue": "10m"})
    condition = {"type": "AbleToScale", "status": "True", "lastTransitionTime": None}
    obj["status"] |= {"currentReplicas": 2, "currentMetrics": [current], "conditions": [condition]}
    v1 = convert.convert(obj, HPA, "autoscaling", "v1")
    assert v1["status"]["currentCPUUtilizationPercentage"] == 40
    assert convert.convert(v1, HPA, "autoscaling", "v2") == obj


def test_annotations_that_do_not_parse_are_dropped() -> None:
    obj = autoscaler("v1")
    obj["metadata"]["annotations"] = {METRICS: "not json", BEHAVIOR: "[]", "mine": "x"}
    found = convert.convert(obj, HPA, "autoscaling", "v2")
    assert found["metadata"]["annotations"] == {"mine": "x"}
    assert found["spec"]["metrics"][0]["resource"]["name"] == "cpu"


def test_annotated_metrics_come_before_the_cpu() -> None:
    obj = autoscaler("v1", targetCPUUtilizationPercentage=70)
    text = '[{"type":"Resource","resource":{"name":"memory","targetAverageValue":"1Mi"}}]'
    obj["metadata"]["annotations"] = {METRICS: text}
    found = convert.convert(obj, HPA, "autoscaling", "v2")["spec"]["metrics"]
    assert [m["resource"]["name"] for m in found] == ["memory", "cpu"]
    assert convert.convert({**obj}, HPA, "autoscaling", "v1") is not None


def test_events_are_renamed_both_ways() -> None:
    core = decode(
        ("", "v1", "Event"),
        metadata={"name": "e"},
        involvedObject={"kind": "Pod"},
        message="m",
        count=2,
        source={"component": "kubelet"},
        series={"count": 3, "lastObservedTime": "2024-01-01T00:00:00.000000Z"},
    )
    other = convert.convert(core, "Event", "events.k8s.io", "v1")
    assert other["regarding"] == {"kind": "Pod"} and other["note"] == "m" and other["deprecatedCount"] == 2
    assert "reportingController" not in other and other["eventTime"] is None
    assert convert.convert(other, "Event", "", "v1") == core


def test_secret_text_becomes_data() -> None:
    obj = decode(("", "v1", "Secret"), data={"a": "eA==", "b": "eA=="}, stringData={"a": "é", "n": None})
    assert obj["data"] == {"a": "w6k=", "b": "eA==", "n": ""} and "stringData" not in obj


def test_service_account_has_two_names() -> None:
    obj = decode(("", "v1", "Pod"), spec={"containers": [], "serviceAccount": "robot"})
    assert obj["spec"]["serviceAccountName"] == obj["spec"]["serviceAccount"] == "robot"


def test_single_and_listed_addresses() -> None:
    obj = decode(("", "v1", "Pod"), status={"podIP": "1.1.1.1", "podIPs": [{"ip": "2.2.2.2"}]})
    assert obj["status"]["podIPs"] == [{"ip": "1.1.1.1"}]
    obj = decode(("", "v1", "Pod"), status={"podIPs": [{"ip": "2.2.2.2"}], "hostIPs": [{"ip": "3.3.3.3"}]})
    assert obj["status"]["podIP"] == "2.2.2.2" and "hostIP" not in obj["status"]
    obj = decode(("", "v1", "Node"), spec={"podCIDRs": ["10.0.0.0/24", "fd00::/64"]})
    assert obj["spec"]["podCIDR"] == "10.0.0.0/24"
    obj = decode(("", "v1", "Node"), spec={"podCIDR": "10.0.0.0/24"})
    assert obj["spec"]["podCIDRs"] == ["10.0.0.0/24"]


def test_init_container_annotations_are_dropped() -> None:
    old = "pod.beta.kubernetes.io/init-containers"
    obj = decode(("", "v1", "Pod"), metadata={"annotations": {old: "[]"}})
    assert "annotations" not in obj["metadata"]


def test_annotations_of_an_autoscaler_bring_nothing_deep() -> None:
    """Annotations are parsed when they become members, after the depth of the body was checked."""
    for name in (METRICS, BEHAVIOR, METRICS.replace("metrics", "conditions")):
        for text in (
            "[" * 300 + "]" * 300,
            '[{"a": ' * 50 + "1" + "}]" * 50,
            '{"a":' * 500 + "1" + "}" * 500,
        ):
            obj = autoscaler("v1")
            obj["metadata"]["annotations"] = {name: text}
            found = convert.convert(obj, HPA, "autoscaling", "v2")
            assert "behavior" not in found["spec"]
            assert len(found["spec"]["metrics"]) == 1
            assert "conditions" not in found["status"]


def test_a_negative_grace_period_stays_in_templates_alone() -> None:
    spec = {"containers": [{"name": "c", "image": "i"}], "terminationGracePeriodSeconds": -1}
    pod = decode(("", "v1", "Pod"), metadata={"name": "p"}, spec=spec)
    assert pod["spec"]["terminationGracePeriodSeconds"] == 1
    template = decode(("", "v1", "PodTemplate"), metadata={"name": "t"}, template={"spec": spec})
    assert template["template"]["spec"]["terminationGracePeriodSeconds"] == -1

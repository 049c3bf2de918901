"""Defaults of the built-in kinds."""

import copy
import json
from typing import Any

import pytest

from pilothouse.api import codec
from pilothouse.api.defaults import core as defaults_core
from pilothouse.api.defaults import kinds
from pilothouse.api.types import schema

TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
CONTAINER = {
    "name": "c",
    "image": "i",
    "imagePullPolicy": "Always",
    "resources": {},
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}
POD_SPEC = {
    "containers": [CONTAINER],
    "dnsPolicy": "ClusterFirst",
    "restartPolicy": "Always",
    "schedulerName": "default-scheduler",
    "securityContext": {},
    "terminationGracePeriodSeconds": 30,
}


def decode(kind: tuple[str, str, str], **body: Any) -> dict[str, Any]:
    return codec.decode(json.dumps(body).encode(), "", schema.for_kind(*kind), kind)[0]


def pod(**spec: Any) -> dict[str, Any]:
    found: dict[str, Any] = decode(("", "v1", "Pod"), spec=spec)["spec"]
    return found


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.2", "IfNotPresent"),
        ("registry:5000/a/b", "Always"),
        ("registry:5000/a/b:v1", "IfNotPresent"),
        ("a@sha256:" + "0" * 64, "IfNotPresent"),
        ("a:latest@sha256:" + "0" * 64, "Always"),
        ("UPPER/case", "Always"),
        ("Nginx", "IfNotPresent"),
        ("", "IfNotPresent"),
        ("not an image", "IfNotPresent"),
        ("0" * 64, "IfNotPresent"),
    ],
)
def test_pull_policy_follows_the_tag(image: str, policy: str) -> None:
    assert defaults_core.pull_policy(image) == policy


def test_a_pod_gets_more_than_a_template() -> None:
    assert pod(containers=[{"name": "c", "image": "i"}]) == {**POD_SPEC, "enableServiceLinks": True}
    found = decode(("", "v1", "PodTemplate"), template=TEMPLATE)
    assert found["template"]["spec"] == POD_SPEC


def test_requests_follow_limits_in_pods_only() -> None:
    limits = {"cpu": "1", "memory": "1Gi"}
    resources = {"limits": limits, "requests": {"cpu": "500m"}}
    container = {"name": "c", "image": "i", "resources": resources}
    found = pod(containers=[container])["containers"][0]["resources"]
    assert found["requests"] == {"cpu": "500m", "memory": "1Gi"}
    template = {"spec": {"containers": [container]}}
    found = decode(("", "v1", "PodTemplate"), template=template)["template"]["spec"]
    assert found["containers"][0]["resources"] == resources


def test_host_network_opens_the_same_ports() -> None:
    container = {"name": "c", "image": "i", "ports": [{"containerPort": 80}]}
    found = pod(hostNetwork=True, containers=[container])["containers"][0]["ports"]
    assert found == [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]


def test_probes_and_fields() -> None:
    container = {
        "name": "c",
        "image": "i",
        "livenessProbe": {"httpGet": {"port": 80}},
        "startupProbe": {"grpc": {"port": 1}},
        "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    }
    found = pod(containers=[container])["containers"][0]
    times = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
    assert found["livenessProbe"] == {"httpGet": {"path": "/", "port": 80, "scheme": "HTTP"}, **times}
    assert found["startupProbe"] == {"grpc": {"port": 1, "service": ""}, **times}
    assert found["env"][0]["valueFrom"]["fieldRef"]["apiVersion"] == "v1"


def test_volumes() -> None:
    given = [
        {"name": "a"},
        {"name": "b", "secret": {"secretName": "s"}},
        {"name": "c", "hostPath": {"path": "/"}},
        {"name": "d", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
        {"name": "e", "image": {"reference": "x:1"}},
    ]
    found = pod(containers=[], volumes=given)["volumes"]
    assert found[0] == {"name": "a", "emptyDir": {}}
    assert found[1]["secret"] == {"secretName": "s", "defaultMode": 420}
    assert found[2]["hostPath"] == {"path": "/", "type": ""}
    token = found[3]["projected"]["sources"][0]["serviceAccountToken"]
    assert token == {"path": "t", "expirationSeconds": 3600}
    assert found[4]["image"] == {"reference": "x:1", "pullPolicy": "IfNotPresent"}


def test_pod_level_resources_are_completed() -> None:
    containers = [
        {
            "name": "a",
            "image": "i",
            "resources": {"requests": {"cpu": "1"}, "limits": {"hugepages-2Mi": "2Mi"}},
        },
        {"name": "b", "image": "i", "resources": {"requests": {"cpu": "500m"}}},
    ]
    found = pod(containers=containers, resources={"limits": {"cpu": "4", "memory": "1Gi"}})["resources"]
    assert found["requests"] == {"cpu": "1500m", "memory": "1Gi", "hugepages-2Mi": "2Mi"}
    assert found["limits"] == {"cpu": "4", "memory": "1Gi", "hugepages-2Mi": "2Mi"}


def test_deployment() -> None:
    spec = decode(("apps", "v1", "Deployment"), spec={"template": TEMPLATE})["spec"]
    assert spec["replicas"] == 1 and spec["revisionHistoryLimit"] == 10
    assert spec["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
    }
    assert spec["selector"] is None and spec["template"]["spec"] == POD_SPEC
    spec = decode(("apps", "v1", "Deployment"), spec={"strategy": {"type": "Recreate"}})["spec"]
    assert spec["strategy"] == {"type": "Recreate"}


def test_stateful_set_claims() -> None:
    claims = [{"apiVersion": "v9", "metadata": {"name": "d"}, "spec": {}}]
    spec = decode(("apps", "v1", "StatefulSet"), spec={"template": TEMPLATE, "volumeClaimTemplates": claims})[
        "spec"
    ]
    claim = spec["volumeClaimTemplates"][0]
    assert (claim["apiVersion"], claim["kind"]) == ("v1", "PersistentVolumeClaim")
    assert claim["spec"]["volumeMode"] == "Filesystem"
    assert spec["updateStrategy"] == {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}


def test_job() -> None:
    spec = decode(("batch", "v1", "Job"), spec={"template": TEMPLATE})["spec"]
    assert (spec["parallelism"], spec["completions"], spec["backoffLimit"]) == (1, 1, 6)
    spec = decode(("batch", "v1", "Job"), spec={"parallelism": 2, "backoffLimitPerIndex": 1})["spec"]
    assert "completions" not in spec and spec["backoffLimit"] == 2**31 - 1


def test_services() -> None:
    found = decode(("", "v1", "Service"), spec={"type": "LoadBalancer", "ports": [{"port": 80}]})["spec"]
    assert found["allocateLoadBalancerNodePorts"] is True
    assert found["externalTrafficPolicy"] == found["internalTrafficPolicy"] == "Cluster"
    assert found["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    found = decode(("", "v1", "Service"), spec={"sessionAffinity": "ClientIP"})["spec"]
    assert found["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}
    found = decode(("", "v1", "Service"), spec={"type": "ExternalName"})["spec"]
    assert "internalTrafficPolicy" not in found


def test_limit_ranges() -> None:
    item = {"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1Mi"}, "default": {"memory": "1Gi"}}
    found = decode(("", "v1", "LimitRange"), spec={"limits": [item]})["spec"]["limits"][0]
    assert found["default"] == {"cpu": "2", "memory": "1Gi"}
    assert found["defaultRequest"] == {"cpu": "2", "memory": "1Gi"}


def test_autoscaler_behavior() -> None:
    spec = {"maxReplicas": 3, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}}}
    found = decode(("autoscaling", "v2", "HorizontalPodAutoscaler"), spec=spec)["spec"]
    assert found["metrics"][0]["resource"]["target"]["averageUtilization"] == 80
    assert found["behavior"]["scaleDown"] == {
        "stabilizationWindowSeconds": 60,
        "selectPolicy": "Max",
        "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
    }
    assert len(found["behavior"]["scaleUp"]["policies"]) == 2


def test_bindings_name_their_group() -> None:
    subjects = [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s", "namespace": "n"}]
    found = decode(("rbac.authorization.k8s.io", "v1", "RoleBinding"), subjects=subjects)
    assert found["roleRef"]["apiGroup"] == "rbac.authorization.k8s.io"
    assert [s.get("apiGroup") for s in found["subjects"]] == ["rbac.authorization.k8s.io", None]


def test_custom_resource_definitions() -> None:
    spec = {"names": {"plural": "fans", "kind": "Fan"}, "versions": [{"name": "v1", "storage": True}]}
    found = decode(("apiextensions.k8s.io", "v1", "CustomResourceDefinition"), spec=spec)
    assert found["spec"]["names"]["listKind"] == "FanList" and found["spec"]["names"]["singular"] == "fan"
    assert found["spec"]["conversion"] == {"strategy": "None"}
    assert found["status"]["storedVersions"] == ["v1"]


def test_every_kind_has_its_defaults_set_from_nothing() -> None:
    for group_version, served in schema.index()["kinds"].items():
        group, _, version = group_version.rpartition("/")
        for kind in served:
            first = decode((group, version, kind))
            again, _ = codec.decode(
                codec.encode(first, kind, group_version),
                "",
                schema.for_kind(group, version, kind),
                (group, version, kind),
                codec.STRICT,
            )
            assert again == first, kind


@pytest.mark.parametrize("kind", ["Pod", "Deployment", "ReplicaSet", "DaemonSet", "StatefulSet"])
def test_a_spec_that_is_shared_with_a_stored_object_is_left_alone(kind: str) -> None:
    containers = [{"name": "c", "image": "i", "resources": {}}]
    template = {"metadata": {}, "spec": {"containers": containers}}
    spec = {"template": template, "strategy": {}, "updateStrategy": {}, "containers": containers}
    obj = {"metadata": {"labels": {"a": "b"}}, "spec": spec, "status": {}}
    before = copy.deepcopy(obj)
    group = "" if kind == "Pod" else "apps"
    kinds.apply(obj, group, "v1", kind, {"spec": spec})
    assert obj == before
    kinds.apply(obj, group, "v1", kind, {"status": obj["status"]})
    assert obj.pop("spec") != before.pop("spec")
    assert obj == before

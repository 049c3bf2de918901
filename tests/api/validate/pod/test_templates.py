"""Pods are judged, and warned of, alike whether or not pods of their template are known as valid."""

from copy import deepcopy
from typing import Any

import pytest
from example_scale import SCALE
from hypothesis import given, settings
from hypothesis import strategies as st
from pods import CONTAINER, pod
from rules import put

from pilothouse.api.validate.pod.annotations import APPARMOR, MIRROR, SECCOMP_POD
from pilothouse.api.validate.pod.policy import STRICT, PodPolicy
from pilothouse.api.validate.pod.spec import validate_pod
from pilothouse.api.validate.pod.warnings import pod_warnings
from pilothouse.api.values.fields import Errors, Object
from pilothouse.caches import CacheBudget

NOTES = "metadata.annotations"
CHANGES: list[Any] = [
    ("spec.containers.0.env", [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)"}]),
    ("spec.containers.0.env", [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
    ("spec.containers.0.env", [{"name": "="}]),
    ("spec.containers.0.env", [{"value": "x"}]),
    ("spec.containers.0.env", [{"name": "A", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "x"}}}]),
    ("spec.initContainers.0.env", [{"name": "A", "valueFrom": {}}]),
    ("spec.initContainers.0.env", [{"name": "A", "valueFrom": {"fileKeyRef": {"volumeName": "v", "path": "p", "key": "k"}}}]),
    ("spec.initContainers.0.volumeMounts", [{"name": "v", "mountPath": "/v"}, {"name": "v", "mountPath": "/v"}]),
    ("spec.containers.0.volumeMounts", [{"name": "w", "mountPath": "/w"}]),
    ("spec.containers.0.volumeMounts", [{"name": "v"}]),
    ("spec.containers.0.volumeMounts", [{"mountPath": "/v"}]),
    ("spec.containers.0.volumeMounts", [{"name": "v", "mountPath": "/v", "subPath": "../x"}]),
    ("spec.containers.0.volumeMounts", [{"name": "v", "mountPath": "/v", "mountPropagation": "Bidirectional"}]),
    ("spec.containers.0.volumeDevices", [{"name": "v", "devicePath": "/d"}]),
    ("spec.containers.0.ports", [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 80, "protocol": "TCP"}]),
    ("spec.containers.0.ports", [{"containerPort": 80, "protocol": "TCP", "hostIP": "10.0.0.1"}]),
    ("spec.containers.0.ports", [{"containerPort": 0, "protocol": "X"}]),
    ("spec.containers.0.resources", {"limits": {"memory": "1500m"}}),
    ("spec.containers.0.resources", {"requests": {"cpu": "-1"}}),
    ("spec.containers.0.image", ""),
    ("spec.containers.0.name", "C_"),
    ("spec.initContainers.0.restartPolicy", "Odd"),
    ("spec.volumes", [{"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}]),
    ("spec.volumes", [{"name": "v", "gitRepo": {"repository": "r"}}]),
    ("spec.volumes", [{"name": "v", "configMap": {"name": "c"}, "secret": {"secretName": "s"}}]),
    ("spec.volumes", [{"name": "v", "emptyDir": None}]),
    ("spec.volumes", [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 600}}, {"secret": {"name": "s", "items": [{"key": "k", "path": "t"}]}}]}}]),
    ("spec.nodeName", "n"),
    ("spec.nodeName", "N_"),
    ("spec.hostname", "H_"),
    ("spec.hostNetwork", True),
    ("spec.schedulingGates", [{"name": "example.com/g"}]),
    ("spec.serviceAccountName", "default"),
    ("spec.serviceAccountName", "D_"),
    ("spec.affinity", {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{}]}}),
    ("spec.tolerations", [{"operator": "Odd"}]),
    ("spec.securityContext", {"windowsOptions": {"hostProcess": True}}),
    ("spec.dnsPolicy", "Odd"),
    ("spec.ephemeralContainers", [{**CONTAINER, "name": "e"}]),
    (NOTES, {SECCOMP_POD: "odd"}),
    (NOTES, {f"{APPARMOR}c": "unconfined", f"{APPARMOR}x": "odd"}),
    (NOTES, {MIRROR: "m"}),
    (NOTES, {"scheduler.alpha.kubernetes.io/critical-pod": ""}),
]
BASE = put(pod(initContainers=[{**CONTAINER, "name": "i"}], volumes=[{"name": "v", "emptyDir": {}}]), {"spec.containers.0.volumeMounts": [{"name": "v", "mountPath": "/v"}]})
several = st.lists(st.sampled_from(CHANGES), min_size=2, max_size=3)


def judged(pod: Object, policy: PodPolicy) -> tuple[Any, ...]:
    errs = Errors()
    validate_pod(pod, errs, policy)
    return errs.causes, pod_warnings(pod, policy)


def same_verdicts(changes: Any) -> None:
    """A pod is judged alike by a server that knows its template, and by one that knows none."""
    policy = PodPolicy(budget=CacheBudget())
    assert judged(put(BASE, {}), policy)[0] == []
    changed = put(BASE, dict(changes))
    expected = judged(deepcopy(changed), STRICT)
    assert judged(changed, policy) == expected
    assert judged(deepcopy(changed), policy) == expected  # its own template may be known now


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_known_templates_change_no_verdict(change: Any) -> None:
    same_verdicts([change])


@given(several)
def test_known_templates_change_no_verdict_on_several_changes(changes: Any) -> None:
    same_verdicts(changes)


def test_a_pod_of_a_known_template_is_known_and_a_changed_one_is_not() -> None:
    policy = PodPolicy(budget=CacheBudget())
    one = put(BASE, {})
    assert policy.template_of(one["spec"]) is None
    judged(one, policy)
    another = put(one, {"spec.nodeName": "n", "spec.containers.0.env": [{"name": "C", "value": "2"}]})
    known = policy.template_of(another["spec"])
    assert known is not None
    assert known is policy.template_judged(another["spec"])
    one["spec"]["containers"][0]["imagePullPolicy"] = "Odd"  # in place: what is remembered is a copy
    assert policy.template_of(one["spec"]) is None
    assert policy.template_of(another["spec"]) is known


def test_an_invalid_pod_is_no_template() -> None:
    policy = PodPolicy(budget=CacheBudget())
    wrong = put(BASE, {"spec.containers.0.env": [{"name": "="}]})
    assert judged(wrong, policy)[0]
    assert policy.template_of(wrong["spec"]) is None


def looked_at_in_full(pod: Object) -> Object:
    """The same pod with members that say nothing, but that no quick test lets pass."""
    out = put(pod, {NOTES: {**pod["metadata"].get("annotations", {}), f"{SECCOMP_POD}x": ""}})
    spec = out["spec"]
    for container in (*spec["containers"], *spec["initContainers"]):
        for one in container.get("env", ()):
            one.setdefault("valueFrom", None)
        for one in container.get("volumeMounts", ()):
            one["x"] = None
    for volume in spec["volumes"]:
        volume["x"] = None
    return out


@given(st.lists(st.sampled_from(CHANGES), max_size=1) | several)
@settings(max_examples=150 * SCALE)
def test_quick_tests_change_no_verdict(changes: Any) -> None:
    changed = put(BASE, dict(changes))
    assert judged(changed, STRICT) == judged(looked_at_in_full(changed), STRICT)

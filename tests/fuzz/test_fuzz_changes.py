"""Malformed patches, replacements and statuses."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from example_scale import SCALE
from fuzz.good_objects import GOOD
from fuzzing import JSON, MAPS, WRONG, Target, refused, share, variants
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.slow

MERGE = {"Content-Type": "application/merge-patch+json"}
STRATEGIC = {"Content-Type": "application/strategic-merge-patch+json"}
JSON_PATCH = {"Content-Type": "application/json-patch+json"}
APPLY = {"Content-Type": "application/apply-patch+yaml"}
KINDS = {"merge": MERGE, "strategic": STRATEGIC, "json": JSON_PATCH, "apply": APPLY}
STORED = [(path, body) for path, body in GOOD if "reviews" not in path]
IDS = [path.strip("/").replace("/", "-") for path, _ in STORED]

PATCHES = {
    "empty": b"",
    "null": b"null",
    "array": b"[]",
    "number": b"1",
    "text": b'"a"',
    "half": b'{"a":',
    "deep": b'{"a":' * 20000,
    "deep-closed": b'{"data":' * 20000 + b"1" + b"}" * 20000,
    "deep-array": b"[" * 20000 + b"]" * 20000,
    "invalid-utf8": b'{"data":{"a":"\xff"}}',
    "surrogate": b'{"data":{"\\ud800":"a"}}',
    "huge": b'{"metadata":{"generation":1e99999}}',
    "name": b'{"metadata":{"name":"other"}}',
    "namespace": b'{"metadata":{"namespace":"other"}}',
    "uid": b'{"metadata":{"uid":"other"}}',
    "version": b'{"metadata":{"resourceVersion":"x"}}',
    "version-number": b'{"metadata":{"resourceVersion":1}}',
    "kind": b'{"kind":"Secret"}',
    "metadata-null": b'{"metadata":null}',
    "metadata-text": b'{"metadata":"x"}',
    "data-text": b'{"data":"x"}',
    "replace-directive": b'{"$patch":"replace"}',
    "delete-directive": b'{"$patch":"delete"}',
    "unknown-directive": b'{"$patch":"explode"}',
    "directive-number": b'{"data":{"$patch":1}}',
    "order": b'{"metadata":{"$setElementOrder/ownerReferences":["x"]}}',
    "order-null": b'{"metadata":{"$setElementOrder/finalizers":null}}',
    "delete-list": b'{"metadata":{"$deleteFromPrimitiveList/finalizers":1}}',
    "retain": b'{"metadata":{"$retainKeys":"x"}}',
    "retain-unknown": b'{"data":{"$retainKeys":["a"],"b":"c"}}',
    "managed-fields": b'{"metadata":{"managedFields":[{}]}}',
    "managed-fields-null": b'{"metadata":{"managedFields":[null]}}',
    "managed-fields-text": b'{"metadata":{"managedFields":"x"}}',
    "owners": b'{"metadata":{"ownerReferences":[{"uid":null}]}}',
    "owners-nulls": b'{"metadata":{"ownerReferences":[null]}}',
    "operations-null": b"[null]",
    "operation-text": b'["x"]',
    "operation-empty": b"[{}]",
    "operation-unknown": b'[{"op":"explode","path":"/a"}]',
    "operation-number": b'[{"op":1,"path":1}]',
    "path-none": b'[{"op":"add","value":1}]',
    "path-relative": b'[{"op":"add","path":"a","value":1}]',
    "path-missing": b'[{"op":"remove","path":"/no/such"}]',
    "path-root": b'[{"op":"replace","path":"","value":1}]',
    "path-root-remove": b'[{"op":"remove","path":""}]',
    "path-escape": b'[{"op":"add","path":"/data/~9","value":"x"}]',
    "path-index": b'[{"op":"add","path":"/metadata/managedFields/-1","value":{}}]',
    "path-huge-index": b'[{"op":"add","path":"/metadata/managedFields/99999999999999999999","value":{}}]',
    "path-word-index": b'[{"op":"add","path":"/metadata/managedFields/x","value":{}}]',
    "path-into-text": b'[{"op":"add","path":"/metadata/name/x","value":{}}]',
    "value-none": b'[{"op":"add","path":"/data"}]',
    "test-fails": b'[{"op":"test","path":"/kind","value":"x"}]',
    "from-none": b'[{"op":"copy","path":"/data/x"}]',
    "from-itself": b'[{"op":"move","from":"/metadata","path":"/metadata/labels"}]',
    "copy-grows": json.dumps(
        [{"op": "add", "path": "/data/a", "value": "x" * 10000}]
        + [{"op": "copy", "from": "/data", "path": f"/data/b{n}"} for n in range(40)]
    ).encode(),
    "too-many": json.dumps([{"op": "test", "path": "/kind", "value": "ConfigMap"}] * 11000).encode(),
    "yaml-bomb": b"a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n",
    "yaml-tag": b"!!python/object:x {}",
    "yaml-list": b"- a\n- b\n",
    "no-kind": b'{"metadata":{"name":"kube-root-ca.crt"}}',
    "other-kind": b'{"apiVersion":"v1","kind":"Secret","metadata":{"name":"kube-root-ca.crt"}}',
    "other-version": b'{"apiVersion":"v9","kind":"ConfigMap","metadata":{"name":"kube-root-ca.crt"}}',
    "other-name": b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"}}',
    "apply-managed": b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"managedFields":[{}]}}',
    "apply-types": b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"finalizers":{"a":1}},"data":[1]}',
    "apply-duplicates": b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"finalizers":["a/b","a/b"]}}',
    "apply-null-key": b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"ownerReferences":[{"uid":null}]}}',
}


@pytest.mark.parametrize("body", PATCHES.values(), ids=PATCHES)
@pytest.mark.parametrize("kind", KINDS)
def test_patches(target: Target, kind: str, body: bytes) -> None:
    manager = "&fieldManager=m" if kind == "apply" else ""
    for path in (
        f"{MAPS}/kube-root-ca.crt",
        "/api/v1/namespaces/default",
        "/api/v1/namespaces/default/services/kubernetes",
    ):
        for query in ("", "&fieldValidation=Strict"):
            refused(
                target.send("PATCH", f"{path}?dryRun=All{manager}{query}", body, KINDS[kind]), allowed=(200,)
            )


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/json", "application/x; y", "application/merge-patch+json; a"],
)
def test_patches_of_no_known_type(target: Target, content_type: str) -> None:
    answer = target.send(
        "PATCH", f"{MAPS}/kube-root-ca.crt?dryRun=All", b"{}", {"Content-Type": content_type}
    )
    refused(answer, allowed=(200,))


def pointers() -> st.SearchStrategy[str]:
    part = st.sampled_from(
        ["metadata", "data", "labels", "0", "-", "-1", "~0", "~1", "", "ca.crt", "managedFields"]
    )
    return st.lists(part | st.text(max_size=3), max_size=4).map(lambda parts: "".join("/" + p for p in parts))


def operations() -> st.SearchStrategy[dict[str, object]]:
    names = st.sampled_from(["add", "remove", "replace", "move", "copy", "test"])
    values: Any = st.none() | st.text(max_size=3) | st.integers() | st.just({}) | st.just([])
    return st.fixed_dictionaries(
        {"op": names, "path": pointers()}, optional={"from": pointers(), "value": values}
    )


@settings(
    max_examples=100 * SCALE, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(operations(), max_size=5))
def test_random_json_patches(target: Target, patch: list[dict[str, object]]) -> None:
    path = f"{MAPS}/kube-root-ca.crt?dryRun=All"
    refused(target.send("PATCH", path, json.dumps(patch).encode(), JSON_PATCH), allowed=(200,))


@pytest.fixture(scope="module")
def stored(target: Target) -> Iterator[dict[str, dict[str, object]]]:
    """The good objects, stored: path of the object -> as it is."""
    out: dict[str, dict[str, object]] = {}
    for at, (path, body) in enumerate(STORED):
        answer = target.send("POST", path, json.dumps(_free(body, at)).encode(), JSON)
        assert answer.status == 201, (path, answer.body)
        obj = json.loads(answer.body)
        out[f"{path}/{obj['metadata']['name']}"] = obj
    yield out
    for path in out:
        target.send("DELETE", path)


def _free(body: dict[str, object], at: int) -> dict[str, object]:
    """The object with a name of its own, without owners and finalizers, which would keep or collect it."""
    metadata = dict(body["metadata"])  # type: ignore[call-overload]
    metadata.pop("ownerReferences", None)
    metadata.pop("finalizers", None)
    if metadata["name"] == "fuzz":
        metadata["name"] = f"fuzz{at}"
    return body | {"metadata": metadata}


@pytest.mark.parametrize("at", range(len(STORED)), ids=IDS)
def test_replacements_with_one_thing_wrong(
    target: Target, stored: dict[str, dict[str, object]], at: int
) -> None:
    path, obj = list(stored.items())[at]
    obj = {k: v for k, v in obj.items() if k != "status"}
    obj["metadata"] = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}  # type: ignore[attr-defined]
    for changed in share(obj, 5, at):
        body = json.dumps(changed).encode()
        try:
            refused(target.send("PUT", f"{path}?dryRun=All", body, JSON), allowed=(200,))
        except AssertionError as err:
            raise AssertionError(f"{path}: {body[:3000]!r}") from err


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at", range(len(STORED)), ids=IDS)
def test_patches_with_one_thing_wrong(
    target: Target, stored: dict[str, dict[str, object]], at: int, kind: str
) -> None:
    path, obj = list(stored.items())[at]
    body: dict[str, Any] = {
        k: v for k, v in obj.items() if k in ("spec", "data", "rules", "subjects", "ports")
    }
    if kind == "apply":
        body |= {"apiVersion": obj["apiVersion"], "kind": obj["kind"]}
        body["metadata"] = {"name": obj["metadata"]["name"]}  # type: ignore[index]
    query = "dryRun=All&fieldManager=m&force=true" if kind == "apply" else "dryRun=All"
    for changed in share(body, 10, at + list(KINDS).index(kind)):
        patch: Any = changed
        if kind == "json":
            patch = [{"op": "add", "path": f"/{key}", "value": value} for key, value in changed.items()]
        try:
            refused(
                target.send("PATCH", f"{path}?{query}", json.dumps(patch).encode(), KINDS[kind]),
                allowed=(200,),
            )
        except AssertionError as err:
            raise AssertionError(f"{path}: {json.dumps(patch)[:3000]}") from err


STATUSES: dict[str, object] = {
    "pods": {
        "phase": "Running",
        "podIPs": [{"ip": "10.0.0.1"}],
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        "containerStatuses": [{"name": "c", "ready": True, "state": {"running": {"startedAt": None}}}],
        "resourceClaimStatuses": [{"name": "a"}],
    },
    "deployments": {
        "replicas": 1,
        "readyReplicas": 1,
        "conditions": [{"type": "Available", "status": "True"}],
    },
    "statefulsets": {"replicas": 1, "currentRevision": "a", "collisionCount": 1},
    "cronjobs": {"active": [{"name": "a"}], "lastScheduleTime": "2026-01-01T00:00:00Z"},
    "services": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4", "ports": [{"port": 1, "protocol": "TCP"}]}]}},
    "ingresses": {
        "loadBalancer": {"ingress": [{"hostname": "a.b", "ports": [{"port": 1, "protocol": "TCP"}]}]}
    },
    "horizontalpodautoscalers": {
        "currentReplicas": 1,
        "desiredReplicas": 1,
        "conditions": [{"type": "A", "status": "True"}],
    },
    "persistentvolumeclaims": {
        "phase": "Bound",
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
    },
    "persistentvolumes": {"phase": "Bound", "lastPhaseTransitionTime": "2026-01-01T00:00:00Z"},
    "nodes": {
        "capacity": {"cpu": "1"},
        "conditions": [{"type": "Ready", "status": "True"}],
        "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
        "nodeInfo": {"kubeletVersion": "v1.36.0"},
    },
    "resourcequotas": {"hard": {"pods": "1"}, "used": {"pods": "0"}},
    "customresourcedefinitions": {"conditions": [{"type": "A", "status": "True"}], "storedVersions": ["v1"]},
    "certificatesigningrequests": {
        "conditions": [{"type": "Denied", "status": "True"}],
        "certificate": "YQ==",
    },
}


@pytest.mark.parametrize("at", range(len(STORED)), ids=IDS)
def test_statuses_with_one_thing_wrong(target: Target, stored: dict[str, dict[str, object]], at: int) -> None:
    path = list(stored)[at]
    status = STATUSES.get(path.rsplit("/", 2)[1])
    if status is None:
        return
    for wrong in WRONG:
        for changed in variants({"status": status}, wrong):
            body = json.dumps(changed).encode()
            try:
                refused(target.send("PATCH", f"{path}/status?dryRun=All", body, MERGE), allowed=(200,))
            except AssertionError as err:
                raise AssertionError(f"{path}: {body[:3000]!r}") from err


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("pods/fuzz0/binding", {"target": {"kind": "Node", "name": "fuzz0"}, "metadata": {"name": "fuzz0"}}),
        (
            "pods/fuzz0/eviction",
            {"metadata": {"name": "fuzz0"}, "deleteOptions": {"gracePeriodSeconds": 0, "dryRun": ["All"]}},
        ),
        (
            "serviceaccounts/default/token",
            {"spec": {"audiences": ["a"], "expirationSeconds": 600, "boundObjectRef": {"kind": "Pod"}}},
        ),
    ],
    ids=["binding", "eviction", "token"],
)
def test_subresources_with_one_thing_wrong(target: Target, path: str, body: dict[str, object]) -> None:
    for wrong in WRONG:
        for changed in variants(body, wrong):
            answer = target.send(
                "POST", f"/api/v1/namespaces/default/{path}?dryRun=All", json.dumps(changed).encode(), JSON
            )
            try:
                refused(answer, allowed=(201,))
            except AssertionError as err:
                raise AssertionError(json.dumps(changed)) from err


def test_scales_with_one_thing_wrong(target: Target, stored: dict[str, dict[str, object]]) -> None:
    path = "/apis/apps/v1/namespaces/default/deployments/fuzz2/scale?dryRun=All"
    body = {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {"name": "fuzz0"},
        "spec": {"replicas": 1},
    }
    for wrong in WRONG:
        for changed in variants(body, wrong):
            for method, headers in (("PUT", JSON), ("PATCH", MERGE)):
                refused(target.send(method, path, json.dumps(changed).encode(), headers), allowed=(200,))

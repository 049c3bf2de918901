"""Requests leave little memory behind, whatever they contain and however many there are."""

import asyncio
import gc
import json
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from harness import CONFIG_MAPS, PODS, Rig

MB = 1 << 20
LONG = 300_000
MANY = 500
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
Send = dict[str, Any]
"""Arguments of `Rig.handle`."""


def text(n: int, size: int = LONG) -> str:
    return f"{n:x}".ljust(size, "x")


def get(target: str, user: str = "", **headers: str) -> Send:
    return {
        "method": "GET",
        "target": target,
        "user": user,
        "headers": {name.replace("_", "-"): value for name, value in headers.items()},
    }


def post(target: str, body: Any, user: str = "admin") -> Send:
    return {"method": "POST", "target": target, "body": body, "user": user}


def review(fields: dict[str, Any], manager: str = "m") -> Send:
    entry = {
        "manager": manager,
        "operation": "Update",
        "apiVersion": "v1",
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "metadata": {"managedFields": [entry]},
        "spec": {"nonResourceAttributes": {"path": "/x", "verb": "get"}},
    }
    return post(REVIEWS, body, "jane")


def pod(**container: Any) -> Send:
    spec: dict[str, Any] = {"containers": [{"name": "c", "image": "i", **container}]}
    if "ip" in container:
        del spec["containers"][0]["ip"]
        spec["hostAliases"] = [{"ip": container["ip"], "hostnames": ["a"]}]
    return post(f"{PODS}?dryRun=All", {"metadata": {"name": "p"}, "spec": spec})


def managed(manager: str) -> Send:
    body = {
        "metadata": {
            "name": "c",
            "managedFields": [
                {
                    "manager": manager,
                    "operation": "Update",
                    "apiVersion": "v1",
                    "fieldsType": "FieldsV1",
                    "fieldsV1": {"f:data": {}},
                }
            ],
        }
    }
    return post(f"{CONFIG_MAPS}?dryRun=All", body)


ATTACKS: dict[str, tuple[int, Callable[[int], Send]]] = {
    "long paths": (20, lambda n: get("/" + text(n))),
    "many paths": (MANY, lambda n: get("/" + text(n, 200))),
    "long groups": (20, lambda n: get(f"/apis/{text(n)}/v1/namespaces/default/pods")),
    "long namespaces": (20, lambda n: get(f"/api/v1/namespaces/{text(n)}/pods")),
    "long names": (20, lambda n: get(f"{PODS}/{text(n)}", "jane")),
    "many resources": (MANY, lambda n: get(f"/apis/a{n}/v{n}/namespaces/n{n}/r{n}/x/s{n}")),
    "many subresources": (MANY, lambda n: get(f"{PODS}/x/s{n}", "admin")),
    "many methods": (MANY, lambda n: get("/api", "admin") | {"method": f"M{n}"}),
    "long queries": (20, lambda n: get(f"{PODS}?labelSelector={text(n)}", "jane")),
    "many queries": (MANY, lambda n: get(f"{PODS}?q{n}={n}&fieldSelector=metadata.name%3Dx{n}", "jane")),
    "long user agents": (20, lambda n: get("/api", user_agent=text(n))),
    "long audit ids": (20, lambda n: get("/api", audit_id=text(n))),
    "long headers": (20, lambda n: get("/api", **{text(n, 2000): text(n)})),
    "long accepts": (20, lambda n: get("/api", "jane", accept=f"application/json;x={text(n)}")),
    "many accepts": (MANY, lambda n: get("/api", "jane", accept=f"application/json;x={text(n, 400)}")),
    "wrong tokens": (MANY, lambda n: get("/api", text(n, 900))),
    "long wrong tokens": (20, lambda n: get("/api", text(n))),
    "junk behind tokens": (20, lambda n: get("/api", f"jane {text(n)}")),
    "much junk behind tokens": (MANY, lambda n: get("/api", f"jane {n}")),
    "spaces around tokens": (20, lambda n: get("/api", f" jane{n * ' '}")),
    "long users to act as": (20, lambda n: get("/api", "admin", impersonate_user=text(n))),
    "many users to act as": (MANY, lambda n: get("/api", "admin", impersonate_user=text(n, 100))),
    "users who may not": (20, lambda n: get("/api", "jane", impersonate_user=text(n))),
    "long groups to act in": (
        20,
        lambda n: get("/api", "admin", impersonate_user="a", impersonate_group=text(n)),
    ),
    "long elements": (20, lambda n: review({f'v:"{text(n)}"': {}})),
    "many elements": (8, lambda n: review({f'k:{{"name":"{n}-{i}"}}': {} for i in range(3000)})),
    "long managers of reviews": (20, lambda n: review({"f:spec": {}}, text(n))),
    "long managers": (20, lambda n: managed(text(n))),
    "many managers": (300, lambda n: managed(text(n, 120))),
    "long images": (20, lambda n: pod(image=text(n))),
    "many images": (300, lambda n: pod(image=f"{n}/" + text(n, 100))),
    "long variables": (20, lambda n: pod(env=[{"name": text(n), "value": "1"}])),
    "many variables": (8, lambda n: pod(env=[{"name": f"A{n}_{i}", "value": "1"} for i in range(2000)])),
    "long addresses": (20, lambda n: pod(ip=text(n))),
    "long amounts": (3, lambda n: pod(resources={"limits": {"cpu": "1" + "0" * LONG}})),
    "many amounts": (300, lambda n: pod(resources={"limits": {f"example.com/{n}": str(n)}})),
    "long resources": (20, lambda n: pod(resources={"limits": {text(n): "1"}})),
    "long ports": (20, lambda n: pod(ports=[{"name": text(n), "containerPort": 1}])),
    "long probes": (20, lambda n: pod(livenessProbe={"exec": {"command": [text(n)]}})),
}


RULES = [
    {"verbs": ["create"], "apiGroups": ["authorization.k8s.io"], "resources": ["*"]},
    {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]},
    {"verbs": ["get"], "nonResourceURLs": ["/api"]},
]


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[asyncio.Runner, Rig]]:
    """A server for all of them, which lets jane do what RULES say, and the loop that it runs on."""

    async def prepare(rig: Rig) -> None:
        await rig.start()
        group = "rbac.authorization.k8s.io"
        binding = {
            "metadata": {"name": "all"},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "all"},
            "subjects": [{"kind": "Group", "name": "dev", "apiGroup": group}],
        }
        await rig.ok("POST", f"/apis/{group}/v1/clusterroles", {"metadata": {"name": "all"}, "rules": RULES})
        await rig.ok("POST", f"/apis/{group}/v1/clusterrolebindings", binding)

    with asyncio.Runner() as runner:
        rig = Rig()
        runner.run(prepare(rig))
        yield runner, rig
        runner.run(rig.stop())


async def kept(rig: Rig, count: int, make: Callable[[int], Send]) -> int:
    """The bytes that are held after `count` requests and were not before."""
    await rig.call(**make(count))  # what is loaded at the first use
    gc.collect()
    tracemalloc.start()
    for n in range(count):
        answer = await rig.call(**make(n))
        assert answer.status < 500, answer
    del answer
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held


@pytest.mark.slow
@pytest.mark.parametrize("attack", ATTACKS)
def test_little_is_kept(shared: tuple[asyncio.Runner, Rig], attack: str) -> None:
    runner, rig = shared
    count, make = ATTACKS[attack]
    held = runner.run(kept(rig, count, make))
    brought = len(json.dumps(make(0))) * count
    assert held < 3 * MB, f"{held / MB:.1f} MB of {brought / MB:.1f} MB"

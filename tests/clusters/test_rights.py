"""A cluster gives its writer no more than the writer may read and write."""

import pathlib
from typing import Any

import pytest
from clusters.rig import CLUSTERS, ClusterRig, Identity, cluster_of, running
from eventually import aeventually

pytestmark = pytest.mark.usefixtures("runner")

RBAC = "/apis/rbac.authorization.k8s.io/v1"
MERGE: dict[str, Any] = {"content-type": "application/merge-patch+json"}


async def user(rig: ClusterRig, name: str, *rules: Any) -> Identity:
    """A user who may write clusters, and what the rules say."""
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    verbs = ["create", "update", "patch"]
    writer = {"apiGroups": ["pilothouse.dev"], "resources": ["clusters"], "verbs": verbs}
    await rig.ok("POST", f"{RBAC}/clusterroles", {"metadata": {"name": name}, "rules": [writer, *rules]})
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name}
    binding = {"metadata": {"name": name}, "roleRef": ref, "subjects": [subject]}
    await rig.ok("POST", f"{RBAC}/clusterrolebindings", binding)
    return rig.identity("", name, ())


def on_source(*verbs: str, name: str = "source") -> Any:
    return {
        "apiGroups": ["pilothouse.dev"],
        "resources": ["clusters"],
        "resourceNames": [name],
        "verbs": list(verbs),
    }


async def allowed(rig: ClusterRig, body: Any, identity: Identity) -> Any:
    """The answer once the role is known."""

    async def found() -> Any:
        answer = await rig.call("POST", CLUSTERS, body, identity=identity)
        return answer if answer.status == 201 else None

    return await aeventually(found, "the right to write a cluster")


async def test_a_copy_needs_get_and_copy_on_its_source(directory: pathlib.Path) -> None:
    async with running(directory) as rig:
        await rig.make("source")
        for name, verbs in (("none", ()), ("reader", ("get",)), ("copier", ("copy",))):
            who = await user(rig, name, *([on_source(*verbs)] if verbs else []))
            await allowed(rig, cluster_of(f"of-{name}"), who)
            texts = set()
            for source in ("source", "missing"):
                for query in ("", "?dryRun=All"):
                    body = cluster_of("stolen", copyOf=source)
                    answer = await rig.call("POST", CLUSTERS + query, body, identity=who)
                    assert (answer.status, answer.body["reason"]) == (403, "Forbidden")
                    texts.add(answer.body["message"].replace(f'"{source}"', "X"))
            assert len(texts) == 1, "a missing source is told apart"
            generated = cluster_of("", copyOf="source") | {"metadata": {"generateName": "stolen-"}}
            assert (await rig.call("POST", CLUSTERS, generated, identity=who)).status == 403
            as_user: dict[str, Any] = {"impersonate-user": name}
            body = cluster_of("stolen", copyOf="source")
            assert (await rig.call("POST", CLUSTERS, body, **as_user)).status == 403
        both = await user(rig, "both", on_source("get", "copy"))
        await allowed(rig, cluster_of("lawful", copyOf="source"), both)
        await rig.ready("lawful")


async def test_a_source_of_another_uid_is_not_copied(directory: pathlib.Path) -> None:
    async with running(directory) as rig:
        await rig.make("source")
        body = cluster_of("copy", copyOf="source")
        body["metadata"]["annotations"] = {"pilothouse.dev/source-uid": "forged"}
        made = await rig.ok("POST", CLUSTERS, body)
        uid = rig.directory.places["source"].uid
        assert made["metadata"]["annotations"]["pilothouse.dev/source-uid"] == uid
        patch = {"metadata": {"annotations": {"pilothouse.dev/source-uid": None}}}
        changed = await rig.ok("PATCH", f"{CLUSTERS}/copy", patch, **MERGE)
        assert changed["metadata"]["annotations"]["pilothouse.dev/source-uid"] == uid


async def test_a_secret_is_judged_as_the_writers_own(directory: pathlib.Path) -> None:
    place = {"namespace": "default", "name": "kubeconfig"}
    secrets = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]}
    async with running(directory) as rig:
        who = await user(rig, "writer", on_source("get", name="mine"))
        await allowed(rig, cluster_of("mine"), who)
        body = cluster_of("other", kubeconfigSecret=place)
        assert (await rig.call("POST", CLUSTERS, body, identity=who)).status == 403
        patch = {"spec": {"kubeconfigSecret": place}}
        for query in ("", "?dryRun=All"):
            answer = await rig.call("PATCH", f"{CLUSTERS}/mine{query}", patch, identity=who, **MERGE)
            assert answer.status == 403
            assert '"secrets"' in answer.body["message"]
        await rig.ok("PATCH", f"{CLUSTERS}/mine", patch, **MERGE)
        unchanged = {"spec": {"suspend": True}}
        assert (await rig.call("PATCH", f"{CLUSTERS}/mine", unchanged, identity=who, **MERGE)).status == 200
        moved = {"spec": {"kubeconfigSecret": {"namespace": "kube-system", "name": "kubeconfig"}}}
        assert (await rig.call("PATCH", f"{CLUSTERS}/mine", moved, identity=who, **MERGE)).status == 403
        granted = await user(rig, "granted", secrets)
        await allowed(rig, body, granted)

"""The request sequences of tools that apply: kubectl, Helm, Terraform and Argo CD."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from clients.drivers import Kubectl, Raw

from pilothouse.testing.server import APIServer

Object = dict[str, Any]

APPLY = "application/apply-patch+yaml"
STRATEGIC = "application/strategic-merge-patch+json"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
WEB = DEPLOYMENTS + "/web"


@pytest.fixture
def raw(server: APIServer) -> Iterator[Raw]:
    raw = Raw(server)
    yield raw
    raw.connection.close()


def deployment(image: str = "example.org/web:1", replicas: int | None = 2, **container: Any) -> Object:
    spec: Object = {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main", "image": image, **container}]},
        },
    }
    if replicas is not None:
        spec["replicas"] = replicas
    metadata = {"name": "web", "namespace": "default", "labels": {"app": "web"}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def container(obj: Object) -> Object:
    found: Object = obj["spec"]["template"]["spec"]["containers"][0]
    return found


def owners(obj: Object) -> dict[tuple[str, str], Object]:
    """(manager, operation) -> its fields."""
    return {(e["manager"], e["operation"]): e["fieldsV1"] for e in obj["metadata"].get("managedFields", ())}


# kubectl, of which each test runs against both servers of the fixture


def manifest(namespace: str, image: str = "example.org/web:1", **container: Any) -> str:
    obj = deployment(image, **container)
    obj["metadata"]["namespace"] = namespace
    return json.dumps(obj)


@pytest.mark.kubectl
def test_kubectl_applies_on_its_own_side(kubectl: Kubectl, namespace: str) -> None:
    def live() -> Object:
        found: Object = json.loads(
            kubectl(f"-n {namespace} get deployment web -o json --show-managed-fields")
        )
        return found

    env = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    assert kubectl("apply -f -", stdin=manifest(namespace, env=env)).strip() == "deployment.apps/web created"
    applied = json.loads(live()["metadata"]["annotations"][LAST_APPLIED])
    assert container(applied)["env"] == env
    assert (
        kubectl("apply -f -", stdin=manifest(namespace, env=env)).strip() == "deployment.apps/web unchanged"
    )

    kubectl(f"-n {namespace} set env deployment/web C=3")  # by somebody else
    changed = manifest(namespace, "example.org/web:2", env=env[:1])
    assert kubectl("apply -f -", stdin=changed).strip() == "deployment.apps/web configured"
    now = container(live())
    assert now["image"] == "example.org/web:2"
    assert {e["name"]: e["value"] for e in now["env"]} == {"A": "1", "C": "3"}  # B was applied, C was not
    assert set(owners(live())) == {("kubectl-client-side-apply", "Update"), ("kubectl-set", "Update")}

    assert (
        kubectl("apply -f -", stdin=manifest(namespace, "example.org/web:2")).strip().endswith("configured")
    )
    assert "env" not in container(live())  # the list is gone from the manifest, and so goes as a whole


@pytest.mark.kubectl
def test_kubectl_moves_to_the_servers_side(kubectl: Kubectl, namespace: str) -> None:
    def live() -> Object:
        found: Object = json.loads(
            kubectl(f"-n {namespace} get deployment web -o json --show-managed-fields")
        )
        return found

    env = [{"name": "A", "value": "1"}]
    kubectl("apply -f -", stdin=manifest(namespace, env=env))
    said = kubectl("apply --server-side -f -", stdin=manifest(namespace, env=env))
    assert said.strip() == "deployment.apps/web serverside-applied"
    # What kubectl owned by updating it now owns by applying, so that it can drop it; the annotation is kept
    # under a name of its own.
    appliers = {("kubectl", "Apply"), ("kubectl-last-applied", "Apply")}
    assert set(owners(live())) == appliers
    kubectl("apply --server-side -f -", stdin=manifest(namespace, "example.org/web:3"))
    assert container(live())["image"] == "example.org/web:3" and "env" not in container(live())
    # The annotation follows, so that one can go back.
    last = live()["metadata"]["annotations"][LAST_APPLIED]
    assert container(json.loads(last))["image"] == "example.org/web:3"

    kubectl(f"-n {namespace} set image deployment/web main=example.org/web:4")
    refused = kubectl.fails("apply --server-side -f -", stdin=manifest(namespace, "example.org/web:5"))
    assert 'conflict with "kubectl-set" using apps/v1' in refused
    assert '.spec.template.spec.containers[name="main"].image' in refused
    kubectl("apply --server-side --force-conflicts -f -", stdin=manifest(namespace, "example.org/web:5"))
    assert container(live())["image"] == "example.org/web:5"
    assert set(owners(live())) == appliers


# Helm 3: create, then three-way strategic merge patches; the release itself is a Secret


def release(raw: Raw, revision: int, status: str) -> None:
    name = f"sh.helm.release.v1.web.v{revision}"
    labels = {"owner": "helm", "name": "web", "version": str(revision), "status": status}
    secret = {
        "metadata": {"name": name, "labels": labels},
        "type": "helm.sh/release.v1",
        "stringData": {"release": f"H4sI{revision}"},
    }
    raw.ok("POST", "/api/v1/namespaces/default/secrets", secret, agent="Helm/3.16")


def test_helm_installs_upgrades_and_rolls_back(raw: Raw) -> None:
    release(raw, 1, "pending-install")
    first = deployment(env=[{"name": "A", "value": "1"}], args=["--verbose"])
    raw.ok("POST", DEPLOYMENTS + "?fieldManager=helm", first, agent="Helm/3.16")
    raw.ok("PATCH", WEB, {"metadata": {"annotations": {"by": "hand"}}}, STRATEGIC, agent="kubectl/v1")

    # Upgrade: A goes, B comes, args go; what is live besides stays.
    release(raw, 2, "pending-upgrade")
    upgrade = {
        "spec": {
            "replicas": 3,
            "template": {
                "spec": {
                    "$setElementOrder/containers": [{"name": "main"}],
                    "containers": [
                        {
                            "name": "main",
                            "image": "example.org/web:2",
                            "args": None,
                            "$setElementOrder/env": [{"name": "B"}],
                            "env": [{"name": "B", "value": "2"}, {"$patch": "delete", "name": "A"}],
                        }
                    ],
                }
            },
        }
    }
    upgraded = raw.ok("PATCH", WEB + "?fieldManager=helm", upgrade, STRATEGIC, agent="Helm/3.16")
    assert container(upgraded)["env"] == [{"name": "B", "value": "2"}] and "args" not in container(upgraded)
    assert upgraded["metadata"]["annotations"] == {"by": "hand"}
    assert (upgraded["spec"]["replicas"], upgraded["metadata"]["generation"]) == (3, 2 + 1)

    # Nothing to do is an empty patch, and a write that is none.
    again = raw.ok("PATCH", WEB + "?fieldManager=helm", {}, STRATEGIC, agent="Helm/3.16")
    assert again == upgraded

    # Rollback: the first manifest is the target.
    back = {
        "spec": {
            "replicas": 2,
            "template": {
                "spec": {
                    "$setElementOrder/containers": [{"name": "main"}],
                    "containers": [
                        {
                            "name": "main",
                            "image": "example.org/web:1",
                            "args": ["--verbose"],
                            "$setElementOrder/env": [{"name": "A"}],
                            "env": [{"name": "A", "value": "1"}, {"$patch": "delete", "name": "B"}],
                        }
                    ],
                }
            },
        }
    }
    rolled = raw.ok("PATCH", WEB + "?fieldManager=helm", back, STRATEGIC, agent="Helm/3.16")
    for member, value in container(first).items():
        assert container(rolled)[member] == value
    assert ("helm", "Update") in owners(rolled)

    found = raw.ok("GET", "/api/v1/namespaces/default/secrets?labelSelector=owner%3Dhelm%2Cname%3Dweb")
    assert [s["metadata"]["labels"]["version"] for s in found["items"]] == ["1", "2"]
    raw.ok("DELETE", WEB, {"propagationPolicy": "Background"}, agent="Helm/3.16")
    assert raw("GET", WEB)[0] == 404


# Terraform's kubernetes_manifest: plan by dry run, apply with a field manager, by force when asked to

TERRAFORM = "fieldManager=Terraform&fieldValidation=Strict"


def test_terraform_applies_by_force_and_removes(raw: Raw) -> None:
    wanted = deployment(replicas=None, env=[{"name": "A", "value": "1"}])
    planned = raw.ok("PATCH", f"{WEB}?{TERRAFORM}&dryRun=All", wanted, APPLY)
    assert raw("GET", WEB)[0] == 404
    made = raw.ok("PATCH", f"{WEB}?{TERRAFORM}", wanted, APPLY)
    assert made["spec"] == planned["spec"] and set(owners(made)) == {("Terraform", "Apply")}

    # The scale belongs to somebody else, whom Terraform does not disturb.
    raw.ok(
        "PATCH", WEB + "/scale?fieldManager=hpa", {"spec": {"replicas": 5}}, "application/merge-patch+json"
    )
    same = raw.ok("PATCH", f"{WEB}?{TERRAFORM}", wanted, APPLY)
    assert same["spec"]["replicas"] == 5

    # Drift in a field that it has: a conflict, unless by force.
    drift = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "example.org/web:9"}]}}}}
    raw.ok("PATCH", WEB + "?fieldManager=hand", drift, STRATEGIC)
    status, refusal = raw("PATCH", f"{WEB}?{TERRAFORM}", wanted, APPLY)
    assert (status, refusal["reason"]) == (409, "Conflict")
    (cause,) = refusal["details"]["causes"]
    assert cause == {
        "reason": "FieldManagerConflict",
        "message": 'conflict with "hand" using apps/v1',
        "field": '.spec.template.spec.containers[name="main"].image',
    }
    forced = raw.ok("PATCH", f"{WEB}?{TERRAFORM}&force=true", wanted, APPLY)
    assert container(forced)["image"] == "example.org/web:1" and ("hand", "Update") not in owners(forced)

    # Without env in the configuration, env goes, for nobody else has it.
    smaller = raw.ok("PATCH", f"{WEB}?{TERRAFORM}", deployment(replicas=None), APPLY)
    assert "env" not in container(smaller)
    fields = owners(smaller)["Terraform", "Apply"]["f:spec"]["f:template"]["f:spec"]["f:containers"]
    assert fields == {'k:{"name":"main"}': {".": {}, "f:image": {}, "f:name": {}}}
    typo = deployment(replicas=None, imagePullPolcy="Always")
    status, refusal = raw("PATCH", f"{WEB}?{TERRAFORM}", typo, APPLY)
    assert status != 200 and "imagePullPolcy" in refusal["message"]
    raw.ok("DELETE", WEB)


# Argo CD's server-side diff: what a dry run of an apply would leave, against what is live


def stripped(obj: Object) -> str:
    """An object's text without the times of its managed fields."""
    metadata = dict(obj["metadata"])
    metadata["managedFields"] = [
        {k: v for k, v in e.items() if k != "time"} for e in metadata["managedFields"]
    ]
    return json.dumps({**obj, "metadata": metadata})


ARGO = "fieldManager=argocd-controller&force=true"


def test_argo_sees_no_difference_until_there_is_one(raw: Raw) -> None:
    resources = {"limits": {"cpu": "1000m", "memory": "1024Mi"}}  # not as the server writes them
    wanted = deployment(resources=resources)
    raw.ok("PATCH", f"{WEB}?{ARGO}", wanted, APPLY)
    live = raw.ok("GET", WEB)
    assert container(live)["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}
    predicted = raw.ok("PATCH", f"{WEB}?{ARGO}&dryRun=All", wanted, APPLY)
    assert stripped(predicted) == stripped(live)

    raw.ok("PATCH", WEB + "/status?fieldManager=controller", {"status": {"replicas": 2}}, STRATEGIC)
    live = raw.ok("GET", WEB)
    assert stripped(raw.ok("PATCH", f"{WEB}?{ARGO}&dryRun=All", wanted, APPLY)) == stripped(live)

    raw.ok("PATCH", WEB + "?fieldManager=hand", {"spec": {"replicas": 7}}, STRATEGIC)
    live = raw.ok("GET", WEB)
    predicted = raw.ok("PATCH", f"{WEB}?{ARGO}&dryRun=All", wanted, APPLY)
    assert live["spec"]["replicas"] == 7 and predicted["spec"]["replicas"] == 2
    assert predicted["metadata"]["resourceVersion"] == live["metadata"]["resourceVersion"]
    assert raw.ok("GET", WEB) == live  # a dry run leaves no trace
    healed = raw.ok("PATCH", f"{WEB}?{ARGO}", wanted, APPLY)
    assert healed["spec"] == predicted["spec"]

"""Tools that judge workloads by their status see a healthy cluster, and see what is not."""

import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from e2e.health_rules import alerts, argo, kstatus
from eventually import eventually

from pilothouse.testing.server import InProcess

Object = dict[str, Any]
SHOP = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: i}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec: {minReplicas: 2, maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: web}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: c, image: i}]}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: c, image: i}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: "0 3 * * *"
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: colours.example.com}
spec:
  group: example.com
  names: {kind: Colour, plural: colours}
  scope: Namespaced
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
"""
SICK = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  progressDeadlineSeconds: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web}
      annotations: {simulate.pilothouse.dev/waiting: ImagePullBackOff}
    spec: {containers: [{name: c, image: i}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata:
      labels: {app: db}
      annotations: {simulate.pilothouse.dev/exit-code: "1"}
    spec: {containers: [{name: c, image: i}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  backoffLimit: 0
  template:
    metadata: {annotations: {simulate.pilothouse.dev/exit-code: "1"}}
    spec: {restartPolicy: Never, containers: [{name: c, image: i}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: lost}
spec: {accessModes: [ReadWriteOnce], storageClassName: "", resources: {requests: {storage: 1Gi}}}
"""
LISTS = {
    "/api/v1": "nodes pods services persistentvolumes persistentvolumeclaims namespaces endpoints",
    "/apis/apps/v1": "deployments replicasets statefulsets daemonsets",
    "/apis/batch/v1": "jobs cronjobs",
    "/apis/autoscaling/v2": "horizontalpodautoscalers",
    "/apis/policy/v1": "poddisruptionbudgets",
    "/apis/networking.k8s.io/v1": "ingresses",
    "/apis/discovery.k8s.io/v1": "endpointslices",
    "/apis/apiextensions.k8s.io/v1": "customresourcedefinitions",
    "/apis/apiregistration.k8s.io/v1": "apiservices",
}


@pytest.fixture(scope="module")
def shared() -> Iterator[InProcess]:
    with InProcess(["--simulate=nodes=2"]) as server:
        yield server


@pytest.fixture
def apply(shared: InProcess, tmp_path: pathlib.Path) -> Iterator[Callable[[str], list[Object]]]:
    """Applies manifests."""

    def apply(text: str) -> list[Object]:
        path = tmp_path / "objects.yaml"
        path.write_text(text)
        return shared.apply(path)

    yield apply
    shared.reset()


def everything(server: InProcess) -> list[Object]:
    """All objects that somebody judges, with their kinds."""
    found = []
    for group, names in LISTS.items():
        for name in names.split():
            listed = server.root.call("GET", f"{group}/{name}")
            found += [{**one, "kind": listed["kind"].removesuffix("List")} for one in listed["items"]]
    return found


def test_a_healthy_cluster_is_seen_as_one(shared: InProcess, apply: Callable[[str], list[Object]]) -> None:
    apply(SHOP)

    def ready() -> bool:
        return all(argo(one) == "Healthy" and kstatus(one) == "Current" for one in everything(shared))

    eventually(ready, "all are healthy", 20)
    found = everything(shared)
    kinds = {one["kind"] for one in found}
    assert kinds >= {"Node", "Pod", "PersistentVolumeClaim", "ReplicaSet", "Job", "APIService", "Ingress"}
    assert alerts(found) == set()
    [job] = [one for one in found if one["kind"] == "Job"]
    assert job["status"]["succeeded"] == 1


def test_what_is_sick_is_seen_as_such(shared: InProcess, apply: Callable[[str], list[Object]]) -> None:
    apply(SICK)
    expected = {
        ("Deployment", "web"): ("Degraded", "Failed"),
        ("StatefulSet", "db"): ("Progressing", "InProgress"),
        ("Pod", "db-0"): ("Degraded", "Failed"),
        ("Job", "once"): ("Degraded", "Failed"),
        ("PersistentVolumeClaim", "lost"): ("Progressing", "InProgress"),
    }

    def seen() -> dict[tuple[str, str], tuple[str, str]]:
        found = [(one["kind"], one["metadata"]["name"], one) for one in everything(shared)]
        return {
            (kind, name): (argo(one), kstatus(one)) for kind, name, one in found if (kind, name) in expected
        }

    eventually(lambda: seen() == expected, "what the rules say of sick objects", 20)
    told = alerts(everything(shared))
    assert {
        ("KubeDeploymentReplicasMismatch", "web"),
        ("KubeDeploymentRolloutStuck", "web"),
        ("KubeStatefulSetReplicasMismatch", "db"),
        ("KubePodCrashLooping", "db-0"),
        ("KubeJobFailed", "once"),
    } <= told


def test_a_lost_node_is_seen(shared: InProcess, apply: Callable[[str], list[Object]]) -> None:
    patch = {"metadata": {"annotations": {"simulate.pilothouse.dev/state": "NotReady"}}}
    shared.root.call("PATCH", "/api/v1/nodes/node-0", patch, "application/merge-patch+json")
    eventually(lambda: ("KubeNodeNotReady", "node-0") in alerts(everything(shared)), "the alert", 20)
    [node] = [one for one in everything(shared) if one["metadata"]["name"] == "node-0"]
    assert kstatus(node) == "InProgress"

"""kubectl with workloads that run nothing and look alive."""

import pathlib
from collections.abc import Iterator

import pytest
from clients.drivers import Kubectl

from pilothouse.testing.server import InProcess

pytestmark = [pytest.mark.kubectl, pytest.mark.slow]

SETS = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 3
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: c, image: "db:1"}]}
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
    spec: {containers: [{name: c, image: "agent:1"}]}
"""
CRON = """
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    spec:
      ttlSecondsAfterFinished: 0
      template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[InProcess]:
    with InProcess(["--simulate=nodes=2"]) as server:
        yield server


@pytest.fixture
def kubectl(server: InProcess, tmp_path: pathlib.Path) -> Iterator[Kubectl]:
    yield Kubectl(server, tmp_path)
    server.reset()


def images(kubectl: Kubectl) -> set[str]:
    return set(kubectl("get pods -o jsonpath={.items[*].spec.containers[0].image}").split())


def test_sets_roll_are_undone_and_restarted(kubectl: Kubectl) -> None:
    kubectl("apply -f -", stdin=SETS)
    for what in ("statefulset/db", "daemonset/agent"):
        kubectl(f"rollout status {what} --timeout=20s")
        kubectl(f"set image {what} c=new:2")
        kubectl(f"rollout status {what} --timeout=20s")
        assert "new:2" in images(kubectl)
        kubectl(f"rollout undo {what}")
        kubectl(f"rollout status {what} --timeout=20s")
        assert "new:2" not in images(kubectl)
        kubectl(f"rollout restart {what}")
        kubectl(f"rollout status {what} --timeout=20s")
        revisions = [line.split()[0] for line in kubectl(f"rollout history {what}").splitlines()[2:] if line]
        assert revisions == ["2", "3", "4"], "the undone revision has become the third"
    kubectl("wait --for=jsonpath={.status.phase}=Bound pvc --all --timeout=20s")


def test_a_deployment_is_paused_undone_and_scaled(kubectl: Kubectl) -> None:
    kubectl("create deployment web --image=web:1 --replicas=4")
    kubectl("rollout status deployment/web --timeout=20s")
    kubectl("rollout pause deployment/web")
    kubectl("set image deployment/web web=web:2")
    assert images(kubectl) == {"web:1"}
    kubectl("rollout resume deployment/web")
    kubectl("rollout status deployment/web --timeout=20s")
    assert kubectl("rollout history deployment/web").count("<none>") == 2
    kubectl("rollout undo deployment/web --to-revision=1")
    kubectl("rollout status deployment/web --timeout=20s")
    assert images(kubectl) == {"web:1"}
    kubectl("scale deployment/web --replicas=1")
    kubectl("wait --for=jsonpath={.status.replicas}=1 deployment/web --timeout=20s")


def test_a_budget_holds_up_a_drain(kubectl: Kubectl) -> None:
    kubectl("create deployment web --image=web:1 --replicas=2")
    kubectl("rollout status deployment/web --timeout=20s")
    kubectl("create poddisruptionbudget web --selector=app=web --min-available=2")
    kubectl("wait --for=jsonpath={.status.currentHealthy}=2 poddisruptionbudget/web --timeout=20s")
    assert "disruption budget" in kubectl.fails("drain node-0 node-1 --timeout=1s")
    kubectl("uncordon node-0 node-1")


def test_jobs_end_and_go(kubectl: Kubectl) -> None:
    kubectl("create job once --image=i")
    kubectl("wait --for=condition=Complete job/once --timeout=20s")
    kubectl("apply -f -", stdin=CRON)
    kubectl("create job now --from=cronjob/nightly")
    kubectl("wait --for=delete job/now --timeout=20s")
    assert kubectl("get jobs -o name").split() == ["job.batch/once"]


def test_a_service_leads_to_pods_that_are_ready(kubectl: Kubectl) -> None:
    kubectl("create deployment web --image=web:1 --replicas=2")
    kubectl("expose deployment web --port=80 --type=LoadBalancer")
    kubectl("rollout status deployment/web --timeout=20s")
    kubectl("wait --for=jsonpath={.status.loadBalancer.ingress[0].ip} service/web --timeout=20s")
    path = "jsonpath={.items[0].endpoints[*].conditions.ready}"
    assert kubectl(f"get endpointslices -l kubernetes.io/service-name=web -o {path}").split() == [
        "true",
        "true",
    ]

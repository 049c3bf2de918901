"""Makes the controllers by their names."""

from collections.abc import Callable
from dataclasses import dataclass

from pilothouse.lifecycle import Background
from pilothouse.registry.client import Client
from pilothouse.simulate.clock import Clock
from pilothouse.simulate.workloads.addresses import INGRESS, RANGES, IngressAddresses, LoadBalancers
from pilothouse.simulate.workloads.cronjob.controller import CronJobs
from pilothouse.simulate.workloads.daemonset.controller import DaemonSets
from pilothouse.simulate.workloads.deployment.controller import Deployments
from pilothouse.simulate.workloads.disruption import DisruptionBudgets
from pilothouse.simulate.workloads.endpoints.objects import EndpointsObjects
from pilothouse.simulate.workloads.endpoints.slices import EndpointSlices
from pilothouse.simulate.workloads.job.controller import Jobs
from pilothouse.simulate.workloads.pods import PodIndex
from pilothouse.simulate.workloads.reconciler import Parts
from pilothouse.simulate.workloads.replicaset import ReplicaSets
from pilothouse.simulate.workloads.replicationcontroller import ReplicationControllers
from pilothouse.simulate.workloads.statefulset.controller import StatefulSets
from pilothouse.simulate.workloads.ttl import FinishedJobs

MANAGER = "kube-controller-manager"
"""The field manager of what the controllers write."""


@dataclass(frozen=True, slots=True)
class WorkloadOptions:
    """The settings of the controllers: ranges of the addresses of load balancers,
    and the address of ingresses."""

    load_balancers: tuple[str, ...] = RANGES
    ingress: str = INGRESS


def controllers(
    make_client: Callable[[str], Client], clock: Clock, options: WorkloadOptions | None = None
) -> dict[str, Callable[[], Background]]:
    """What makes each controller, by the name of its counterpart in kube-controller-manager."""
    chosen = options or WorkloadOptions()
    pods = PodIndex(make_client(MANAGER))

    def parts() -> Parts:
        return Parts(make_client(MANAGER), clock, pods)

    return {
        "replicaset-controller": lambda: ReplicaSets(parts()),
        "deployment-controller": lambda: Deployments(parts()),
        "endpointslice-controller": lambda: EndpointSlices(parts()),
        "endpoints-controller": lambda: EndpointsObjects(parts()),
        "job-controller": lambda: Jobs(parts()),
        "statefulset-controller": lambda: StatefulSets(parts()),
        "daemonset-controller": lambda: DaemonSets(parts()),
        "cronjob-controller": lambda: CronJobs(parts()),
        "disruption-controller": lambda: DisruptionBudgets(parts()),
        "service-lb-controller": lambda: LoadBalancers(parts(), chosen.load_balancers),
        "ingress addresses": lambda: IngressAddresses(parts(), chosen.ingress),
        "ttl-after-finished-controller": lambda: FinishedJobs(parts()),
        "replicationcontroller-controller": lambda: ReplicationControllers(parts()),
    }

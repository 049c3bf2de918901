"""Makes the controllers by the names that kube-controller-manager has for them."""

from collections.abc import Callable

from pilothouse.lifecycle import Background
from pilothouse.process.frozen import frozen
from pilothouse.registry.client import Client
from pilothouse.simulate.clock import Clock
from pilothouse.simulate.workloads.addresses import INGRESS, RANGES, IngressAddresses, LoadBalancers
from pilothouse.simulate.workloads.autoscaler import Autoscalers
from pilothouse.simulate.workloads.cronjob.controller import CronJobs
from pilothouse.simulate.workloads.daemonset.controller import DaemonSets
from pilothouse.simulate.workloads.deployment.controller import Deployments
from pilothouse.simulate.workloads.disruption import DisruptionBudgets
from pilothouse.simulate.workloads.endpoints.mirroring import EndpointsMirror
from pilothouse.simulate.workloads.endpoints.objects import EndpointsObjects
from pilothouse.simulate.workloads.endpoints.slices import EndpointSlices
from pilothouse.simulate.workloads.job.controller import Jobs
from pilothouse.simulate.workloads.nodes.collection import MOST_ENDED, PodCollection
from pilothouse.simulate.workloads.nodes.eviction import TaintEviction
from pilothouse.simulate.workloads.nodes.lifecycle import GRACE, NodeLifecycle
from pilothouse.simulate.workloads.pods import PodIndex
from pilothouse.simulate.workloads.reconciler import Parts, Together
from pilothouse.simulate.workloads.replicaset import ReplicaSets
from pilothouse.simulate.workloads.replicationcontroller import ReplicationControllers
from pilothouse.simulate.workloads.statefulset.controller import StatefulSets
from pilothouse.simulate.workloads.ttl import FinishedJobs
from pilothouse.simulate.workloads.volumes.binder import ClaimBinder
from pilothouse.simulate.workloads.volumes.defaults import StandardClass
from pilothouse.simulate.workloads.volumes.ephemeral import EphemeralVolumes
from pilothouse.simulate.workloads.volumes.expansion import VolumeExpansion
from pilothouse.simulate.workloads.volumes.protection import ClaimProtection, VolumeProtection
from pilothouse.simulate.workloads.volumes.reclaiming import VolumePhases

MANAGER = "kube-controller-manager"
"""The field manager of what the controllers write."""


@frozen
class WorkloadOptions:
    """The settings of the controllers."""

    load_balancers: tuple[str, ...] = RANGES
    """The ranges of the addresses of load balancers."""
    ingress: str = INGRESS
    """The address of all ingresses."""
    node_grace: float = GRACE
    """Seconds for which a kubelet may be silent."""
    ended_pods: int = MOST_ENDED
    """Ended pods that are kept."""


def controllers(
    make_client: Callable[[str], Client], clock: Clock, options: WorkloadOptions | None = None
) -> dict[str, Callable[[], Background]]:
    """Functions that make the controllers, by their names; those that run share one index of pods."""
    chosen = options or WorkloadOptions()
    pods = PodIndex(make_client(MANAGER))

    def parts() -> Parts:
        return Parts(make_client(MANAGER), clock, pods)

    return {
        "replicaset-controller": lambda: ReplicaSets(parts()),
        "replicationcontroller-controller": lambda: ReplicationControllers(parts()),
        "deployment-controller": lambda: Deployments(parts()),
        "statefulset-controller": lambda: StatefulSets(parts()),
        "daemonset-controller": lambda: DaemonSets(parts()),
        "job-controller": lambda: Jobs(parts()),
        "cronjob-controller": lambda: CronJobs(parts()),
        "ttl-after-finished-controller": lambda: FinishedJobs(parts()),
        "horizontal-pod-autoscaler-controller": lambda: Autoscalers(parts()),
        "disruption-controller": lambda: DisruptionBudgets(parts()),
        "endpoints-controller": lambda: EndpointsObjects(parts()),
        "endpointslice-controller": lambda: EndpointSlices(parts()),
        "endpointslice-mirroring-controller": lambda: EndpointsMirror(parts()),
        "service-lb-controller": lambda: LoadBalancers(parts(), chosen.load_balancers),
        "ingress addresses": lambda: IngressAddresses(parts(), chosen.ingress),
        "persistentvolume-binder-controller": lambda: Together(ClaimBinder(parts()), VolumePhases(parts())),
        "standard storage class": lambda: StandardClass(make_client(MANAGER)),
        "persistentvolume-expander-controller": lambda: VolumeExpansion(parts()),
        "persistentvolumeclaim-protection-controller": lambda: ClaimProtection(parts()),
        "persistentvolume-protection-controller": lambda: VolumeProtection(parts()),
        "ephemeral-volume-controller": lambda: EphemeralVolumes(parts()),
        "node-lifecycle-controller": lambda: NodeLifecycle(parts(), chosen.node_grace),
        "taint-eviction-controller": lambda: TaintEviction(parts()),
        "pod-garbage-collector-controller": lambda: PodCollection(parts(), chosen.ended_pods),
    }

"""The nodes of the cluster and the pods on them, as the scheduler counts them."""

from collections.abc import Iterator, Mapping, Sequence

from pilothouse.api.values import quantity
from pilothouse.api.values.fields import Object
from pilothouse.simulate.scheduler.pods import CPU, Group, Labels, PodFacts, Port

NamespaceLabels = Mapping[str, Labels]
"""Namespace -> its labels."""


class NodeState:
    """A node, and what the pods on it take."""

    __slots__ = (
        "allocatable",
        "counted",
        "groups",
        "labels",
        "name",
        "pods",
        "requested",
        "social",
        "taints",
        "unschedulable",
    )

    def __init__(self, name: str, node: Object | None = None) -> None:
        self.name = name
        self.labels: Labels = {}
        self.taints: Sequence[Object] = ()
        self.unschedulable = False
        self.allocatable: dict[str, int] = {}
        self.pods: dict[str, PodFacts] = {}
        self.groups: dict[Group, int] = {}
        """The number of pods that are alike and do not end."""
        self.social: dict[str, PodFacts] = {}
        """The pods that say something of other pods."""
        self.requested: dict[str, int] = {}
        self.counted: dict[str, int] = {}
        """The requests, where those that request nothing count as well."""
        if node is not None:
            self.learn(node)

    def learn(self, node: Object) -> None:
        """Take over what the object says."""
        spec = node.get("spec") or {}
        self.labels = node["metadata"].get("labels") or {}
        self.taints = spec.get("taints") or ()
        self.unschedulable = bool(spec.get("unschedulable"))
        self.allocatable = {
            name: amount.milli_value() if name == CPU else amount.value()
            for name, text in ((node.get("status") or {}).get("allocatable") or {}).items()
            if (amount := quantity.parse(text))
        }

    def add(self, pod: PodFacts) -> None:
        """A pod is on the node."""
        self.pods[pod.key] = pod
        if pod.affinity or pod.anti_affinity or pod.preferred or pod.shunned:
            self.social[pod.key] = pod
        self._count(pod, 1)

    def remove(self, key: str) -> None:
        """A pod is not on the node any more."""
        pod = self.pods.pop(key, None)
        self.social.pop(key, None)
        if pod is not None:
            self._count(pod, -1)

    def _count(self, pod: PodFacts, sign: int) -> None:
        if not pod.terminating:
            number = self.groups.get(pod.group, 0) + sign
            if number:
                self.groups[pod.group] = number
            else:
                del self.groups[pod.group]
        for name, amount in pod.requests.items():
            self.requested[name] = self.requested.get(name, 0) + sign * amount
        for name in pod.unsaid:
            self.counted[name] = self.counted.get(name, 0) + sign * pod.counted(name)

    def ports(self) -> Iterator[Port]:
        """The ports of the host that are taken."""
        for pod in self.pods.values():
            yield from pod.ports

    def copy(self) -> "NodeState":
        """The same node, to try what other pods on it would mean."""
        made = NodeState(self.name)
        made.labels, made.taints, made.unschedulable = self.labels, self.taints, self.unschedulable
        made.allocatable = self.allocatable
        made.pods, made.social, made.groups = dict(self.pods), dict(self.social), dict(self.groups)
        made.requested, made.counted = dict(self.requested), dict(self.counted)
        return made


class ClusterView:
    """Nodes as a scheduling cycle sees them."""

    def __init__(self, nodes: Mapping[str, NodeState], namespaces: NamespaceLabels) -> None:
        self.nodes = nodes
        self.namespaces = namespaces

    def with_node(self, node: NodeState) -> "ClusterView":
        """The same with another state of one node."""
        return ClusterView({**self.nodes, node.name: node}, self.namespaces)


class ClusterState(ClusterView):
    """All nodes and pods that are known; pods count from the moment in which the scheduler has chosen."""

    def __init__(self) -> None:
        self._nodes: dict[str, NodeState] = {}
        self._labels: dict[str, Labels] = {}
        super().__init__(self._nodes, self._labels)
        self._where: dict[str, str] = {}
        """Pod -> its node."""
        self._homeless: dict[str, dict[str, PodFacts]] = {}
        """Node that is not known -> pods on it."""

    def set_namespace(self, name: str, labels: Labels | None) -> None:
        """A namespace has these labels; None: it is gone."""
        if labels is None:
            self._labels.pop(name, None)
        else:
            self._labels[name] = labels

    def set_node(self, name: str, node: Object | None) -> bool:
        """A node is as given, None: gone; whether pods that were refused may fit now."""
        if node is None:
            gone = self._nodes.pop(name, None)
            if gone is not None and gone.pods:
                self._homeless[name] = gone.pods
            return False
        known = self._nodes.get(name)
        if known is not None:
            before = known.labels, known.taints, known.unschedulable, known.allocatable
            known.learn(node)
            return before != (known.labels, known.taints, known.unschedulable, known.allocatable)
        self._nodes[name] = made = NodeState(name, node)
        for pod in self._homeless.pop(name, {}).values():
            made.add(pod)
        return True

    def put(self, pod: PodFacts, node: str) -> None:
        """A pod is on a node."""
        self.drop(pod.key)
        self._where[pod.key] = node
        state = self._nodes.get(node)
        if state is not None:
            state.add(pod)
        else:
            self._homeless.setdefault(node, {})[pod.key] = pod

    def drop(self, key: str) -> bool:
        """A pod is on no node any more; whether it was on one."""
        node = self._where.pop(key, None)
        if node is None:
            return False
        if node in self._nodes:
            self._nodes[node].remove(key)
        elif node in self._homeless:
            self._homeless[node].pop(key, None)
            if not self._homeless[node]:
                del self._homeless[node]
        return True

    def node_of(self, key: str) -> str:
        """The node of a pod, "" if it has none."""
        return self._where.get(key, "")

    def find(self, key: str) -> PodFacts | None:
        """A pod that has a node."""
        node = self._where.get(key, "")
        state = self._nodes.get(node)
        return state.pods.get(key) if state is not None else self._homeless.get(node, {}).get(key)

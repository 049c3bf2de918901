"""The facts of a pod that the scheduler looks at."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from pilothouse.api.values import selectors
from pilothouse.api.values._selectors import Selector
from pilothouse.api.values.fields import Object
from pilothouse.api.values.pod_resources import effective_requests, is_sidecar
from pilothouse.process.frozen import frozen

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"

CPU, MEMORY = "cpu", "memory"
BASIC = (CPU, MEMORY, "ephemeral-storage")
"""The resources that are looked at first."""
UNSAID = {CPU: 100, MEMORY: 200 * 1024 * 1024}
"""The requests of a container that has none, where nodes are compared (GetNonzeroRequests)."""

Labels = dict[str, str]
Group = tuple[str, tuple[tuple[str, str], ...]]
"""The namespace and the labels that pods have in common."""
Port = tuple[str, str, int]
"""Address, protocol and number of a port of the host."""


@frozen
class Term:
    """A term of a pod affinity or anti-affinity."""

    topology: str
    selector: Selector
    namespaces: frozenset[str]
    within: Selector | None
    """The namespaces by their labels."""
    weight: int = 0

    def matches(self, pod: "PodFacts", namespace_labels: Mapping[str, Labels]) -> bool:
        """Whether a pod is one of those that the term is about."""
        if pod.namespace not in self.namespaces and not (
            self.within is not None and self.within.matches_labels(namespace_labels.get(pod.namespace) or {})
        ):
            return False
        return self.selector.matches_labels(pod.labels)


def _term(given: Object, namespace: str, weight: int = 0) -> Term:
    named, within = given.get("namespaces") or (), given.get("namespaceSelector")
    return Term(
        topology=given.get("topologyKey", ""),
        selector=selectors.from_label_selector(given.get("labelSelector")),
        namespaces=frozenset(named) if named or within is not None else frozenset((namespace,)),
        within=selectors.from_label_selector(within) if within is not None else None,
        weight=weight,
    )


def _terms(affinity: Object, kind: str, namespace: str) -> tuple[Term, ...]:
    return tuple(_term(one, namespace) for one in (affinity.get(kind) or {}).get(REQUIRED) or ())


def _weighted(affinity: Object, kind: str, namespace: str) -> tuple[Term, ...]:
    return tuple(
        _term(one.get("podAffinityTerm") or {}, namespace, one.get("weight", 0))
        for one in (affinity.get(kind) or {}).get(PREFERRED) or ()
    )


class PodFacts:
    """A pod as it weighs on its node and on other pods."""

    __slots__ = (
        "affinity",
        "anti_affinity",
        "claims",
        "created",
        "group",
        "key",
        "labels",
        "name",
        "namespace",
        "node",
        "nominated",
        "ports",
        "preferred",
        "priority",
        "requests",
        "shunned",
        "started",
        "terminating",
        "uid",
        "unsaid",
    )

    def __init__(self, pod: Object) -> None:
        metadata, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
        self.name: str = metadata["name"]
        self.namespace: str = metadata.get("namespace", "")
        self.key = f"{self.namespace}/{self.name}"
        self.uid: str = metadata.get("uid", "")
        self.labels: Labels = metadata.get("labels") or {}
        self.created: str = metadata.get("creationTimestamp", "")
        self.group: Group = (self.namespace, tuple(self.labels.items()))
        self.terminating = bool(metadata.get("deletionTimestamp"))
        self.node: str = spec.get("nodeName", "")
        self.nominated: str = status.get("nominatedNodeName", "")
        self.started: str = status.get("startTime") or self.created
        self.priority: int = spec.get("priority") or 0
        self.requests = requests(spec)
        self.unsaid = _unsaid(spec)
        """The amounts that are added to the requests where nodes are compared."""
        self.ports = tuple(_ports(spec))
        self.claims = tuple(_claims(spec, self.name))
        affinity, own = spec.get("affinity") or {}, self.namespace
        self.affinity = _terms(affinity, "podAffinity", own)
        self.anti_affinity = _terms(affinity, "podAntiAffinity", own)
        self.preferred = _weighted(affinity, "podAffinity", own)
        self.shunned = _weighted(affinity, "podAntiAffinity", own)

    def counted(self, resource: str) -> int:
        """The amount of a resource by which the pod counts where nodes are compared."""
        return self.requests.get(resource, 0) + self.unsaid.get(resource, 0)


class Pending(PodFacts):
    """A pod that wants a node."""

    def __init__(self, pod: Object) -> None:
        super().__init__(pod)
        self.obj = pod
        self.spec: Object = pod.get("spec") or {}
        self.tolerations: Sequence[Object] = self.spec.get("tolerations") or ()
        self.node_affinity: Object = (self.spec.get("affinity") or {}).get("nodeAffinity") or {}
        self.told = ""
        """The refusal of which an event tells."""
        self.choosy = bool(self.spec.get("nodeSelector") or self.node_affinity.get(REQUIRED))
        """Whether the pod says anything of nodes."""

    @cached_property
    def spread(self) -> Sequence[Object]:
        """The constraints on how pods are spread."""
        found: Sequence[Object] = self.spec.get("topologySpreadConstraints") or ()
        return found


def requests(spec: Object) -> dict[str, int]:
    """The requests of a pod in the order in which they are looked at: cpu in thousandths, others in units."""
    found = effective_requests(_complete(spec))
    return {
        name: found[name].milli_value() if name == CPU else found[name].value()
        for name in sorted(found, key=_order)
        if found[name]
    }


def _order(name: str) -> tuple[int, str]:
    return BASIC.index(name) if name in BASIC else len(BASIC), name


def _complete(spec: Object) -> Object:
    """The spec of a pod each of whose containers has resources."""
    return {
        **spec,
        **{
            member: [{"resources": {}, **container} for container in spec.get(member) or ()]
            for member in ("containers", "initContainers")
        },
    }


def _unsaid(spec: Object) -> dict[str, int]:
    lasting = [*(spec.get("containers") or ())]
    lasting += [container for container in spec.get("initContainers") or () if is_sidecar(container)]
    out = dict.fromkeys(UNSAID, 0)
    own = ((spec.get("resources") or {}).get("requests")) or {}
    for container in lasting:
        said = (container.get("resources") or {}).get("requests") or {}
        for name, amount in UNSAID.items():
            if name not in said and name not in own:
                out[name] += amount
    return out


def _ports(spec: Object) -> Iterator[Port]:
    """The ports of the host that a pod takes: those of its containers and sidecars."""
    sidecars = (c for c in spec.get("initContainers") or () if is_sidecar(c))
    for container in (*(spec.get("containers") or ()), *sidecars):
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                yield port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", port["hostPort"]


def _claims(spec: Object, name: str) -> Iterator[tuple[str, bool]]:
    """The names of the claims of a pod, and whether each is made for the pod."""
    for volume in spec.get("volumes") or ():
        if volume.get("persistentVolumeClaim"):
            yield volume["persistentVolumeClaim"].get("claimName", ""), False
        elif volume.get("ephemeral"):
            yield f"{name}-{volume.get('name', '')}", True

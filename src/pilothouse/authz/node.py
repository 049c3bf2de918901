"""The Node authorizer: kubelets may use their own node and lease,
and objects that pods on their node refer to."""

import time
from collections.abc import Callable, Iterator, Sequence

from pilothouse.api.values.fields import Object
from pilothouse.api.values.identity import AuthorizationAttributes, User, node_name
from pilothouse.api.values.selectors import field_terms
from pilothouse.authz.authorizer import ALLOW, NO_OPINION, Decision, SubjectRules
from pilothouse.authz.rbac import rules_allow
from pilothouse.authz.rbac_index import Rule
from pilothouse.authz.references import Vertex, pod_vertices, volume_secrets
from pilothouse.errors import BadRequest
from pilothouse.gotext import quote
from pilothouse.metrics.instruments import Histogram
from pilothouse.registry.readers import Readers

_LEASES = "kube-node-lease"
_WRITES = ("get", "create", "update", "patch", "delete")


_FORGOTTEN_AFTER = 600.0
"""Seconds without a request after which what a node's pods refer to is forgotten."""


class PodsOfNodes:
    """The objects that the pods of a node refer to.
    A pod is read when its node asks for something, and then remembered. So there are never more entries
    than pods, but for nodes that went away: the longest silent one goes when
    another asks, _FORGOTTEN_AFTER seconds of `clock` after its pods were looked at.
    """

    def __init__(self, readers: Readers, clock: Callable[[], float] = time.monotonic) -> None:
        self._readers = readers
        self._clock = clock
        self._known: dict[str, tuple[int, float, dict[str, tuple[int, frozenset[Vertex]]]]] = {}
        """Facts by node: the revision of all pods, when that was, and for each of the node's its own revision
        and what it refers to. The node that asked last stands last."""

    def refer_to(self, node: str, vertex: Vertex) -> bool:
        """Whether a pod that runs on the node refers to an object, or is it."""
        return any(vertex in vertices for _, vertices in self._of(node).values())

    def _of(self, node: str) -> dict[str, tuple[int, frozenset[Vertex]]]:
        revision = self._readers.revision("pods")
        then, _, before = self._known.get(node, (-1, 0.0, {}))
        if then == revision:
            return before
        now = {}
        for key, rev, load in self._readers.selected("pods", "spec.nodeName", node):
            known = before.get(key)
            now[key] = known if known and known[0] == rev else (rev, frozenset(pod_vertices(load())))
        self._known.pop(node, None)
        if now:
            self._known[node] = (revision, self._clock(), now)
        self._forget_silent()
        return now

    def _forget_silent(self) -> None:
        silent = next(iter(self._known), None)
        if silent is not None and self._known[silent][1] < self._clock() - _FORGOTTEN_AFTER:
            del self._known[silent]


Changed = Callable[[str, Object | None, Object | None], None]
"""A function that is called with each change: key, new and old object."""


class Graph:
    """The nodes to which an object is related, through the pods that run there (or by its own node name)."""

    def __init__(self, readers: Readers, actions: Histogram | None = None) -> None:
        """`actions` counts the seconds of changes by operation, as AddPV."""
        self._actions = actions
        self._pods = PodsOfNodes(readers)
        self._nodes: dict[Vertex, dict[str, int]] = {}
        self._claims: dict[str, tuple[str, str]] = {}
        self._volumes: dict[tuple[str, str], set[str]] = {}
        readers.subscribe(
            "volumeattachments.storage.k8s.io",
            self._timed("VolumeAttachment", self._changed(_named("volumeattachments"))),
        )
        readers.subscribe(
            "resourceslices.resource.k8s.io",
            self._timed("ResourceSlice", self._changed(_named("resourceslices"))),
        )
        readers.subscribe("persistentvolumes", self._timed("PV", self._volume_changed))

    def _timed(self, kind: str, change: Changed) -> Changed:
        def changed(key: str, new: Object | None, old: Object | None) -> None:
            began = time.perf_counter()
            change(key, new, old)
            if self._actions is not None:
                operation = "Delete" if new is None else "Add"
                self._actions.observe(time.perf_counter() - began, operation + kind)

        return changed

    def related(self, node: str, kind: str, namespace: str, name: str) -> bool:
        """Whether an object leads to a node; `kind` is a resource name."""
        if kind == "persistentvolumes":
            return self._volume_related(node, name)
        vertex = (kind, namespace, name)
        if node in self._nodes.get(vertex, ()) or self._pods.refer_to(node, vertex):
            return True
        if kind != "secrets":
            return False
        return any(self._volume_related(node, v) for v in self._volumes.get((namespace, name), ()))

    def _volume_related(self, node: str, volume: str) -> bool:
        claim = self._claims.get(volume)
        return claim is not None and self._pods.refer_to(node, ("persistentvolumeclaims", *claim))

    def _changed(
        self, vertices: Callable[[Object], Iterator[Vertex]]
    ) -> Callable[[str, Object | None, Object | None], None]:
        def changed(key: str, new: Object | None, old: Object | None) -> None:
            if old is not None and (node := _node_of(old)):
                for vertex in set(vertices(old)):
                    self._forget(vertex, node)
            if new is not None and (node := _node_of(new)):
                for vertex in set(vertices(new)):
                    counts = self._nodes.setdefault(vertex, {})
                    counts[node] = counts.get(node, 0) + 1

        return changed

    def _forget(self, vertex: Vertex, node: str) -> None:
        counts = self._nodes.get(vertex)
        if counts is None or node not in counts:
            return
        counts[node] -= 1
        if counts[node] == 0:
            del counts[node]
            if not counts:
                del self._nodes[vertex]

    def _volume_changed(self, key: str, new: Object | None, old: Object | None) -> None:
        if old is not None:
            volume = old["metadata"]["name"]
            self._claims.pop(volume, None)
            for secret in volume_secrets(old):
                holders = self._volumes.get(secret, set())
                holders.discard(volume)
                if not holders:
                    self._volumes.pop(secret, None)
        claim = (new.get("spec") or {}).get("claimRef") if new is not None else None
        if new is not None and claim:
            volume = new["metadata"]["name"]
            self._claims[volume] = (claim.get("namespace", ""), claim.get("name", ""))
            for secret in volume_secrets(new):
                self._volumes.setdefault(secret, set()).add(volume)


def _node_of(obj: Object) -> str:
    node: str = (obj.get("spec") or {}).get("nodeName") or ""
    return node


def _named(resource: str) -> Callable[[Object], Iterator[Vertex]]:
    def vertices(obj: Object) -> Iterator[Vertex]:
        yield (resource, "", obj["metadata"]["name"])

    return vertices


class NodeAuthorizer:
    """Decides on requests of nodes alone.
    `rules` say what every node may do with resources that belong to no node."""

    def __init__(self, readers: Readers, rules: Sequence[Rule], actions: Histogram | None = None) -> None:
        self.graph = Graph(readers, actions)
        self.rules = list(rules)
        self._judges: dict[tuple[str, str], Callable[[str, AuthorizationAttributes], Decision]] = {
            ("", "secrets"): self._read_referenced,
            ("", "configmaps"): self._read_referenced,
            ("", "persistentvolumeclaims"): self._claim,
            ("", "persistentvolumes"): self._get_related,
            ("resource.k8s.io", "resourceclaims"): self._get_related,
            ("storage.k8s.io", "volumeattachments"): self._get_related,
            ("", "serviceaccounts"): self._service_account,
            ("coordination.k8s.io", "leases"): self._lease,
            ("storage.k8s.io", "csinodes"): self._csi_node,
            ("resource.k8s.io", "resourceslices"): self._slice,
            ("", "nodes"): self._node,
            ("", "pods"): self._pod,
        }

    async def authorize(self, attributes: AuthorizationAttributes) -> Decision:
        node = node_name(attributes.user)
        if node is None:
            return NO_OPINION
        if not node:
            return _no(f"unknown node for user {quote(attributes.user.name)}")
        if attributes.is_resource:
            judge = self._judges.get((attributes.group, attributes.resource))
            if judge is not None:
                return judge(node, attributes)
        return rules_allow(attributes, self.rules)

    def for_every_name(self, attributes: AuthorizationAttributes) -> Decision | None:
        """No opinion about others than nodes; what a node may do depends on the object."""
        return NO_OPINION if node_name(attributes.user) is None else None

    def rules_for(self, user: User, namespace: str) -> SubjectRules:
        if node_name(user) is None:
            return SubjectRules()
        return SubjectRules(incomplete=True, errors=["node authorizer does not support user rule resolution"])

    def _related(self, node: str, a: AuthorizationAttributes) -> Decision:
        if not a.name:
            return _no("No Object name found")
        if self.graph.related(node, a.resource, a.namespace, a.name):
            return ALLOW
        return _no(f"no relationship found between node '{node}' and this object")

    def _get_related(self, node: str, a: AuthorizationAttributes) -> Decision:
        if a.verb != "get":
            return _no("can only get individual resources of this type")
        if a.subresource:
            return _no("cannot get subresource")
        return self._related(node, a)

    def _read_referenced(self, node: str, a: AuthorizationAttributes) -> Decision:
        if a.verb not in ("get", "list", "watch"):
            return _no("can only read resources of this type")
        if a.subresource:
            return _no("cannot read subresource")
        if not a.namespace:
            return _no("can only read namespaced object of this type")
        return self._related(node, a)

    def _claim(self, node: str, a: AuthorizationAttributes) -> Decision:
        if a.subresource != "status":
            return self._get_related(node, a)
        if a.verb not in ("update", "patch"):
            return _no("can only get/update/patch this type")
        return self._related(node, a)

    def _service_account(self, node: str, a: AuthorizationAttributes) -> Decision:
        if a.verb == "get" and not a.subresource:
            return self._related(node, a)
        if a.verb != "create" or not a.name:
            return _no("can only create tokens for individual service accounts")
        if a.subresource != "token":
            return _no("can only create token subresource of serviceaccount")
        return self._related(node, a)

    def _lease(self, node: str, a: AuthorizationAttributes) -> Decision:
        if a.verb not in _WRITES:
            return _no("can only get, create, update, patch, or delete a node lease")
        if a.namespace != _LEASES:
            return _no(f'can only access leases in the "{_LEASES}" system namespace')
        if a.verb != "create" and a.name != node:
            return _no("can only access node lease with the same name as the requesting node")
        return ALLOW

    def _csi_node(self, node: str, a: AuthorizationAttributes) -> Decision:
        if a.verb not in _WRITES:
            return _no("can only get, create, update, patch, or delete a CSINode")
        if a.subresource:
            return _no("cannot authorize CSINode subresources")
        if a.verb != "create" and a.name != node:
            return _no("can only access CSINode with the same name as the requesting node")
        return ALLOW

    def _slice(self, node: str, a: AuthorizationAttributes) -> Decision:
        if a.subresource:
            return _no("cannot authorize ResourceSlice subresources")
        if a.verb == "create":
            return ALLOW
        if a.verb in _WRITES:
            return self._related(node, a)
        if a.verb not in ("watch", "list", "deletecollection"):
            return _no(
                "only the following verbs are allowed for a ResourceSlice: "
                "get, watch, list, create, update, patch, delete, deletecollection"
            )
        if _selects(a.field_selector, "spec.nodeName", node):
            return ALLOW
        return _no("can only list/watch/deletecollection resourceslices with nodeName field selector")

    def _node(self, node: str, a: AuthorizationAttributes) -> Decision:
        if a.subresource == "status" and a.verb in ("update", "patch"):
            return ALLOW
        if a.subresource:
            return NO_OPINION
        if a.verb in ("create", "update", "patch"):
            return ALLOW
        if a.verb not in ("get", "list", "watch"):
            return NO_OPINION
        if a.name == node:
            return ALLOW
        what = f"'{a.name}'" if a.name else "all nodes"
        return _no(f"node '{node}' cannot read {what}, only its own Node object")

    def _pod(self, node: str, a: AuthorizationAttributes) -> Decision:
        action = (a.subresource, a.verb)
        if action == ("", "get"):
            return self._get_related(node, a)
        if action in (("", "list"), ("", "watch")):
            if _selects(a.field_selector, "spec.nodeName", node):
                return ALLOW
            if a.name:
                return self._related(node, a)
            return _no("can only list/watch pods with spec.nodeName field selector")
        return ALLOW if action in _POD_WRITES else NO_OPINION


_POD_WRITES = {
    ("", "create"),
    ("", "delete"),
    ("status", "update"),
    ("status", "patch"),
    ("eviction", "create"),
}


def _no(reason: str) -> Decision:
    return Decision(allowed=False, reason=reason)


def _selects(selector: str, field: str, value: str) -> bool:
    """Whether a field selector demands that a field has a value; one that cannot be read demands nothing."""
    try:
        return (field, "=", value) in field_terms(selector)
    except BadRequest:
        return False

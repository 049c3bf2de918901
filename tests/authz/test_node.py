"""The node authorizer."""

from typing import Any

import pytest
from clocks import Clock
from coroutines import at_once
from metric_samples import samples

from pilothouse.api.values.identity import AuthorizationAttributes, User
from pilothouse.authz.metrics import AuthorizationMetrics
from pilothouse.authz.node import NodeAuthorizer, PodsOfNodes

NODE = User("system:node:n", groups=("system:nodes", "system:authenticated"))
RULES = [{"verbs": ["list"], "apiGroups": [""], "resources": ["services"]}]


@pytest.fixture
def ask(readers: Any) -> Any:
    node = NodeAuthorizer(readers, RULES)

    def run(
        verb: str,
        resource: Any,
        name: str = "",
        *,
        group: str = "",
        namespace: str = "ns",
        selector: str = "",
        user: Any = NODE,
    ) -> Any:
        resource, _, subresource = resource.partition("/")
        return at_once(
            node.authorize(
                AuthorizationAttributes(
                    user,
                    verb,
                    is_resource=True,
                    group=group,
                    resource=resource,
                    subresource=subresource,
                    namespace=namespace,
                    name=name,
                    field_selector=selector,
                )
            )
        )

    return run


POD: dict[str, Any] = {
    "metadata": {"name": "p", "namespace": "ns"},
    "spec": {
        "nodeName": "n",
        "serviceAccountName": "sa",
        "imagePullSecrets": [{"name": "pull"}],
        "containers": [
            {
                "name": "c",
                "env": [
                    {"name": "A", "valueFrom": {"secretKeyRef": {"name": "env", "key": "k"}}},
                    {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "env", "key": "k"}}},
                ],
                "envFrom": [{"secretRef": {"name": "from"}}, {"configMapRef": {"name": "from"}}],
            }
        ],
        "volumes": [
            {"name": "s", "secret": {"secretName": "vol"}},
            {"name": "m", "configMap": {"name": "vol"}},
            {
                "name": "p",
                "projected": {"sources": [{"secret": {"name": "proj"}}, {"configMap": {"name": "proj"}}]},
            },
            {"name": "c", "persistentVolumeClaim": {"claimName": "claim"}},
            {"name": "e", "ephemeral": {"volumeClaimTemplate": {}}},
            {"name": "i", "csi": {"nodePublishSecretRef": {"name": "csi"}}},
        ],
        "resourceClaims": [
            {"name": "r", "resourceClaimName": "rc"},
            {"name": "t", "resourceClaimTemplateName": "x"},
        ],
    },
    "status": {"resourceClaimStatuses": [{"name": "t", "resourceClaimName": "made"}]},
}
REFERENCED = [
    ("pods", "p", ""),
    ("serviceaccounts", "sa", ""),
    *[("secrets", name, "") for name in ("pull", "env", "from", "vol", "proj", "csi")],
    *[("configmaps", name, "") for name in ("env", "from", "vol", "proj")],
    ("persistentvolumeclaims", "claim", ""),
    ("persistentvolumeclaims", "p-e", ""),
    ("resourceclaims", "rc", "resource.k8s.io"),
    ("resourceclaims", "made", "resource.k8s.io"),
]


@pytest.mark.parametrize(("resource", "name", "group"), REFERENCED)
def test_a_node_reads_what_its_pods_refer_to(
    readers: Any, ask: Any, resource: Any, name: Any, group: Any
) -> None:
    assert ask("get", resource, name, group=group).reason == (
        "no relationship found between node 'n' and this object"
    )
    readers.put("pods", POD)
    readers.put("pods", POD)
    assert ask("get", resource, name, group=group).allowed
    assert not ask("get", resource, name, group=group, namespace="other").allowed
    stranger = User("system:node:m", groups=("system:nodes",))
    assert not ask("get", resource, name, group=group, user=stranger).allowed
    readers.delete("pods", "ns", "p")
    assert not ask("get", resource, name, group=group).allowed


def test_a_pod_is_looked_at_when_its_node_asks_and_once(readers: Any, ask: Any) -> None:
    looked = readers.loaded
    other = {"metadata": {"name": "q", "namespace": "ns"}, "spec": {"nodeName": "m"}}
    for pod in (POD, other):
        readers.put("pods", pod)
    assert not looked
    for _ in range(3):
        assert ask("get", "secrets", "vol").allowed
    assert looked == [POD]
    readers.put("pods", {**other, "status": {}})
    assert ask("get", "secrets", "vol").allowed
    assert looked == [POD]
    moved = {**POD, "spec": {**POD["spec"], "volumes": []}}
    readers.put("pods", moved)
    assert not ask("get", "secrets", "vol").allowed
    assert looked == [POD, moved]


def test_the_pods_of_a_node_that_is_silent_are_forgotten(readers: Any) -> None:
    clock = Clock()
    pods = PodsOfNodes(readers, clock)
    other = {"metadata": {"name": "q", "namespace": "ns"}, "spec": {"nodeName": "m"}}

    def refer(node: Any) -> Any:
        """A pod has changed somewhere, and a node asks; which pods have been looked at for that."""
        readers.put("pods", {"metadata": {"name": "elsewhere", "namespace": "ns"}, "spec": {}})
        readers.loaded.clear()
        pods.refer_to(node, ("secrets", "ns", "vol"))
        return list(readers.loaded)

    readers.put("pods", POD)
    readers.put("pods", other)
    assert (refer("n"), refer("n"), refer("m")) == ([POD], [], [other])
    clock.now += 599
    assert (refer("m"), refer("n")) == ([], [])
    clock.now += 601
    assert (refer("m"), refer("n")) == ([], [POD]), "n was forgotten when m asked"


def test_a_mirror_pod_grants_nothing(readers: Any, ask: Any) -> None:
    annotations = {"kubernetes.io/config.mirror": "x"}
    readers.put("pods", {**POD, "metadata": {**POD["metadata"], "annotations": annotations}})
    assert ask("get", "pods", "p").allowed
    assert not ask("get", "secrets", "vol").allowed


def test_volumes_are_reached_through_claims(readers: Any, ask: Any) -> None:
    volume = {
        "metadata": {"name": "pv"},
        "spec": {
            "claimRef": {"namespace": "ns", "name": "claim"},
            "csi": {"nodeStageSecretRef": {"namespace": "vault", "name": "stage"}},
            "azureFile": {"secretName": "azure"},
        },
    }
    readers.put("persistentvolumes", volume)
    assert not ask("get", "persistentvolumes", "pv", namespace="").allowed
    readers.put("pods", POD)
    assert ask("get", "persistentvolumes", "pv", namespace="").allowed
    assert ask("get", "secrets", "stage", namespace="vault").allowed
    assert ask("get", "secrets", "azure").allowed
    readers.put("persistentvolumes", {"metadata": {"name": "pv"}, "spec": {}})
    assert not ask("get", "persistentvolumes", "pv", namespace="").allowed
    assert not ask("get", "secrets", "stage", namespace="vault").allowed


@pytest.mark.parametrize(
    ("resource", "group"),
    [("volumeattachments", "storage.k8s.io"), ("resourceslices", "resource.k8s.io")],
)
def test_objects_that_name_a_node_are_its_own(readers: Any, ask: Any, resource: str, group: str) -> None:
    readers.put(f"{resource}.{group}", {"metadata": {"name": "x"}, "spec": {"nodeName": "n"}})
    assert ask("get", resource, "x", group=group, namespace="").allowed
    assert not ask("get", resource, "y", group=group, namespace="").allowed


ALLOWED = [
    ("create", "nodes", "", {}),
    ("get", "nodes", "n", {}),
    ("patch", "nodes/status", "n", {}),
    ("list", "pods", "", {"selector": "status.phase!=Failed,spec.nodeName=n"}),
    ("create", "pods", "", {}),
    ("patch", "pods/status", "p", {}),
    ("create", "pods/eviction", "p", {}),
    ("list", "services", "", {}),
    ("create", "leases", "", {"group": "coordination.k8s.io", "namespace": "kube-node-lease"}),
    ("update", "leases", "n", {"group": "coordination.k8s.io", "namespace": "kube-node-lease"}),
    ("delete", "csinodes", "n", {"group": "storage.k8s.io"}),
    ("create", "resourceslices", "", {"group": "resource.k8s.io"}),
    ("list", "resourceslices", "", {"group": "resource.k8s.io", "selector": "spec.nodeName=n"}),
]


@pytest.mark.parametrize(("verb", "resource", "name", "more"), ALLOWED)
def test_what_every_node_may_do(ask: Any, verb: Any, resource: Any, name: Any, more: Any) -> None:
    assert ask(verb, resource, name, **more).allowed


DENIED = [
    ("list", "nodes", "", {}, "node 'n' cannot read all nodes, only its own Node object"),
    ("get", "nodes", "m", {}, "node 'n' cannot read 'm', only its own Node object"),
    ("delete", "nodes", "n", {}, ""),
    ("get", "nodes/proxy", "n", {}, ""),
    ("list", "pods", "", {}, "can only list/watch pods with spec.nodeName field selector"),
    ("list", "secrets", "", {}, "No Object name found"),
    ("update", "secrets", "x", {}, "can only read resources of this type"),
    ("list", "persistentvolumeclaims", "", {}, "can only get individual resources of this type"),
    ("list", "serviceaccounts", "", {}, "can only create tokens for individual service accounts"),
    ("create", "serviceaccounts", "s", {}, "can only create token subresource of serviceaccount"),
    (
        "get",
        "leases",
        "n",
        {"group": "coordination.k8s.io"},
        'can only access leases in the "kube-node-lease" system namespace',
    ),
    (
        "get",
        "csinodes",
        "m",
        {"group": "storage.k8s.io"},
        "can only access CSINode with the same name as the requesting node",
    ),
    ("list", "endpoints", "", {}, ""),
]


@pytest.mark.parametrize("case", DENIED)
def test_what_no_node_may_do(ask: Any, case: Any) -> None:
    verb, resource, name, more, reason = case
    decision = ask(verb, resource, name, **more)
    assert (decision.allowed, decision.reason) == (False, reason)


def test_only_nodes_are_judged(ask: Any) -> None:
    assert ask("list", "services", user=User("system:node:n")).reason == ""
    assert ask("list", "services", user=User("n", groups=("system:nodes",))).reason == ""
    nameless = ask("list", "services", user=User("system:node:", groups=("system:nodes",)))
    assert nameless.reason == 'unknown node for user "system:node:"'


def test_changes_of_the_graph_are_timed(readers: Any) -> None:
    metrics = AuthorizationMetrics()
    NodeAuthorizer(readers, RULES, metrics.graph)
    readers.put("persistentvolumes", {"metadata": {"name": "pv"}, "spec": {}})
    readers.put("volumeattachments.storage.k8s.io", {"metadata": {"name": "a"}, "spec": {"nodeName": "n"}})
    found = samples(metrics)
    for operation in ("AddPV", "AddVolumeAttachment"):
        name = "node_authorizer_graph_actions_duration_seconds_count"
        assert found[f'{name}{{operation="{operation}"}}'] == "1"

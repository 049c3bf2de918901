"""The steps that count.py counts: what is sent, and how often."""

from collections.abc import Callable
from typing import Any, NamedTuple

from count_client import Client, encode

PODS = "/api/v1/namespaces/bench/pods"
WATCHED = "/api/v1/namespaces/watched/pods"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/bench/leases"
STORED = 500
"""Pods in the namespace of all steps but the last."""
LABELS = 10
"""Values of the label that a list of 50 selects by."""
CHANGING = 20
"""How many objects are patched, in turn."""
RENEWED = 32
WATCHERS = 100
Operation = Callable[[Client, int], Any]


class Step(NamedTuple):
    """An operation, which gets its number; how often it warms up, and how often it is counted.

    `prepare` comes before, at full speed, and `finish` afterwards.
    """

    warm: int
    times: int
    operation: Operation
    prepare: Callable[[Client], None] | None = None
    finish: Callable[[], None] | None = None


def pod(name: str, number: int) -> dict[str, Any]:
    """A pod of two containers that takes some 6 KB once it is stored."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {"app": f"app-{number % LABELS}", "tier": "web", "pod-template-hash": "6d4cf56db6"},
            "annotations": {"example.com/revision": str(number), "example.com/note": "n" * 200},
        },
        "spec": {
            "automountServiceAccountToken": False,
            "nodeName": f"node-{number % 50}",
            "containers": [_container("main", number), _container("side", number)],
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
    }


def _container(name: str, number: int) -> dict[str, Any]:
    return {
        "name": name,
        "image": f"registry.local/team/{name}:v1.2.3",
        "env": [{"name": f"SETTING_{k}", "value": f"value-{k}-of-{number}"} for k in range(8)],
        "ports": [{"containerPort": 8080, "name": "http"}],
        "resources": {
            "requests": {"cpu": "100m", "memory": "128Mi"},
            "limits": {"cpu": "500m", "memory": "256Mi"},
        },
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10},
    }


def fill(admin: Client, client: Client) -> None:
    """Rights for the user, and the objects that the steps read and change."""
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "bench"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "bench"}],
    }
    admin.send("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", encode(binding))
    for namespace in ("bench", "watched"):
        made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        admin.send("POST", "/api/v1/namespaces", encode(made))
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        admin.send("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", encode(account))
    for number in range(STORED):
        client.send("POST", PODS, encode(pod(f"pod-{number:06}", number)))
    for number in range(RENEWED):
        client.send("POST", WATCHED, encode(pod(f"pod-{number:06}", number)))


def _get(client: Client, number: int) -> None:
    client.send("GET", f"{PODS}/pod-{number % STORED:06}")


def _list_50(client: Client, number: int) -> None:
    client.send("GET", f"{PODS}?resourceVersion=0&labelSelector=app%3Dapp-{number % LABELS}")


def _list_500(client: Client, number: int) -> None:
    client.send("GET", f"{PODS}?limit=500")


def _create(client: Client, number: int) -> None:
    client.send("POST", PODS, encode(pod(f"new-{number:06}", number)))


def _merge_patch(client: Client, number: int, pods: str = PODS, count: int = CHANGING) -> None:
    body = {"metadata": {"annotations": {"example.com/tick": f"0-{number:06}"}}}
    path = f"{pods}/pod-{number % count:06}"
    client.send("PATCH", path, encode(body), "application/merge-patch+json")


def _status_patch(client: Client, number: int) -> None:
    condition = {"type": "Ready", "status": "True", "message": f"0-{number:06}"}
    address = f"10.1.{10 + number % 90}.{10 + number % 90}"
    body = {"status": {"phase": "Running", "podIP": address, "conditions": [condition]}}
    path = f"{PODS}/pod-{number % CHANGING:06}/status"
    client.send("PATCH", path, encode(body), "application/strategic-merge-patch+json")


def _apply(client: Client, number: int) -> None:
    name = f"pod-{number % CHANGING:06}"
    labels = {"bench": f"v{number:04}"}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}}
    path = f"{PODS}/{name}?fieldManager=bench&force=true"
    client.send("PATCH", path, encode(body), "application/apply-patch+yaml")


def _delete(client: Client, number: int) -> None:
    client.send("DELETE", f"{PODS}/new-{number:06}?gracePeriodSeconds=0")


class Renewal:
    """Renews leases in turn, as kubelets do: with the resource version of the last answer."""

    def __init__(self) -> None:
        self._versions: dict[int, bytes] = {}

    def __call__(self, client: Client, number: int) -> None:
        node = number % RENEWED
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": f"node-{node}", "namespace": "bench"},
            "spec": {
                "holderIdentity": f"node-{node}",
                "leaseDurationSeconds": 40,
                "renewTime": f"2026-11-30T05:00:00.{number:06}Z",
            },
        }
        if node in self._versions:
            body["metadata"]["resourceVersion"] = self._versions[node].decode()  # type: ignore[index]
            answer = client.send("PUT", f"{LEASES}/node-{node}", encode(body))
        else:
            answer = client.send("POST", LEASES, encode(body))
        self._versions[node] = answer.partition(b'"resourceVersion":"')[2].partition(b'"')[0]


class OverHttp2:
    """An operation over HTTP/2."""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self._client: Client | None = None

    def open(self, client: Client) -> None:
        """Connect."""
        self._client = client.over_http2()

    def __call__(self, _: Client, number: int) -> None:
        """Make the operation."""
        assert self._client is not None
        self._operation(self._client, number)


class Watchers:
    """Watches of one namespace, each on its own connection.

    The changes of two of them must differ: a patch that changes nothing makes no event.
    """

    def __init__(self, changes: str, connect: Callable[[Client], Client]) -> None:
        self._changes = changes
        self._clients: list[Client] = []
        self._connect = connect

    def open(self, client: Client) -> None:
        """Connect, and read the events that tell what there is."""
        self._clients = [self._connect(client) for _ in range(WATCHERS)]
        for one in self._clients:
            one.begin("GET", f"{WATCHED}?watch=1")
            one.head("watch")
            for _ in range(RENEWED):
                one.chunk()

    def close(self) -> None:
        """End the watches."""
        for one in self._clients:
            one.close()

    def __call__(self, client: Client, number: int) -> None:
        """Change a pod, and read the event on every connection."""
        tick = f"{self._changes}-{number:06}"
        body = {"metadata": {"annotations": {"example.com/tick": tick}}}
        path = f"{WATCHED}/pod-{number % RENEWED:06}"
        client.begin("PATCH", path, encode(body), "application/merge-patch+json")
        for one in self._clients:
            if tick.encode() not in one.chunk():
                raise ValueError(f"{path}: not the event of the change")
        client.finish(path)


def _changed(client: Client, number: int) -> None:
    _merge_patch(client, number, WATCHED, RENEWED)


CHANGE, WATCHES = "change", ("watch-event", "h2-watch-event")
"""A change of a pod, and the same while it is watched: what one watcher adds is an event's cost."""


def steps() -> dict[str, Step]:
    """All steps, in the order in which they are made."""
    watchers, over_http2 = Watchers("1", Client.another), Watchers("2", Client.over_http2)
    get, list_50, list_500 = OverHttp2(_get), OverHttp2(_list_50), OverHttp2(_list_500)
    return {
        "get": Step(30, 200, _get),
        "list-50": Step(10, 30, _list_50),
        "list-500": Step(3, 8, _list_500),
        "create": Step(20, 100, _create),
        "merge-patch": Step(30, 100, _merge_patch),
        "status-patch": Step(30, 100, _status_patch),
        "apply": Step(30, 100, _apply),
        "lease-update": Step(45, 150, Renewal()),
        "delete": Step(20, 100, _delete),
        CHANGE: Step(32, 50, _changed),
        "h2-get": Step(30, 200, get, get.open),
        "h2-list-50": Step(10, 30, list_50, list_50.open),
        "h2-list-500": Step(3, 8, list_500, list_500.open),
        "watch-event": Step(4, 25, watchers, watchers.open, watchers.close),
        "h2-watch-event": Step(4, 25, over_http2, over_http2.open, over_http2.close),
    }

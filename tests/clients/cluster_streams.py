"""Nodes of a streaming kubelet, and pods on them, for clients of any kind."""

import socket

from clients.drivers import Raw
from streaming_kubelet import StreamingKubelet

PODS = "/api/v1/namespaces/default/pods"


def create_pod(raw: Raw, name: str, node: str) -> None:
    spec = {"nodeName": node, "containers": [{"name": "c", "image": "i"}]}
    running = {"name": "c", "image": "i", "imageID": "i", "ready": True, "restartCount": 0}
    ready = [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady")]
    status = {
        "phase": "Running",
        "conditions": ready,
        "containerStatuses": [{**running, "state": {"running": {}}}],
    }
    raw.ok("POST", PODS, {"metadata": {"name": name}, "spec": spec})
    raw.ok("PUT", f"{PODS}/{name}/status", {"metadata": {"name": name}, "spec": spec, "status": status})


def create_node(raw: Raw, name: str, port: int, features: list[str]) -> None:
    endpoint = {"daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}
    addresses = {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}
    status = {**endpoint, **addresses, "declaredFeatures": features}
    raw.ok("POST", "/api/v1/nodes", {"metadata": {"name": name}, "status": status})


def fill(raw: Raw, kubelet: StreamingKubelet) -> None:
    """A node of today and one before KEP-4006, each with a pod, and pods with which something is wrong."""
    create_node(raw, "n-old", kubelet.port, [])
    create_node(raw, "n-new", kubelet.port, ["ExtendWebSocketsToKubelet"])
    with socket.create_server(("127.0.0.1", 0)) as unused:
        create_node(raw, "n-away", unused.getsockname()[1], [])
    for name, node in (("old", "n-old"), ("new", "n-new"), ("missing", "n-old"), ("away", "n-away")):
        create_pod(raw, name, node)

"""Which pods serve a service, and on which ports."""

import asyncio
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any

from pilothouse.api.values.fields import Object
from pilothouse.simulate.workloads.pods import IndexedPod
from pilothouse.simulate.workloads.reconciler import Parts, Reconciler

HEADLESS = "service.kubernetes.io/headless"


MANY = 100
"""Pods of a service from which on changes are taken in together."""
PAUSE = 0.0002
"""Seconds, for each pod of such a service, in which changes are taken in together."""


class ServiceFollower(Reconciler):
    """Follows services, and the pods that they select."""

    def __init__(self, parts: Parts, component: str) -> None:
        super().__init__(parts, "v1", "services", component)
        self._sizes: dict[str, int] = {}
        self._batches: dict[str, asyncio.TimerHandle] = {}

    async def close(self) -> None:
        for timer in self._batches.values():
            timer.cancel()
        await super().close()

    async def removed(self, namespace: str, name: str) -> None:
        self._sizes.pop(f"{namespace}/{name}", None)

    def _soon(self, namespace: str, name: str) -> None:
        """Look at a service, at once or together with further changes."""
        key = f"{namespace}/{name}"
        size = self._sizes.get(key, 0)
        if size < MANY:
            self.queue.add(key)
        elif key not in self._batches:
            loop = asyncio.get_running_loop()
            self._batches[key] = loop.call_later(size * PAUSE, self._due, key)

    def _due(self, key: str) -> None:
        self._batches.pop(key, None)
        self.queue.add(key)

    def follows(self) -> list[Callable[[], None]]:
        return [self.pods.listen(self._pod_changed)]

    def _pod_changed(self, new: IndexedPod | None, old: IndexedPod | None) -> None:
        if new is not None and old is not None and _shown(new) == _shown(old):
            return
        either = new or old
        assert either is not None
        for service in self.client.readers.list("services", either.namespace):
            if any(selects(service, pod.labels) for pod in (new, old) if pod is not None):
                self._soon(either.namespace, service["metadata"]["name"])

    def members(self, service: Object) -> list[IndexedPod]:
        """The pods of a service that have an address and have not ended, by name."""
        namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
        found = self.pods.select(namespace, service["spec"]["selector"])
        mine = [pod for pod in found if pod.ips and not pod.ended]
        self._sizes[f"{namespace}/{name}"] = len(mine)
        return sorted(mine, key=lambda pod: pod.name)


def _shown(pod: IndexedPod) -> tuple[Any, ...]:
    """The facts of a pod that endpoints show."""
    return pod.uid, pod.labels, pod.ready, pod.ended, pod.node, pod.ips, bool(pod.deleting)


def has_selector(service: Object) -> bool:
    """Whether the endpoints of a service follow from pods."""
    return bool(service["spec"].get("selector")) and service["spec"].get("type") != "ExternalName"


def selects(service: Object, labels: dict[str, str]) -> bool:
    """Whether a service selects pods with these labels."""
    selector = service["spec"].get("selector") or {}
    return has_selector(service) and all(labels.get(key) == value for key, value in selector.items())


def is_headless(service: Object) -> bool:
    return bool(service["spec"].get("clusterIP") == "None")


def address(pod: IndexedPod, version: int) -> str:
    """The pod's address of an IP version, "" when it has none."""
    return next((ip for ip in pod.ips if ip_address(ip).version == version), "")


def ports(service: Object, pod: IndexedPod) -> list[Object]:
    """The ports of a service on a pod; those whose names the pod does not have are left out."""
    out = []
    for port in service["spec"].get("ports") or ():
        protocol = port.get("protocol") or "TCP"
        number = _number(port.get("targetPort") or port["port"], protocol, pod.ports)
        if number is not None:
            one = {"name": port.get("name", ""), "port": number, "protocol": protocol}
            if port.get("appProtocol"):
                one["appProtocol"] = port["appProtocol"]
            out.append(one)
    return out


def _number(target: Any, protocol: str, named: Iterable[tuple[str, str, int]]) -> int | None:
    if isinstance(target, int):
        return target
    return next((number for name, spoken, number in named if (name, spoken) == (target, protocol)), None)


def hostname(service: Object, pod: IndexedPod) -> str:
    """The name under which a headless service knows a pod, "" for none."""
    name, subdomain = pod.host
    return name if name and subdomain == service["metadata"]["name"] else ""


def target(pod: IndexedPod) -> Object:
    """The reference to a pod."""
    return {"kind": "Pod", "namespace": pod.namespace, "name": pod.name, "uid": pod.uid}

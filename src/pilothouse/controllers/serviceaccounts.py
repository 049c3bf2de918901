"""Keeps the service account `default` and the config map `kube-root-ca.crt` in every namespace."""

from collections.abc import Iterable
from functools import partial

from pilothouse.api.values.fields import Object
from pilothouse.controllers.queue import WorkQueue
from pilothouse.lifecycle import Background
from pilothouse.registry.client import Client

ACCOUNT, CONFIG_MAP = "default", "kube-root-ca.crt"
ABOUT = {
    "kubernetes.io/description": (
        "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints"
        " such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across"
        " distributions of Kubernetes clusters."
    )
}


class NamespaceContents(Background):
    """Combines kube-controller-manager's serviceaccount and root-ca-cert-publisher controllers."""

    def __init__(self, client: Client, ca_pem: str) -> None:
        self.client = client
        self.ca_pem = ca_pem
        self.accounts = client.resource("", "v1", "serviceaccounts")
        self.config_maps = client.resource("", "v1", "configmaps")
        self.queue = WorkQueue("namespace-contents", self._ensure, metrics=client.metrics)

    def start(self) -> None:
        """Follow namespaces, and the service accounts and config maps in them."""
        readers = self.client.readers
        readers.subscribe("namespaces", self._namespace)
        readers.follow("serviceaccounts", self._content)
        judge = partial(self._outdated, readers.follow("configmaps", self._content))
        outdated = readers.judged(("root CA", self.ca_pem), ("configmaps",), judge)
        for namespace in judge() if outdated is None else outdated:
            self.queue.add(namespace)

    def _outdated(self, config_maps: Iterable[Object]) -> tuple[str, ...]:
        """The namespaces whose config map has another CA."""
        places = ((one["metadata"], one.get("data")) for one in config_maps)
        return tuple(
            metadata["namespace"]
            for metadata, data in places
            if metadata["name"] == CONFIG_MAP and data != {"ca.crt": self.ca_pem}
        )

    async def close(self) -> None:
        await self.queue.close()

    def _namespace(self, key: str, new: Object | None, old: Object | None) -> None:
        if new is not None and not self._complete(new["metadata"]["name"]):
            self.queue.add(new["metadata"]["name"])

    def _content(self, key: str, new: Object | None, old: Object | None) -> None:
        namespace, _, name = key.split("/", 3)[3].partition("/")
        if name not in (ACCOUNT, CONFIG_MAP):
            return
        if new is None or (name == CONFIG_MAP and new.get("data") != {"ca.crt": self.ca_pem}):
            self.queue.add(namespace)

    def _complete(self, namespace: str) -> bool:
        store = self.client.store
        return (
            store.entry(self.accounts, namespace, ACCOUNT) is not None
            and store.entry(self.config_maps, namespace, CONFIG_MAP) is not None
        )

    async def _ensure(self, namespace: str) -> None:
        found = self.client.readers.get("namespaces", "", namespace)
        if found is None or (found.get("status") or {}).get("phase") != "Active":
            return
        if self.client.store.entry(self.accounts, namespace, ACCOUNT) is None:
            account = {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": ACCOUNT, "namespace": namespace},
            }
            await self.client.create(self.accounts, account)
        current = self.client.get(self.config_maps, namespace, CONFIG_MAP)
        data = {"ca.crt": self.ca_pem}
        if current is None:
            metadata = {"name": CONFIG_MAP, "namespace": namespace, "annotations": dict(ABOUT)}
            config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
            await self.client.create(self.config_maps, config_map)
        elif current.get("data") != data:
            await self.client.change(
                self.config_maps, namespace, CONFIG_MAP, lambda obj: obj.update(data=data)
            )

"""Publishes logical clusters as ClusterProfiles, by which controllers of many clusters find them (KEP-4322).

A profile tells where its cluster is reached, and which Secret has a kubeconfig for it, in the form that the
plugin `kubeconfig-secretreader` of the Cluster Inventory API reads (KEP-5339). So controllers that are built
with multicluster-runtime reconcile in all clusters as they are.
"""

import base64
from collections.abc import Callable
from pathlib import Path

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.clusters.brought import bring, served
from pilothouse.clusters.definition import condition, owned_by, owner, settled
from pilothouse.clusters.profile_definition import (
    DEFINITION,
    GROUP,
    KIND,
    MANAGED,
    MANAGER,
    NAME,
    PLURAL,
    VERSION,
)
from pilothouse.pki import Files
from pilothouse.process.version import GIT_VERSION
from pilothouse.registry.client import Client
from pilothouse.registry.resource import Resource

CONDITION = "ProfilePublished"
MANAGER_LABEL = "x-k8s.io/cluster-manager"
HEALTHY = "ControlPlaneHealthy"
IDS = ("cluster.clusterset.k8s.io", "clusterset.k8s.io/cluster-id")
"""The properties that tell clusters apart, as KEP-2149 calls it and as the Cluster Inventory API does."""
PROVIDER, KEY = "kubeconfig-secretreader", "value"
"""The plugin that reads the Secret, and the member of it that has the kubeconfig."""
EXTENSION = "client.authentication.k8s.io/exec"
"""The extension by which plugins are told of a cluster."""


class ClusterProfiles:
    """Keeps the profiles of one server's clusters in a namespace.

    files: the server's CA. changed: told the name of a cluster whose profile has changed.
    """

    def __init__(self, client: Client, namespace: str, files: Files, changed: Callable[[str], None]) -> None:
        self._client = client
        self._namespace = namespace
        self._files = files
        self._changed = changed
        self._resource: Resource

    async def begin(self) -> None:
        """Bring the definition, unless somebody else has, and the namespace; then follow the profiles."""
        await bring(self._client, DEFINITION, _is_ours)
        self._resource = await served(self._client, GROUP, VERSION, PLURAL)
        namespaces = self._client.resource("", "v1", "namespaces")
        named: Object = {"metadata": {"name": self._namespace}, "spec": {}, "status": {}}
        await self._client.create(namespaces, named)
        self._client.readers.subscribe(NAME, self._heard)

    def secret_of(self, name: str) -> Object:
        """Where the kubeconfig of a cluster is that names no Secret."""
        return {"namespace": self._namespace, "name": f"{name}-kubeconfig"}

    async def sync(self, obj: Object, url: str, secret: Object, ready: Object) -> Object:
        """Write the profile of a cluster. Returns the cluster's condition."""
        name = obj["metadata"]["name"]
        try:
            await self._publish(obj, self._status(obj, url, secret), ready)
        except errors.StatusError as error:
            return condition(CONDITION, "False", error.reason or "Failed", error.message)
        return condition(CONDITION, "True", "Written", f"the ClusterProfile is {self._namespace}/{name}")

    async def remove(self, obj: Object) -> None:
        """Delete the profile of a cluster."""
        name = obj["metadata"]["name"]
        found = self._client.get(self._resource, self._namespace, name)
        if found is not None and owned_by(found, obj):
            options = {"preconditions": {"uid": found["metadata"]["uid"]}}
            await self._client.delete(self._resource, self._namespace, name, options)

    async def _publish(self, obj: Object, status: Object, ready: Object) -> None:
        name = obj["metadata"]["name"]
        if self._client.get(self._resource, self._namespace, name) is None:
            await self._client.create(self._resource, self._profile(obj))
        found = self._client.get(self._resource, self._namespace, name)
        if found is None:
            raise errors.not_found(GROUP, PLURAL, name)
        if not owned_by(found, obj):
            raise errors.conflict(GROUP, PLURAL, name, f"it does not belong to the cluster {name}")
        known = found.get("status") or {}
        before: Object = next((one for one in known.get("conditions") or () if one["type"] == HEALTHY), {})
        healthy = {**ready, "type": HEALTHY}
        generation, now = found["metadata"].get("generation", 1), self._client.now()
        content = {**status, "conditions": [settled(healthy, before, generation, now)]}
        if all(known.get(member) == value for member, value in content.items()):
            return

        def edit(live: Object) -> None:
            live["status"] = (live.get("status") or {}) | content

        uid = found["metadata"]["uid"]
        await self._client.change(self._resource, self._namespace, name, edit, "status", uid=uid)

    def _profile(self, obj: Object) -> Object:
        name = obj["metadata"]["name"]
        return {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "metadata": {
                "name": name,
                "namespace": self._namespace,
                "labels": {MANAGER_LABEL: MANAGER},
                "ownerReferences": [owner(obj)],
            },
            "spec": {"displayName": name, "clusterManager": {"name": MANAGER}},
        }

    def _status(self, obj: Object, url: str, secret: Object) -> Object:
        """The status, without conditions; the older name of the access data is for older clients."""
        ca = base64.b64encode(Path(self._files.ca_cert).read_bytes()).decode()
        extension = {"name": EXTENSION, "extension": {**secret, "key": KEY}}
        access = {"server": url, "certificate-authority-data": ca, "extensions": [extension]}
        providers = [{"name": PROVIDER, "cluster": access}]
        return {
            "version": {"kubernetes": GIT_VERSION},
            "properties": [{"name": name, "value": obj["metadata"]["uid"]} for name in IDS],
            "accessProviders": providers,
            "credentialProviders": providers,
        }

    def _heard(self, key: str, new: Object | None, old: Object | None) -> None:
        """Have a profile that somebody has changed or deleted written anew."""
        if old is None:
            return
        metadata = old["metadata"]
        labels = metadata.get("labels") or {}
        if metadata["namespace"] == self._namespace and labels.get(MANAGER_LABEL) == MANAGER:
            self._changed(metadata["name"])


def _is_ours(definition: Object) -> bool:
    return (definition["metadata"].get("labels") or {}).get(MANAGED) == MANAGER

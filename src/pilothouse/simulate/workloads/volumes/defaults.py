"""The storage class of a cluster that has none, as clusters for tests come with one."""

from pilothouse.controllers.queue import WorkQueue
from pilothouse.lifecycle import Background
from pilothouse.registry.client import Client

NAME = "standard"
PROVISIONER = "volumes.simulate.pilothouse.dev"


class StandardClass(Background):
    """Creates the class `standard` at the start when there is no class at all."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.classes = client.resource("storage.k8s.io", "v1", "storageclasses")
        self.queue = WorkQueue("standard-storage-class", self._create, metrics=client.metrics)

    def start(self) -> None:
        self.queue.add(NAME)

    async def close(self) -> None:
        await self.queue.close()

    async def _create(self, name: str) -> None:
        if any(True for _ in self.client.readers.list(self.classes.group_resource)):
            return
        made, _ = self.classes.decode_value(
            {
                "metadata": {
                    "name": name,
                    "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
                },
                "provisioner": PROVISIONER,
                "volumeBindingMode": "WaitForFirstConsumer",
                "allowVolumeExpansion": True,
            }
        )
        await self.client.create(self.classes, made)

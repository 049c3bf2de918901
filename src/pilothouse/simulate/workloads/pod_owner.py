"""The frame of a controller that owns pods: their changes lead to their owner,
strays to who may adopt them."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from pilothouse.api.values._selectors import Selector
from pilothouse.api.values.fields import Object
from pilothouse.api.values.selectors import from_label_selector
from pilothouse.simulate.workloads.ownership import Claims
from pilothouse.simulate.workloads.pod_control import PodControl
from pilothouse.simulate.workloads.pods import IndexedPod
from pilothouse.simulate.workloads.reconciler import Parts, Reconciler


class PodOwner(Reconciler):
    """Follows pods for the owners of one kind."""

    def __init__(self, parts: Parts, group_version: str, plural: str, component: str) -> None:
        super().__init__(parts, group_version, plural, component)
        self.control = PodControl(self.client, self.events)
        self.claims = Claims(self.client, self.control.pods)

    def follows(self) -> list[Callable[[], None]]:
        return [self.pods.listen(self._pod_changed)]

    @property
    @abstractmethod
    def kind(self) -> str:
        """The kind of the owners, as references name it."""

    def selector(self, obj: Object) -> Selector:
        """The pods that an owner may have."""
        return from_label_selector(obj["spec"].get("selector"))

    async def claimed(self, obj: Object) -> list[IndexedPod]:
        """The pods of an owner, after it has adopted and released."""
        metadata = obj["metadata"]
        candidates = [*self.pods.owned(metadata["uid"]), *self.pods.strays(metadata["namespace"])]
        return await self.claims.claim(obj, self.selector(obj), candidates, lambda pod: not pod.ended)

    def _pod_changed(self, new: IndexedPod | None, old: IndexedPod | None) -> None:
        if old is not None and new is not None and _counts(old) == _counts(new):
            return
        if old is not None and old.owner_kind == self.kind:
            self.enqueue(old.namespace, old.owner_name)
        if new is None or (old is not None and new.owner and new.owner == old.owner):
            return
        if new.owner_kind == self.kind:
            self.enqueue(new.namespace, new.owner_name)
        elif not new.owner and not new.deleting and not new.ended:
            self._offer(new)

    def _offer(self, stray: IndexedPod) -> None:
        """Look at all owners that may adopt a pod."""
        for obj in self.client.readers.list(self.resource.group_resource, stray.namespace):
            selector = self.selector(obj)
            if not selector.nothing and selector.matches_labels(stray.labels):
                self.enqueue(stray.namespace, obj["metadata"]["name"])


def _counts(pod: IndexedPod) -> tuple[Any, ...]:
    """The facts of a pod that owners look at: where it runs, and what it is doing there,
    is not among them."""
    return (
        pod.uid,
        pod.owner,
        pod.labels,
        pod.phase,
        pod.ready_since,
        pod.deleting,
        pod.finalizers,
        pod.all_restarts,
    )

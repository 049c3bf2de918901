"""Tells how many pods of a disruption budget may go (pkg/controller/disruption)."""

from collections.abc import Callable, Sequence

from pilothouse.api.values.fields import Object
from pilothouse.api.values.selectors import from_label_selector
from pilothouse.gotext import label_selector
from pilothouse.simulate.workloads.conditions import condition, with_condition
from pilothouse.simulate.workloads.events import EventQueue
from pilothouse.simulate.workloads.moments import elapsed
from pilothouse.simulate.workloads.numbers import scaled
from pilothouse.simulate.workloads.pods import IndexedPod
from pilothouse.simulate.workloads.reconciler import Parts, Reconciler
from pilothouse.simulate.workloads.scale import WantedPods, asked_for

ALLOWED = "DisruptionAllowed"
UNCONFIRMED = 120
"""Seconds for which a pod that was to be evicted counts as gone though nobody has deleted it."""
UNMANAGED = (
    "Pods selected by this PodDisruptionBudget (selector: {selector}) were found to be unmanaged. "
    "As a result, the status of the PDB cannot be calculated correctly, which may result in undefined "
    "behavior. To account for these pods please set "
    '".spec.minAvailable" field of the PDB to an integer value.'
)


class DisruptionBudgets(Reconciler):
    """Keeps the status of disruption budgets."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts, "policy/v1", "poddisruptionbudgets", "disruption-controller")
        self.events = EventQueue(self.client, self.clock, "controllermanager")

    def follows(self) -> list[Callable[[], None]]:
        return [self.pods.listen(self._pod_changed)]

    def _pod_changed(self, new: IndexedPod | None, old: IndexedPod | None) -> None:
        either = new or old
        assert either is not None
        for budget in self.client.readers.list("poddisruptionbudgets.policy", either.namespace):
            selector = from_label_selector(budget["spec"].get("selector"))
            if selector.nothing:
                continue
            if any(selector.matches_labels(pod.labels) for pod in (new, old) if pod is not None):
                self.enqueue(either.namespace, budget["metadata"]["name"])

    async def reconcile(self, obj: Object) -> float | None:
        pods = self._members(obj)
        if not pods:
            self.events.normal(obj, "NoPods", "No matching pods found")
        expected, desired = self._wanted(obj, pods)

        def edit(live: Object) -> None:
            live["status"] = self._status(live, pods, expected, desired)

        if self._status(obj, pods, expected, desired) != (obj.get("status") or {}):
            await self.change_status(obj, edit)
        waits = self._disrupted(obj, pods).values()
        return min((UNCONFIRMED - elapsed(self.clock, since) for since in waits), default=None)

    def _members(self, obj: Object) -> list[IndexedPod]:
        selector = from_label_selector(obj["spec"].get("selector"))
        if selector.nothing:
            return []
        found = self.pods.select(obj["metadata"]["namespace"], dict(selector.equalities))
        return [pod for pod in found if selector.matches_labels(pod.labels)]

    def _wanted(self, obj: Object, pods: Sequence[IndexedPod]) -> tuple[int, int]:
        """How many pods there should be, and how many healthy ones."""
        least, most = obj["spec"].get("minAvailable"), obj["spec"].get("maxUnavailable")
        if most is not None:
            expected = self._expected(obj, pods)
            return expected, max(expected - scaled(most, expected, up=True), 0)
        if isinstance(least, str):
            expected = self._expected(obj, pods)
            return expected, scaled(least, expected, up=True)
        return len(pods), int(least or 0)

    def _expected(self, obj: Object, pods: Sequence[IndexedPod]) -> int:
        """The pods that the owners of some pods ask for together."""
        owners: dict[str, WantedPods | None] = {}
        for pod in pods:
            if pod.owner not in owners:
                owners[pod.owner] = self._asked(pod) if pod.owner else None
        if None in owners.values():
            selector = label_selector(obj["spec"].get("selector"))
            self.events.warning(obj, "UnmanagedPods", UNMANAGED.format(selector=selector))
        asked = {found.uid: found.replicas for found in owners.values() if found is not None}
        return sum(asked.values())

    def _asked(self, pod: IndexedPod) -> WantedPods | None:
        whole = self.pods.object(pod)
        refs = whole["metadata"].get("ownerReferences") or () if whole is not None else ()
        owner = next((one for one in refs if one.get("controller")), None)
        return asked_for(self.client, owner, pod.namespace) if owner is not None else None

    def _disrupted(self, obj: Object, pods: Sequence[IndexedPod]) -> dict[str, str]:
        """The pods that were to be evicted and are still there, for as long as they count as gone."""
        noted = (obj.get("status") or {}).get("disruptedPods") or {}
        there = {pod.name for pod in pods if not pod.deleting}
        return {
            name: since
            for name, since in noted.items()
            if name in there and elapsed(self.clock, since) < UNCONFIRMED
        }

    def _status(self, obj: Object, pods: Sequence[IndexedPod], expected: int, desired: int) -> Object:
        before = obj.get("status") or {}
        disrupted = self._disrupted(obj, pods)
        healthy = sum(pod.ready and not pod.deleting and pod.name not in disrupted for pod in pods)
        allowed = max(healthy - desired, 0) if expected > 0 else 0
        said = ("True", "SufficientPods") if allowed else ("False", "InsufficientPods")
        generation = obj["metadata"].get("generation", 0)
        told = {**condition(ALLOWED, *said, "", self.clock.stamp()), "observedGeneration": generation}
        conditions = with_condition(before.get("conditions"), told, by_reason=False)
        status: Object = {
            "observedGeneration": generation,
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "disruptionsAllowed": allowed,
            "expectedPods": expected,
            "conditions": conditions,
        }
        return status | ({"disruptedPods": disrupted} if disrupted else {})

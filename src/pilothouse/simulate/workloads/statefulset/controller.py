"""Keeps the pods of stateful sets, one after the other unless the set says that all may be at once."""

from collections.abc import Callable

from pilothouse.api.values.fields import Object
from pilothouse.process.frozen import frozen
from pilothouse.simulate.workloads.moments import elapsed
from pilothouse.simulate.workloads.pod_owner import PodOwner
from pilothouse.simulate.workloads.pods import IndexedPod
from pilothouse.simulate.workloads.reconciler import Parts
from pilothouse.simulate.workloads.refusals import FAILED, namespace_ends
from pilothouse.simulate.workloads.revisions import LABEL, Revision, Revisions, template_of
from pilothouse.simulate.workloads.statefulset import identity
from pilothouse.simulate.workloads.statefulset.claims import PodClaims
from pilothouse.simulate.workloads.statefulset.status import status_of


@frozen
class _Plan:
    """A set with the revisions between which it moves."""

    obj: Object
    current: str
    current_template: Object
    update: Revision

    @property
    def first(self) -> int:
        return identity.first_ordinal(self.obj)

    @property
    def end(self) -> int:
        asked = self.obj["spec"].get("replicas")
        return self.first + (1 if asked is None else int(asked))

    @property
    def in_order(self) -> bool:
        return bool(self.obj["spec"].get("podManagementPolicy") != "Parallel")

    @property
    def partition(self) -> int:
        """The ordinal from which on pods are updated."""
        strategy = self.obj["spec"].get("updateStrategy") or {}
        return self.first + ((strategy.get("rollingUpdate") or {}).get("partition") or 0)

    @property
    def rolls(self) -> bool:
        return bool((self.obj["spec"].get("updateStrategy") or {}).get("type") != "OnDelete")

    def pod(self, ordinal: int) -> Object:
        """A new pod of an ordinal: by the former template below the partition."""
        if self.rolls and ordinal < self.partition:
            return identity.pod_for(self.obj, self.current_template, self.current, ordinal)
        return identity.pod_for(self.obj, self.obj["spec"]["template"], self.update.name, ordinal)


class StatefulSets(PodOwner):
    """Makes, updates and deletes the pods of stateful sets, and makes their claims."""

    kind = "StatefulSet"

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts, "apps/v1", "statefulsets", "statefulset-controller")
        self.revisions = Revisions(self.client)
        self.pod_claims = PodClaims(self.client, self.events)

    def follows(self) -> list[Callable[[], None]]:
        return [*super().follows(), self.revisions.index.follow()]

    async def reconcile(self, obj: Object) -> float | None:
        have = obj.get("status") or {}
        await self.claimed(obj)
        update = await self.revisions.current(obj, have.get("collisionCount") or 0, labelled_by_hash=False)
        known = {one["metadata"]["name"]: one for one in self.revisions.listed(obj)}
        current = have.get("currentRevision") or update.name
        held = known.get(current)
        plan = _Plan(obj, current, template_of(held) if held else obj["spec"]["template"], update)
        refused: Exception | None = None
        if not obj["metadata"].get("deletionTimestamp"):
            try:
                await self._step(plan)
            except FAILED as err:
                refused = err
        pods = self._pods(obj)
        status, later = status_of(obj, list(pods.values()), current, update, self.clock)
        await self.write_status(obj, status)
        used = {status["currentRevision"], update.name, *(pod.labels.get(LABEL, "") for pod in pods.values())}
        await self.revisions.trim(obj, used)
        if refused is not None:
            raise refused
        return later

    def _pods(self, obj: Object) -> dict[int, IndexedPod]:
        """The pods of a set by their ordinals."""
        name, owned = obj["metadata"]["name"], self.pods.owned(obj["metadata"]["uid"])
        found = {identity.ordinal_of(name, pod.name): pod for pod in owned}
        return {ordinal: found[ordinal] for ordinal in sorted(found) if ordinal >= 0}

    def _healthy(self, obj: Object, pod: IndexedPod | None) -> bool:
        """Whether a pod is running, ready for long enough, and stays."""
        if pod is None or pod.deleting or pod.phase != "Running" or not pod.ready:
            return False
        return elapsed(self.clock, pod.ready_since) >= (obj["spec"].get("minReadySeconds") or 0)

    async def _step(self, plan: _Plan) -> None:
        """Do what may be done now: make pods, delete surplus ones, then update."""
        pods = self._pods(plan.obj)
        settled = True
        for ordinal in range(plan.first, plan.end):
            if not await self._keep(plan, ordinal, pods.get(ordinal)):
                settled = False
                if plan.in_order:
                    return
        surplus = [ordinal for ordinal in pods if not plan.first <= ordinal < plan.end]
        for ordinal in reversed(surplus):
            await self._condemn(plan, ordinal, pods)
            if plan.in_order:
                return
        if plan.rolls and (settled or not plan.in_order):
            await self._update(plan)

    async def _keep(self, plan: _Plan, ordinal: int, pod: IndexedPod | None) -> bool:
        """Have a pod of an ordinal; whether it is there and healthy."""
        obj = plan.obj
        if pod is not None and pod.ended and not pod.deleting:
            how = "Failed" if pod.phase == "Failed" else "Terminated"
            named = f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"
            note = f"StatefulSet {named} is recreating {how.lower()} Pod {pod.name}"
            self.events.warning(obj, f"Recreating{how}Pod", note)
            await self._delete(plan, pod)
            pod = self._pods(obj).get(ordinal)
        if pod is None:
            await self.pod_claims.make(obj, ordinal)
            await self.pod_claims.settle(obj, ordinal, None, surplus=False)
            await self._create(plan, ordinal)
            return False
        await self.pod_claims.settle(obj, ordinal, pod, surplus=False)
        return self._healthy(obj, pod)

    async def _create(self, plan: _Plan, ordinal: int) -> None:
        obj = plan.obj
        name, pod = obj["metadata"]["name"], plan.pod(ordinal)
        about = f"Pod {pod['metadata']['name']} in StatefulSet {name}"
        try:
            if await self.control.create(pod, obj):
                self.events.normal(obj, "SuccessfulCreate", f"Create {about} successful")
        except FAILED as err:
            if namespace_ends(err):
                return
            self.events.warning(obj, "FailedCreate", f"Create {about} failed error: {err}")
            raise

    async def _delete(self, plan: _Plan, pod: IndexedPod) -> None:
        if await self.control.delete(pod):
            name = plan.obj["metadata"]["name"]
            note = f"Delete Pod {pod.name} in StatefulSet {name} successful"
            self.events.normal(plan.obj, "SuccessfulDelete", note)

    async def _condemn(self, plan: _Plan, ordinal: int, pods: dict[int, IndexedPod]) -> None:
        """Delete a surplus pod, unless an unhealthy one before it is to be waited for."""
        pod = pods[ordinal]
        unhealthy = [n for n in pods if not self._healthy(plan.obj, pods[n])]
        waits = plan.in_order and ordinal in unhealthy and unhealthy[0] != ordinal
        if not pod.deleting and not waits:
            await self.pod_claims.settle(plan.obj, ordinal, pod, surplus=True)
            await self._delete(plan, pod)

    async def _update(self, plan: _Plan) -> None:
        """Delete the last pod of another revision, when those behind it are healthy."""
        pods = self._pods(plan.obj)
        for ordinal in range(plan.end - 1, plan.partition - 1, -1):
            pod = pods.get(ordinal)
            if pod is not None and not pod.deleting and pod.labels.get(LABEL) != plan.update.name:
                await self._delete(plan, pod)
                return
            if not self._healthy(plan.obj, pod):
                return

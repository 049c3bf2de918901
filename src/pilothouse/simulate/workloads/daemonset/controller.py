"""Keeps one pod of a daemon set on each node that fits."""

from collections import defaultdict
from collections.abc import Callable

from pilothouse.api.convert.kinds import template_generation
from pilothouse.api.values.fields import Object
from pilothouse.process.record import record
from pilothouse.registry.store import decode
from pilothouse.simulate.workloads.daemonset import fitting, rolling
from pilothouse.simulate.workloads.index import follow
from pilothouse.simulate.workloads.pod_control import PodWrites, pod_of
from pilothouse.simulate.workloads.pod_owner import PodOwner
from pilothouse.simulate.workloads.pods import IndexedPod, available, oldest_first
from pilothouse.simulate.workloads.reconciler import Parts
from pilothouse.simulate.workloads.revisions import LABEL, Revision, Revisions
from pilothouse.storage._entry import Entry

GENERATION = "pod-template-generation"
LONGEST_DELAY = 900.0
"""Seconds between two replacements of a pod that fails again and again."""


@record
class _Look:
    """One look at a daemon set: where its pods should be, may stay, and are."""

    obj: Object
    revision: Revision
    should: set[str]
    may: set[str]
    pods: dict[str, list[IndexedPod]]
    later: float | None = None


class DaemonSets(PodOwner):
    """Makes, updates and deletes the pods of daemon sets."""

    kind = "DaemonSet"

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts, "apps/v1", "daemonsets", "daemonset-controller")
        self.nodes = self.client.resource("", "v1", "nodes")
        self.revisions = Revisions(self.client)
        self._failures: dict[str, dict[str, tuple[int, float]]] = {}
        """Of each set and node: how often a pod has failed there, and when it was last replaced."""

    def follows(self) -> list[Callable[[], None]]:
        nodes = follow(self.client, self.nodes, self._node_changed)
        return [*super().follows(), self.revisions.index.follow(), nodes]

    def _node_changed(self, new: Entry | None, old: Entry | None) -> None:
        if new is not None and old is not None and _place(decode(new)) == _place(decode(old)):
            return
        for obj in self.client.readers.list("daemonsets.apps"):
            self.enqueue(obj["metadata"]["namespace"], obj["metadata"]["name"])

    async def removed(self, namespace: str, name: str) -> None:
        self._failures.pop(f"{namespace}/{name}", None)

    async def reconcile(self, obj: Object) -> float | None:
        await self.claimed(obj)
        collisions = (obj.get("status") or {}).get("collisionCount") or 0
        revision = await self.revisions.current(obj, collisions, labelled_by_hash=True)
        look = self._look(obj, revision)
        outcome = PodWrites()
        if not obj["metadata"].get("deletionTimestamp"):
            outcome = await self._manage(look)
            look = self._look(obj, revision, look.later)
            if outcome.error is None and (obj["spec"].get("updateStrategy") or {}).get("type") != "OnDelete":
                outcome = await self._update(look)
                look = self._look(obj, revision, look.later)
        waits = await self._report(look)
        used = {pod.labels.get(LABEL, "") for pods in look.pods.values() for pod in pods}
        await self.revisions.trim(obj, {revision.name, *used})
        if outcome.error is not None:
            raise outcome.error
        return waits

    def _look(self, obj: Object, revision: Revision, later: float | None = None) -> _Look:
        spec = obj["spec"]["template"].get("spec") or {}
        should, may = set(), set()
        for node in self.client.readers.list("nodes"):
            runs, stays = fitting.runs_on(spec, node)
            should.update([node["metadata"]["name"]] if runs else [])
            may.update([node["metadata"]["name"]] if stays else [])
        pods: dict[str, list[IndexedPod]] = defaultdict(list)
        for pod in sorted(self.pods.owned(obj["metadata"]["uid"]), key=oldest_first):
            pods[pod.pinned].append(pod)
        return _Look(obj, revision, should, may, pods, later)

    # Pods

    async def _manage(self, look: _Look) -> PodWrites:
        """Make pods where there is none, and delete those that have ended or must not stay."""
        doomed: list[IndexedPod] = []
        missing: list[str] = []
        for node, pods in look.pods.items():
            kept = self._kept(look, node, pods, doomed) if node in look.may else []
            doomed += [pod for pod in pods if pod not in kept and pod not in doomed and not pod.ended]
        missing = sorted(node for node in look.should if not look.pods.get(node))
        doomed = [pod for pod in doomed if not pod.deleting and not self._waits_for_collection(pod)]
        deleted = await self.control.delete_some(doomed, look.obj)
        created = await self._create(look, missing)
        return created if created.error is not None else deleted

    def _waits_for_collection(self, pod: IndexedPod) -> bool:
        """Whether a pod has run on a node that is gone: who collects such pods deletes it."""
        return bool(pod.node) and self.client.readers.get("nodes", "", pod.node) is None

    def _kept(
        self, look: _Look, node: str, pods: list[IndexedPod], doomed: list[IndexedPod]
    ) -> list[IndexedPod]:
        """The pods that may stay on a node; ended ones are doomed,
        at growing intervals if they have failed."""
        alive = [pod for pod in pods if not pod.ended]
        for pod in pods:
            if not pod.ended or pod.deleting:
                continue
            named = f"daemon pod {pod.namespace}/{pod.name} on node {node}"
            if pod.phase == "Succeeded":
                note = f"Found succeeded {named}, will try to delete it"
                self.events.normal(look.obj, "SucceededDaemonPod", note)
                doomed.append(pod)
            elif (wait := self._failed(look, node)) <= 0:
                self.events.warning(look.obj, "FailedDaemonPod", f"Found failed {named}, will try to kill it")
                doomed.append(pod)
            else:
                look.later = min(wait, look.later) if look.later is not None else wait
        surge, _ = rolling.bounds(look.obj, len(look.should))
        if not surge:
            standing = [pod for pod in alive if not pod.deleting]
            return [pod for pod in alive if pod.deleting or pod is standing[0]]
        standing = [pod for pod in alive if not pod.deleting]
        new = [pod for pod in standing if pod.labels.get(LABEL) == look.revision.hash][:1]
        old = [pod for pod in standing if pod.labels.get(LABEL) != look.revision.hash][:1]
        if new and old and (not old[0].ready or self._available(look, new[0])):
            old = []  # nothing is lost with it
        return [*new, *old, *(pod for pod in alive if pod.deleting)]

    def _failed(self, look: _Look, node: str) -> float:
        """Seconds until a failed pod may be replaced; counts the replacement when it may be now."""
        metadata, now = look.obj["metadata"], self.clock.time()
        known = self._failures.setdefault(f"{metadata['namespace']}/{metadata['name']}", {})
        count, last = known.get(node, (0, 0.0))
        wait = last + min(float(1 << count), LONGEST_DELAY) - now if count else 0.0
        if wait <= 0:
            if now - last > 2 * LONGEST_DELAY:
                count = 0
            known[node] = (min(count + 1, 10), now)
        return wait

    async def _create(self, look: _Look, nodes: list[str]) -> PodWrites:
        template = look.obj["spec"]["template"]
        generation = template_generation(look.obj)

        def make(number: int) -> Object:
            pod = pod_of(template, look.obj)
            pod["spec"] = fitting.pinned(pod["spec"], nodes[number])
            labels = pod["metadata"].setdefault("labels", {})
            labels |= {LABEL: look.revision.hash, GENERATION: str(generation)}
            return pod

        return await self.control.create_some(len(nodes), make, look.obj)

    async def _update(self, look: _Look) -> PodWrites:
        """Replace as many pods of former templates as may be."""
        alive = {node: [p for p in look.pods.get(node, ()) if not p.ended] for node in sorted(look.should)}
        limits = rolling.bounds(look.obj, len(look.should))
        step = rolling.replacement(alive, look.revision.hash, limits, lambda pod: self._available(look, pod))
        deleted = await self.control.delete_some(step.delete, look.obj)
        created = await self._create(look, step.create)
        return created if created.error is not None else deleted

    def _available(self, look: _Look, pod: IndexedPod) -> bool:
        least = look.obj["spec"].get("minReadySeconds") or 0
        wait = pod.available_in(self.clock, least)
        return wait is not None and wait <= 0 and not pod.deleting

    # Status

    async def _report(self, look: _Look) -> float | None:
        """Write the status; the seconds until another pod will be available, or may be replaced."""
        first = {node: pods[0] for node, pods in look.pods.items() if pods}
        placed = [first[node] for node in look.should if node in first]
        nodes = {node["metadata"]["name"] for node in self.client.readers.list("nodes")}
        least = look.obj["spec"].get("minReadySeconds") or 0
        number, _ = available(placed, self.clock, least)
        _, later = available((pod for pods in look.pods.values() for pod in pods), self.clock, least)
        desired = len(look.should)
        await self.write_status(
            look.obj,
            {
                "observedGeneration": look.obj["metadata"].get("generation", 0),
                "currentNumberScheduled": len(placed),
                "numberMisscheduled": sum(node in nodes and node not in look.should for node in first),
                "desiredNumberScheduled": desired,
                "numberReady": sum(pod.ready for pod in placed),
                "updatedNumberScheduled": sum(p.labels.get(LABEL) == look.revision.hash for p in placed)
                or None,
                "numberAvailable": number or None,
                "numberUnavailable": desired - number or None,
                "collisionCount": look.revision.collisions or None,
            },
        )
        return min((t for t in (later, look.later) if t is not None), default=None)


def _place(node: Object) -> Object:
    """The members of a node by which pods fit."""
    return {"labels": node["metadata"].get("labels"), "taints": (node.get("spec") or {}).get("taints")}

"""The scheduler: follows pods and nodes, decides, and binds (kube-scheduler with its default profile)."""

import asyncio

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.controllers.recorder import Recorder
from pilothouse.lifecycle import BackgroundTask
from pilothouse.logs import Logger
from pilothouse.registry.client import Client
from pilothouse.simulate.clock import Clock
from pilothouse.simulate.conditions import set_condition
from pilothouse.simulate.scheduler.binding import Binder
from pilothouse.simulate.scheduler.cluster import ClusterState
from pilothouse.simulate.scheduler.decision import SchedulingDecision, decide
from pilothouse.simulate.scheduler.pods import Pending, PodFacts
from pilothouse.simulate.scheduler.preemption import Preemption
from pilothouse.simulate.scheduler.queue import SchedulingQueue
from pilothouse.simulate.scheduler.volumes import CLAIMS, CLASSES, VOLUMES
from pilothouse.storage.interface import StorageError

log = Logger(__name__)

NAME = "default-scheduler"
TOGETHER = 32
"""Pods that are bound side by side."""
AGAIN = 1.0
"""Seconds after which a pod is tried again that could not be bound."""

_ENDED = ("Succeeded", "Failed")
_BY_VOLUMES = frozenset(("VolumeBinding", "VolumeRestrictions"))
_BY_PODS = frozenset(("InterPodAffinity", "PodTopologySpread"))
"""The plugins that a pod that comes may help; one that goes may help any."""


class Scheduler(BackgroundTask):
    """Gives pods their nodes. Those of other schedulers are left alone, and count where they are."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._pods = client.resource("", "v1", "pods")
        self._cluster = ClusterState()
        self._queue = SchedulingQueue()
        self._recorder = Recorder(client, NAME)
        self._binder = Binder(client, clock)
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Follow what decides about nodes for pods."""
        subscribe = self._client.readers.subscribe
        subscribe("namespaces", self._namespace)
        subscribe("nodes", self._node)
        for resource in (VOLUMES, CLASSES):
            subscribe(resource, self._storage)
        subscribe(CLAIMS, self._claim)
        subscribe("pods", self._pod)
        super().start()

    async def close(self) -> None:
        await super().close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    # --- what changes

    def _namespace(self, key: str, new: Object | None, old: Object | None) -> None:
        name = key.rpartition("/")[2]
        self._cluster.set_namespace(name, None if new is None else new["metadata"].get("labels") or {})

    def _node(self, key: str, new: Object | None, old: Object | None) -> None:
        if self._cluster.set_node(key.rpartition("/")[2], new) or new is None:
            self._look(None)

    def _storage(self, key: str, new: Object | None, old: Object | None) -> None:
        self._look(_BY_VOLUMES)

    def _claim(self, key: str, new: Object | None, old: Object | None) -> None:
        self._binder.claim_changed()
        self._look(_BY_VOLUMES)

    def _look(self, plugins: frozenset[str] | None) -> None:
        if self._queue.wake(plugins):
            self._wake.set()

    def _pod(self, key: str, new: Object | None, old: Object | None) -> None:
        namespace, name = key.split("/")[-2:]
        name = f"{namespace}/{name}"
        if new is None or (new.get("status") or {}).get("phase") in _ENDED:
            self._queue.remove(name)
            if self._cluster.drop(name):
                self._look(None)
        elif (new.get("spec") or {}).get("nodeName"):
            self._assigned(new, name)
        else:
            self._unassigned(new, name, old)

    def _assigned(self, new: Object, name: str) -> None:
        self._queue.remove(name)
        known = self._cluster.find(name)
        pod = PodFacts(new) if known is None or _matters(known, new) else known
        if pod is known and self._cluster.node_of(name) == pod.node:
            return
        self._cluster.put(pod, pod.node)
        self._look(None if known is not None and known.requests != pod.requests else _BY_PODS)

    def _unassigned(self, new: Object, name: str, old: Object | None) -> None:
        spec = new.get("spec") or {}
        if spec.get("schedulerName", NAME) != NAME or new["metadata"].get("deletionTimestamp"):
            self._queue.remove(name)
            return
        if spec.get("schedulingGates") or self._cluster.node_of(name):  # it is gated, or being bound
            return
        pod = Pending(new)
        known = self._queue.get(name)
        if known is not None and known.uid == pod.uid and old is not None and _same_wish(new, old):
            known.nominated = pod.nominated
            return
        self._queue.add(pod)
        self._wake.set()

    # --- what is decided

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while (pod := self._queue.pop()) is not None:
                while len(self._tasks) >= TOGETHER:
                    await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                if self._queue.get(pod.key) is pod:
                    self._schedule(pod)
                await asyncio.sleep(0)

    def _schedule(self, pod: Pending) -> None:
        try:
            found = decide(pod, self._cluster, self._client.readers, list(self._queue.nominated()))
        except Exception as error:
            log.exception("A pod was not scheduled", err=error, pod=pod.key)
            found = SchedulingDecision(message=str(error))
        if found.node:
            self._queue.remove(pod.key)
            self._cluster.put(pod, found.node)  # from now on it counts
            self._begin(pod, found)
        else:
            self._queue.refuse(pod, found.plugins)
            self._begin(pod, found)

    def _begin(self, pod: Pending, found: SchedulingDecision) -> None:
        work = self._bind(pod, found) if found.node else self._refuse(pod, found)
        task = asyncio.get_running_loop().create_task(work, name=f"schedule:{pod.key}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _bind(self, pod: Pending, found: SchedulingDecision) -> None:
        try:
            await self._binder.bind(pod, found)
        except errors.NotFound:
            self._cluster.drop(pod.key)
            return
        except (StorageError, errors.StatusError, TimeoutError) as error:
            log.warning("A pod was not bound", err=error, pod=pod.key)
            self._cluster.drop(pod.key)
            await self._recorder.tell(pod.obj, "Warning", "FailedScheduling", f"binding rejected: {error}")
            self._clock.call_later(AGAIN, lambda: self._retry(pod))
            return
        note = f"Successfully assigned {pod.key} to {found.node}"
        await self._recorder.tell(_named(pod), "Normal", "Scheduled", note)

    def _retry(self, pod: Pending) -> None:
        """Queue a pod again that could not be bound, if it still wants a node."""
        obj = self._client.readers.get("pods", pod.namespace, pod.name)
        if obj is not None and obj["metadata"]["uid"] == pod.uid:
            self._unassigned(obj, pod.key, None) if not (obj.get("spec") or {}).get("nodeName") else None

    async def _refuse(self, pod: Pending, found: SchedulingDecision) -> None:
        """Say in the pod why it has no node, and preempt others for it."""
        chosen = found.preemption
        nominated = chosen.node if chosen is not None else pod.nominated if found.keeps_nomination else ""
        try:
            await self._tell(pod, found.message, nominated)
            if chosen is not None:
                pod.nominated = nominated
                await self._preempt(pod, chosen)
            if found.message != pod.told:
                pod.told = found.message
                await self._recorder.tell(_named(pod), "Warning", "FailedScheduling", found.message)
        except (StorageError, errors.StatusError) as error:
            log.warning("A pod was not told that it cannot be scheduled", err=error, pod=pod.key)

    async def _tell(self, pod: Pending, message: str, nominated: str) -> None:
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}

        def edit(obj: Object) -> None:
            status = obj.setdefault("status", {})
            if (obj.get("spec") or {}).get("nodeName"):
                return
            set_condition(status, condition | _observed(obj), self._clock.stamp())
            if nominated:
                status["nominatedNodeName"] = nominated
            else:
                status.pop("nominatedNodeName", None)

        try:
            await self._client.change(self._pods, pod.namespace, pod.name, edit, "status", pod.uid)
        except (errors.NotFound, errors.Conflict):  # it is gone
            return

    async def _preempt(self, pod: Pending, chosen: Preemption) -> None:
        """Delete the victims, which are told why."""
        message = f"{NAME}: preempting to accommodate a higher priority pod"
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "PreemptionByScheduler",
            "message": message,
        }
        for victim in chosen.victims:

            def edit(obj: Object) -> None:
                told = condition | _observed(obj)
                set_condition(obj.setdefault("status", {}), told, self._clock.stamp())

            try:
                await self._client.change(
                    self._pods, victim.namespace, victim.name, edit, "status", victim.uid
                )
            except (errors.NotFound, errors.Conflict):
                continue
            options = {"preconditions": {"uid": victim.uid}}
            obj = self._client.readers.get("pods", victim.namespace, victim.name)
            if await self._client.delete(self._pods, victim.namespace, victim.name, options) and obj:
                note = f"Preempted by pod {pod.uid} on node {chosen.node}"
                await self._recorder.tell(_kind(obj), "Normal", "Preempted", note)


def _matters(known: PodFacts, new: Object) -> bool:
    """Whether a pod that has a node has changed for others."""
    metadata, spec = new["metadata"], new.get("spec") or {}
    return (
        known.uid != metadata.get("uid")
        or known.node != spec.get("nodeName", "")
        or known.labels != (metadata.get("labels") or {})
        or known.terminating != bool(metadata.get("deletionTimestamp"))
        or metadata.get("generation", 1) > 1
    )


def _same_wish(new: Object, old: Object) -> bool:
    """Whether nothing has changed in a pod that decides about its node."""
    labels = [one["metadata"].get("labels") for one in (new, old)]
    return new.get("spec") == old.get("spec") and labels[0] == labels[1]


def _observed(pod: Object) -> Object:
    """The member of a condition that tells which generation of the pod it is about."""
    generation = pod["metadata"].get("generation")
    return {"observedGeneration": generation} if generation else {}


def _named(pod: Pending) -> Object:
    return _kind(pod.obj)


def _kind(obj: Object) -> Object:
    return {"kind": "Pod", "apiVersion": "v1", "metadata": obj["metadata"]}

"""The kubelets of all simulated nodes in one: starts their pods, tells how they are, and ends them."""

from collections.abc import Callable, Iterable, Sequence

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.configuration.simulation.stages import NEVER, Stage
from pilothouse.controllers.queue import WorkQueue
from pilothouse.lifecycle import Background
from pilothouse.registry.client import Client
from pilothouse.simulate.clock import Clock, Timer
from pilothouse.simulate.kubelet.addresses import PodAddresses
from pilothouse.simulate.kubelet.news import News
from pilothouse.simulate.kubelet.sandbox import Sandbox
from pilothouse.simulate.kubelet.statuses import OWN, status_of
from pilothouse.simulate.nodes import Machine, Machines

ENDED = ("Succeeded", "Failed")
WORKERS = 32


class SimulatedKubelet(Background):
    """Acts for the kubelet of each simulated node that is reachable."""

    def __init__(self, client: Client, clock: Clock, stages: Sequence[Stage], known: Machines) -> None:
        self._client = client
        self._clock = clock
        self._stages = stages
        self._machines = known
        self._pods = client.resource("", "v1", "pods")
        self._queue = WorkQueue("simulated-kubelet", self._sync, WORKERS, metrics=client.metrics)
        self._sandboxes: dict[str, Sandbox] = {}
        self._addresses = PodAddresses()
        self._timers: dict[str, Timer] = {}
        self._by_node: dict[str, set[str]] = {}
        self._node_of: dict[str, str] = {}
        self._news = News(client)
        self.changed: list[Callable[[str], None]] = []
        """Called with `namespace/name` when something has happened in a pod."""

    def start(self) -> None:
        """Follow the nodes, and the pods on them."""
        self._machines.follow(self._node)
        self._client.readers.subscribe("pods", self._pod)
        self._news.start()

    async def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        await self._queue.close()
        await self._news.close()

    def sandbox(self, namespace: str, name: str, uid: str) -> Sandbox | None:
        """The sandbox of a pod; None if nothing has begun."""
        found = self._sandboxes.get(f"{namespace}/{name}")
        return found if found is not None and found.uid == uid else None

    def reaches(self, node: str) -> bool:
        """Whether a node is simulated and its kubelet answers."""
        machine = self._machines.get(node)
        return machine is not None and machine.reachable

    def now(self) -> float:
        """The time in Unix seconds."""
        return self._clock.time()

    def resume(self, keys: Iterable[str]) -> None:
        """Go on with pods from their status, which somebody has put back; `keys` are those of the store."""
        prefix = self._pods.key_prefix
        for key in (one.removeprefix(prefix) for one in keys if one.startswith(prefix)):
            if key in self._sandboxes:
                self._release(key)
                self._queue.add(key)

    # --- what changes

    def _node(self, name: str) -> None:
        for key in self._by_node.get(name, ()):
            self._queue.add(key)

    def _pod(self, path: str, new: Object | None, old: Object | None) -> None:
        namespace, name = path.split("/")[-2:]
        key = f"{namespace}/{name}"
        if new is None:
            self._forget(key)
            return
        node = (new.get("spec") or {}).get("nodeName", "")
        if not node:
            return
        if self._node_of.get(key) != node:
            self._node_of[key] = node
            self._by_node.setdefault(node, set()).add(key)
        if self._machines.get(node) is not None and _concerns(new, old):
            self._queue.add(key)

    def _forget(self, key: str) -> None:
        """A pod is gone."""
        node = self._node_of.pop(key, None)
        if node is not None:
            on_node = self._by_node[node]
            on_node.discard(key)
            if not on_node:
                del self._by_node[node]
        self._release(key)
        self._tell(key)

    def _release(self, key: str) -> None:
        self._sandboxes.pop(key, None)
        self._addresses.give_back(key)
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    def _tell(self, key: str) -> None:
        for listener in list(self.changed):
            listener(key)

    # --- what is done

    async def _sync(self, key: str) -> None:
        namespace, _, name = key.partition("/")
        pod = self._client.readers.get("pods", namespace, name)
        if pod is None:
            return
        machine = self._machines.get((pod.get("spec") or {}).get("nodeName", ""))
        if machine is None or not machine.reachable:
            return
        uid = pod["metadata"]["uid"]
        sandbox = self._sandboxes.get(key)
        if sandbox is not None and sandbox.uid != uid:
            self._release(key)
            sandbox = None
        ending = bool(pod["metadata"].get("deletionTimestamp"))
        if sandbox is None:
            sandbox = self._open(pod, key, machine)
            if (pod.get("status") or {}).get("phase") in ENDED and not ending:
                return  # it has ended before this server began
        await self._advance(pod, key, sandbox, machine)

    def _open(self, pod: Object, key: str, machine: Machine) -> Sandbox:
        """Begin with a pod, or go on with one that an earlier server has begun."""
        known = (pod.get("status") or {}).get("podIP", "")
        if pod["spec"].get("hostNetwork"):
            ip = machine.address
        else:
            ip = self._addresses.take(key, machine.cidr, known) or machine.address
        sandbox = self._sandboxes[key] = Sandbox(pod, self._stages, ip, self._clock.time())
        for fault in sandbox.faults:
            self._news.add(pod, "Warning", "InvalidSimulation", fault)
        return sandbox

    async def _advance(self, pod: Object, key: str, sandbox: Sandbox, machine: Machine) -> None:
        now = self._clock.time()
        ending = bool(pod["metadata"].get("deletionTimestamp"))
        if ending:
            sandbox.end(now, float(pod["metadata"].get("deletionGracePeriodSeconds") or 0))
        sandbox.follow(pod)
        before = _summary(sandbox)
        due = sandbox.step(now)
        self._wake_at(key, due)
        after = _summary(sandbox)
        self._news.tell(pod, sandbox, before, after)
        wanted = status_of(pod, sandbox, machine.address, now)
        if wanted != pod.get("status"):
            if not await self._write(pod, sandbox, machine):
                return
            self._tell(key)
        if ending and sandbox.ended:
            await self._remove(pod)

    async def _write(self, pod: Object, sandbox: Sandbox, machine: Machine) -> bool:
        """Write the status; False when the pod is gone."""
        metadata = pod["metadata"]

        def edit(obj: Object) -> None:
            obj["status"] = status_of(obj, sandbox, machine.address, self._clock.time())

        try:
            await self._client.change(
                self._pods, metadata["namespace"], metadata["name"], edit, "status", metadata["uid"]
            )
        except (errors.NotFound, errors.Conflict):
            return False
        return True

    async def _remove(self, pod: Object) -> None:
        """Delete a pod whose containers have ended, as the kubelet does at last."""
        metadata = pod["metadata"]
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}}
        await self._client.delete(self._pods, metadata["namespace"], metadata["name"], options)

    def _wake_at(self, key: str, due: float) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if due != NEVER:
            self._timers[key] = self._clock.call_later(due - self._clock.time(), lambda: self._ring(key))

    def _ring(self, key: str) -> None:
        self._timers.pop(key, None)
        self._queue.add(key)


def _concerns(new: Object, old: Object | None) -> bool:
    """Whether the kubelet has something to do: not after what it has written itself."""
    if old is None or new.get("spec") != old.get("spec"):
        return True
    one, other = new["metadata"], old["metadata"]
    if any(one.get(member) != other.get(member) for member in _METADATA):
        return True
    return _foreign(new) != _foreign(old)


_METADATA = ("uid", "deletionTimestamp", "deletionGracePeriodSeconds", "annotations", "generation")


def _foreign(pod: Object) -> list[Object]:
    """The conditions that others keep, such as those of readiness gates."""
    return [one for one in (pod.get("status") or {}).get("conditions") or () if one.get("type") not in OWN]


def _summary(sandbox: Sandbox) -> dict[str, tuple[int, bool, bool, str]]:
    """Container -> its restarts, whether it runs, whether it has ended, and why it waits."""
    return {run.name: (run.restarts, run.running, run.end is not None, run.waiting) for run in sandbox.all()}

"""The pods that want a node, in the order in which they get their turn."""

import heapq
from collections.abc import Iterable

from pilothouse.simulate.scheduler.pods import Pending


class SchedulingQueue:
    """Pods in the order of their priority, then of their time; those that were refused wait for an event."""

    def __init__(self) -> None:
        self._pods: dict[str, Pending] = {}
        self._heap: list[tuple[int, str, int, str]] = []
        self._ready: set[str] = set()
        self._refused: dict[str, frozenset[str]] = {}
        """Pod -> the plugins that have refused it."""
        self._count = 0

    def __len__(self) -> int:
        return len(self._pods)

    def add(self, pod: Pending) -> None:
        """A pod wants a node, or has changed."""
        self._pods[pod.key] = pod
        self._refused.pop(pod.key, None)
        self._push(pod)

    def update(self, pod: Pending) -> None:
        """A pod has changed in a way that does not matter to a refusal."""
        if pod.key in self._pods:
            self._pods[pod.key] = pod

    def remove(self, key: str) -> None:
        """A pod wants no node any more."""
        self._pods.pop(key, None)
        self._ready.discard(key)
        self._refused.pop(key, None)

    def get(self, key: str) -> Pending | None:
        """A pod that wants a node."""
        return self._pods.get(key)

    def pop(self) -> Pending | None:
        """The pod whose turn it is; it stays known until it is removed."""
        while self._heap:
            _, _, _, key = heapq.heappop(self._heap)
            if key in self._ready:
                self._ready.discard(key)
                return self._pods[key]
        return None

    def refuse(self, pod: Pending, plugins: Iterable[str]) -> None:
        """A pod fits nowhere, because of these plugins."""
        if self._pods.get(pod.key) is pod and pod.key not in self._ready:
            self._refused[pod.key] = frozenset(plugins)

    def wake(self, plugins: frozenset[str] | None = None) -> bool:
        """Something has changed that may help pods that one of these plugins has refused; None: all.
        Whether there are any."""
        woken = [key for key, by in self._refused.items() if plugins is None or by & plugins]
        for key in woken:
            del self._refused[key]
            self._push(self._pods[key])
        return bool(woken)

    def nominated(self) -> Iterable[Pending]:
        """The pods for which others were preempted."""
        return [pod for pod in self._pods.values() if pod.nominated]

    def _push(self, pod: Pending) -> None:
        if pod.key not in self._ready:
            self._ready.add(pod.key)
            self._count += 1
            heapq.heappush(self._heap, (-pod.priority, pod.created, self._count, pod.key))

"""The events of the kubelet about pods, written when there is nothing more urgent to do."""

import asyncio
from collections import deque
from collections.abc import Mapping

from pilothouse.api.values.fields import Object
from pilothouse.controllers.recorder import Recorder
from pilothouse.lifecycle import BackgroundTask
from pilothouse.registry.client import Client
from pilothouse.simulate.kubelet.sandbox import Sandbox

MOST = 1000
"""Events that wait to be written; when there are more, the oldest are dropped."""

PAUSE = 0.02
"""Seconds between two events: pods come first."""

Seen = Mapping[str, tuple[int, bool, bool, str]]
"""Container -> its restarts, whether it runs, whether it has ended, and why it waits."""

UNSEEN = (0, False, False, "")


class News(BackgroundTask):
    """Tells what has happened to containers: Started, BackOff, Killing."""

    def __init__(self, client: Client) -> None:
        self._recorder = Recorder(client, "kubelet")
        self._waiting: deque[tuple[Object, str, str, str]] = deque(maxlen=MOST)
        self._wake = asyncio.Event()

    def add(self, pod: Object, kind: str, reason: str, note: str) -> None:
        """Tell something about a pod."""
        about = {"kind": "Pod", "apiVersion": "v1", "metadata": pod["metadata"]}
        self._waiting.append((about, kind, reason, note))
        self._wake.set()

    def tell(self, pod: Object, sandbox: Sandbox, before: Seen, after: Seen) -> None:
        """Tell what has changed in a pod."""
        for name, (restarts, running, ended, waiting) in after.items():
            old = before.get(name, UNSEEN)
            begun, was_begun = restarts + (running or ended), old[0] + (old[1] or old[2])
            if begun > was_begun:
                self.add(pod, "Normal", "Started", "Container started")
            if waiting == "CrashLoopBackOff" and (old[3] != waiting or restarts > old[0]):
                note = f"Back-off restarting failed container {name} in pod {sandbox.name}"
                self.add(pod, "Warning", "BackOff", note)
            if pod["metadata"].get("deletionTimestamp") and old[1] and not running:
                self.add(pod, "Normal", "Killing", f"Stopping container {name}")

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await asyncio.sleep(PAUSE)
                await self._recorder.tell(*self._waiting.popleft())

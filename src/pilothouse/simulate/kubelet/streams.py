"""Logs, commands and attached clients of simulated containers (implements endpoints/streams LocalKubelet)."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from pilothouse import errors
from pilothouse.api import meta
from pilothouse.api.values import times
from pilothouse.api.values.fields import Object
from pilothouse.endpoints.streams.local import LogRequest
from pilothouse.simulate.kubelet.containers import End, Run
from pilothouse.simulate.kubelet.kubelet import SimulatedKubelet
from pilothouse.simulate.kubelet.sandbox import Sandbox
from pilothouse.simulate.nodes import Machines


class SimulatedStreams:
    """Answers for the kubelets of simulated nodes."""

    def __init__(self, kubelet: SimulatedKubelet, known: Machines) -> None:
        self._kubelet = kubelet
        self._machines = known

    def has(self, node: str) -> bool:
        """Whether a node is simulated."""
        return self._machines.get(node) is not None

    def _find(self, pod: Object, container: str) -> tuple[Sandbox, Run]:
        """A container; raises the errors of a kubelet that does not answer, or does not know it."""
        metadata, node = pod["metadata"], pod["spec"]["nodeName"]
        machine = self._machines.get(node)
        if machine is None or not machine.reachable:
            address = machine.address if machine is not None else node
            raise errors.Unknown(f"dial tcp {address}:10250: connect: no route to host")
        sandbox = self._kubelet.sandbox(metadata["namespace"], metadata["name"], metadata["uid"])
        run = sandbox.find(container) if sandbox is not None else None
        if sandbox is None or run is None:
            raise errors.NotFound(f'container not found ("{container}")')
        return sandbox, run

    def run(self, pod: Object, container: str, command: Sequence[str]) -> tuple[bytes, int]:
        """The output of a command, and its exit code, by the annotations or the stage of the container."""
        _, run = self._find(pod, container)
        if not run.running:
            raise errors.InternalError(f'container not found ("{container}")')
        return _text(run.behaviour.exec_output), run.behaviour.exec_code

    def connect(self, pod: Object, port: int) -> bytes:
        """The text of the container that has the port, or else of the first one that sends any."""
        runs = [self._find(pod, one["name"])[1] for one in pod["spec"]["containers"]]
        named = [
            one["name"]
            for one in pod["spec"]["containers"]
            if any(p.get("containerPort") == port for p in one.get("ports") or ())
        ]
        running = [run for run in runs if run.running]
        chosen = [run for run in running if run.name in named] or running
        if not chosen:
            raise errors.InternalError(f"failed to connect to localhost:{port}: connection refused")
        return next((run.behaviour.port_output for run in chosen if run.behaviour.port_output), "").encode()

    def log(self, pod: Object, container: str, wanted: LogRequest) -> AsyncGenerator[bytes, None]:
        """The log of a container: the lines of its behaviour, as of the moment in which it started."""
        sandbox, run = self._find(pod, container)
        if wanted.previous:
            if run.last is None:
                name = pod["metadata"]["name"]
                raise errors.BadRequest(
                    f'previous terminated container "{container}" in pod "{name}" not found'
                )
            return _whole(self._shown(run, run.last.started, wanted))
        if not run.running and run.end is None and run.last is None:
            raise errors.BadRequest(
                f'container "{container}" in pod "{pod["metadata"]["name"]}" is waiting to start: '
                f"{_reason(sandbox, run)}"
            )
        begun = run.since if run.since is not None else _started(run)
        shown = self._shown(run, begun, wanted)
        return self._follow(pod, run, shown) if wanted.follow else _whole(shown)

    def _shown(self, run: Run, started: float, wanted: LogRequest) -> bytes:
        """The lines of one run that were asked for."""
        lines = run.behaviour.logs.splitlines()
        since = times.to_seconds(wanted.since_time) if wanted.since_time else 0.0
        if wanted.since_seconds is not None:
            since = self._kubelet.now() - wanted.since_seconds
        if started < since:
            return b""
        if wanted.tail is not None:
            lines = lines[len(lines) - wanted.tail :] if wanted.tail < len(lines) else lines
        stamp = f"{meta.now_micro(started)} " if wanted.timestamps else ""
        text = "".join(f"{stamp}{line}\n" for line in lines).encode()
        return text if wanted.limit is None else text[: wanted.limit]

    async def _follow(self, pod: Object, run: Run, first: bytes) -> AsyncGenerator[bytes, None]:
        """The log up to the end of the run."""
        if first:
            yield first
        metadata = pod["metadata"]
        key, number = f"{metadata['namespace']}/{metadata['name']}", run.restarts
        changed = asyncio.Event()

        def look(name: str) -> None:
            if name == key:
                changed.set()

        self._kubelet.changed.append(look)
        try:
            while run.running and run.restarts == number:
                changed.clear()
                if self._kubelet.sandbox(metadata["namespace"], metadata["name"], metadata["uid"]) is None:
                    return
                await changed.wait()
        finally:
            self._kubelet.changed.remove(look)


async def _whole(text: bytes) -> AsyncGenerator[bytes, None]:
    if text:
        yield text


def _text(text: str) -> bytes:
    return (text if not text or text.endswith("\n") else f"{text}\n").encode()


def _started(run: Run) -> float:
    ended: End | None = run.end or run.last
    return ended.started if ended is not None else 0.0


def _reason(sandbox: Sandbox, run: Run) -> str:
    if run.waiting == "ContainerCreating" and sandbox.init:
        return "PodInitializing"
    return run.waiting

"""The load of mark.py: raw HTTP/1.1 over TLS sockets that block, the same for every server.

A burst is one request on each connection, and then all answers. The client runs on the server's core, and
both have the policy SCHED_FIFO. So neither preempts the other, nor does another process of the machine, whose
turn on the core would cost the server its caches, and a write, which takes long, more often than a GET. The
answer that comes last is read first, so the client does not wake before the server has done its part. So the
server always gets its work in the same portions. A user who may not choose that policy has SCHED_BATCH for
the server's threads: they do not preempt the client, but others preempt both, and the figures vary more.
"""

import contextlib
import itertools
import json
import os
import pathlib
import random
import re
import resource
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator

from processes import cpu_seconds
from servers import TOKEN, Started

NAMESPACE = "mark"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
CONNECTIONS, WATCHES, RENEWED = 16, 500, 512
NODES, APPS = 500, 100
HOT = 100
"""Pods that are read and changed: few enough for the caches, as memory's speed is the machine's."""
CREATED = 160
"""Pods that are there to be deleted in a turn, at most."""
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
VERSION = re.compile(rb'"resourceVersion": ?"(\d+)"')
MERGE, STRATEGIC, APPLY = (
    f"application/{name}" for name in ("merge-patch+json", "strategic-merge-patch+json", "apply-patch+yaml")
)


def request(method: str, path: str, body: bytes = b"", media: str = "application/json") -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "User-Agent: mark/1.0",
        "Accept: application/json",
    ]
    lines += [f"Authorization: Bearer {TOKEN}"]
    if body:
        lines += [f"Content-Type: {media}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def pod(number: int) -> bytes:
    """A pod that takes about 6 KB in the store."""
    env = [{"name": f"SETTING_{k}", "value": f"value-{k}-of-{number}"} for k in range(8)]

    def container(name: str) -> dict[str, object]:
        sizes = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "500m", "memory": "256Mi"}}
        return {
            "name": name,
            "image": f"registry.local/team/{name}:v1.2.3",
            "env": env,
            "ports": [{"containerPort": 8080, "name": "http"}],
            "resources": sizes,
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10},
        }

    labels = {"app": f"app-{number % APPS}", "tier": "web", "pod-template-hash": "6d4cf56db6"}
    notes = {"example.com/revision": str(number), "example.com/note": "n" * 200}
    spec = {
        "automountServiceAccountToken": False,
        "nodeName": f"node-{number % NODES}",
        "containers": [container("main"), container("side")],
        "volumes": [{"name": "data", "emptyDir": {}}],
    }
    metadata = {"name": name(number), "labels": labels, "annotations": notes}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}).encode()


def name(number: int) -> str:
    return f"pod-{number:06}"


def scheduled(pid: int, policy: int, priority: int) -> None:
    """Give all threads of a process a policy, which new threads inherit."""
    for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
        os.sched_setscheduler(int(thread.name), policy, os.sched_param(priority))


def undisturbed(pid: int) -> bool:
    """Let no ordinary process preempt this one, if the user may do that (root, or CAP_SYS_NICE)."""
    try:
        scheduled(pid, os.SCHED_FIFO, 1)
    except PermissionError:
        return False
    return True


class Connection:
    """A connection that is kept."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._socket = context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=60))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = memoryview(bytearray(1 << 18))

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def head(self) -> bytes:
        """Bytes until the head of an answer is whole, with what came along."""
        data = self._socket.recv(1 << 16)
        while b"\r\n\r\n" not in data:
            more = self._socket.recv(1 << 16)
            if not more:
                raise ConnectionError("the server has closed the connection")
            data += more
        return data

    def answer(self) -> bytes:
        """An answer of 2xx; of a long one only the beginning is kept."""
        data = self.head()
        start = data.index(b"\r\n\r\n") + 4
        length = LENGTH.search(data, 0, start)
        if length is None:
            self._skip_chunks(data[start:], b"0\r\n\r\n")
        elif (left := start + int(length[1]) - len(data)) > 0:
            data += self._taken(left)
        if not data.startswith(b"HTTP/1.1 2"):
            raise ValueError(data[:2000].decode())
        return data

    def event(self) -> None:
        """Read one event of a watch, which is one chunk."""
        self._skip_chunks(b"", b"\n\r\n")

    def close(self) -> None:
        self._socket.close()

    def _skip_chunks(self, tail: bytes, end: bytes) -> None:
        while not tail.endswith(end):
            data = self._socket.recv(1 << 16)
            if not data:
                raise ConnectionError("the server has ended its answer early")
            tail = data if len(data) > len(end) else tail[-len(end) :] + data

    def _taken(self, left: int) -> bytes:
        if left < 1 << 16:
            out = b""
            while len(out) < left and (more := self._socket.recv(left - len(out))):
                out += more
            return out
        while left > 0 and (got := self._socket.recv_into(self._rest, min(left, len(self._rest)))):
            left -= got
        return b""


Requests = Iterator[bytes]


class Load:
    """Connections to one server with `count` pods, and what they send; `watches` follow a patch.

    A batch of a step gives the processor time and the number of its operations, so that batches can be added.
    """

    def __init__(self, server: Started, count: int, watches: int = WATCHES) -> None:
        self.server = server
        if not undisturbed(server.process.pid):
            scheduled(server.process.pid, os.SCHED_BATCH, 0)
        self._context = ssl._create_unverified_context()
        self._all: list[Connection] = []
        self._count, self._followers = count, watches
        self._numbers = itertools.count(count)
        self._ticks = itertools.count()
        self._order = random.Random(7)
        self._leases: list[bytes] = []
        self._watches: list[Connection] = []
        self._fan = ""

    def fill(self) -> None:
        """Create the namespace and the pods. The pods' service account may be there already."""
        metadata = {"metadata": {"name": NAMESPACE}}
        accounts = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"
        self.burst([request("POST", "/api/v1/namespaces", json.dumps(metadata).encode())])
        with contextlib.suppress(ValueError):
            self.burst([request("POST", accounts, b'{"metadata":{"name":"default"}}')])
        time.sleep(0.5)
        self._create(range(self._count))
        self.close()

    def empty(self) -> None:
        """Delete the pods that were created by `fill`."""
        self._delete(range(self._count))
        self.close()

    def close(self) -> None:
        """End all connections, as a server would while others are measured; the next burst opens new ones."""
        for one in (*self._all, *self._watches):
            one.close()
        self._all, self._watches = [], []

    def burst(self, requests: list[bytes]) -> list[bytes]:
        """The answers of requests that are sent at the same time, each on a connection of its own."""
        if not self._all:
            self._all = [Connection(self.server.port, self._context) for _ in range(CONNECTIONS)]
        pairs = list(zip(self._all, requests, strict=False))
        for connection, asked in pairs:
            connection.send(asked)
        return [connection.answer() for connection, _ in reversed(pairs)][::-1]

    def batch(self, step: str, seconds: float) -> tuple[float, int]:
        """Processor time and operations of a step, which is repeated until it has taken that much time."""
        match step:
            case "create":
                return self._creates(seconds)
            case "delete":
                return self._deletes(seconds)
            case "lease-update":
                return self._renewals(seconds)
            case "watch-event":
                return self._events(seconds)
        make, width = REPEATED[step]
        return self._drive(make(self), width, seconds)

    def _spent(self, portion: Callable[[], int], seconds: float) -> tuple[float, int]:
        """Repeat a portion of so many operations until the server has spent the seconds, or nothing is left.

        What the other servers have left in the caches goes with a first portion, which is not counted.
        """
        pid = self.server.process.pid
        portion()
        begun, done = cpu_seconds(pid), 0
        while cpu_seconds(pid) - begun < seconds and (some := portion()):
            done += some
        return cpu_seconds(pid) - begun, done

    def _drive(self, requests: Requests, width: int, seconds: float) -> tuple[float, int]:
        return self._spent(lambda: len(self.burst(list(itertools.islice(requests, width)))), seconds)

    def _create(self, numbers: Iterable[int]) -> None:
        self._drive((request("POST", PODS, pod(number)) for number in numbers), CONNECTIONS, float("inf"))

    def _delete(self, numbers: Iterable[int]) -> None:
        self._drive(self._deleting(numbers), CONNECTIONS, float("inf"))

    def _deleting(self, numbers: Iterable[int]) -> Requests:
        return (request("DELETE", f"{PODS}/{name(number)}?gracePeriodSeconds=0") for number in numbers)

    def _creates(self, seconds: float) -> tuple[float, int]:
        made: list[int] = []

        def requests() -> Requests:
            for number in self._numbers:
                made.append(number)
                yield request("POST", PODS, pod(number))

        out = self._drive(requests(), CONNECTIONS, seconds)
        self._delete(made)
        return out

    def _deletes(self, seconds: float) -> tuple[float, int]:
        numbers = list(itertools.islice(self._numbers, CREATED))
        self._create(numbers)
        left = iter(numbers)
        out = self._drive(self._deleting(left), CONNECTIONS, seconds)
        self._delete(left)
        return out

    def _renewals(self, seconds: float) -> tuple[float, int]:
        """Renew each lease in the version that the last answer gave."""
        if not self._leases:
            for start in range(0, RENEWED, CONNECTIONS):
                these = range(start, start + CONNECTIONS)
                self._leases += self.burst([request("POST", LEASES, self._lease(n, b"")) for n in these])
        starts = itertools.cycle(range(0, RENEWED, CONNECTIONS))

        def portion() -> int:
            start = next(starts)
            asked = [
                request("PUT", f"{LEASES}/node-{n}", self._lease(n, self._leases[n]))
                for n in range(start, start + CONNECTIONS)
            ]
            self._leases[start : start + CONNECTIONS] = self.burst(asked)
            return len(asked)

        return self._spent(portion, seconds)

    def _lease(self, number: int, last: bytes) -> bytes:
        metadata = {"name": f"node-{number}", "namespace": NAMESPACE}
        if found := VERSION.search(last):
            metadata["resourceVersion"] = found[1].decode()
        now = f"2026-01-01T00:00:00.{next(self._ticks) % 1_000_000:06}Z"
        spec = {"holderIdentity": f"node-{number}", "leaseDurationSeconds": 40, "renewTime": now}
        head = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
        return json.dumps({**head, "metadata": metadata, "spec": spec}).encode()

    def _events(self, seconds: float) -> tuple[float, int]:
        """A patch that all watches follow; its own cost is part of the events'."""
        if not self._watches:
            self._watch(f"out-{next(self._ticks)}")

        def portion() -> int:
            tick = next(self._ticks)
            metadata = {"labels": {"fan": self._fan}, "annotations": {"example.com/fan": str(tick)}}
            body = json.dumps({"metadata": metadata}).encode()
            self.burst([request("PATCH", f"{PODS}/{name(tick % min(HOT, self._count))}", body, MERGE)])
            for one in reversed(self._watches):
                one.event()
            return len(self._watches)

        return self._spent(portion, seconds)

    def _watch(self, fan: str) -> None:
        """Open the watches, each on a connection of its own, of pods with a label that none has yet."""
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self._fan = fan
        target = f"{PODS}?watch=1&labelSelector=fan%3D{fan}&timeoutSeconds=3600"
        for _ in range(self._followers):
            self._watches.append(one := Connection(self.server.port, self._context))
            one.send(request("GET", target))
            one.head()

    def some(self) -> str:
        """The path of one of the hot pods."""
        return f"{PODS}/{name(self._order.randrange(min(HOT, self._count)))}"

    def gets(self) -> Requests:
        while True:
            yield request("GET", self.some())

    def patches(self) -> Requests:
        while True:
            body = b'{"metadata":{"annotations":{"example.com/tick":"%d"}}}' % next(self._ticks)
            yield request("PATCH", self.some(), body, MERGE)

    def statuses(self) -> Requests:
        while True:
            condition = {"type": "Ready", "status": "True", "message": str(next(self._ticks))}
            status = {"phase": "Running", "podIP": "10.1.2.3", "conditions": [condition]}
            yield request(
                "PATCH", f"{self.some()}/status", json.dumps({"status": status}).encode(), STRATEGIC
            )

    def applies(self) -> Requests:
        while True:
            path = self.some()
            labels = {"bench": f"v{next(self._ticks)}"}
            metadata = {"name": path.rpartition("/")[2], "labels": labels}
            body = json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata}).encode()
            yield request("PATCH", f"{path}?fieldManager=mark&force=true", body, APPLY)

    def by_label(self) -> Requests:
        while True:
            app = self._order.randrange(APPS)
            yield request("GET", f"{PODS}?resourceVersion=0&labelSelector=app%3Dapp-{app}")

    def by_node(self) -> Requests:
        while True:
            field = f"spec.nodeName%3Dnode-{self._order.randrange(NODES)}"
            yield request("GET", f"/api/v1/pods?resourceVersion=0&fieldSelector={field}")

    def mixed(self) -> Requests:
        """Seventy gets, ten lists by label and twenty patches of a hundred."""
        gets, lists, patches = self.gets(), self.by_label(), self.patches()
        while True:
            for kind in self._order.sample([gets, lists, patches], 100, counts=[70, 10, 20]):
                yield next(kind)


REPEATED: dict[str, tuple[Callable[[Load], Requests], int]] = {
    "get": (Load.gets, CONNECTIONS),
    "merge-patch": (Load.patches, CONNECTIONS),
    "status-patch": (Load.statuses, CONNECTIONS),
    "apply": (Load.applies, CONNECTIONS),
    "mixed": (Load.mixed, CONNECTIONS),
    "list-10": (Load.by_node, CONNECTIONS),
    "list-50": (Load.by_label, CONNECTIONS),
    "list-5000": (lambda _: itertools.repeat(request("GET", f"{PODS}?resourceVersion=0")), 2),
    "list-500": (lambda _: itertools.repeat(request("GET", f"{PODS}?limit=500")), 4),
}
"""Steps that repeat requests as long as it takes, and how many of them are sent together."""

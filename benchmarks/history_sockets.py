"""Measures a history over TLS: reads of the past against those of now, and writes with a history and without.

    python benchmarks/history_sockets.py [ROUNDS]

The server runs in this process, the client in another one, with one connection. What is told is the processor
time of the server's process for a request, the least of several rounds; the keeping of changes, which goes on
beside the requests, is a part of the writes. A state that was read before is remembered: the first read of
each state is told by itself, by changes that are in memory, and by those in the file.
"""

import asyncio
import json
import pathlib
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import once
import uvloop
from count_steps import PODS, pod
from in_process import TOKEN, made

from pilothouse.assembly.server import Server
from pilothouse.history.reader import NEVER
from pilothouse.storage.sqlite.changes import last_of

OBJECTS, CHANGES = 500, 5
GETS, LISTS = 300, 10
JSON, STRATEGIC = "application/json", "application/strategic-merge-patch+json"
POLICY = {
    "apiVersion": "pilothouse.dev/v1",
    "kind": "HistoryPolicy",
    "rules": [{"resources": ["*"], "keep": "Everything"}],
}
Requests = list[tuple[str, str, Any, str]]


def serve_commands(port: int) -> None:
    """Make the requests that each line of the input has, one after the other; called in the client."""
    context = ssl._create_unverified_context()
    plain = socket.create_connection(("127.0.0.1", port))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with context.wrap_socket(plain) as connection, connection.makefile("rb") as answers:
        for line in sys.stdin:
            for method, path, body, media in json.loads(line):
                content = json.dumps(body).encode() if body is not None else b""
                head = f"{method} {path} HTTP/1.1\r\nHost: server\r\nAuthorization: Bearer {TOKEN}\r\n"
                head += f"Content-Type: {media}\r\nContent-Length: {len(content)}\r\n" if content else ""
                connection.sendall(f"{head}Accept: application/json\r\n\r\n".encode() + content)
                status = answers.readline()
                length = 0
                while (field := answers.readline().strip().lower()) != b"":
                    name, _, value = field.partition(b":")
                    length = int(value) if name == b"content-length" else length
                answer = answers.read(length)
                if status[9:10] != b"2":
                    raise ValueError(f"{method} {path}: {status!r} {answer!r}")
            print(flush=True)


class Rig:
    """A server, and a client in another process."""

    def __init__(self, server: Server, client: asyncio.subprocess.Process) -> None:
        self.server = server
        self._client = client

    async def spent(self, requests: Requests) -> float:
        """Microseconds of the server's processor time for each of some requests."""
        assert self._client.stdin is not None and self._client.stdout is not None
        began = time.process_time()
        self._client.stdin.write(json.dumps(requests).encode() + b"\n")
        if not await self._client.stdout.readline():
            raise ConnectionError("the client has ended")
        return (time.process_time() - began) / len(requests) * 1e6

    async def move(self) -> float:
        """Microseconds of processor time for keeping all changes, which moves them to the history's file."""
        history, storage = self.server.cluster.handlers.verbs.history, self.server.cluster.registry.storage
        if history is None:
            return 0.0
        began = time.process_time()
        while await history.recorder.step(last_of(storage.revision)):
            pass
        took = time.process_time() - began
        await storage.compact(history.recorder.recorded)
        return took * 1e6


@asynccontextmanager
async def rig(*flags: str) -> AsyncIterator[Rig]:
    """A server with pods."""
    with tempfile.TemporaryDirectory() as folder:
        directory = pathlib.Path(folder)
        (directory / "policy.json").write_text(json.dumps(POLICY))
        given = [flag.replace("POLICY", f"{directory}/policy.json") for flag in flags]
        server = made(directory, "--storage-backend=sqlite", "--controllers=-*", *given)
        await server.start()
        port = server.host.config.serving.secure_port
        command = [sys.executable, __file__, "client", str(port)]
        client = await asyncio.create_subprocess_exec(*command, stdin=-1, stdout=-1)
        one = Rig(server, client)
        try:
            account = "/api/v1/namespaces/bench/serviceaccounts"
            await one.spent(
                [
                    ("POST", "/api/v1/namespaces", {"metadata": {"name": "bench"}}, JSON),
                    ("POST", account, {"metadata": {"name": "default"}}, JSON),
                    *[("POST", PODS, pod(f"pod-{number:06}", number), JSON) for number in range(OBJECTS)],
                ]
            )
            yield one
        finally:
            client.terminate()
            await client.wait()
            await server.stop(0)


def patches(turn: int) -> Requests:
    """A patch of the status of each pod."""
    found: Requests = []
    for number in range(OBJECTS):
        condition = {"type": "Ready", "status": "True", "message": f"{turn}-{number:06}"}
        status = {"phase": "Running", "podIP": f"10.1.{turn}.{number % 250}", "conditions": [condition]}
        found.append(("PATCH", f"{PODS}/pod-{number:06}/status", {"status": status}, STRATEGIC))
    return found


async def reads(rounds: int) -> dict[str, float]:
    """Microseconds of reads; each round forgets the states that the one before has read."""
    async with rig("--history-policy-file=POLICY") as one:
        revision = one.server.cluster.registry.storage.revision
        await asyncio.sleep(0.01)
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        await asyncio.sleep(0.01)
        for turn in range(CHANGES):
            await one.spent(patches(turn))
        await one.move()
        history = one.server.cluster.handlers.verbs.history
        assert history is not None
        exact = f"resourceVersion={revision}&resourceVersionMatch=Exact"
        queries = {
            "now": "",
            "now, with a query": "?resourceVersion=0",
            "then": f"?{exact}",
            "at": f"?at={at}",
        }
        found: dict[str, float] = {}
        for number in range(2 * rounds):
            source = "" if number < rounds else ", from the file"
            if number == rounds:
                history.recorder.recent.begin(last_of(history.recorder.recorded), NEVER)
                queries = {"then": queries["then"], "at": queries["at"]}
            for name, query in queries.items():
                gets: Requests = [
                    ("GET", f"{PODS}/pod-{number:06}{query}", None, JSON) for number in range(GETS)
                ]
                lists: Requests = [("GET", f"{PODS}{query}", None, JSON)]
                history.reader.forget()
                for what, requests in (("get", gets), ("list", lists)):
                    history.reader.forget()
                    for again in ("first", "again"):
                        times = 1 if what == "get" or again == "first" else LISTS
                        key = f"{what} {name}, {again}{source}"
                        found[key] = min(await one.spent(requests * times), found.get(key, 1e12))
        return found


async def writes(rounds: int) -> dict[str, float]:
    """Microseconds of patches of a status, with a history of all changes and without."""
    found: dict[str, float] = {}
    async with rig() as without, rig("--history-policy-file=POLICY") as kept:
        await kept.move()
        for turn in range(rounds + 1):
            for name, one in (("without a history", without), ("with a history", kept)):
                took = await one.spent(patches(turn)) + await one.move() / OBJECTS
                if turn:
                    found[name] = min(took, found.get(name, 1e12))
    return found


def main() -> None:
    if sys.argv[1:2] == ["client"]:
        serve_commands(int(sys.argv[2]))
        return
    asked = once.arguments()
    rounds = once.rounds(int(asked[0]) if asked else 10)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for title, measured in (("a read", reads), ("a patch of a status", writes)):
            print(f"microseconds of processor time for {title}")
            for name, took in runner.run(measured(rounds)).items():
                print(f"  {name:40} {took:10.1f}")


if __name__ == "__main__":
    main()

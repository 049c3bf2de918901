"""Measure what auditing costs a GET over TLS: processor time of a whole server with an audit log and without.

    python benchmarks/audit_sockets.py [CONNECTIONS [ROUNDS]]

Servers that differ only in their audit policy run beside each other. A client in this process sends one GET
on each of the connections, reads the answers, and goes on, as fast as the server answers. What is told is the
time of the server's threads (`/proc/PID/task/*/schedstat`), and the rate. The exit status is 1 when the
default mode misses the goal of bench_audit.py.
"""

import contextlib
import json
import pathlib
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import NamedTuple

from bench_audit import GOAL, warm
from in_process import TOKEN
from processes import cpu_seconds
from startup import end, free_port, serve, wait_ready

TARGET = "/api/v1/namespaces/default/configmaps/bench"
HEAD = f"Host: server\r\nAuthorization: Bearer {TOKEN}\r\nAccept: application/json\r\n"
AGENT = "User-Agent: kube-controller-manager/v1.36.0 (linux/amd64) kubernetes/0123abc\r\n"
GET = f"GET {TARGET} HTTP/1.1\r\n{HEAD}{AGENT}\r\n".encode()
TURN = 300
"""GETs on each connection in one turn of a server."""
CASES: dict[str, list[str] | None] = {
    "no audit": None,
    "blocking, two events": [],
    "blocking, one event": ["RequestReceived"],
}
"""The stages that each policy omits."""


class Running(NamedTuple):
    """A server, and the connections to it."""

    process: "subprocess.Popen[bytes]"
    connections: list[ssl.SSLSocket]

    def spent(self) -> float:
        """Microseconds of processor time."""
        return cpu_seconds(self.process.pid) * 1e6


def flags(directory: pathlib.Path, omit: list[str] | None) -> list[str]:
    (directory / "tokens.csv").write_text(f'{TOKEN},admin,1,"system:masters"\n')
    out = ["--storage-backend=memory", f"--token-auth-file={directory}/tokens.csv"]
    if omit is None:
        return out
    rules = [{"level": "None", "nonResourceURLs": ["/healthz*", "/readyz*"]}, {"level": "Metadata"}]
    policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": rules, "omitStages": omit}
    (directory / "policy.json").write_text(json.dumps(policy))
    return [*out, f"--audit-policy-file={directory}/policy.json", f"--audit-log-path={directory}/audit.log"]


@contextlib.contextmanager
def running(directory: pathlib.Path, omit: list[str] | None, count: int) -> Iterator[Running]:
    """A server with one ConfigMap and `count` connections."""
    directory.mkdir()
    port = free_port()
    process = serve(str(directory), port, *flags(directory, omit))
    connections = []
    try:
        wait_ready(port, process)
        context = ssl._create_unverified_context()
        connections = [
            context.wrap_socket(socket.create_connection(("127.0.0.1", port))) for _ in range(count)
        ]
        for one in connections:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        body = json.dumps({"metadata": {"name": "bench"}, "data": {"a": "b" * 500}})
        post = f"POST {TARGET.rpartition('/')[0]} HTTP/1.1\r\n{HEAD}Content-Type: application/json\r\n"
        connections[0].sendall(f"{post}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        answer = connections[0].recv(1 << 16)
        assert answer.startswith(b"HTTP/1.1 201"), answer
        yield Running(process, connections)
    finally:
        for one in connections:
            one.close()
        end(process)


def turn(server: Running, count: int) -> tuple[float, float]:
    """Microseconds of the server's processor time for a GET, and GETs a second."""
    connections = server.connections
    spent, began = server.spent(), time.perf_counter()
    for _ in range(count):
        for one in connections:
            one.send(GET)
        for one in connections:
            answer = one.recv(1 << 16)
            assert answer.startswith(b"HTTP/1.1 200"), answer
    seconds = time.perf_counter() - began
    total = count * len(connections)
    return (server.spent() - spent) / total, total / seconds


def main(connections: int = 32, rounds: int = 15) -> int:
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        warm(directory)
        servers = {
            name: stack.enter_context(running(directory / name.replace(" ", "-"), omit, connections))
            for name, omit in CASES.items()
        }
        costs: dict[str, list[float]] = {name: [] for name in servers}
        rates: dict[str, list[float]] = {name: [] for name in servers}
        for server in servers.values():
            turn(server, TURN)
        for _ in range(rounds):
            for name, server in servers.items():
                cost, rate = turn(server, TURN)
                costs[name].append(cost)
                rates[name].append(rate)
        bare = costs.pop("no audit")
        rate = max(rates["no audit"])
        print(f"without audit a GET takes {statistics.median(bare):.1f} us, at {rate:,.0f} a second")
        failed = False
        for name, found in costs.items():
            extra = statistics.median(
                [with_it - without for with_it, without in zip(found, bare, strict=True)]
            )
            failed |= extra > GOAL
            print(f"  {name:25} +{extra:.1f} us, at {max(rates[name]):,.0f} a second  (goal {GOAL:.0f} us)")
        return int(failed)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))

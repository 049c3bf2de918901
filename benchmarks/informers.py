"""Sixteen informers that begin at once on many large objects (KEP-3157's and KEP-5116's case): peak memory.

usage: python benchmarks/informers.py [MB] [--etcd] [--only REGEX] [--port PORT --pid PID --token TOKEN]

ConfigMaps of 100 KB are created, MB of them together (1,000). Then, for each case, 16 clients in processes
of their own (`informer.py`) ask at the same time: for a watch that begins with all objects, or for a list
of all, with resourceVersion=0 or without, as JSON or protobuf, plain or with gzip. They are a service
account, so priority and fairness counts them. --only takes the cases whose names match a regular
expression, --etcd keeps the objects in etcd instead of the embedded store. With --port a running server is
measured, such as a kube-apiserver. A server that takes more than --most-gb is ended, and so is the
benchmark. The status is 1 when a client did not get everything, or when the peak, less the server at rest,
is above 1.6 times the objects.
"""

import argparse
import concurrent.futures
import contextlib
import http.client
import itertools
import json
import os
import pathlib
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import processes
import startup

from pilothouse.testing import etcd

SIZE = 100_000
INFORMERS = 16
MOST = 1.6
"""The goal: at most so many bytes of memory for a byte of the objects."""
PATH = "/api/v1/namespaces/default/configmaps"
LOOK = 0.1
"""Seconds between two looks at whether the server takes too much."""
CLIENT = pathlib.Path(__file__).with_name("informer.py")
QUERIES = {
    "watch": "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan",
    "list rv=0": "resourceVersion=0",
    "list": "",
}
FORMS = {"json": "application/json", "protobuf": "application/vnd.kubernetes.protobuf"}


@dataclass(frozen=True, slots=True)
class Case:
    """A request that all clients send at once."""

    query: str
    form: str
    gzip: bool

    @property
    def name(self) -> str:
        return f"{self.query} {self.form}{' gzip' if self.gzip else ''}"


CASES = [
    Case(query, form, gzip)
    for query, form, gzip in itertools.product(QUERIES, FORMS, (False, True))
    if not (query == "watch" and gzip)  # watches are not compressed
]


class Peak:
    """The most memory of a process; ends it when that is more than `most` gigabytes."""

    def __init__(self, pid: int, most: float) -> None:
        self.pid, self.most = pid, most
        self.exceeded = False
        threading.Thread(target=self._look, daemon=True).start()

    def reset(self) -> None:
        """Begin anew with what it takes now."""
        pathlib.Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    @property
    def megabytes(self) -> float:
        return processes.peak(self.pid)

    def _look(self) -> None:
        with contextlib.suppress(OSError, IndexError):  # it has ended
            while processes.resident(self.pid) < self.most * 1000:
                time.sleep(LOOK)
            self.exceeded = True
            os.kill(self.pid, signal.SIGKILL)


class Run:
    """One server and its clients."""

    def __init__(self, port: int, pid: int, context: ssl.SSLContext, token: str, count: int) -> None:
        self.port, self.pid, self.context, self.count = port, pid, context, count
        self.credentials = {"Authorization": f"Bearer {token}"} if token else {}

    def connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context, timeout=60)

    def post(self, connection: http.client.HTTPSConnection, path: str, body: object) -> bytes:
        """Create an object as the administrator; one that is there may stay."""
        headers = {"Content-Type": "application/json", **self.credentials}
        connection.request("POST", path, json.dumps(body), headers)
        response = connection.getresponse()
        said = response.read()
        assert response.status in (201, 409), said[:500]
        return said

    def fill(self) -> None:
        """Create the objects; their data is hexadecimal digits at random: gzip leaves more than half."""
        numbers = iter(range(self.count))

        def some() -> None:
            connection = self.connect()
            for number in numbers:
                data = {"k": os.urandom(SIZE // 2).hex()}
                self.post(connection, PATH, {"metadata": {"name": f"o{number:06}"}, "data": data})
            connection.close()

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for each in [pool.submit(some) for _ in range(4)]:
                each.result()

    def token(self) -> str:
        """A token of a service account that may read the objects."""
        connection = self.connect()
        accounts = "/api/v1/namespaces/default/serviceaccounts"
        self.post(connection, accounts, {"metadata": {"name": "informer"}})
        rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]}
        rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
        self.post(connection, f"{rbac}/roles", {"metadata": {"name": "informer"}, "rules": [rule]})
        binding = {
            "metadata": {"name": "informer"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "informer"},
            "subjects": [{"kind": "ServiceAccount", "name": "informer", "namespace": "default"}],
        }
        self.post(connection, f"{rbac}/rolebindings", binding)
        got = json.loads(
            self.post(connection, f"{accounts}/informer/token", {"spec": {"expirationSeconds": 7200}})
        )
        connection.close()
        return str(got["status"]["token"])

    def ask(self, case: Case, token: str) -> list[dict[str, object]]:
        """The reports of the clients about their requests."""
        target = f"{PATH}?{QUERIES[case.query]}"
        command = [sys.executable, "-S", str(CLIENT), str(self.port), token, FORMS[case.form]]
        command += ["gzip" if case.gzip else "", target]
        clients = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(INFORMERS)
        ]
        time.sleep(1)  # all have connected
        for client in clients:
            assert client.stdin is not None
            client.stdin.write(b"\n")
            client.stdin.flush()
        return [json.loads(client.communicate()[0]) for client in clients]

    def main(self, only: str, most: float) -> tuple[float, bool]:
        """The most bytes for a byte of the objects, and whether everybody got everything."""
        rest = processes.resident(self.pid)
        peak = Peak(self.pid, most)
        begun = time.monotonic()
        self.fill()
        took, highest = time.monotonic() - begun, peak.megabytes
        token = self.token()
        time.sleep(2)
        objects = self.count * SIZE / 1e6
        print(
            f"{self.count:,} objects of {SIZE // 1000} KB in {took:.0f} s; at rest {rest:.0f} MB, "
            f"with them {processes.resident(self.pid):.0f} MB, at most {highest:.0f} MB",
            flush=True,
        )
        worst, complete = 0.0, True
        for case in CASES:
            if not re.search(only, case.name):
                continue
            peak.reset()
            before = processes.cpu_seconds(self.pid)
            told = self.ask(case, token)
            if peak.exceeded:
                print(f"{case.name:22} more than {most} GB")
                return most * 1000 / objects, False
            times = (peak.megabytes - rest) * 1.048576 / objects
            worst = max(worst, times)
            least = objects * 1e6 * (0.5 if case.gzip else 1)  # without gzip where a server does not compress
            wrong = [one for one in told if one["status"] != 200 or float(str(one["bytes"])) < least]
            complete = complete and not wrong
            seconds = sorted(float(str(one["seconds"])) for one in told)
            refused = sum(int(str(one["refused"])) for one in told)
            packed = sum(float(str(one["bytes"])) for one in told) / len(told) / objects / 1e6
            spent = processes.cpu_seconds(self.pid) - before
            print(
                f"{case.name:22} first {seconds[0]:5.1f} s, last {seconds[-1]:5.1f} s, processor "
                f"{spent:5.1f} s, {packed:.2f} of the bytes, {refused} refused, "
                f"{len(wrong)} failed, at most {peak.megabytes:.0f} MB: {times:.2f} times",
                flush=True,
            )
            for one in wrong[:2]:
                print(f"    {one}")
        return worst, complete


@contextlib.contextmanager
def served(directory: pathlib.Path, port: int, *, in_etcd: bool) -> "Iterator[subprocess.Popen[bytes]]":
    """A server over the embedded store, or over an etcd with room for the objects."""
    with contextlib.ExitStack() as stack:
        flags = []
        if in_etcd:
            store = directory / "etcd"
            store.mkdir()
            cluster = stack.enter_context(etcd.EtcdCluster(store, 1, "--quota-backend-bytes=8589934592"))
            flags = [f"--etcd-servers={cluster.urls[0]}"]
        process = startup.serve(str(directory), port, *flags)
        stack.callback(startup.end, process)
        startup.wait_ready(port, process, 120)
        yield process


def measure(
    megabytes: int = 1000, *, in_etcd: bool = False, only: str = "", most: float = 8.0
) -> tuple[float, bool]:
    """Measure a server that is started for it:
    the most bytes for a byte of the objects, and whether everybody got everything."""
    port, context = startup.free_port(), ssl._create_unverified_context()
    with tempfile.TemporaryDirectory() as directory:
        files = pathlib.Path(directory)
        with served(files, port, in_etcd=in_etcd) as process:
            context.load_cert_chain(files / "admin.crt", files / "admin.key")
            count = megabytes * 1_000_000 // SIZE
            return Run(port, process.pid, context, "", count).main(only, most)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("megabytes", nargs="?", type=int, default=1000)
    parser.add_argument("--etcd", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--most-gb", type=float, default=8.0)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--pid", type=int, default=0)
    parser.add_argument("--token", default="")
    args = parser.parse_args()
    if args.port:
        context, count = ssl._create_unverified_context(), args.megabytes * 1_000_000 // SIZE
        run = Run(args.port, args.pid, context, args.token, count)
        worst, complete = run.main(args.only, args.most_gb)
    else:
        worst, complete = measure(args.megabytes, in_etcd=args.etcd, only=args.only, most=args.most_gb)
    print(f"at most {worst:.2f}, goal {MOST}{'' if worst <= MOST else '   <-- missed'}")
    return int(worst > MOST or not complete)


if __name__ == "__main__":
    sys.exit(main())

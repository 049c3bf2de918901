"""Runs the floods of tenants.py one after the other: what the other tenant and the administrator waited.

usage: make load-tenants, or
       python loadtest/two_tenants.py [--connections 200] [--seconds 15] [--memory 512Mi]
                                      [--floods Lists Creates ...] [--against FILE --pid PID]
--against measures a server that runs, described by a TENANTS_FILE (see tenants.py); its tokens must exist.
The flood runs in a process of its own at a low priority, so that its work does not delay what is measured.
"""

import argparse
import contextlib
import csv
import json
import os
import pathlib
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from typing import Any

from pilothouse.testing.server import Subprocess

FLOODS = ("Lists", "Creates", "Watches", "Discovery")
OBJECTS, SIZE = 300, 100_000
"""The long list: 30 MB."""
TOKENS = {"flood": "flood-token", "small": "small-token", "admin": "admin-token"}
TOKEN_FILE = "".join(
    f"{token},{name},{name},{'system:masters' if name == 'admin' else 'tenants'}\n"
    for name, token in TOKENS.items()
)
HERE = pathlib.Path(__file__).parent


class Target:
    """A server under test: how to reach it, and its process."""

    def __init__(self, settings: dict[str, Any], pid: int) -> None:
        self.settings = settings
        self.pid = pid

    def post(self, path: str, body: dict[str, Any]) -> None:
        request = urllib.request.Request(self.settings["server"] + path, json.dumps(body).encode())
        request.add_header("Content-Type", "application/json")
        request.add_header("Authorization", f"Bearer {self.settings['tokens']['admin']}")
        context = ssl.create_default_context(cafile=self.settings["ca"])
        try:
            urllib.request.urlopen(request, context=context).close()
        except urllib.error.HTTPError as error:
            if error.code != 409:
                raise

    def fill(self) -> None:
        """Make the namespaces, the rights of the tenants and the long list."""
        for name in ("flood-data", "flood-new", "small"):
            self.post("/api/v1/namespaces", {"metadata": {"name": name}})
        subject = {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "tenants"}
        role = {"kind": "ClusterRole", "apiGroup": "rbac.authorization.k8s.io", "name": "cluster-admin"}
        binding = {"metadata": {"name": "tenants"}, "roleRef": role, "subjects": [subject]}
        self.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
        for number in range(OBJECTS):
            body = {"metadata": {"name": f"long-{number}"}, "data": {"text": "x" * SIZE}}
            self.post("/api/v1/namespaces/flood-data/configmaps", body)

    def peak(self) -> int:
        """The most bytes that the process took since the last call."""
        proc = pathlib.Path(f"/proc/{self.pid}")
        most = int((proc / "status").read_text().split("VmHWM:")[1].split()[0]) * 1024
        with contextlib.suppress(OSError):
            (proc / "clear_refs").write_text("5")
        return most


def locust(
    folder: pathlib.Path, settings: pathlib.Path, name: str, users: int, seconds: int, *classes: str
) -> "subprocess.Popen[bytes]":
    """Start Locust; a flood leaves the processor to what is measured and to the server."""
    command = ["nice", "-n", "0" if name == "measured" else "10"]
    command += [sys.executable, "-m", "locust", "-f", str(HERE / "tenants.py")]
    command += ["--headless", "--only-summary"]
    command += ["-u", str(users), "-r", "100", "-t", f"{seconds}s", "--csv", str(folder / name), *classes]
    environment = {**os.environ, "TENANTS_FILE": str(settings)}
    with open(folder / f"{name}.log", "wb") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def stats(path: pathlib.Path) -> dict[str, dict[str, str]]:
    """The rows of Locust's table by the names of requests."""
    with open(path) as file:
        return {row["Name"]: row for row in csv.DictReader(file)}


def measure(target: Target, folder: pathlib.Path, floods: list[str], connections: int, seconds: int) -> None:
    """Print a line for each flood, and one without."""
    settings = folder / "tenants.json"
    settings.write_text(json.dumps(target.settings))
    print(
        "flood        requests    failed   small p50  p99  max (ms)   kubectl p99 (ms)   peak (MB)   failed"
    )
    for flood in ("quiet", *floods):
        target.peak()
        running = None
        if flood != "quiet":
            running = locust(folder, settings, flood, connections, seconds + 8, flood)
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(5)
        locust(folder, settings, "measured", 2, seconds, "Small", "Administrator").wait()
        if running is not None:
            running.wait()
        rows = stats(folder / "measured_stats.csv")
        none = {"50%": "none", "99%": "none", "Max Response Time": "nan"}
        small, kubectl, total = rows.get("small", none), rows.get("kubectl get", none), rows["Aggregated"]
        done = stats(folder / f"{flood}_stats.csv")["Aggregated"] if running is not None else {}
        print(
            f"{flood:10} {done.get('Request Count', '-'):>10} {done.get('Failure Count', '-'):>9} "
            f"{small['50%']:>11} {small['99%']:>4} {float(small['Max Response Time']):4.0f} "
            f"{kubectl['99%']:>15} {target.peak() / 1e6:11.0f} {total['Failure Count']:>8}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--memory", default="512Mi")
    parser.add_argument("--floods", nargs="+", choices=FLOODS, default=FLOODS)
    parser.add_argument("--against", type=pathlib.Path)
    parser.add_argument("--pid", type=int, default=0)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if options.against is not None:
            target = Target(json.loads(options.against.read_text()), options.pid)
        else:
            tokens = folder / "tokens.csv"
            tokens.write_text(TOKEN_FILE)
            flags = [f"--token-auth-file={tokens}", f"--max-memory={options.memory}"]
            server = stack.enter_context(Subprocess(flags))
            assert server.process is not None
            found = {"server": server.url, "ca": str(server.ca_file), "tokens": TOKENS}
            target = Target(found, server.process.pid)
        target.fill()
        measure(target, folder, options.floods, options.connections, options.seconds)


if __name__ == "__main__":
    main()

"""Runs a highly available cluster on loopback:
etcd, API servers, HAProxy, Prometheus (`make ha`, `make ha-down`).

python -m pilothouse.testing.ha up DIR      start it, print the kubeconfig, leave it running
python -m pilothouse.testing.ha down DIR    stop it
"""

import json
import os
import pathlib
import shutil
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from functools import partial

from pilothouse.testing import prometheus
from pilothouse.testing.etcd import BINARY, EtcdCluster
from pilothouse.testing.ports import check, free_ports, wait_or_move

CONFIG = pathlib.Path(__file__).parents[3] / "deploy/haproxy.cfg"
"""Exists in a checkout only, not in an installed package."""

MEMBERS = 3
START_SECONDS = 30.0


def missing() -> list[str]:
    """The required programs that are not installed."""
    out = ["etcd"] if BINARY is None else []
    return out + ([] if shutil.which("haproxy") else ["haproxy"])


class Ha:
    """Three etcd members, or as many as `etcd_members`, three servers and HAProxy in `directory`;
    they keep running unless stop() is called."""

    def __init__(
        self,
        directory: pathlib.Path,
        port: int = 0,
        flags: tuple[str, ...] = (),
        etcd_members: int = MEMBERS,
    ) -> None:
        self.directory = directory
        self.flags = flags
        ports = free_ports(MEMBERS + 1)
        self.ports = ports[:MEMBERS]
        self.port = port or ports[MEMBERS]
        self.data = directory / "data"
        self.kubeconfig = directory / "kubeconfig"
        self.etcd = EtcdCluster(directory, etcd_members)
        self.servers: list[subprocess.Popen[bytes] | None] = [None] * MEMBERS
        self.proxy: subprocess.Popen[bytes] | None = None
        self.prometheus = prometheus.Prometheus(directory / "prometheus")

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def context(self) -> ssl.SSLContext:
        """TLS settings of an administrator."""
        context = ssl.create_default_context(cafile=str(self.data / "ca.crt"))
        context.load_cert_chain(self.data / "admin.crt", self.data / "admin.key")
        return context

    def start(self) -> "Ha":
        """Start everything and wait until all servers are ready and HAProxy forwards requests."""
        self.data.mkdir(parents=True, exist_ok=True)
        self._kubeconfig()
        self.etcd.start_all()
        try:
            # it creates the objects of a fresh cluster, so that the others do not compete for them
            self._start_servers([0])
            self._start_servers(list(range(1, MEMBERS)))
            self._start_proxy()
            self.wait(self.port)
        except BaseException:
            self.stop()
            raise
        return self

    def _start_servers(self, indexes: list[int]) -> None:
        """Start servers and wait until they are ready; tries other ports if one is taken."""
        for index in indexes:
            self.start_server(index)
        for index in indexes:
            wait_or_move(partial(self.wait_server, index), partial(self._move_server, index))

    def _move_server(self, index: int) -> None:
        self._log_path(f"server{index}").unlink()
        self.ports[index] = free_ports(1)[0]
        self.start_server(index)

    def start_server(self, index: int) -> None:
        """Start or restart one API server."""
        self.servers[index] = self._spawn(f"server{index}", self.command(index), dict(os.environ))

    def command(self, index: int) -> list[str]:
        """The command line of one API server; the first also runs the built-in controllers."""
        return [
            *(sys.executable, "-m", "pilothouse", "serve"),
            f"--data-dir={self.data}",
            f"--cert-dir={self.directory}/server{index}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.ports[index]}",
            f"--advertise-address=192.0.2.{index + 1}",
            f"--etcd-servers={','.join(self.etcd.urls)}",
            f"--write-kubeconfig={self.directory}/server{index}.kubeconfig",
            f"--controllers={'*' if index == 0 else '-*'}",
            *self.flags,
        ]

    def _start_proxy(self) -> None:
        env = {"PATH": os.environ["PATH"], "PILOTHOUSE_BIND": f"127.0.0.1:{self.port}"}
        for number, port in enumerate(self.ports, 1):
            env[f"PILOTHOUSE_SERVER_{number}"] = f"127.0.0.1:{port}"
        program = shutil.which("haproxy")
        assert program is not None
        # `down` finds the process by this directory in its command line
        self.proxy = self._spawn("haproxy", [program, "-C", str(self.directory), "-f", str(CONFIG)], env)

    def start_prometheus(self) -> None:
        """Start a Prometheus that scrapes the servers and the etcd members."""
        servers = [f"127.0.0.1:{port}" for port in self.ports]
        self.prometheus.configure(self.data, servers, [url.rpartition("/")[2] for url in self.etcd.urls])
        self.prometheus.start()

    def _log_path(self, name: str) -> pathlib.Path:
        return self.directory / f"{name}.log"

    def _spawn(self, name: str, command: list[str], env: dict[str, str]) -> subprocess.Popen[bytes]:
        with open(self._log_path(name), "ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env=env, start_new_session=True)

    def _kubeconfig(self) -> None:
        """Create the certificates and a kubeconfig with HAProxy's address."""
        command = [sys.executable, "-m", "pilothouse", "kubeconfig", "--create", f"--data-dir={self.data}"]
        command += [f"--secure-port={self.port}", f"--write-kubeconfig={self.kubeconfig}"]
        subprocess.run(command, check=True)

    def wait_server(self, index: int) -> None:
        """Wait until a server is ready; raises EndedError if it has ended."""
        self.wait(self.ports[index], watched=(self.servers[index], self._log_path(f"server{index}")))

    def wait(
        self,
        port: int,
        seconds: float = START_SECONDS,
        watched: "tuple[subprocess.Popen[bytes] | None, pathlib.Path] | None" = None,
    ) -> None:
        """Wait until /readyz answers 200; raises EndedError if the watched process has ended."""
        end = time.monotonic() + seconds
        context = self.context()
        while True:
            check(*watched or (self.proxy, self._log_path("haproxy")))
            try:
                with urllib.request.urlopen(f"https://127.0.0.1:{port}/readyz", timeout=2, context=context):
                    return
            except (OSError, urllib.error.URLError):
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def processes(self) -> dict[str, int]:
        """The running processes by name."""
        out = {f"m{i}": p.pid for i, p in enumerate(self.etcd.processes) if p is not None}
        out |= {f"server{i}": p.pid for i, p in enumerate(self.servers) if p is not None}
        others = {"haproxy": self.proxy, "prometheus": self.prometheus.process}
        return out | {name: p.pid for name, p in others.items() if p is not None}

    def addresses(self) -> dict[str, list[str]]:
        """The addresses of the cluster's parts, by their names."""
        out = {"HAProxy": [self.url], "servers": [f"https://127.0.0.1:{port}" for port in self.ports]}
        out["etcd"] = self.etcd.urls
        return out | ({"Prometheus": [self.prometheus.url]} if self.prometheus.process is not None else {})

    def stop(self) -> None:
        """Stop Prometheus and HAProxy, then the servers, then etcd."""
        self.prometheus.stop()
        running = [p for p in (self.proxy, *self.servers) if p is not None]
        for process in running:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.etcd.stop()


def up(directory: pathlib.Path, port: int) -> int:
    """Start a cluster that keeps running after this process."""
    lacking = missing()
    if lacking:
        print(f"needs {' and '.join(lacking)}: apt-get install etcd-server haproxy", file=sys.stderr)
        return 1
    directory.mkdir(parents=True, exist_ok=True)
    pids = directory / "pids.json"
    if pids.exists():
        print(f"{directory} is in use already: make ha-down", file=sys.stderr)
        return 1
    cluster = Ha(directory, port).start()
    if prometheus.BINARY is not None:
        try:
            cluster.start_prometheus()
        except BaseException:
            cluster.stop()
            raise
    pids.write_text(json.dumps(cluster.processes()))
    print(f"export KUBECONFIG={cluster.kubeconfig}")
    for name, urls in cluster.addresses().items():
        print(f"# {name}: {' '.join(urls)}")
    for process in (*cluster.etcd.processes, *cluster.servers, cluster.proxy, cluster.prometheus.process):
        if process is not None:
            process.returncode = 0  # prevents a ResourceWarning: the processes outlive this one
    return 0


def down(directory: pathlib.Path, seconds: float = 10.0) -> int:
    """Stop a cluster started by `up`: only processes whose command line contains the directory."""
    pids = directory / "pids.json"
    if not pids.exists():
        print(f"nothing runs in {directory}", file=sys.stderr)
        return 0
    processes: dict[str, int] = json.loads(pids.read_text())
    members = [pid for name, pid in processes.items() if name.startswith("m")]
    _end([pid for pid in processes.values() if pid not in members], directory, seconds)
    _end(members, directory, seconds)
    for name in (
        "data",
        "prometheus",
        *(f"{kind}{index}" for kind in ("m", "server") for index in range(MEMBERS)),
    ):
        shutil.rmtree(directory / name, ignore_errors=True)
    pids.unlink()
    return 0


def _end(pids: list[int], directory: pathlib.Path, seconds: float) -> None:
    """Terminate those of the processes that still belong to the cluster;
    kill the ones that do not end in time."""
    number, end = signal.SIGTERM, time.monotonic() + seconds
    while ours := [pid for pid in pids if _is_ours(pid, directory)]:
        for pid in ours:
            os.kill(pid, number)
        number = signal.SIGKILL if time.monotonic() > end else signal.SIGCONT
        time.sleep(0.1)


def _is_ours(pid: int, directory: pathlib.Path) -> bool:
    try:
        return str(directory).encode() in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def main(arguments: list[str]) -> int:
    """Command line entry point: runs `up` or `down`."""
    if len(arguments) < 2 or arguments[0] not in ("up", "down"):
        print(__doc__, file=sys.stderr)
        return 2
    directory = pathlib.Path(arguments[1]).absolute()
    if arguments[0] == "down":
        return down(directory)
    return up(directory, int(arguments[2]) if len(arguments) > 2 else 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""How much more two workers answer than one: GETs over etcd, each worker held to a share of a core.

    python benchmarks/workers.py --loadgen PROGRAM [--share 0.3] [--seconds 6] [--rounds 3]
        [--connections 128]

On a machine with few cores the load generator competes with the servers, so that two of them can not show
what they are worth. Here each worker has a cgroup that gives it a share of a core, no more and no less; etcd
and the load generator have the rest, and what all of them used is shown. The load generator is the program
that versus.py takes. GETs carry no resourceVersion: each waits for a read of etcd's revision, which all share
that a worker has in hand at that moment. With few connections two workers share less than one does, so that
many are what shows the worth of a second one. It needs root, for the cgroups, and `etcd` on the path.
"""

import argparse
import contextlib
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass

from processes import cpu_seconds

from pilothouse.testing.etcd import BINARY, EtcdCluster
from pilothouse.testing.server import Subprocess

TOKEN = "workers"
AIM = 1.6
PERIOD = 100_000
V1, V2 = pathlib.Path("/sys/fs/cgroup/cpu"), pathlib.Path("/sys/fs/cgroup")


@dataclass
class Row:
    """One run: GETs a second, cores used by each worker and by the load generator,
    connections of each worker."""

    rate: float
    cores: list[float]
    load: float
    connections: list[int]


@contextlib.contextmanager
def held(pids: list[int], share: float) -> Iterator[None]:
    """Give each process a share of a core."""
    quota = int(PERIOD * share)
    if V1.is_dir():
        root, settings = V1, {"cpu.cfs_quota_us": str(quota), "cpu.shares": "20480"}
    else:
        root, settings = V2, {"cpu.max": f"{quota} {PERIOD}", "cpu.weight": "2000"}
    folders = {pid: root / f"pilothouse-{pid}" for pid in pids}
    try:
        for pid, folder in folders.items():
            folder.mkdir()
            for name, value in (settings | {"cgroup.procs": str(pid)}).items():
                (folder / name).write_text(value)
        yield
    except OSError as error:
        raise SystemExit(f"no cgroup can be made: {error}") from None
    finally:
        for pid, folder in folders.items():
            with contextlib.suppress(OSError):
                (root / "cgroup.procs").write_text(str(pid))
                folder.rmdir()


def children(pid: int) -> list[int]:
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def connections(pid: int, port: int) -> int:
    """Established connections of a process to its port."""
    wanted = set()
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "01" and int(fields[1].rpartition(":")[2], 16) == port:
            wanted.add(f"socket:[{fields[9]}]")
    return sum(os.readlink(link) in wanted for link in _links(pid))


def _links(pid: int) -> Iterator[str]:
    for entry in os.scandir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            os.readlink(entry.path)
            yield entry.path


def load(args: argparse.Namespace, url: str, *steps: str) -> "subprocess.Popen[str]":
    command = [
        args.loadgen,
        "-server",
        url,
        "-token",
        TOKEN,
        "-workers",
        str(args.connections),
        "-pods",
        "500",
    ]
    command += ["-seconds", str(args.seconds), "-json", *steps]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish(process: "subprocess.Popen[str]") -> dict[str, float]:
    """The last step's row."""
    out, _ = process.communicate()
    row: dict[str, float] = json.loads(out.splitlines()[-1])
    if process.returncode or row["errors"]:
        raise SystemExit(f"the load generator failed: {out}")
    return row


def measure(args: argparse.Namespace, etcd: str, count: int, tokens: str) -> Row:
    flags = [
        "--storage-backend=etcd3",
        f"--etcd-servers={etcd}",
        f"--workers={count}",
        f"--token-auth-file={tokens}",
    ]
    with Subprocess(flags) as server:
        assert server.process is not None
        pids = children(server.process.pid) if count > 1 else [server.process.pid]
        assert len(pids) == count, pids
        finish(load(args, server.url, "setup", "create"))
        with held(pids, args.share):
            time.sleep(0.5)
            before, spent = [cpu_seconds(pid) for pid in pids], _children_seconds()
            process = load(args, server.url, "get")
            time.sleep(args.seconds / 2)
            spread = [connections(pid, server.port) for pid in pids]
            row = finish(process)
            cores = [(cpu_seconds(pid) - b) / args.seconds for pid, b in zip(pids, before, strict=True)]
            used = (_children_seconds() - spent) / args.seconds
        finish(load(args, server.url, "delete"))
        return Row(row["ops_per_s"], cores, used, spread)


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def show(count: int, row: Row) -> None:
    each = ", ".join(f"{cores:.2f}" for cores in row.cores)
    print(
        f"{count} worker{'s' if count > 1 else ' '}  {row.rate:8.0f} GET/s   cores used: {each}   "
        f"load generator: {row.load:.2f}   connections: {row.connections}",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--loadgen", required=True)
    parser.add_argument("--share", type=float, default=0.3, help="of a core, for each worker")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=128)
    args = parser.parse_args()
    if BINARY is None:
        raise SystemExit("no etcd binary; apt-get install etcd-server")
    with contextlib.suppress(PermissionError):
        os.nice(-10)
    rates: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as directory, EtcdCluster(pathlib.Path(directory)) as etcd:
        tokens = pathlib.Path(directory) / "tokens.csv"
        tokens.write_text(f'{TOKEN},admin,1,"system:masters"\n')
        for _ in range(args.rounds):
            for count, found in rates.items():
                row = measure(args, etcd.urls[0], count, str(tokens))
                show(count, row)
                found.append(row.rate)
    ratio = statistics.median(rates[2]) / statistics.median(rates[1])
    print(f"two workers answer {ratio:.2f} times as much as one; the aim is {AIM}")
    return 0 if ratio >= AIM else 1


if __name__ == "__main__":
    sys.exit(main())

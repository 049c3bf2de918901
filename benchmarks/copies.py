"""How fast files are copied by kubectl through a server, with the kubelet of the tests: seconds, CPU, memory.

usage: PYTHONPATH=tests python benchmarks/copies.py [MEGABYTES]
"""

import os
import pathlib
import sys
import tempfile
import time

from clients.cluster_streams import fill
from clients.drivers import Kubectl, Raw
from processes import cpu_seconds, peak
from streaming_kubelet import StreamingKubelet

from pilothouse.testing.server import Subprocess

RATE = 50.0
"""Megabytes per second of the server's CPU time that are aimed at."""

SPDY = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false"}
WAYS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("WebSocket, translated to SPDY", "old", {}),
    ("WebSocket, passed on", "new", {}),
    ("SPDY, passed on", "old", SPDY),
)


def main() -> int:
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    missed = False
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        with StreamingKubelet(folder) as kubelet, Subprocess() as server:
            assert server.process is not None
            pid = server.process.pid
            raw = Raw(server)
            fill(raw, kubelet)
            kubectl = Kubectl(server, folder)
            (folder / "file").write_bytes(os.urandom(1 << 20) * size)
            print(f"{'':32}{'':6}{'s':>8}{'CPU s':>8}{'MB/s of CPU':>13}{'more MB':>9}")
            for title, pod, env in WAYS:
                for way in ("up", "down"):
                    remote, local = f"{pod}:{folder}/file", f"{folder}/copy"
                    pair = (f"{folder}/file", f"{pod}:{local}") if way == "up" else (remote, local)
                    began, cpu, memory = time.monotonic(), cpu_seconds(pid), peak(pid)
                    done = kubectl.run("cp", *pair, timeout=600, **env)
                    assert done.returncode == 0, done.stderr
                    used = max(cpu_seconds(pid) - cpu, 0.01)
                    missed |= size / used < RATE
                    print(
                        f"{title:32}{way:6}{time.monotonic() - began:8.2f}{used:8.2f}{size / used:13.0f}"
                        f"{peak(pid) - memory:9.1f}"
                    )
                    (folder / "copy").unlink()
            raw.connection.close()
    return missed


if __name__ == "__main__":
    sys.exit(main())

"""Runs one load generator against this server, the floor of its stack and a kube-apiserver; prints a table, draws bars.

    python benchmarks/versus.py --loadgen build/loadgen [--floor FLOOR.py] [--svg FILE] [--markdown FILE] [STEP ...]

The load generator is a program that takes -server, -token, -pid, -pods, -seconds, -json and step names, and prints one
JSON object a step. Without --floor that column is left out. PILOTHOUSE_REFERENCE names a kube-apiserver binary; it needs
`etcd` on the path. CPU is that of the server's processes, divided by the operations; the server is pinned to one core and
the load generator to another where there are two.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from html import escape

STEPS = [
    "setup",
    "create",
    "get",
    "list",
    "page",
    "label",
    "node",
    "patch",
    "status",
    "apply",
    "lease",
    "mixed",
    "watch",
    "delete",
]
FLOOR_STEPS = frozenset(["setup", "create", "get", "list", "page", "label", "patch", "watch", "delete"])
TOKEN = "versus"
Rows = dict[str, dict[str, float]]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def pinned(core: int, command: list[str]) -> list[str]:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2 or not shutil.which("taskset"):
        return command
    return ["taskset", "-c", str(cores[core % len(cores)]), *command]


def wait_ready(url: str, process: "subprocess.Popen[bytes]", path: str = "/readyz") -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        request = urllib.request.Request(url + path, headers={"Authorization": f"Bearer {TOKEN}"})
        with contextlib.suppress(OSError), urllib.request.urlopen(request, context=context, timeout=2):
            return
        time.sleep(0.1)
    raise SystemExit(f"{process.args!r} did not become ready")


@contextlib.contextmanager
def running(command: list[str], core: int, log: pathlib.Path) -> "Iterator[subprocess.Popen[bytes]]":
    with log.open("wb") as out:
        process = subprocess.Popen(pinned(core, command), stdout=out, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def measure(args: argparse.Namespace, url: str, pids: list[int], steps: list[str]) -> Rows:
    """CPU in microseconds an operation, and memory in megabytes, of each step."""
    command = [args.loadgen, "-server", url, "-token", TOKEN, "-pid", ",".join(map(str, pids))]
    command += ["-pods", str(args.pods), "-seconds", str(args.seconds), "-json", *steps]
    done = subprocess.run(pinned(1, command), capture_output=True, text=True, check=True)
    rows: Rows = {}
    for line in done.stdout.splitlines():
        row = json.loads(line)
        if row["errors"]:
            print(f"{row['step']}: {row['errors']} errors, {row.get('comment', '')}", file=sys.stderr)
        rows[row["step"]] = {
            "cpu": row["server_cpu_us_per_op"],
            "rss": row["rss_mb"],
            "rate": row["ops_per_s"],
        }
    return rows


def tokens(directory: pathlib.Path) -> str:
    path = directory / "tokens.csv"
    path.write_text(f'{TOKEN},admin,1,"system:masters"\n')
    return str(path)


def ours(args: argparse.Namespace, directory: pathlib.Path) -> Rows:
    port = free_port()
    command = [sys.executable, "-m", "pilothouse", "serve", f"--data-dir={directory / 'data'}"]
    command += ["--bind-address=127.0.0.1", f"--secure-port={port}", f"--token-auth-file={tokens(directory)}"]
    with running(command, 0, directory / "ours.log") as process:
        wait_ready(f"https://127.0.0.1:{port}", process)
        return measure(args, f"https://127.0.0.1:{port}", [process.pid], args.steps)


def floor(args: argparse.Namespace, directory: pathlib.Path) -> Rows:
    from pilothouse.pki import Authority

    cert, key = Authority.create().issue("floor", hosts=["localhost", "127.0.0.1"], server=True)
    (directory / "floor.crt").write_bytes(cert)
    (directory / "floor.key").write_bytes(key)
    port = free_port()
    files = [str(directory / "floor.crt"), str(directory / "floor.key")]
    command = [sys.executable, args.floor, str(port), *files, str(args.pods)]
    with running(command, 0, directory / "floor.log") as process:
        wait_ready(f"https://127.0.0.1:{port}", process, "/")
        steps = [step for step in args.steps if step in FLOOR_STEPS]
        return measure(args, f"https://127.0.0.1:{port}", [process.pid], steps)


def reference(args: argparse.Namespace, directory: pathlib.Path) -> Rows:
    port, client, peer = free_port(), free_port(), free_port()
    key = directory / "sa.key"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    store = ["etcd", f"--data-dir={directory / 'etcd'}", f"--listen-client-urls=http://127.0.0.1:{client}"]
    store += [
        f"--advertise-client-urls=http://127.0.0.1:{client}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
    ]
    command = [os.environ["PILOTHOUSE_REFERENCE"], f"--etcd-servers=http://127.0.0.1:{client}"]
    command += [
        f"--secure-port={port}",
        f"--cert-dir={directory / 'certs'}",
        "--authorization-mode=Node,RBAC",
    ]
    command += [f"--token-auth-file={tokens(directory)}", "--service-account-issuer=https://versus"]
    command += [f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}"]
    with (
        running(store, 1, directory / "etcd.log"),
        running(command, 0, directory / "reference.log") as process,
    ):
        wait_ready(f"https://127.0.0.1:{port}", process)
        return measure(args, f"https://127.0.0.1:{port}", [process.pid], args.steps)


def shown(microseconds: float) -> str:
    if microseconds >= 1000:
        return f"{microseconds / 1000:.3g} ms"
    return f"{microseconds:.3g} us"


def markdown(results: dict[str, Rows]) -> str:
    """A table with a row for each step, and how many times our CPU the others take."""
    first, *others = results
    head = [first, *[cell for name in others for cell in (name, "ratio")]]
    lines = ["| step | " + " | ".join(head) + " |", "|---" * (len(head) + 1) + "|"]
    for step, mine in results[first].items():
        cells = [shown(mine["cpu"])]
        for name in others:
            other = results[name].get(step)
            cells += [shown(other["cpu"]), f"{other['cpu'] / mine['cpu']:.2f}"] if other else ["-", "-"]
        lines.append(f"| {step} | " + " | ".join(cells) + " |")
    memory = []
    for name in results:
        memory.append(f"{results[name][next(reversed(results[name]))]['rss']:.0f} MB")
        if name != first:
            memory.append("")
    return "\n".join([*lines, "| memory at the end | " + " | ".join(memory) + " |"]) + "\n"


COLOURS = ("#2a6f97", "#adb5bd", "#e07a5f")


def chart(results: dict[str, Rows]) -> str:
    """Bars of CPU an operation, each step scaled to its largest."""
    steps = list(next(iter(results.values())))
    high = 16 * len(results) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{high * len(steps) + 30}"'
        ' font-family="sans-serif" font-size="12">'
    ]
    for i, (name, colour) in enumerate(zip(results, COLOURS, strict=False)):
        parts.append(f'<rect x="{130 + 160 * i}" y="6" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{145 + 160 * i}" y="15">{escape(name)}</text>')
    for row, step in enumerate(steps):
        y = 30 + row * high
        most = max(rows[step]["cpu"] for rows in results.values() if step in rows) or 1
        parts.append(f'<text x="120" y="{y + 12}" text-anchor="end">{escape(step)}</text>')
        for i, (rows, colour) in enumerate(zip(results.values(), COLOURS, strict=False)):
            if step not in rows:
                continue
            value, at = rows[step]["cpu"], y + 16 * i
            width = max(1, round(500 * value / most))
            parts.append(f'<rect x="130" y="{at}" width="{width}" height="14" fill="{colour}"/>')
            parts.append(f'<text x="{136 + width}" y="{at + 12}">{shown(value)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--loadgen", required=True)
    parser.add_argument("--floor", default="")
    parser.add_argument("--pods", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--markdown", default="")
    parser.add_argument("--svg", default="")
    parser.add_argument("steps", nargs="*", default=STEPS)
    args = parser.parse_args()
    sides: dict[str, Callable[[argparse.Namespace, pathlib.Path], Rows]] = {"Pilothouse": ours}
    if args.floor:
        sides["floor"] = floor
    if os.environ.get("PILOTHOUSE_REFERENCE"):
        sides["kube-apiserver"] = reference
    results = {}
    for name, run in sides.items():
        with tempfile.TemporaryDirectory() as directory:
            results[name] = run(args, pathlib.Path(directory))
    table = markdown(results)
    print(table)
    if args.markdown:
        pathlib.Path(args.markdown).write_text(table)
    if args.svg:
        pathlib.Path(args.svg).write_text(chart(results))


if __name__ == "__main__":
    main()

"""`pilothouse bench`: a short sheet of figures of a server,
and of the machine, that can be compared with another sheet."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pilothouse.commands import machine, output
from pilothouse.commands.api import Api, ApiError
from pilothouse.commands.bench_load import OBJECTS, STEPS, Load, Own, Scraped, Server
from pilothouse.commands.readings import ClusterReadings
from pilothouse.commands.why_text import seconds as shown
from pilothouse.configuration import options
from pilothouse.configuration.flags import Flag, FlagError
from pilothouse.server.listener import bind

SERVER_FLAGS: tuple[str, ...] = ()
FLAGS = (
    Flag("kubeconfig", "file", "", "command",
         "Measure this server, in a namespace that is removed at the end. Default: a "
         "server of its own in a temporary folder."),
    Flag("seconds", "duration", 2.0, "command", "How long each step takes that has no fixed count."),
    output.FLAG,
    Flag("json", "bool", False, "command", "The same as -o json; times are in seconds."),
    Flag("against", "file", "", "command",
         "A sheet in JSON to compare with: how many times as many rounds that one took."),
)  # fmt: skip
USAGE = """Measure a server in half a minute: start, create, get, list, patch, watch, connections, delete, memory.

Usage:
  pilothouse bench [flags]                       A server that is started in a temporary folder ($TMPDIR).
  pilothouse bench [flags] -- SERVER FLAGS       The same with flags of `pilothouse serve`.
  pilothouse bench --kubeconfig FILE [flags]     A server that runs.

Latencies and rates contain the share of the client, which is a single process; the server's processor time for an operation
does not. Its last column is that time in rounds of a fixed work, whose time on this machine stands above the table: it can be
compared with another machine's.
"""  # noqa: E501

VERSION = 1
"""The version of the sheet: figures of another version are not comparable."""
START_SECONDS = 30.0
BUSY = 1.15
"""How far two calibrations may be apart on a machine that does nothing else."""

Sheet = dict[str, Any]


def run(arguments: Sequence[str]) -> None:
    """Print a sheet; raises FlagError, ConfigError, OSError, ValueError, ApiError."""
    ours, dashes, flags = _split(arguments)
    _, values, rest = options.parse_command(ours, FLAGS)
    if rest:
        raise FlagError(f'"pilothouse bench" does not take any arguments, got {list(rest)}')
    if values["seconds"] <= 0:
        raise FlagError("--seconds must be positive")
    if values["kubeconfig"] and dashes:
        raise FlagError("--kubeconfig measures a server that runs: it takes no flags of a server")
    form = "json" if values["json"] else output.chosen(values["output"])
    other = _read(values["against"]) if values["against"] else None
    starts = 0 if values["kubeconfig"] else 2
    with _progress(starts + 1 + len(STEPS)) as tell:  # with the calibration
        if values["kubeconfig"]:
            sheet = _of_running(Path(values["kubeconfig"]), values["seconds"], tell)
        else:
            sheet = _of_own(flags, values["seconds"], tell)
    document = form in ("json", "yaml")
    print(output.document(sheet, form) if document else "\n".join(lines(sheet, other)))


def _split(arguments: Sequence[str]) -> tuple[Sequence[str], bool, Sequence[str]]:
    """The arguments before `--`, whether it is there, and the arguments behind it."""
    if "--" not in arguments:
        return arguments, False, ()
    at = list(arguments).index("--")
    return arguments[:at], True, arguments[at + 1 :]


def _read(path: str) -> Sheet:
    try:
        sheet: Sheet = json.loads(Path(path).read_bytes())
        if sheet["version"] != VERSION:
            raise ValueError(f"{path} is a sheet of version {sheet['version']}, this one is {VERSION}")
    except (KeyError, TypeError, json.JSONDecodeError):
        raise ValueError(f"{path} is no sheet of `pilothouse bench -o json`") from None
    return sheet


@contextlib.contextmanager
def _progress(steps: int) -> Iterator[Callable[[str], None]]:
    """Yield a function that shows the current step, of so many:
    a bar on a terminal, lines elsewhere; on standard error."""
    if not sys.stderr.isatty() or find_spec("rich") is None:
        yield lambda what: print(f"measuring: {what}", file=sys.stderr)
        return
    from rich.console import Console
    from rich.progress import Progress, TextColumn

    console = Console(stderr=True)
    columns = (*Progress.get_default_columns()[:3], TextColumn("{task.fields[what]}"))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("measuring", total=steps, what="")
        done = iter(range(steps + 1))
        yield lambda what: bar.update(task, completed=next(done, steps), what=what)


# --- servers


def _of_running(kubeconfig: Path, length: float, tell: Callable[[str], None]) -> Sheet:
    """The sheet of a server that runs."""
    api = Api(kubeconfig)
    with (
        contextlib.closing(ClusterReadings(api)) as cluster,
        tempfile.TemporaryDirectory(prefix="pilothouse-bench-") as folder,
    ):
        return _sheet(
            api,
            Scraped(cluster),
            what=api.config.server,
            starts={},
            folder=Path(folder),
            length=length,
            tell=tell,
        )


def _of_own(flags: Sequence[str], length: float, tell: Callable[[str], None]) -> Sheet:
    """The sheet of a server that is started twice in a temporary folder:
    in an empty one, then with its data."""
    options.parse(flags)  # before anything is started
    with tempfile.TemporaryDirectory(prefix="pilothouse-bench-") as folder:
        data, starts = Path(folder) / "data", {}
        tell("start")
        with _started(data, flags) as (api, process, taken):
            starts["empty"] = taken
        tell("start")
        with _started(data, flags) as (api, process, taken):
            starts["again"] = taken
            said = " ".join(("its own server", *flags))
            return _sheet(
                api, Own(process.pid), what=said, starts=starts, folder=Path(folder), length=length, tell=tell
            )


@contextlib.contextmanager
def _started(data: Path, flags: Sequence[str]) -> "Iterator[tuple[Api, subprocess.Popen[bytes], float]]":
    """A server in a data directory: a client of it, its process, and the seconds until it was ready."""
    sock = bind("127.0.0.1", 0)
    port = sock.getsockname()[1]
    sock.close()
    kubeconfig = data.with_name("kubeconfig")
    kubeconfig.unlink(missing_ok=True)
    command = [
        sys.executable,
        "-m",
        "pilothouse",
        "serve",
        f"--data-dir={data}",
        f"--write-kubeconfig={kubeconfig}",
    ]
    command += ["--bind-address=127.0.0.1", f"--secure-port={port}", *flags]
    with data.with_name("log").open("w+b") as log:
        began = time.monotonic()
        with subprocess.Popen(command, stdout=log, stderr=log) as process:
            try:
                api = _ready(process, kubeconfig, log.name)
                yield api, process, time.monotonic() - began
            finally:
                process.terminate()


def _ready(process: "subprocess.Popen[bytes]", kubeconfig: Path, log: str) -> Api:
    """A client of a server that has just been started, once it is ready.
    ValueError when it ends, or takes too long."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        if kubeconfig.exists():
            with contextlib.suppress(ApiError):
                api = Api(kubeconfig)
                api.text("/readyz")
                return api
        time.sleep(0.005)
    said = Path(log).read_text(errors="replace")[-2000:]
    raise ValueError(f"the server did not become ready in {START_SECONDS:.0f} s:\n{said}")


def _sheet(
    api: Api,
    server: Server,
    what: str,
    starts: dict[str, float],
    folder: Path,
    length: float,
    tell: Callable[[str], None],
) -> Sheet:
    import uvloop

    tell("calibration")
    before, facts = machine.calibration(), machine.facts(folder)
    load = Load(api, server, length, f"pilothouse-bench-{os.getpid()}")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(load.run(tell))
    after = machine.calibration()
    round_ = min(before, after)
    return {
        "version": VERSION,
        "server": {"what": what, "version": api.call("GET", "/version")["gitVersion"]},
        "machine": facts,
        "calibration": {"roundSeconds": round_, "before": before, "after": after},
        "startSeconds": starts,
        "memoryBytes": asdict(load.memory),
        "figures": [asdict(one) | {"rounds": one.processor / round_} for one in load.figures],
    }


# --- text


def lines(sheet: Sheet, other: Sheet | None = None) -> Iterator[str]:
    """A sheet as text; with another one, how many times as many rounds that one took."""
    facts, calibration, memory = sheet["machine"], sheet["calibration"], sheet["memoryBytes"]
    yield f"server       {sheet['server']['version']}, {sheet['server']['what']}"
    yield (
        f"machine      {facts['processor']}, {facts['cores']} cores, {_size(facts['memoryBytes'])},"
        f" {facts['system']}"
    )
    yield (
        f"             Python {facts['python']}, OpenSSL {facts['openssl']}, SQLite {facts['sqlite']}, load"
        f" {facts['load']}, a durable write takes {shown(facts['durableWriteSeconds'])}"
    )
    yield f"calibration  a round takes {calibration['roundSeconds'] * 1e6:.1f}us{_busy(calibration)}"
    if sheet["startSeconds"]:
        starts = sheet["startSeconds"]
        yield f"start        {starts['empty']:.2f}s in an empty folder, {starts['again']:.2f}s again"
    yield (
        f"memory       {_size(memory['empty'])} empty, {_size(memory['filled'])} with {OBJECTS} objects,"
        f" {_size(memory['last'])} at the end; {_size(memory['connection'])} for a connection,"
        f" {_size(memory['watch'])} for a watch"
    )
    yield ""
    last = " OTHER/THIS" if other else ""
    yield (
        f"{'OPERATION':12} {'AT ONCE':>7} {'COUNT':>7} {'RATE/S':>8} {'P50':>8} {'P99':>8} {'CPU/OP':>8}"
        f" {'ROUNDS':>7}{last}"
    )
    theirs = {(one["name"], one["together"]): one["rounds"] for one in (other or {}).get("figures", ())}
    for one in sheet["figures"]:
        row = (
            f"{one['name']:12} {one['together']:>7} {one['count']:>7} {one['rate']:>8.0f}"
            f" {shown(one['p50']):>8} {shown(one['p99']):>8} {shown(one['processor']):>8}"
            f" {one['rounds']:>7.1f}"
        )
        if other:
            rounds = theirs.get((one["name"], one["together"]))
            row += f" {rounds / one['rounds']:>10.2f}" if rounds and one["rounds"] else f" {'-':>10}"
        yield row


def _busy(calibration: dict[str, float]) -> str:
    before, after = calibration["before"], calibration["after"]
    if max(before, after) < BUSY * min(before, after):
        return ""
    return f" (before {before * 1e6:.1f}us, after {after * 1e6:.1f}us: the machine does something else, too)"


def _size(size: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"

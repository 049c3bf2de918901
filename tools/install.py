"""Installs the tree into the environment of this Python, and prints each step with its seconds.

    .venv/bin/python tools/install.py '.[cli]' | '.[dev]'     (`make run`, `make test`)

Three things are done at once: pip fetches the packages that the tree needs, pip builds the tree, and the
descriptions of the built-in types are written. All that they print is kept in a file; the end of what has
failed is shown.
"""

import collections
import contextlib
import os
import pathlib
import re
import selectors
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parents[1]
LOG = ROOT / "build" / "install.log"
STEPS = (
    (
        re.compile(r"Running command pip subprocess to install (?:build|backend) dependencies"),
        "fetching the build's tools",
    ),
    (re.compile(r"\[ *(\d+)/(\d+)\] Cythonizing ext/(\S+)"), "Cython {0} of {1}: {2}"),
    (re.compile(r"^ *Collecting (\S+)"), "fetching {0}"),
    (re.compile(r"building '(\S+)' extension"), "compiling {0}"),
    (re.compile(r"^ *Installing collected packages"), "installing the packages"),
)
"""Lines of pip, Cython and setuptools with which a step begins, and the name of that step."""

SILENCE = 5.0
"""Seconds without a new step after which the latest one is printed again."""

PAUSE = 1.0
"""Seconds after a printed step in which others like it are not printed."""

TAIL = 40
"""Lines of a failed program that are shown."""

PIP = (sys.executable, "-m", "pip", "install", "--verbose", "--disable-pip-version-check", "--prefer-binary")
OUTSIDE = {"PYTHONUNBUFFERED": "1", "PIP_NO_COMPILE": "1", "PILOTHOUSE_DESCRIPTIONS": "0"}
"""Variables of the programs: Python compiles what it imports, which is less than what is installed."""


def step(line: str) -> str:
    """The step that begins with a line of pip, "" when none does."""
    for pattern, text in STEPS:
        if found := pattern.search(line):
            return text.format(*found.groups())
    return ""


class Printed(NamedTuple):
    """A line that a program has printed."""

    program: str
    line: str


def lines(pipes: Mapping[str, int], silence: float = SILENCE) -> Iterator[Printed | None]:
    """Yield the lines of programs' pipes as they come, None whenever nothing has come for a while."""
    rests = dict.fromkeys(pipes, b"")
    with selectors.DefaultSelector() as selector:
        for program, fd in pipes.items():
            selector.register(fd, selectors.EVENT_READ, program)
        while rests:
            ready = selector.select(silence)
            if not ready:
                yield None
            for key, _ in ready:
                data = os.read(key.fd, 65536)
                *whole, rests[key.data] = (rests[key.data] + data).split(b"\n")
                if not data:
                    selector.unregister(key.fd)
                    whole = [rest] if (rest := rests.pop(key.data)) else []
                for line in whole:
                    yield Printed(key.data, line.decode(errors="replace"))


class Progress:
    """Prints the steps: a new sort of step at once, others of its sort once in a while."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._printed = 0.0
        self._latest = ""

    def begin(self, text: str) -> None:
        """Print that a step begins, unless one of its sort has just been printed."""
        same = text.partition(" ")[0] == self._latest.partition(" ")[0]
        self._latest = text
        if not same or self._clock() - self._printed >= PAUSE:
            self.say(text)

    def repeat(self) -> None:
        """Print the latest step again."""
        self.say(f"still {self._latest}")

    def say(self, text: str) -> None:
        """Print a line with the seconds."""
        self._printed = self._clock()
        print(f"{self._printed - self._began:5.0f} s  {text}", flush=True)


def required(tree: str) -> list[str]:
    """The packages that a tree needs, with those of the extras that are named: `.[dev]`."""
    place, _, extras = tree.partition("[")
    with (ROOT / place / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    named = [name.strip() for name in extras.rstrip("]").split(",") if name.strip()]
    return [
        *project["dependencies"],
        *(one for name in named for one in project["optional-dependencies"][name]),
    ]


def programs(tree: str) -> dict[str, list[str]]:
    """The programs that install a tree, which run side by side."""
    return {
        "build": [*PIP, "--no-deps", "--editable", tree],
        "packages": [*PIP, *required(tree)],
        "descriptions": [sys.executable, str(ROOT / "tools" / "gen_descriptions.py"), "--fetch"],
    }


def run(commands: Mapping[str, Sequence[str]], log: pathlib.Path = LOG) -> int:
    """Run programs side by side until all have ended; returns the status of one that has failed, or 0."""
    progress = Progress()
    progress.begin(f"starting, with {os.cpu_count()} processors to compile on")
    log.parent.mkdir(exist_ok=True)
    tails: dict[str, collections.deque[str]] = {name: collections.deque(maxlen=TAIL) for name in commands}
    with contextlib.ExitStack() as stack:
        kept = stack.enter_context(log.open("w"))
        running = {name: stack.enter_context(started(command)) for name, command in commands.items()}
        for printed in lines({name: one.stdout.fileno() for name, one in running.items() if one.stdout}):
            if printed is None:
                progress.repeat()
                continue
            print(f"{printed.program}: {printed.line}", file=kept, flush=True)
            tails[printed.program].append(printed.line)
            if text := step(printed.line):
                progress.begin(text)
    failed = {name: one.returncode for name, one in running.items() if one.returncode}
    for name in failed:
        print(
            *tails[name],
            f"Not installed: {name}; all that was printed is in {log}",
            sep="\n",
            file=sys.stderr,
        )
    if not failed:
        progress.say("installed")
    return next(iter(failed.values()), 0)


def started(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """A program that runs in the tree, whose output is read."""
    outside = {**os.environ, **OUTSIDE}
    return subprocess.Popen(command, cwd=ROOT, env=outside, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


if __name__ == "__main__":
    sys.exit(run(programs(sys.argv[1])))

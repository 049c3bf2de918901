"""Installs the tree into the environment of this Python, and prints each step with its seconds.

    .venv/bin/python tools/install.py . | '.[dev]'     (`make run`, `make test`)

All that pip prints is kept in a file, whose end is shown when pip fails.
"""

import collections
import os
import pathlib
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

ROOT = pathlib.Path(__file__).parents[1]
LOG = ROOT / "build" / "install.log"
STEPS = (
    (
        re.compile(r"Running command pip subprocess to install build dependencies"),
        "fetching the build's tools",
    ),
    (re.compile(r"\[ *(\d+)/(\d+)\] Cythonizing ext/(\S+)"), "Cython {0} of {1}: {2}"),
    (re.compile(r"^ *Collecting (\S+)"), "fetching {0}"),
    (re.compile(r"building '(\S+)' extension"), "compiling {0}"),
    (re.compile(r"running build_descriptions"), "writing the descriptions of the built-in types"),
    (re.compile(r"^ *Installing collected packages"), "installing the packages"),
)
"""Lines of pip, Cython and setuptools with which a step begins, and the name of that step."""

SILENCE = 5.0
"""Seconds without a new step after which the latest one is printed again."""

PAUSE = 1.0
"""Seconds after a printed step in which others like it are not printed."""

TAIL = 40
"""Lines of pip that are shown when it fails."""


def step(line: str) -> str:
    """The step that begins with a line of pip, "" when none does."""
    for pattern, text in STEPS:
        if found := pattern.search(line):
            return text.format(*found.groups())
    return ""


def lines(fd: int, silence: float = SILENCE) -> Iterator[str | None]:
    """Yield the lines of a pipe as they come, None whenever nothing has come for a while."""
    rest = b""
    while True:
        if not select.select([fd], [], [], silence)[0]:
            yield None
            continue
        data = os.read(fd, 65536)
        *whole, rest = (rest + data).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)
        if not data:
            if rest:
                yield rest.decode(errors="replace")
            return


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


def main(arguments: Sequence[str], log: pathlib.Path = LOG) -> int:
    """Install what the arguments name; returns pip's status."""
    progress = Progress()
    progress.begin(f"starting pip, with {os.cpu_count()} processors to compile on")
    log.parent.mkdir(exist_ok=True)
    tail: collections.deque[str] = collections.deque(maxlen=TAIL)
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--verbose",
        "--disable-pip-version-check",
        "--editable",
    ]
    with (
        log.open("w") as kept,
        subprocess.Popen(
            [*command, *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        assert process.stdout is not None
        for line in lines(process.stdout.fileno()):
            if line is None:
                progress.repeat()
                continue
            print(line, file=kept, flush=True)
            tail.append(line)
            if text := step(line):
                progress.begin(text)
    if process.returncode:
        print(*tail, f"Not installed; all that pip printed is in {log}", sep="\n", file=sys.stderr)
    else:
        progress.say("installed")
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

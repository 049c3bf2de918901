"""Runs the commands of a page of docs/ in their order, in a new folder, as a reader would.

    python tests/docs/pages.py PAGE...     with the Pilothouse beside this Python (`make docs`)

Blocks fenced as `sh` are run by bash, blocks fenced as `python` by Python.
Comments before a block say otherwise:

    <!-- file: NAME -->        the block, whatever its language, is the content of a file in the folder
    <!-- refused: REASON -->   the last command of the block must fail
    <!-- needs: PROGRAMS -->   the block is run where all these programs are installed
    <!-- not run: REASON -->   the block is only shown

Blocks fenced as `text` and `mermaid` are only shown, and so are those fenced as `console`, which
tools/transcripts.py runs. A page with the comment `<!-- server: FLAGS -->` expects a server that runs with
these flags, and KUBECONFIG to lead to it; one with the comment `<!-- checkout -->` is read in a checkout of
the repository. Ports and addresses of a page are replaced by free ones and by loopback,
folders of the system by some in the new folder.
"""

import dataclasses
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TextIO

from pilothouse.testing.ports import free_ports
from pilothouse.testing.server import Subprocess

ROOT = pathlib.Path(__file__).parents[2]
CHECKOUT = ("deploy", "examples")
"""The folders of the repository that pages use."""
SECONDS = 300
"""How long the commands of a page may take, on a machine that is busy."""
PORTS = ("6443", "6444", "6445", "6446", "2379", "2380", "8001", "8443")
FOLDERS = ("/var/lib/pilothouse", "/etc/kubernetes", "/etc/pilothouse", "/etc/containerd", "/etc/cni")
HOSTS = ("192.0.2.10",)
"""The addresses that are replaced in commands and files."""
PYTEST = "-p no:hypothesispytest -p no:anyio -p no:asyncio -p no:benchmark"
"""Options of pytest: plugins of our environment that a reader need not have, and that take long to import."""
SERVER = re.compile(r"^<!-- server:(.*?)-->$", re.M)
MARK = re.compile(r"^<!-- (file|refused|needs|not run): ([^\n]+?) -->$", re.M)
BLOCK = re.compile(
    rf"(?P<marks>(?:{MARK.pattern}\n\n?)*)^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.M | re.S
)
PROGRAMS = frozenset({"sh", "python"})
SHOWN = frozenset({"text", "mermaid", "console"})


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block: the line where its content begins,
    its language, what comments say of it, and its content."""

    line: int
    language: str
    marks: Mapping[str, str]
    body: str

    @property
    def runs(self) -> bool:
        """Whether the block is a program that is run, at least where the programs are that it needs."""
        return self.language in PROGRAMS and not self.marks.keys() & {"file", "not run"}

    @property
    def clear(self) -> bool:
        """Whether it is told what becomes of the block."""
        return self.runs or self.language in SHOWN or bool(self.marks.keys() & {"file", "not run"})

    @property
    def command(self) -> str:
        """The command that bash runs for the block."""
        if "not run" in self.marks or not (self.runs or "file" in self.marks):
            return ""
        if "file" in self.marks:
            name = shlex.quote(self.marks["file"])
            return f"mkdir -p \"$(dirname {name})\"; cat > {name} <<'END OF BLOCK'\n{self.body}END OF BLOCK\n"
        command = self.body
        if self.language == "python":
            command = f"python - <<'END OF BLOCK'\n{self.body}END OF BLOCK\n"
        if "refused" in self.marks:
            command = f"if\n{command}then echo 'this was not refused'; exit 1; fi\n"
        if "needs" in self.marks:
            command = f"if type {self.marks['needs']} > /dev/null; then\n{command}fi\n"
        return command


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page."""
    return [
        Block(
            page.count("\n", 0, m.start("body")) + 1, m["language"], dict(MARK.findall(m["marks"])), m["body"]
        )
        for m in BLOCK.finditer(page)
    ]


def script(page: str) -> str:
    """The commands of a page as one script, which ends at the first command that fails.

    All blocks share one shell, so variables and background jobs of a block are there in the next ones.
    """
    return "set -eo pipefail\n" + "".join(f"echo '--- line {b.line}'\n{b.command}" for b in blocks(page))


def environment(folder: pathlib.Path) -> dict[str, str]:
    """The environment of a reader: the programs of this Python's environment,
    and a home directory that is empty."""
    out = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "KUBE"))}
    path = [sysconfig.get_path("scripts"), os.environ["PATH"], os.environ.get("PILOTHOUSE_NODE_BIN", "")]
    out |= {"HOME": str(folder), "LC_ALL": "C.UTF-8", "PYTEST_ADDOPTS": PYTEST}
    return out | {"PATH": ":".join(filter(None, path))}


def run(page: str, folder: pathlib.Path, variables: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Run the commands of a page; return the exit status and what they have printed. Its processes are ended.

    `variables` of the environment go before those of `environment`.
    """
    there = {**environment(folder), **(variables or {})}
    with ExitStack() as stack:
        if found := SERVER.search(page):
            server = stack.enter_context(Subprocess(found[1].split()))
            there["KUBECONFIG"] = str(server.kubeconfig)
        if "<!-- checkout -->\n" in page:
            for name in CHECKOUT:
                shutil.copytree(ROOT / name, folder / name)
        output = stack.enter_context((folder / ".output").open("w+"))
        status = _shell(_moved(script(page), folder), folder, there, output)
        output.seek(0)
        return status, output.read()


def _shell(commands: str, folder: pathlib.Path, variables: Mapping[str, str], output: TextIO) -> int:
    shell = subprocess.Popen(
        ["bash", "-c", commands],
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        return shell.wait(SECONDS)
    except subprocess.TimeoutExpired:
        return -1
    finally:
        _end(shell)


def _moved(commands: str, folder: pathlib.Path) -> str:
    """The commands with ports, addresses and folders that are there for this run only."""
    new = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    new |= dict.fromkeys(HOSTS, "127.0.0.1") | {name: f"{folder}{name}" for name in FOLDERS}
    pattern = "|".join(map(re.escape, new))
    return re.sub(rf"(?<![\w.])({pattern})\b", lambda found: new[found[0]], commands)


def _end(shell: subprocess.Popen[bytes]) -> None:
    """End a shell and the jobs that it has left in the background."""
    try:
        os.killpg(shell.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    shell.wait()


def main(pages: list[str]) -> int:
    """Run pages, and print what those have printed that do not work;
    the exit status is 1 when there is one."""
    failed = 0
    for page in map(pathlib.Path, pages):
        count = sum(block.runs for block in blocks(page.read_text()))
        if not count:
            continue
        with tempfile.TemporaryDirectory() as folder:
            status, printed = run(page.read_text(), pathlib.Path(folder))
        print(
            f"{page.name}: {count} blocks",
            f"failed with status {status}\n{printed}" if status else "work",
            flush=True,
        )
        failed |= status != 0
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

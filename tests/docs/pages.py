"""Runs the commands of a page of docs/ in their order, in a new folder, as a reader would.

Blocks fenced as `sh` are run by bash, blocks fenced as `python` by Python; other blocks are only shown. A comment before a
block says otherwise:

    <!-- file: NAME -->        the block, whatever its language, is the content of a file in the folder
    <!-- not run: REASON -->   the block is only shown
    <!-- refused: REASON -->   the last command of the block must fail

A page with the comment `<!-- server: FLAGS -->` expects a server that runs with these flags, and KUBECONFIG to lead to it.
The ports 6443, 6444, 2379 and 2380 of a page are replaced by free ones.
"""

import dataclasses
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sysconfig
from contextlib import ExitStack

from pilothouse.testing.ports import free_ports
from pilothouse.testing.server import Subprocess

SECONDS = 300
"""How long the commands of a page may take, on a machine that is busy."""
PORTS = ("6443", "6444", "2379", "2380")
SERVER = re.compile(r"^<!-- server:(.*?)-->$", re.M)
BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>file|not run|refused): (?P<text>[^\n]+?) -->\n\n?)?^```(?P<language>\w+)\n(?P<body>.*?)^```$",
    re.M | re.S,
)


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block: the line where its content begins, its language, what its comment says, and its content."""

    line: int
    language: str
    mark: str | None
    text: str | None
    body: str

    @property
    def runs(self) -> bool:
        """Whether the block is a program that is run."""
        return self.mark in {None, "refused"} and self.language in {"sh", "python"}


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page."""
    return [
        Block(page.count("\n", 0, m.start("body")) + 1, m["language"], m["mark"], m["text"], m["body"])
        for m in BLOCK.finditer(page)
    ]


def script(page: str) -> str:
    """The commands of a page as one script, which ends at the first command that fails.

    All blocks share one shell, so variables and background jobs of a block are there in the next ones.
    """
    lines = ["set -eo pipefail"]
    for block in blocks(page):
        lines.append(f"echo '--- line {block.line}'")
        if block.mark == "file":
            lines.append(f"cat > {shlex.quote(block.text or '')} <<'END OF BLOCK'\n{block.body}END OF BLOCK")
        elif block.mark is None and block.language == "python":
            lines.append(f"python - <<'END OF BLOCK'\n{block.body}END OF BLOCK")
        elif block.mark == "refused":
            lines.append(f"if\n{block.body}then echo 'this was not refused'; exit 1; fi")
        elif block.runs:
            lines.append(block.body)
    return "\n".join(lines) + "\n"


def environment(folder: pathlib.Path) -> dict[str, str]:
    """What a reader has: the programs of this Python's environment, and a home directory that is empty."""
    out = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "KUBE"))}
    return out | {
        "PATH": f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}",
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
    }


def run(page: str, folder: pathlib.Path) -> tuple[int, str]:
    """Run the commands of a page; return the exit status and what they have printed. Its processes are ended."""
    variables = environment(folder)
    with ExitStack() as stack:
        if found := SERVER.search(page):
            server = stack.enter_context(Subprocess(found[1].split()))
            variables["KUBECONFIG"] = str(server.kubeconfig)
        output = stack.enter_context((folder / ".output").open("w+"))
        shell = subprocess.Popen(
            ["bash", "-c", _with_free_ports(script(page))],
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = shell.wait(SECONDS)
        except subprocess.TimeoutExpired:
            status = -1
        finally:
            _end(shell)
        output.seek(0)
        return status, output.read()


def _with_free_ports(commands: str) -> str:
    free = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    return re.sub(rf"\b({'|'.join(PORTS)})\b", lambda found: free[found[0]], commands)


def _end(shell: subprocess.Popen[bytes]) -> None:
    """End a shell and the jobs that it has left in the background."""
    try:
        os.killpg(shell.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    shell.wait()

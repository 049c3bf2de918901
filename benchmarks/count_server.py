"""A server under callgrind, with a stopped clock: starts it, commands it, reads what was counted."""

import contextlib
import ctypes
import mmap
import os
import pathlib
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence

from startup import end, free_port, wait_ready

HERE = pathlib.Path(__file__).parent
TOKENS = {"admin": '"system:masters"', "bench": ""}
"""Users, and the groups of each. The second has his rights from RBAC."""
FLAGS = ["--bind-address=127.0.0.1", "--controllers=-*", "--endpoint-reconciler-type=none"]
FLAGS += ["--max-requests-inflight=40000", "--max-mutating-requests-inflight=20000"]
"""No controller writes meanwhile. A write to what is watched holds seats for a time, and no time passes."""
CALLGRIND = ["valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no"]
START_SECONDS = 180.0
ADDR_NO_RANDOMIZE = 0x0040000


def compile_probe(folder: pathlib.Path, source: pathlib.Path = HERE / "count_probe.c") -> pathlib.Path:
    """A library that the C compiler makes in a folder; by default the one that stops the clock and executes
    commands in the server."""
    out = folder / "probe.so"
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    include = sysconfig.get_path("include")
    flags = ["-O1", "-g", "-fPIC", "-shared", "-fno-omit-frame-pointer", f"-I{include}"]
    subprocess.run([compiler, *flags, str(source), "-o", str(out)], check=True)
    return out


class Server:
    """A running server. `folder` holds its data, its dumps and the way to command it."""

    def __init__(
        self, folder: pathlib.Path, tree: pathlib.Path, counted: bool, options: Sequence[str] = ()
    ) -> None:
        self.folder = folder
        self.tokens = {user: f"token-of-{user}" for user in TOKENS}
        self.port = free_port()
        self._page: mmap.mmap | None = None
        rows = [f"{self.tokens[user]},{user},{user},{groups}\n" for user, groups in TOKENS.items()]
        (folder / "tokens.csv").write_text("".join(rows))
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(tree / "src"),
            "PYTHONHASHSEED": "0",
            "LD_BIND_NOW": "1",  # callgrind cannot pass over the function that binds later
        }
        command = [sys.executable, "-m", "pilothouse", "serve", f"--data-dir={folder}/data", *FLAGS]
        command += [f"--secure-port={self.port}", f"--token-auth-file={folder}/tokens.csv"]
        if counted:
            environment |= self._probe()
            output = f"--callgrind-out-file={folder}/counted"
            command = [*CALLGRIND, output, *options, *command]
        self.process = self._start(command, environment)
        wait_ready(self.port, self.process, START_SECONDS)
        if counted:
            self._commands = (folder / "commands").open("w")
            self._answers = (folder / "answers").open()

    def _probe(self) -> dict[str, str]:
        """The environment by which the server loads the probe,
        with which this process shares a page and two pipes."""
        for name in ("commands", "answers"):
            os.mkfifo(self.folder / name)
        (self.folder / "page").write_bytes(bytes(mmap.PAGESIZE))
        with (self.folder / "page").open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        return {"PILOTHOUSE_COUNT": str(self.folder), "LD_PRELOAD": str(compile_probe(self.folder))}

    def _start(self, command: list[str], environment: dict[str, str]) -> "subprocess.Popen[bytes]":
        with (self.folder / "log").open("wb") as log:
            return subprocess.Popen(
                command,
                env=environment,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                preexec_fn=_fix_addresses,  # noqa: PLW1509 -- there are no threads
            )

    def tell(self, command: str) -> bool:
        """Have a command of count_probe.c executed; False if the server cannot."""
        self._commands.write(command + "\n")
        self._commands.flush()
        answer = self._answers.readline()
        if not answer:
            raise ConnectionError(f"the server ended: {(self.folder / 'log').read_text()[:3000]}")
        return answer == "done\n"

    def wait_idle(self) -> None:
        """Return when the event loop sleeps."""
        while self._page is not None and not self._page[0]:
            time.sleep(0)

    def dump(self, name: str) -> str:
        """The text of the profile since the last dump."""
        before = set(self.folder.glob("counted*"))
        self.tell(f"dump {name}")
        (made,) = set(self.folder.glob("counted*")) - before
        text = made.read_text()
        made.unlink()
        return text

    def files(self) -> str:
        """The files of Python that the probe has numbered, once it was told `frames`."""
        path = self.folder / "files"
        return path.read_text() if path.exists() else ""

    def close(self) -> None:
        """End the server."""
        if self._page is not None:
            with contextlib.suppress(OSError):
                self.tell("thaw")
            self._commands.close()
            self._answers.close()
            self._page.close()
        end(self.process)


@contextlib.contextmanager
def running(
    folder: pathlib.Path, tree: pathlib.Path, *, counted: bool = True, options: Sequence[str] = ()
) -> Iterator[Server]:
    """A server of a tree whose modules are built in tree/src; `options` are callgrind's."""
    server = Server(folder, tree, counted, options)
    try:
        yield server
    finally:
        server.close()


def _fix_addresses() -> None:
    """Load everything at the same address in every run, where the kernel allows to ask for it."""
    ctypes.CDLL(None).personality(ADDR_NO_RANDOMIZE)

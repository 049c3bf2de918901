"""Servers for tests that begin with a state in a file: after the first each takes milliseconds.

All of a `PreparedState` are logical clusters of one server in the process of the test, which shares with them
what is the same for all: threads, TLS, schemas, and objects that none of them has changed.
"""

import os
import pathlib
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from pilothouse.authn.x509 import scope_unit
from pilothouse.testing.clusters import FLAG, LogicalServer
from pilothouse.testing.collector import relaxed
from pilothouse.testing.server import InProcess

STATE_FLAG = "--clusters-from-state"
TEST_API = "--test-api"


class LentServer(LogicalServer):
    """A logical cluster of a server in this process, which makes it without an object that tells of it.
    Its members are those of a server."""

    def __init__(self, host: InProcess, name: str = "", copy_of: str = "") -> None:
        super().__init__(host, name, copy_of)
        self._process = host

    def start(self) -> Self:
        """Make the cluster, and have it in memory."""
        self.unit = scope_unit(self._process.run(self._process.clusters.lend(self.name, self._copy_of)))
        return self

    def stop(self) -> None:
        """Remove the cluster and the files."""
        self._remove()
        self.forget_files()

    def reset(self) -> None:
        """Begin anew at the same address, with other credentials."""
        self._remove()
        self.forget_files()
        self.start()

    def _remove(self) -> None:
        self._process.run(self._process.clusters.give_back(self.name))


class PreparedState:
    """A state that `pilothouse fork save` or `save_state` has written, and a server that has read it.

    flags: those of the server, such as `--authorization-mode=AlwaysAllow`.
    """

    def __init__(self, file: str | os.PathLike[str], flags: Sequence[str] = ()) -> None:
        state = f"--from-state={pathlib.Path(file).absolute()}"
        self._host = InProcess((FLAG, STATE_FLAG, state, TEST_API, *flags))
        self._relaxed = ExitStack()

    def server(self, name: str = "") -> LentServer:
        """A server that begins with the state when it is started. `name` is a part of its URL."""
        return LentServer(self._host, name)

    def start(self) -> Self:
        """Read the state."""
        self._host.__enter__()
        self._relaxed.enter_context(relaxed())
        return self

    def stop(self) -> None:
        """Stop all servers, and remove their files."""
        self._relaxed.close()
        self._host.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

"""Follows the files that a server is configured by:
what is new comes into force while it runs, what is broken changes nothing."""

import asyncio
import os
import stat
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from hashlib import sha256
from typing import Any, Generic, NamedTuple, TypeVar

from pilothouse.lifecycle import Background, BackgroundTask
from pilothouse.logs import Logger
from pilothouse.metrics.instruments import Counter, Gauge, Group, digest
from pilothouse.process.frozen import frozen
from pilothouse.waiting import woken

log = Logger(__name__)

T = TypeVar("T")

POLL = 5.0
"""Seconds between two looks at the files of a configuration."""
SETTLE = 0.25
"""Seconds for which a file must stay as it is before it counts: its writer may not be done yet."""
LONGEST_PAUSE = 60.0
"""Seconds, at most, between two attempts to put the same files in force after they were refused."""
LARGEST = 64 << 20
"""Bytes of the largest file that is followed."""

Files = Mapping[str, bytes]
"""The content of files by their paths."""
Snapshot = dict[str, str]
"""A value that differs where the content differs, by path: a digest, or why the file cannot be read."""

SUCCESS, FAILURE = "success", "failure"


class ReloadMetrics:
    """Upstream's metrics of a configuration that is followed: its reloads, and which one is in force.

    kind: authentication, authorization or encryption. stage: the stability of the counts. `server_id` is the
    name of this API server's lease. For a Group to be derived from. Upstream: apiserver
    pkg/server/options/{authentication, authorization,encryption}config/metrics.
    """

    def __init__(self, kind: str, stage: str = "BETA") -> None:
        self.server_id = ""
        self._in_force = ""
        prefix = f"apiserver_{kind}_config_controller_"
        self.reloads = Counter(
            f"{prefix}automatic_reloads_total",
            f"[{stage}] Reloads of the {kind} configuration.",
            ("apiserver_id_hash", "status"),
        )
        self.last_reload = Gauge(
            f"{prefix}automatic_reload_last_timestamp_seconds",
            f"[{stage}] Time of the last reload of the {kind} configuration.",
            ("apiserver_id_hash", "status"),
        )
        self.configuration = Gauge(
            f"{prefix}last_config_info",
            f"[ALPHA] The {kind} configuration that is in force, by its hash.",
            ("apiserver_id_hash", "hash"),
            lambda: {(digest(self.server_id), self._in_force): 1.0} if self._in_force else {},
        )

    def reloaded(self, status: str) -> None:
        """Count a reload: success or failure."""
        server = digest(self.server_id)
        self.reloads.inc(server, status)
        self.last_reload.set(time.time(), server, status)

    def configured(self, data: bytes) -> None:
        """Show which configuration is in force."""
        self._in_force = digest(data)


@frozen(kw_only=True)
class Followed(Generic[T]):
    """A configuration that stands in files.

    kind: what metrics, log lines and Events call it. paths: names the files; called again whenever others are
    in force, for these may name further files. read: makes of the files what is to come into force, on a
    thread. use: puts that in force, on the loop; it may be a coroutine function. Both raise one of `faults`
    when the files cannot be used, and then nothing may have changed.
    metrics: upstream's, where it has some; they show the hash of the first file.
    """

    kind: str
    paths: Callable[[], Iterable[str]]
    read: Callable[[Files], T]
    use: Callable[[T], Awaitable[None] | None]
    metrics: ReloadMetrics | None = None
    faults: tuple[type[Exception], ...] = (ValueError, OSError)


class ReloadOutcome(NamedTuple):
    """The outcome of a change; `error` says why the files are refused, "" when they are in force."""

    kind: str
    paths: tuple[str, ...]
    error: str = ""


class Reloads(Group, Background):
    """All that one server follows, each by a task of its own, so that none waits for another one.

    poll: seconds between two looks. The metrics of all are here, by kind.
    """

    def __init__(self, poll: float = POLL) -> None:
        self.poll = poll
        self.total = Counter(
            "pilothouse_reloads_total",
            "[ALPHA] Changes of the files that the server is configured by, by whether they came into force.",
            ("kind", "status"),
        )
        self.last = Gauge(
            "pilothouse_reload_last_timestamp_seconds",
            "[ALPHA] Time of the last change of the files that the server is configured by.",
            ("kind", "status"),
        )
        self.refused = Gauge(
            "pilothouse_reload_refused",
            "[ALPHA] Whether the files that are there now are refused (1), and others are in force.",
            ("kind",),
            lambda: {(one.kind,): float(one.refused) for one in self._followers},
        )
        self._followers: list[Follower[Any]] = []
        self._listeners: list[Callable[[ReloadOutcome], None]] = []
        self._running = False

    def follow(self, followed: Followed[T]) -> "Follower[T]":
        """Follow a configuration whose files have just been read: as they are now, they are in force."""
        follower = Follower(followed, self.poll, self._tell)
        self._followers.append(follower)
        if self._running:
            follower.start()
        return follower

    def listen(self, listener: Callable[[ReloadOutcome], None]) -> None:
        """Have a function called with the outcome of each change."""
        self._listeners.append(listener)

    @property
    def followed(self) -> dict[str, tuple[str, ...]]:
        """The files that are followed, by kind."""
        return {one.kind: one.paths for one in self._followers}

    def look(self) -> None:
        """Look at all files at once, as SIGHUP asks for."""
        log.info("All configuration files are looked at", kinds=len(self._followers))
        for follower in self._followers:
            follower.wake()

    def start(self) -> None:
        self._running = True
        for follower in self._followers:
            follower.start()

    async def close(self) -> None:
        self._running = False
        for follower in self._followers:
            await follower.close()

    def _tell(self, outcome: ReloadOutcome) -> None:
        status = FAILURE if outcome.error else SUCCESS
        self.total.inc(outcome.kind, status)
        self.last.set(time.time(), outcome.kind, status)
        for listener in self._listeners:
            listener(outcome)


class Follower(BackgroundTask, Generic[T]):
    """Looks at the files of one configuration every `poll` seconds;
    `tell` is called with what becomes of a change.

    A change counts once two looks have found the same, so no half of a file comes into force; a look that
    somebody asked for takes what is there. Files that were refused are tried again, at growing intervals, for
    something else may have been missing. The same reason is told once.
    """

    def __init__(self, followed: Followed[T], poll: float, tell: Callable[[ReloadOutcome], None]) -> None:
        self.kind = followed.kind
        self._followed = followed
        self._poll = poll
        self._tell = tell
        self._wanted = asyncio.Event()
        self._noticed: Snapshot | None = None
        self._refused: Snapshot | None = None
        self._why = ""
        self._pause = poll
        self._again = 0.0
        self.paths = tuple(dict.fromkeys(followed.paths()))
        files, self._in_force = contents(self.paths)
        self._show(files)

    @property
    def refused(self) -> bool:
        """Whether the files on disk were refused, so that earlier contents are in force."""
        return self._refused is not None

    def wake(self) -> None:
        """Look at once."""
        self._wanted.set()

    async def _run(self) -> None:
        while True:
            within = min(SETTLE, self._poll) if self._noticed is not None else self._poll
            force = await woken(self._wanted, within)
            try:
                await self.look(force=force)
            except Exception:
                log.exception("A configuration cannot be followed", kind=self.kind)

    async def look(self, *, force: bool = False) -> None:
        """Put the files in force if they have changed; `force`: also when they changed since the last
        look."""
        files, seen = await asyncio.to_thread(contents, self.paths)
        if seen == self._in_force:
            self._noticed = None
            if self._refused is not None:
                self._forgive()
            return
        now = asyncio.get_running_loop().time()
        if seen == self._refused:
            if now < self._again and not force:
                return
        elif seen != self._noticed and not force:
            self._noticed = seen
            return
        self._noticed = None
        try:
            await self._take(files, seen)
        except Exception as err:
            if not isinstance(err, (ValueError, OSError, *self._followed.faults)):
                log.exception("A configuration cannot be read", kind=self.kind)
            self._refuse(seen, err, force)
        else:
            await self._accept(files, seen)

    async def _take(self, files: Files, seen: Snapshot) -> None:
        for path in self.paths:
            if path not in files:
                raise OSError(f"{path}: {seen[path]}")
            if not files[path] and seen[path] != self._in_force.get(path):
                raise ValueError(f"{path}: the file is empty")
        made = await asyncio.to_thread(self._followed.read, files)
        waiting = self._followed.use(made)
        if waiting is not None:
            await waiting

    async def _accept(self, files: Files, seen: Snapshot) -> None:
        self.paths = tuple(dict.fromkeys(await asyncio.to_thread(lambda: tuple(self._followed.paths()))))
        if new := [path for path in self.paths if path not in seen]:
            seen = (await asyncio.to_thread(contents, new))[1] | seen
        self._in_force = {path: seen[path] for path in self.paths}
        self._refused, self._why = None, ""
        self._show(files)
        if self._followed.metrics is not None:
            self._followed.metrics.reloaded(SUCCESS)
        log.info("A configuration was reloaded", kind=self.kind)
        self._tell(ReloadOutcome(self.kind, self.paths))

    def _refuse(self, seen: Snapshot, err: Exception, force: bool) -> None:
        """Keep what is in force, and say why:
        once for each reason, and whenever somebody has asked for the look."""
        why = str(err) or type(err).__name__
        again = seen == self._refused
        self._pause = min(2 * self._pause, LONGEST_PAUSE) if again else self._poll
        self._again = asyncio.get_running_loop().time() + self._pause
        self._refused = seen
        if again and why == self._why and not force:
            return
        self._why = why
        if self._followed.metrics is not None:
            self._followed.metrics.reloaded(FAILURE)
        log.error("A configuration was not reloaded, the old one stays in force", err=why, kind=self.kind)
        self._tell(ReloadOutcome(self.kind, self.paths, why))

    def _forgive(self) -> None:
        """The files are again those that are in force."""
        self._refused, self._why = None, ""
        log.info("The files of a configuration are again those that are in force", kind=self.kind)

    def _show(self, files: Files) -> None:
        metrics = self._followed.metrics
        if metrics is not None and self.paths and self.paths[0] in files:
            metrics.configured(files[self.paths[0]])


def contents(paths: Iterable[str]) -> tuple[dict[str, bytes], Snapshot]:
    """The contents of the files that can be read, and for each file a digest or an error that changes
    with its content."""
    files: dict[str, bytes] = {}
    seen: Snapshot = {}
    for path in paths:
        try:
            files[path] = _content(path)
            seen[path] = sha256(files[path]).hexdigest()
        except OSError as err:
            seen[path] = (err.strerror or str(err)).lower()
    return files, seen


def _content(path: str) -> bytes:
    """The content of a regular file: reading a pipe would wait, and take away what is in it. OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise OSError("it is no regular file")
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(min(about.st_size, LARGEST) + 1)  # makes room for all that it may read
            if len(data) > about.st_size:  # it has grown meanwhile
                data += file.read(LARGEST)
    finally:
        os.close(descriptor)
    if len(data) > LARGEST:
        raise OSError(f"it has more than {LARGEST} bytes")
    return data

"""Reads the audit policy again when its file changes. Upstream needs a restart for that (kubernetes PR 71230)."""

import asyncio
import os

from pilothouse.audit.auditor import Auditor
from pilothouse.audit.policy import PolicyError, load
from pilothouse.lifecycle import BackgroundTask
from pilothouse.logs import Logger

log = Logger(__name__)

POLL = 5.0
"""Seconds between two looks at the file."""

State = tuple[int, int, int, int] | None
"""What tells one content of a file from another: device, inode, time of change, size. None: it is not there."""


class PolicyReload(BackgroundTask):
    """Looks at the policy's file every `poll` seconds. A policy that cannot be used leaves the old one in force."""

    def __init__(self, path: str, auditor: Auditor, poll: float = POLL) -> None:
        self._path = path
        self._auditor = auditor
        self._poll = poll
        self._state = state_of(path)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._poll)
            await self.look()
            self._auditor.metrics.losses.tell()

    async def look(self, *, force: bool = False) -> None:
        """Read the policy if its file is another one than at the last look, or with `force` in any case."""
        state = await asyncio.to_thread(state_of, self._path)
        if state == self._state and not force:
            return
        self._state = state
        await self._reload()

    async def _reload(self) -> None:
        metrics = self._auditor.metrics
        try:
            policy = await asyncio.to_thread(load, self._path)
        except PolicyError as error:
            metrics.reloads.inc("failure")
            log.error("The audit policy was not reloaded, the old one stays in force", err=error)
            return
        self._auditor.policy = policy
        metrics.reloads.inc("success")
        log.info("The audit policy was reloaded", path=self._path, rules=len(policy.rules))


def state_of(path: str) -> State:
    """What tells whether the file has changed; a link is followed, so the files of a ConfigMap volume count as well."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size

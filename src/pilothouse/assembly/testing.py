"""Makes what tests of clients move a server with: the paths of its clock, of states and of their file.

It is imported when --test-api or --simulate is given.
"""

import asyncio
import time
from pathlib import Path

from pilothouse.api.values.clock import ServerClock
from pilothouse.assembly.handlers import Handlers
from pilothouse.assembly.host import Host
from pilothouse.assembly.state_file import StateFile, keys_in, objects_of
from pilothouse.assembly.storage import Registry
from pilothouse.authn.authenticator import UnionAuthenticator
from pilothouse.endpoints.documents.checkpoint_page import CheckpointPage, Packed
from pilothouse.endpoints.documents.clock_page import ClockPage
from pilothouse.registry.checkpoints import Checkpoints
from pilothouse.simulate.clock import Clock

TURNS = 20
"""Turns of the event loop without a write after which everything counts as settled."""
PATIENCE = 1.0
"""Seconds after which a key that a controller works on counts no more: it waits for something else."""
SOON = 0.5
"""Seconds within which a controller looks at a key again for this to be waited for."""
LONGEST = 5.0
"""Seconds after which nobody waits any longer."""
PAUSE = 0.0005
"""Seconds between two looks while something is written or worked on."""


class Settling:
    """Waits until the controllers of a server have nothing to do, and nothing is being written."""

    def __init__(self, registry: Registry, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._storage = registry.storage
        self._metrics = registry.client_metrics

    async def __call__(self) -> None:
        quiet, ends = 0, time.monotonic() + LONGEST
        while quiet < TURNS and time.monotonic() < ends:
            before = self._storage.revision
            await asyncio.sleep(0)
            if self._storage.busy or self._metrics.is_busy(self._patience, SOON):
                quiet = 0
                await asyncio.sleep(PAUSE)
            else:
                quiet = quiet + 1 if self._storage.revision == before else 0


def open_testing(
    host: Host, registry: Registry, authenticator: UnionAuthenticator, handlers: Handlers
) -> Checkpoints:
    """Serve the paths of a cluster, on a host whose clock moves."""
    clock, nonresource = host.clock, handlers.dispatcher.nonresource
    assert isinstance(clock, Clock)
    clock.moved.append(authenticator.forget)  # tokens that were good may have expired
    checkpoints = checkpoints_of(registry, clock)
    ClockPage(clock, Settling(registry)).install(nonresource)
    # A logical cluster has a key of its own, and must not show those of the server.
    packed = None if host.token_key else _packing(host, registry)
    CheckpointPage(checkpoints, packed).install(nonresource)
    return checkpoints


def checkpoints_of(registry: Registry, clock: ServerClock) -> Checkpoints:
    """States of a cluster that can be put back."""
    return Checkpoints(registry.store, clock.time, Settling(registry))


def _packing(host: Host, registry: Registry) -> Packed:
    """A function that packs the state of the server's own cluster into a file."""

    async def packed() -> bytes:
        page = await registry.storage.range("", counted=False)
        now = host.clock.time()

        def pack() -> bytes:
            keys = keys_in(host.config.data.directory)
            keys["sa.key"] = Path(host.files.signing_key).read_bytes()
            return StateFile(objects_of(page.items, page.revision), keys, now).pack()

        return await asyncio.to_thread(pack)

    return packed

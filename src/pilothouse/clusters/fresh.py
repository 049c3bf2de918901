"""The objects of a fresh cluster, with which logical clusters begin: made once, and shared until changed."""

import asyncio
import hashlib
from collections.abc import Iterable

import orjson

from pilothouse.api import meta
from pilothouse.assembly.cluster import Cluster
from pilothouse.assembly.host import Host
from pilothouse.assembly.storage import Registry
from pilothouse.controllers.bootstrap import BootstrapObject
from pilothouse.lifecycle import Opened
from pilothouse.storage.base_state import EMPTY, BaseState
from pilothouse.storage.interface import KeyValue
from pilothouse.storage.keys import ROOT
from pilothouse.storage.keyspaces.keyspace import KeyspaceStorage
from pilothouse.storage.memory import MemoryStorage

NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
IDENTITY = f"{ROOT}namespaces/kube-system"
"""The key of the namespace whose UID tells clusters apart (KEP-2149)."""
QUIET = 0.1
"""Seconds without a write after which the controllers are taken to have ended their work."""
LONGEST = 20.0
"""Seconds after which what is there is taken."""


def digest_of(planned: Iterable[BootstrapObject]) -> str:
    """A digest of the objects of a fresh cluster. Leases tell of a server, not of a cluster, and a status has
    the time at which it was planned."""
    objects = [
        (one.plural, {name: value for name, value in one.obj.items() if name != "status"})
        for one in planned
        if one.plural != "leases"
    ]
    return hashlib.sha256(orjson.dumps(objects, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]


def digest_with(digest: str, state: str) -> str:
    """The digest of a fresh cluster's objects that were put into the state with this digest."""
    return hashlib.sha256(f"{digest} {state}".encode()).hexdigest()[:32]


async def begin(cluster: Cluster, opened: Opened, port: int, *, fill: bool) -> bool:
    """Start the controllers of a cluster; `fill` writes what is missing of a fresh one before.
    Whether all of it could be written: a cluster may be full."""
    writers, waiting = cluster.writers(port), False
    if fill:
        for one in await writers.fill([one for one in writers.planned() if one.plural != "leases"]):
            opened.start(one)
            waiting = True
    cluster.start_controllers(writers, opened)
    return not waiting


async def give_identity(registry: Registry, shared: int) -> None:
    """Give a cluster that begins with a shared state a UID of its own. `shared` is the revision of the
    namespace in that state."""
    found = await registry.storage.get(IDENTITY)
    if found is not None and found.mod == shared:
        obj = orjson.loads(registry.to_json(found.key, found.value))
        obj["metadata"]["uid"] = meta.new_uid()
        await registry.storage.update(IDENTITY, orjson.dumps(obj), found.mod)


async def unkept_storage(base: BaseState = EMPTY) -> KeyspaceStorage:
    """A store that forgets everything, for the cluster that is filled once."""
    journal = MemoryStorage()
    await journal.start()
    return KeyspaceStorage(journal, "fresh", base)


async def made(host: Host, storage: KeyspaceStorage, port: int) -> tuple[list[KeyValue], int]:
    """The pairs of a fresh cluster, once controllers have added theirs, and their revision.

    `host` is a guest over `storage`.
    """
    async with Opened() as opened:
        await begin(await Cluster.open(host, opened), opened, port, fill=True)
        wanted = _expected(host)
        seen, since = storage.revision, 0.0
        for _ in range(int(LONGEST / 0.02)):
            await asyncio.sleep(0.02)
            since = since + 0.02 if storage.revision == seen else 0.0
            seen = storage.revision
            page = await storage.range(ROOT)
            if since >= QUIET and wanted <= {kv.key for kv in page.items}:
                break
        return page.items, page.revision


def _expected(host: Host) -> set[str]:
    """Keys of what controllers create in the first namespaces."""
    if not host.config.runs("serviceaccount"):
        return set()
    names = [f"{ROOT}serviceaccounts/{name}/default" for name in NAMESPACES]
    return {*names, *(f"{ROOT}configmaps/{name}/kube-root-ca.crt" for name in NAMESPACES)}

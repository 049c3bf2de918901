"""Publishes live API servers: identity leases and the endpoints of the Service `kubernetes`.

Every server renews a short-lived key below masterleases; the addresses of existing keys are the endpoints.
Upstream: kube-apiserver reconcilers/lease.go and controlplane/controller/kubernetesservice.
"""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable

import orjson

from pilothouse import errors
from pilothouse.api import meta
from pilothouse.api.values import times
from pilothouse.api.values.fields import Object
from pilothouse.lifecycle import Background, BackgroundTask
from pilothouse.logs import Logger
from pilothouse.registry.client import Client
from pilothouse.storage._entry import Entry
from pilothouse.storage.interface import KeyExists, RevisionConflict, Storage, StorageError
from pilothouse.storage.keys import ROOT

log = Logger(__name__)

PREFIX = f"{ROOT}masterleases/"
TTL = 12
"""Seconds after which a server's key expires; upstream's 15 s minus the time until a watcher notices."""

RENEW = 4.0
IDENTITY_RENEW = 10.0
COLLECT = 3600.0
"""Seconds between two deletions of expired identity leases."""

IDENTITY = "apiserver.kubernetes.io/identity"


class _Loop(BackgroundTask):
    """Runs `turn` immediately, then every `period` seconds and whenever `wake` is called."""

    def __init__(self, period: float, turn: Callable[[], Awaitable[None]]) -> None:
        self._period = period
        self._turn = turn
        self._due = asyncio.Event()

    def wake(self) -> None:
        self._due.set()

    async def _run(self) -> None:
        while True:
            try:
                await self._turn()
            except (StorageError, errors.StatusError) as error:
                log.warning("A lease was not renewed, it is tried again", err=error)
            except Exception:
                log.exception("A lease was not renewed, it is tried again")
            try:
                async with asyncio.timeout(self._period):
                    await self._due.wait()
                    self._due.clear()
            except TimeoutError:
                pass


class KubernetesEndpoints(Background):
    """Keeps the addresses of all live servers, including this one, in the endpoints of default/kubernetes."""

    def __init__(self, client: Client, address: str, port: int) -> None:
        self._client = client
        self._storage: Storage = client.store.storage
        self._address = address
        self._port = port
        self._key = PREFIX + address
        self._starting = True
        self._loop = _Loop(RENEW, self._turn)
        self._usable = not ipaddress.ip_address(address).is_loopback
        cache = client.store.cacher.resource(PREFIX, lambda obj: {})
        self._forget: Callable[[], None] = cache.subscribe(self._changed)

    def start(self) -> None:
        """Start; a loopback address is not published because other hosts cannot reach it."""
        if self._usable:
            self._loop.start()

    async def close(self) -> None:
        """Remove this server's address, then stop."""
        self._forget()
        await self._loop.close()
        if not self._usable:
            return
        try:
            async with asyncio.timeout(2.0):
                kv = await self._storage.get(self._key)
                if kv is not None:
                    await self._storage.delete(self._key, kv.mod)
                await self._reconcile()
        except RevisionConflict:  # another process with this address has renewed it
            pass
        except (StorageError, errors.StatusError, TimeoutError) as error:
            log.warning("The address was not taken out of the endpoints, its lease will expire", err=error)

    def _changed(self, new: Entry | None, old: Entry | None) -> None:
        if new is None or old is None:  # a server came or went
            self._loop.wake()

    async def _turn(self) -> None:
        await self._renew()
        await self._reconcile()
        self._starting = False

    async def _renew(self) -> None:
        while True:
            kv = await self._storage.get(self._key)
            lease: Object = {"kind": "Endpoints", "apiVersion": "v1", "metadata": {"name": self._address}}
            lease["subsets"] = [{"addresses": [{"ip": self._address}]}]
            known = orjson.loads(kv.value)["metadata"] if kv is not None and kv.value[:1] == b"{" else {}
            lease["metadata"]["generation"] = known.get("generation", 0) + 1
            value = orjson.dumps(lease)
            try:
                if kv is None:
                    await self._storage.create(self._key, value, TTL)
                else:
                    await self._storage.update(self._key, value, kv.mod, TTL)
                return
            except (KeyExists, RevisionConflict):  # another process with this address was faster
                await asyncio.sleep(0.05)

    async def _reconcile(self) -> None:
        page = await self._storage.range(PREFIX)
        alive = sorted((kv.key.removeprefix(PREFIX) for kv in page.items), key=_order)
        ports = self._ports()
        await self._put("", "v1", "endpoints", self._endpoints(alive, ports))
        await self._put("discovery.k8s.io", "v1", "endpointslices", self._slice(alive, ports))

    def _ports(self) -> list[Object]:
        """The current ports; only a starting server sets them,
        so that servers on different ports do not compete."""
        live = self._client.get(self._client.resource("", "v1", "endpoints"), "default", "kubernetes")
        if not self._starting and live is not None and live.get("subsets"):
            return live["subsets"][0].get("ports") or []
        return [{"name": "https", "port": self._port, "protocol": "TCP"}]

    def _endpoints(self, alive: list[str], ports: list[Object]) -> Object:
        return {
            "metadata": {
                "name": "kubernetes",
                "namespace": "default",
                "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
            },
            "subsets": [{"addresses": [{"ip": ip} for ip in alive], "ports": ports}] if alive else None,
        }

    def _slice(self, alive: list[str], ports: list[Object]) -> Object:
        family = ipaddress.ip_address(self._address).version
        same = [ip for ip in alive if ipaddress.ip_address(ip).version == family]
        return {
            "metadata": {
                "name": "kubernetes",
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": "kubernetes"},
            },
            "addressType": f"IPv{family}",
            "endpoints": [{"addresses": [ip], "conditions": {"ready": True}} for ip in same],
            "ports": ports,
        }

    async def _put(self, group: str, version: str, plural: str, wanted: Object) -> None:
        resource = self._client.resource(group, version, plural)
        members = {name: value for name, value in wanted.items() if name != "metadata"}

        def edit(obj: Object) -> None:
            for name, value in members.items():
                if value is None:
                    obj.pop(name, None)
                else:
                    obj[name] = value
            obj["metadata"].setdefault("labels", {}).update(wanted["metadata"]["labels"])

        live = self._client.get(resource, "default", "kubernetes")
        if live is not None and all(live.get(name) == value for name, value in members.items()):
            return
        if live is None:
            new = {**wanted, "kind": resource.kind, "apiVersion": resource.api_version}
            if await self._client.create(resource, {k: v for k, v in new.items() if v is not None}):
                return
        await self._client.change(resource, "default", "kubernetes", edit)


class IdentityLease(Background):
    """Renews this server's identity lease and deletes the leases of servers that have expired."""

    def __init__(self, client: Client, lease: Object) -> None:
        self._client = client
        self._lease = lease
        self._resource = client.resource("coordination.k8s.io", "v1", "leases")
        self._renewing = _Loop(IDENTITY_RENEW, self._renew)
        self._collecting = _Loop(COLLECT, self._collect)

    def start(self) -> None:
        """Start the renewal on the running event loop."""
        self._renewing.start()
        self._collecting.start()

    async def close(self) -> None:
        """Stop; the lease remains until it expires, because the server is expected to restart."""
        await self._renewing.close()
        await self._collecting.close()

    async def _renew(self) -> None:
        spec = {**self._lease["spec"], "renewTime": meta.now_micro()}

        def edit(obj: Object) -> None:
            obj["spec"] = dict(spec)

        name = self._lease["metadata"]["name"]
        if self._client.get(self._resource, "kube-system", name) is not None:
            await self._client.change(self._resource, "kube-system", name, edit)
        else:
            new = {**self._lease, "kind": "Lease", "apiVersion": "coordination.k8s.io/v1", "spec": spec}
            await self._client.create(self._resource, orjson.loads(orjson.dumps(new)))

    async def _collect(self) -> None:
        now = times.to_unix(meta.now())[0]
        for lease in list(self._client.readers.list("leases.coordination.k8s.io", "kube-system")):
            metadata = lease["metadata"]
            if IDENTITY in (metadata.get("labels") or {}) and _expired(lease.get("spec") or {}, now):
                await self._client.delete(self._resource, "kube-system", metadata["name"])


def _order(ip: str) -> tuple[int, int]:
    address = ipaddress.ip_address(ip)
    return address.version, int(address)


def _expired(spec: Object, now: int) -> bool:
    """Whether a lease has expired; one without times counts as expired."""
    renewed, seconds = spec.get("renewTime"), spec.get("leaseDurationSeconds")
    if not renewed or not seconds:
        return True
    return times.to_unix(renewed)[0] + int(seconds) < now

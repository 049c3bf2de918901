"""Registers APIServices, checks whether their backends are available, and creates those of custom resources.

Combines three controllers of upstream's kube-aggregator: registration, availability and autoregistration.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.controllers.metrics import AggregationMetrics
from pilothouse.controllers.queue import WorkQueue
from pilothouse.controllers.remote_discovery import RemoteDiscovery
from pilothouse.lifecycle import Background
from pilothouse.logs import Logger
from pilothouse.registry.catalog import CUSTOM_GROUP_PRIORITY, CUSTOM_VERSION_PRIORITY
from pilothouse.registry.client import Client
from pilothouse.registry.groups.apiregistration import local_condition
from pilothouse.registry.resource import AggregatedServer
from pilothouse.registry.service_resolver import port_of

log = Logger(__name__)

GROUP = "apiregistration.k8s.io"
APISERVICES = f"apiservices.{GROUP}"
MANAGED = "kube-aggregator.kubernetes.io/automanaged"
ATTEMPTS = 5
RECHECK, RETRY = 30.0, 1.0
"""Seconds until a backend is checked again: after a success, after a failure."""


class Announcements(Protocol):
    """Receives the group versions to announce: implemented by this server's discovery documents."""

    def announce(self, group: str, version: str) -> None:
        """Announce a version that has an APIService and that this server answers itself."""

    def set_remote(self, group: str, version: str, resources: list[Object] | None) -> None:
        """Announce a version that another server answers; `resources` None means that they are unknown."""

    def remove_remote(self, group: str, version: str) -> None:
        """Stop announcing a version."""


class APIServices(Background):
    """Follows APIServices, and the Services and EndpointSlices behind them."""

    def __init__(
        self,
        client: Client,
        discovery: Announcements,
        remote: RemoteDiscovery,
        metrics: AggregationMetrics | None = None,
    ) -> None:
        self.client = client
        self.discovery = discovery
        self.apiservices = client.resource(GROUP, "v1", "apiservices")
        self.remote = remote
        self.metrics = metrics or AggregationMetrics()
        self.queue = WorkQueue("apiservices", self._sync, metrics=client.metrics)
        self._wanted: set[str] = set()
        self._by_service: dict[tuple[str, str], set[str]] = {}
        """Service (namespace, name) -> the APIServices that point to it."""
        self._versions: dict[str, tuple[str, str]] = {}
        """APIService -> the group version under which it is registered."""

    def start(self) -> None:
        catalog = self.client.catalog
        for version in catalog.group_versions():
            self._want(*version)
        readers = self.client.readers
        local = readers.judged((APISERVICES, frozenset(self._wanted)), (APISERVICES,), self._all_local)
        if local:
            self._versions.update(local)
            for name, version in local.items():
                self.discovery.announce(*version)
                self.metrics.mark(name, available=True)
            readers.follow(APISERVICES, self._changed)
        else:
            readers.subscribe(APISERVICES, self._changed)
        readers.subscribe("services", self._service)
        readers.subscribe("endpointslices.discovery.k8s.io", self._slice)
        catalog.changed.append(self._catalog_changed)
        for name in self._wanted - self._versions.keys():
            self.queue.add(name)

    def _all_local(self) -> dict[str, tuple[str, str]]:
        """The group versions of all APIServices by name, where nothing is left to do about any of them: they
        are local, as they should be, and have the priorities by which they are served. {} otherwise."""
        out: dict[str, tuple[str, str]] = {}
        for obj in self.client.readers.list(APISERVICES):
            name, spec = obj["metadata"]["name"], obj["spec"]
            version = out[name] = spec.get("group", ""), spec.get("version", "")
            priorities = spec["groupPriorityMinimum"], spec["versionPriority"]
            if self.client.catalog.priority(*version) != priorities or not self._settled(name, obj):
                return {}
        return out

    async def close(self) -> None:
        await self.queue.close()

    # Changes

    def _changed(self, key: str, new: Object | None, old: Object | None) -> None:
        name = key.rpartition("/")[2]
        if new is None:
            self._withdraw(name)
        elif old is None or new["spec"] != old["spec"] or new.get("status") != old.get("status"):
            self._register(name, new)
        self._look(name, new)

    def _service(self, key: str, new: Object | None, old: Object | None) -> None:
        namespace, name = key.split("/")[-2:]
        self._recheck(namespace, name)

    def _slice(self, key: str, new: Object | None, old: Object | None) -> None:
        obj = new or old
        if obj is not None:
            labels = obj["metadata"].get("labels") or {}
            self._recheck(obj["metadata"]["namespace"], labels.get("kubernetes.io/service-name", ""))

    def _recheck(self, namespace: str, name: str) -> None:
        for apiservice in self._by_service.get((namespace, name), ()):
            self.queue.add(apiservice)

    def _catalog_changed(self, group: str, version: str) -> None:
        """Create an APIService for a group version of custom resources;
        delete it with the last of its resources."""
        name = self._want(group, version)
        if name:
            self._look(name, self.client.readers.get(APISERVICES, "", name))

    def _want(self, group: str, version: str) -> str:
        """Note whether a group version is to have an APIService; its name, "" if it is not made here."""
        if group == GROUP:
            return ""
        name, resource = f"{version}.{group}", self.client.catalog.first(group, version)
        if resource is not None and resource.conventions.api_service:
            self._wanted.add(name)
        elif name in self._wanted:
            self._wanted.discard(name)
        else:
            return ""
        return name

    def _look(self, name: str, obj: Object | None) -> None:
        """Reconcile an APIService, unless it is a local one as it should be, as nearly all are at a start."""
        if obj is None or not self._settled(name, obj):
            self.queue.add(name)

    def _settled(self, name: str, obj: Object) -> bool:
        if obj["spec"].get("service") is not None:
            return False
        if _is_managed(obj) and (name not in self._wanted or obj["spec"] != _local(name)["spec"]):
            return False
        if _with_condition(obj.get("status"), local_condition("")) != obj.get("status"):
            return False
        self.metrics.mark(name, available=True)
        return True

    # Registration

    def _register(self, name: str, obj: Object) -> None:
        """Register a group version in the catalog and in discovery."""
        spec = obj["spec"]
        version = (spec.get("group", ""), spec.get("version", ""))
        catalog, priority = self.client.catalog, (spec["groupPriorityMinimum"], spec["versionPriority"])
        if catalog.priority(*version) != priority:
            catalog.set_priority(*version, *priority)
        self._versions[name] = version
        self._forget_service(name)
        service = spec.get("service")
        if service is None:
            catalog.set_backend(*version, None)
            self.discovery.announce(*version)
            return
        self._by_service.setdefault((service["namespace"], service["name"]), set()).add(name)
        self._route(version, backend_of(obj))

    def _route(self, version: tuple[str, str], backend: AggregatedServer) -> None:
        known = self.client.catalog.backends.get(version)
        self.client.catalog.set_backend(*version, backend)
        if known is None or known.uid != backend.uid or not backend.available:
            self.discovery.set_remote(*version, None)

    def _withdraw(self, name: str) -> None:
        self.metrics.forget(name)
        self._forget_service(name)
        version = self._versions.pop(name, None)
        if version is not None:
            self.client.catalog.set_backend(*version, None)
            self.discovery.remove_remote(*version)

    def _forget_service(self, name: str) -> None:
        for key, names in list(self._by_service.items()):
            names.discard(name)
            if not names:
                del self._by_service[key]

    # Reconciliation

    async def _sync(self, name: str) -> float | None:
        readers = self.client.readers
        if await self._automanage(name, readers.get(APISERVICES, "", name)):
            return None
        obj = readers.get(APISERVICES, "", name)
        if obj is None:
            return None
        if obj["spec"].get("service") is None:
            await self._set_condition(name, obj, local_condition(self.client.now()))
            return None
        return await self._check(name, obj)

    async def _automanage(self, name: str, obj: Object | None) -> bool:
        """Create, correct or delete the APIService of a local group version;
        returns whether nothing is left to do."""
        wanted = _local(name) if name in self._wanted else None
        if obj is None:
            if wanted is not None:
                await self.client.create(self.apiservices, wanted)
            return True
        if not _is_managed(obj):
            return False
        uid = obj["metadata"]["uid"]
        if wanted is None:
            await self.client.delete(self.apiservices, "", name, {"preconditions": {"uid": uid}})
            return True
        if obj["spec"] != wanted["spec"]:
            await self._write(name, uid, lambda live: live.update(spec=wanted["spec"]))
        return False

    async def _check(self, name: str, obj: Object) -> float:
        """Check whether a backend is available and set the condition Available."""
        reason, message = self._fault(obj)
        if not reason:
            message = await self._probe(obj)
            reason = "FailedDiscoveryCheck" if message else ""
        condition = {
            "type": "Available",
            "status": "False" if reason else "True",
            "lastTransitionTime": self.client.now(),
            "reason": reason or "Passed",
            "message": message or "all checks passed",
        }
        await self._set_condition(name, obj, condition)
        if reason:
            return RETRY if reason == "FailedDiscoveryCheck" else RECHECK
        await self._announce(obj)
        return RECHECK

    def _fault(self, obj: Object) -> tuple[str, str]:
        """Reason and message of a failure that shows in the cluster's objects; upstream's order and texts."""
        ref, readers = obj["spec"]["service"], self.client.readers
        namespace, name, number = ref["namespace"], ref["name"], ref.get("port", 443)
        service = readers.get("services", namespace, name)
        what = f'service/{name} in "{namespace}"'
        if service is None:
            return "ServiceNotFound", f"{what} is not present"
        if (service.get("spec") or {}).get("type", "ClusterIP") != "ClusterIP":
            return "", ""
        port = port_of(service, number)
        if port is None:
            return "ServicePortError", f"{what} is not listening on port {number}"
        slices = [
            s
            for s in readers.list("endpointslices.discovery.k8s.io", namespace)
            if (s["metadata"].get("labels") or {}).get("kubernetes.io/service-name") == name
        ]
        if not slices:
            return "EndpointsNotFound", f"cannot find endpointslices for {what}"
        port_name = port.get("name", "")
        if not any(_serves(s, port_name) for s in slices):
            message = f'endpointslices for {what} have no addresses with port name "{port_name}"'
            return "MissingEndpoints", message
        return "", ""

    async def _probe(self, obj: Object) -> str:
        """Probe the backend several times at once:
        "" as soon as one attempt succeeds, else the last error."""
        spec, message = obj["spec"], ""
        backend, group, version = backend_of(obj), spec.get("group", ""), spec["version"]
        attempts = [self.remote.probe(backend, group, version) for _ in range(ATTEMPTS)]
        tasks = [asyncio.ensure_future(call) for call in attempts]
        try:
            for done in asyncio.as_completed(tasks):
                message = await done
                if not message:
                    return ""
        finally:
            for task in tasks:
                task.cancel()
        return message

    async def _announce(self, obj: Object) -> None:
        """Announce a backend's resources in discovery; as stale if the backend does not list them."""
        version = (obj["spec"].get("group", ""), obj["spec"]["version"])
        backend = self.client.catalog.backends.get(version)
        if backend is None or backend.uid != obj["metadata"]["uid"]:
            return
        resources = await self.remote.resources_of(backend, *version)
        if self.client.catalog.backends.get(version) is not None:
            self.discovery.set_remote(*version, resources)

    async def _set_condition(self, name: str, obj: Object, condition: Object) -> None:
        available = condition["status"] == "True"
        self.metrics.mark(name, available=available)
        if _with_condition(obj.get("status"), condition) == (obj.get("status") or {}):
            return

        def edit(live: Object) -> None:
            live["status"] = _with_condition(live.get("status"), condition)

        await self._write(name, obj["metadata"]["uid"], edit, "status")
        if is_available(obj) and not available:
            self.metrics.became_unavailable.inc(name, condition["reason"])

    async def _write(
        self, name: str, uid: str, edit: Callable[[Object], None], subresource: str = ""
    ) -> None:
        try:
            await self.client.change(self.apiservices, "", name, edit, subresource, uid)
        except (errors.NotFound, errors.Conflict):
            log.verbose(4, "The API service is gone or was replaced", name=name)


def backend_of(obj: Object) -> AggregatedServer:
    """The backend that an APIService with a Service describes."""
    spec, service = obj["spec"], obj["spec"]["service"]
    return AggregatedServer(
        uid=obj["metadata"]["uid"],
        namespace=service["namespace"],
        name=service["name"],
        port=service.get("port", 443),
        ca_bundle=spec.get("caBundle") or "",
        insecure=bool(spec.get("insecureSkipTLSVerify")),
        available=is_available(obj),
    )


def _is_managed(obj: Object) -> bool:
    """Whether an APIService is the controller's own, for a group version of custom resources."""
    return bool((obj["metadata"].get("labels") or {}).get(MANAGED) == "true")


def is_available(obj: Object) -> bool:
    """Whether an APIService has the condition Available."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Available" and c["status"] == "True" for c in conditions)


def _local(name: str) -> Object:
    version, _, group = name.partition(".")
    spec = {
        "group": group,
        "version": version,
        "groupPriorityMinimum": CUSTOM_GROUP_PRIORITY,
        "versionPriority": CUSTOM_VERSION_PRIORITY,
    }
    return {
        "kind": "APIService",
        "apiVersion": f"{GROUP}/v1",
        "metadata": {"name": name, "labels": {MANAGED: "true"}},
        "spec": spec,
    }


def _serves(slice_: Object, port_name: str) -> bool:
    ready = any((e.get("conditions") or {}).get("ready") is not False for e in slice_.get("endpoints") or ())
    return ready and any(p.get("name") == port_name and p.get("port") for p in slice_.get("ports") or ())


def _with_condition(status: Object | None, condition: Object) -> Object:
    """Set a condition in a status; its transition time changes only with its status
    (SetAPIServiceCondition)."""
    conditions = list((status or {}).get("conditions") or ())
    for at, old in enumerate(conditions):
        if old["type"] == condition["type"]:
            same = old.get("status") == condition["status"]
            time = old.get("lastTransitionTime") if same else condition["lastTransitionTime"]
            conditions[at] = {**old, **condition, "lastTransitionTime": time}
            break
    else:
        conditions.append(condition)
    return {**(status or {}), "conditions": conditions}

"""Creates the objects of a fresh cluster at start, and reconciles those that exist."""

import asyncio
import base64
import functools
import ipaddress
import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import orjson

from pilothouse import errors
from pilothouse.api.values.fields import Object
from pilothouse.authz.cover import uncovered
from pilothouse.lifecycle import BackgroundTask
from pilothouse.logs import Logger
from pilothouse.process.frozen import frozen
from pilothouse.storage.encryption.errors import EncryptionError
from pilothouse.storage.interface import Full, StorageError

log = Logger(__name__)

RETRY_SECONDS = 10.0
"""Seconds between two attempts to create the objects that could not be created."""

_RBAC = "rbac.authorization.k8s.io"
_AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
_FLOW_AUTOUPDATE = "apf.kubernetes.io/autoupdate-spec"
_MANAGER = "kube-apiserver"
_FLOW_PRODUCER = "api-priority-and-fairness-config-producer-v1"
_FLOW_CONSUMER = "api-priority-and-fairness-config-consumer-v1"
_SERVICE_CIDRS = "kubernetes-service-cidr-controller"
PEER = "kubernetes.io/peer-advertise-address"
"""The annotation of a server's identity lease that tells its address."""
TRUST = "extension-apiserver-authentication"
"""The config map by which aggregated servers know clients; authentication_trust.py keeps it up to date."""
_MANDATORY = frozenset({"exempt", "catch-all"})


@frozen(kw_only=True)
class BootstrapSettings:
    """Settings of this server that its bootstrap objects contain.
    CAs are PEM texts; `now` is an RFC 3339 time."""

    advertise_address: str
    secure_port: int
    service_cidrs: tuple[str, ...]
    hostname: str
    now: str
    kubelet_group: str = ""
    """The group by which this server is known to kubelets; it may do everything.
    Empty: the flags say as whom it calls."""
    client_ca: str = ""
    proxy_ca: str = ""
    proxy_names: tuple[str, ...] = ()
    username_headers: tuple[str, ...] = ()
    uid_headers: tuple[str, ...] = ()
    group_headers: tuple[str, ...] = ()
    extra_prefixes: tuple[str, ...] = ()


@frozen
class BootstrapObject:
    """A bootstrap object, without the fields that a write sets (uid, times, managed fields).

    `manager` owns everything except the status; `status_manager` has applied the status subresource.
    """

    group: str
    version: str
    plural: str
    obj: Object
    manager: str = _MANAGER
    status_manager: str = ""

    @property
    def namespace(self) -> str:
        namespace: str = self.obj["metadata"].get("namespace", "")
        return namespace

    @property
    def name(self) -> str:
        name: str = self.obj["metadata"]["name"]
        return name


class BootstrapClient(Protocol):
    """Reads and writes bootstrap objects on behalf of a field manager."""

    def get(self, planned: BootstrapObject) -> Object | None:
        """A private copy of the stored object with the planned object's name; None if it does not exist."""

    async def create_missing(self, planned: Sequence[BootstrapObject]) -> None:
        """Create objects that do not exist, in one transaction if the store supports it;
        existing ones are kept.

        Raises EncryptionError if some could not be encrypted, Full without space; the others are created.
        """

    async def change(self, planned: BootstrapObject, edit: Callable[[Object], None]) -> None:
        """Read the stored object, edit it in place and write it."""

    async def delete(self, planned: BootstrapObject) -> None:
        """Delete the stored object with the planned object's name."""


async def ensure(writer: BootstrapClient, planned: Sequence[BootstrapObject]) -> list[BootstrapObject]:
    """Create missing objects and reconcile existing ones.

    Returns the objects to retry later: those that cannot be decrypted or encrypted now,
    or that the store has no space for.
    """
    missing, existing, waiting = [], [], []
    for p in planned:
        try:
            live = writer.get(p)
        except errors.InternalError as err:
            log.warning("An object of a fresh cluster has to wait", resource=p.plural, name=p.name, err=err)
            waiting.append(p)
            continue
        if live is None:
            missing.append(p)
        else:
            existing.append((p, live))
    try:
        await writer.create_missing(missing)
    except (EncryptionError, Full) as err:
        log.warning("Objects of a fresh cluster have to wait", count=len(missing), err=err)
        waiting += missing
    for p, live in existing:
        try:
            await _reconcile(writer, p, live)
        except (errors.InternalError, errors.Unknown) as err:
            log.warning("An object of a fresh cluster has to wait", resource=p.plural, name=p.name, err=err)
            waiting.append(p)
    return waiting


class BootstrapRetry(BackgroundTask):
    """Tries every `pause` seconds to make what had to wait."""

    def __init__(
        self, writer: BootstrapClient, waiting: Sequence[BootstrapObject], pause: float = RETRY_SECONDS
    ) -> None:
        self._pause = pause
        self._writer = writer
        self._waiting = waiting

    async def _run(self) -> None:
        while self._waiting:
            await asyncio.sleep(self._pause)
            try:
                self._waiting = await ensure(self._writer, self._waiting)
            except (errors.StatusError, StorageError) as err:
                log.warning("Objects of a fresh cluster have to wait", count=len(self._waiting), err=err)


async def _reconcile(writer: BootstrapClient, planned: BootstrapObject, live: Object) -> None:
    if planned.plural in ("roles", "clusterroles"):
        await _write(writer, planned, live, reconciled_role(live, planned.obj))
    elif planned.plural in ("rolebindings", "clusterrolebindings"):
        if _protected(live):
            return
        if live.get("roleRef") != planned.obj["roleRef"]:
            # A roleRef is immutable.
            await writer.delete(planned)
            await writer.create_missing([planned])
            return
        await _write(writer, planned, live, reconciled_binding(live, planned.obj))
    elif planned.plural in ("flowschemas", "prioritylevelconfigurations"):
        await _write(writer, planned, live, reconciled_flow(live, planned.obj))
    elif planned.plural in _RESTORED:
        await _write(writer, planned, live, _restored(live, planned.obj, _RESTORED[planned.plural]))


async def _write(writer: BootstrapClient, planned: BootstrapObject, live: Object, wanted: Object) -> None:
    if wanted == live:
        return

    def edit(obj: Object) -> None:
        for member in (
            "rules",
            "aggregationRule",
            "subjects",
            "spec",
            "subsets",
            "endpoints",
            "ports",
            "data",
        ):
            if member in wanted:
                obj[member] = wanted[member]
        for member in ("labels", "annotations"):
            if wanted["metadata"].get(member):
                obj["metadata"][member] = wanted["metadata"][member]

    await writer.change(planned, edit)


_RESTORED = {
    "apiservices": ("spec",),
    "endpoints": ("subsets",),
    "endpointslices": ("endpoints", "ports"),
    "configmaps": ("data",),
    "leases": ("spec",),
}
"""Resource -> members that are reset to their planned value at every start."""


def _restored(live: Object, planned: Object, members: tuple[str, ...]) -> Object:
    wanted = {**live, "metadata": _merged_metadata(live, planned)}
    for member in members:
        if member not in planned:
            continue
        value = planned[member]
        if planned["metadata"]["name"] in _MERGED_DATA:
            value = {**value, **(live.get(member) or {})}
        wanted[member] = value
    return wanted


_MERGED_DATA = frozenset({"kube-apiserver-legacy-service-account-token-tracking", TRUST})
"""Config maps in which existing data keeps precedence."""


def reconciled_role(live: Object, expected: Object) -> Object:
    """The role with missing rules added. Nothing is removed; a role without autoupdate is unchanged."""
    if _protected(live):
        return live
    role = {**live, "metadata": _merged_metadata(live, expected)}
    if expected.get("aggregationRule") is None:
        held, rules = live.get("rules") or (), expected.get("rules") or ()
        missing = uncovered(held, rules) if held != rules else ()
        if missing:
            role["rules"] = [*(live.get("rules") or ()), *missing]
    else:
        own = (live.get("aggregationRule") or {}).get("clusterRoleSelectors") or []
        wanted = expected["aggregationRule"]["clusterRoleSelectors"]
        role["aggregationRule"] = {"clusterRoleSelectors": [*own, *(s for s in wanted if s not in own)]}
    return role


def reconciled_binding(live: Object, expected: Object) -> Object:
    """The binding with missing subjects added, unless autoupdate is off."""
    if _protected(live):
        return live
    own = live.get("subjects") or []
    missing = [s for s in expected.get("subjects") or () if s not in own]
    binding = {**live, "metadata": _merged_metadata(live, expected)}
    if missing:
        binding["subjects"] = [*own, *missing]
    return binding


def reconciled_flow(live: Object, expected: Object) -> Object:
    """A flow schema or priority level with its built-in spec,
    unless autoupdate is off or its user has edited it."""
    annotations = live["metadata"].get("annotations") or {}
    mandatory = expected["metadata"]["name"] in _MANDATORY
    autoupdate = annotations.get(_FLOW_AUTOUPDATE)
    untouched = live["metadata"].get("generation", 1) == 1
    if not mandatory and autoupdate != "true" and (autoupdate is not None or not untouched):
        return live
    spec = {**expected["spec"]}
    if mandatory and "exempt" in spec and autoupdate != "true":
        spec["exempt"] = (live.get("spec") or {}).get("exempt", spec["exempt"])
    annotations = annotations if mandatory else {**annotations, _FLOW_AUTOUPDATE: "true"}
    metadata = {**live["metadata"], "annotations": annotations} if annotations else live["metadata"]
    return {**live, "metadata": metadata, "spec": spec}


def _protected(live: Object) -> bool:
    return (live["metadata"].get("annotations") or {}).get(_AUTOUPDATE) == "false"


def _merged_metadata(live: Object, expected: Object) -> Object:
    metadata = dict(live["metadata"])
    for member in ("labels", "annotations"):
        merged = {**(metadata.get(member) or {}), **(expected["metadata"].get(member) or {})}
        if merged:
            metadata[member] = merged
    return metadata


def objects(settings: BootstrapSettings) -> list[BootstrapObject]:
    """All bootstrap objects of a server with these settings, in the order in which they are created."""
    return [
        *_data("namespaces", "", "v1"),
        *_data("rbac", _RBAC, "v1"),
        *_kubelet_client(settings),
        *_data("priorityclasses", "scheduling.k8s.io", "v1"),
        *_flow(settings),
        *_api_services(settings),
        *_network(settings),
        *_config_maps(settings),
        _identity(settings),
    ]


def _kubelet_client(settings: BootstrapSettings) -> Iterator[BootstrapObject]:
    """The binding that kubeadm makes for its administrators,
    to which the API server belongs as a client of kubelets."""
    if not settings.kubelet_group:
        return
    group = {"kind": "Group", "apiGroup": _RBAC, "name": settings.kubelet_group}
    role = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": "cluster-admin"}
    binding = _object(
        f"{_RBAC}/v1", "ClusterRoleBinding", settings.kubelet_group, roleRef=role, subjects=[group]
    )
    yield BootstrapObject(_RBAC, "v1", "clusterrolebindings", binding)


@functools.cache
def node_rules() -> list[Object]:
    """The rules of the cluster role system:node, which every node has; shared, must not be changed."""
    found = next(
        o for o in _load("rbac") if o["kind"] == "ClusterRole" and o["metadata"]["name"] == "system:node"
    )
    rules: list[Object] = found["rules"]
    return rules


def _load(name: str) -> list[Object]:
    text = (Path(__file__).with_name("bootstrap_data") / f"{name}.json").read_bytes()
    loaded: list[Object] = orjson.loads(text)
    return loaded


_PLURALS = {
    "APIService": "apiservices",
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "FlowSchema": "flowschemas",
    "Namespace": "namespaces",
    "PriorityClass": "priorityclasses",
    "PriorityLevelConfiguration": "prioritylevelconfigurations",
    "Role": "roles",
    "RoleBinding": "rolebindings",
}


def _data(name: str, group: str, version: str, manager: str = _MANAGER) -> Iterator[BootstrapObject]:
    for obj in _load(name):
        yield BootstrapObject(group, version, _PLURALS[obj["kind"]], obj, manager)


def _flow(settings: BootstrapSettings) -> Iterator[BootstrapObject]:
    for planned in _data("flowcontrol", "flowcontrol.apiserver.k8s.io", "v1", _FLOW_PRODUCER):
        if planned.plural == "prioritylevelconfigurations":
            planned.obj["status"] = {}
            yield planned
            continue
        level = planned.obj["spec"]["priorityLevelConfiguration"]["name"]
        condition = {
            "type": "Dangling",
            "status": "False",
            "lastTransitionTime": settings.now,
            "reason": "Found",
            "message": f'This FlowSchema references the PriorityLevelConfiguration object named "{level}" '
            "and it exists",
        }
        planned.obj["status"] = {"conditions": [condition]}
        yield BootstrapObject(
            planned.group, "v1", planned.plural, planned.obj, _FLOW_PRODUCER, _FLOW_CONSUMER
        )


def _api_services(settings: BootstrapSettings) -> Iterator[BootstrapObject]:
    for planned in _data("apiservices", "apiregistration.k8s.io", "v1"):
        condition = {
            "type": "Available",
            "status": "True",
            "lastTransitionTime": settings.now,
            "reason": "Local",
            "message": "Local APIServices are always available",
        }
        planned.obj["status"] = {"conditions": [condition]}
        yield planned


def _network(settings: BootstrapSettings) -> Iterator[BootstrapObject]:
    """The Service `kubernetes` with its IP address, endpoints and ServiceCIDR."""
    networks = [ipaddress.ip_network(cidr, strict=False) for cidr in settings.service_cidrs]
    ip = str(networks[0].network_address + 1)
    family = f"IPv{networks[0].version}"
    ready = {
        "type": "Ready",
        "status": "True",
        "lastTransitionTime": settings.now,
        "reason": "",
        "message": "Kubernetes default Service CIDR is ready",
    }
    networking = "networking.k8s.io"
    cidr = _object(
        f"{networking}/v1", "ServiceCIDR", "kubernetes", spec={"cidrs": [str(n) for n in networks]}
    )
    cidr["status"] = {"conditions": [ready]}
    yield BootstrapObject(networking, "v1", "servicecidrs", cidr, _MANAGER, _SERVICE_CIDRS)
    address = _object(
        f"{networking}/v1",
        "IPAddress",
        ip,
        labels={
            "ipaddress.kubernetes.io/ip-family": family,
            "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
        },
        spec={"parentRef": {"resource": "services", "namespace": "default", "name": "kubernetes"}},
    )
    yield BootstrapObject(networking, "v1", "ipaddresses", address)
    yield BootstrapObject("", "v1", "services", _kubernetes_service(settings, ip, family))
    yield from _endpoints(settings)


def _kubernetes_service(settings: BootstrapSettings, ip: str, family: str) -> Object:
    port = {"name": "https", "protocol": "TCP", "port": 443, "targetPort": settings.secure_port}
    return _object(
        "v1",
        "Service",
        "kubernetes",
        "default",
        labels={"component": "apiserver", "provider": "kubernetes"},
        spec={
            "ports": [port],
            "clusterIP": ip,
            "clusterIPs": [ip],
            "type": "ClusterIP",
            "sessionAffinity": "None",
            "ipFamilies": [family],
            "ipFamilyPolicy": "SingleStack",
            "internalTrafficPolicy": "Cluster",
        },
        status={"loadBalancer": {}},
    )


def _endpoints(settings: BootstrapSettings) -> Iterator[BootstrapObject]:
    address = ipaddress.ip_address(settings.advertise_address)
    if address.is_loopback:  # endpoints may not be loopback addresses
        return
    port = {"name": "https", "port": settings.secure_port, "protocol": "TCP"}
    endpoints = _object(
        "v1",
        "Endpoints",
        "kubernetes",
        "default",
        labels={"endpointslice.kubernetes.io/skip-mirror": "true"},
        subsets=[{"addresses": [{"ip": str(address)}], "ports": [port]}],
    )
    yield BootstrapObject("", "v1", "endpoints", endpoints)
    slice_ = _object(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        "kubernetes",
        "default",
        labels={"kubernetes.io/service-name": "kubernetes"},
        addressType=f"IPv{address.version}",
        endpoints=[{"addresses": [str(address)], "conditions": {"ready": True}}],
        ports=[port],
    )
    slice_["metadata"]["generation"] = 1
    yield BootstrapObject("discovery.k8s.io", "v1", "endpointslices", slice_)


def trust(settings: BootstrapSettings) -> dict[str, str]:
    """The data by which aggregated servers trust this server:
    the CAs of clients and front proxies, and the headers of these."""
    out = {"client-ca-file": settings.client_ca} if settings.client_ca else {}
    if settings.proxy_ca:
        out |= {
            "requestheader-client-ca-file": settings.proxy_ca,
            "requestheader-allowed-names": _list(settings.proxy_names),
            "requestheader-username-headers": _list(settings.username_headers),
            "requestheader-uid-headers": _list(settings.uid_headers),
            "requestheader-group-headers": _list(settings.group_headers),
            "requestheader-extra-headers-prefix": _list(settings.extra_prefixes),
        }
    return out


def _config_maps(settings: BootstrapSettings) -> Iterator[BootstrapObject]:
    tracking = {"since": settings.now.partition("T")[0]}
    for name, data in (
        (TRUST, trust(settings)),
        ("kube-apiserver-legacy-service-account-token-tracking", tracking),
    ):
        yield BootstrapObject(
            "", "v1", "configmaps", _object("v1", "ConfigMap", name, "kube-system", data=data or None)
        )


def _list(texts: tuple[str, ...]) -> str:
    return json.dumps(list(texts), separators=(",", ":"))


def peer_address(host: str, port: int) -> str:
    """The address that a server announces to the others."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _identity(settings: BootstrapSettings) -> BootstrapObject:
    """The identity lease of this server."""
    digest = sha256(settings.hostname.encode()).digest()[:16]
    name = "apiserver-" + base64.b32encode(digest).decode().rstrip("=").lower()
    peer = peer_address(settings.advertise_address, settings.secure_port)
    lease = _object(
        "coordination.k8s.io/v1",
        "Lease",
        name,
        "kube-system",
        labels={
            "apiserver.kubernetes.io/identity": "kube-apiserver",
            "kubernetes.io/hostname": settings.hostname,
        },
        spec={
            "holderIdentity": f"{name}_{uuid.uuid4()}",
            "leaseDurationSeconds": 3600,
            "renewTime": settings.now.replace("Z", ".000000Z"),
        },
    )
    lease["metadata"]["annotations"] = {PEER: peer}
    return BootstrapObject("coordination.k8s.io", "v1", "leases", lease)


def _object(
    api_version: str,
    kind: str,
    name: str,
    namespace: str = "",
    *,
    labels: dict[str, str] | None = None,
    **members: Any,
) -> Object:
    metadata: Object = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    if labels:
        metadata["labels"] = labels
    present = {member: value for member, value in members.items() if value is not None}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **present}

"""Table cells of the core group's kinds."""

from collections.abc import Iterable, Iterator
from itertools import islice

from pilothouse.api.values.fields import Object
from pilothouse.registry.printers.common import (
    NONE,
    UNKNOWN,
    UNSET,
    Cells,
    Printer,
    RowConditions,
    access_modes,
    age,
    annotations,
    condition,
    condition_true,
    containers_text,
    deleting,
    labels_text,
    name,
    seconds,
    since,
    spec,
    status,
)

ROLE_PREFIX, ROLE_LABEL = "node-role.kubernetes.io/", "kubernetes.io/role"
STORAGE_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"


class _Restarts:
    """Counts a pod's restarts and keeps the time of the last one."""

    __slots__ = ("count", "last")

    def __init__(self) -> None:
        self.count = 0
        self.last = ""

    def add(self, container: Object) -> None:
        self.count += container.get("restartCount", 0)
        ended = ((container.get("lastState") or {}).get("terminated") or {}).get("finishedAt", "")
        if ended and (not self.last or seconds(self.last) < seconds(ended)):
            self.last = ended

    def text(self, now: float) -> str:
        if self.count and self.last:
            return f"{self.count} ({since(self.last, now)} ago)"
        return str(self.count)


def _exit_text(terminated: Object) -> str:
    reason: str | None = terminated.get("reason")
    if reason:
        return reason
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _initializing(
    pod: Object, sidecars: set[str], restarts: _Restarts, sidecar_restarts: _Restarts
) -> tuple[str, int]:
    """Why the pod is still initializing ("" if it is not), and the number of ready sidecars."""
    ready = 0
    for index, container in enumerate(status(pod).get("initContainerStatuses") or ()):
        restarts.add(container)
        sidecar = container.get("name") in sidecars
        if sidecar:
            sidecar_restarts.add(container)
        state = container.get("state") or {}
        terminated, waiting = state.get("terminated"), state.get("waiting") or {}
        if terminated is not None and not terminated.get("exitCode"):
            continue
        if sidecar and container.get("started"):
            ready += bool(container.get("ready"))
            continue
        if terminated is not None:
            return f"Init:{_exit_text(terminated)}", ready
        if waiting.get("reason") and waiting["reason"] != "PodInitializing":
            return f"Init:{waiting['reason']}", ready
        return f"Init:{index}/{len(spec(pod).get('initContainers') or ())}", ready
    return "", ready


def _running(pod: Object, reason: str, restarts: _Restarts) -> tuple[str, int]:
    """The pod's reason from its main containers, of which the first decides, and the number of ready ones."""
    ready = 0
    failure = ""
    for container in reversed(status(pod).get("containerStatuses") or ()):
        restarts.add(container)
        state = container.get("state") or {}
        terminated, waiting = state.get("terminated"), state.get("waiting") or {}
        if waiting.get("reason"):
            reason = waiting["reason"]
        elif terminated is not None:
            reason = _exit_text(terminated)
            if terminated.get("exitCode"):
                failure = reason
        elif container.get("ready") and state.get("running") is not None:
            ready += 1
    if reason == "Completed" and ready:
        reason = "Running" if condition_true(pod, "Ready") else "NotReady"
    elif reason == "Completed" and failure:
        reason = failure
    return reason, ready


def _pod_state(pod: Object) -> tuple[str, int, int, _Restarts]:
    """Reason, number of ready containers, number of containers, restarts."""
    phase = status(pod).get("phase", "")
    reason = status(pod).get("reason") or phase
    if any(
        c.get("type") == "PodScheduled" and c.get("reason") == "SchedulingGated"
        for c in status(pod).get("conditions") or ()
    ):
        reason = "SchedulingGated"
    sidecars = {
        container.get("name", "")
        for container in spec(pod).get("initContainers") or ()
        if container.get("restartPolicy") == "Always"
    }
    restarts, sidecar_restarts = _Restarts(), _Restarts()
    initializing, ready = _initializing(pod, sidecars, restarts, sidecar_restarts)
    reason = initializing or reason
    if not initializing or condition_true(pod, "Initialized"):
        restarts = sidecar_restarts
        reason, main_ready = _running(pod, reason, restarts)
        ready += main_ready
    if deleting(pod):
        if status(pod).get("reason") == "NodeLost":
            reason = "Unknown"
        elif phase not in ("Succeeded", "Failed"):
            reason = "Terminating"
    return reason, ready, len(spec(pod).get("containers") or ()) + len(sidecars), restarts


def _readiness_gates(pod: Object) -> str:
    gates = spec(pod).get("readinessGates")
    if not gates:
        return NONE
    known: dict[str, str] = {}  # the first condition of each type counts
    for entry in status(pod).get("conditions") or ():
        known.setdefault(entry.get("type", ""), entry.get("status", ""))
    true = sum(known.get(gate.get("conditionType", "")) == "True" for gate in gates)
    return f"{true}/{len(gates)}"


def _pod(pod: Object, now: float) -> Cells:
    reason, ready, total, restarts = _pod_state(pod)
    addresses: list[Object] = status(pod).get("podIPs") or [{}]
    return [
        name(pod),
        f"{ready}/{total}",
        reason,
        restarts.text(now),
        age(pod, now),
        addresses[0].get("ip") or NONE,
        spec(pod).get("nodeName") or NONE,
        status(pod).get("nominatedNodeName") or NONE,
        _readiness_gates(pod),
    ]


_COMPLETED = {
    "Succeeded": "The pod has completed successfully.",
    "Failed": "The pod failed.",
}


def pod_row_conditions(pod: Object) -> list[Object] | None:
    """The condition Completed for the row of a pod that has ended."""
    phase = status(pod).get("phase", "")
    message = _COMPLETED.get(phase)
    if message is None:
        return None
    return [{"type": "Completed", "status": "True", "reason": phase, "message": message}]


def _pod_template(obj: Object, now: float) -> Cells:
    template = obj.get("template") or {}
    return [
        name(obj),
        *containers_text(template),
        labels_text((template.get("metadata") or {}).get("labels")),
    ]


def _replication_controller(obj: Object, now: float) -> Cells:
    return [
        name(obj),
        spec(obj).get("replicas", 0),
        status(obj).get("replicas", 0),
        status(obj).get("readyReplicas", 0),
        age(obj, now),
        *containers_text(spec(obj).get("template")),
        labels_text(spec(obj).get("selector")),
    ]


def load_balancer_text(balancer: Object | None) -> str:
    """The addresses of a load balancer, sorted and without duplicates."""
    entries = (balancer or {}).get("ingress") or ()
    return ",".join(sorted({e.get("ip") or e.get("hostname", "") for e in entries} - {""}))


def _external_ip(service: Object) -> str:
    kind, external = spec(service).get("type", ""), spec(service).get("externalIPs") or []
    if kind in ("ClusterIP", "NodePort"):
        return ",".join(external) or NONE
    if kind == "LoadBalancer":
        balanced = load_balancer_text(status(service).get("loadBalancer"))
        return ",".join([balanced, *external] if balanced else external) or "<pending>"
    if kind == "ExternalName":
        name: str = spec(service).get("externalName", "")
        return name
    return UNKNOWN


def _port_text(port: Object) -> str:
    number, protocol = port.get("port", 0), port.get("protocol", "")
    return f"{number}:{port['nodePort']}/{protocol}" if port.get("nodePort") else f"{number}/{protocol}"


def _service(obj: Object, now: float) -> Cells:
    return [
        name(obj),
        spec(obj).get("type", ""),
        (spec(obj).get("clusterIPs") or [NONE])[0],
        _external_ip(obj),
        ",".join(_port_text(port) for port in spec(obj).get("ports") or ()) or NONE,
        age(obj, now),
        labels_text(spec(obj).get("selector")),
    ]


def _endpoints_text(obj: Object) -> str:
    subsets = obj.get("subsets")
    if not subsets:
        return NONE
    count = sum(len(s.get("addresses") or ()) * max(1, len(s.get("ports") or ())) for s in subsets)
    text = ",".join(islice(_each_endpoint(subsets), 3))
    return f"{text} + {count - 3} more..." if count > 3 else text


def _each_endpoint(subsets: list[Object]) -> Iterator[str]:
    """Yield every address with every port of its subset; a generator, because there may be very many."""
    for subset in subsets:
        for port in subset.get("ports") or (None,):
            for address in subset.get("addresses") or ():
                ip = address.get("ip", "")
                if port is None:
                    yield ip
                else:
                    yield f"[{ip}]:{port['port']}" if ":" in ip else f"{ip}:{port['port']}"


def _endpoints(obj: Object, now: float) -> Cells:
    return [name(obj), _endpoints_text(obj), age(obj, now)]


def _node_address(node: Object, kind: str) -> str:
    addresses: Iterable[Object] = status(node).get("addresses") or ()
    return next((entry.get("address", "") for entry in addresses if entry.get("type") == kind), NONE)


def _node_roles(node: Object) -> str:
    roles = set()
    for key, value in ((node.get("metadata") or {}).get("labels") or {}).items():
        if key.startswith(ROLE_PREFIX):
            roles.add(key[len(ROLE_PREFIX) :])
        elif key == ROLE_LABEL:
            roles.add(value)
    return ",".join(sorted(roles - {""})) or NONE


def _node_status(node: Object) -> str:
    ready = None
    for entry in status(node).get("conditions") or ():
        if entry.get("type") == "Ready":
            ready = entry
    words = ["Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"]
    if spec(node).get("unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _kernel(info: Object) -> str:
    kernel, architecture = info.get("kernelVersion", ""), info.get("architecture", "")
    return f"{kernel} ({architecture})" if kernel and architecture else kernel or UNKNOWN


def _node(obj: Object, now: float) -> Cells:
    info = status(obj).get("nodeInfo") or {}
    return [
        name(obj),
        _node_status(obj),
        _node_roles(obj),
        age(obj, now),
        info.get("kubeletVersion", ""),
        _node_address(obj, "InternalIP"),
        _node_address(obj, "ExternalIP"),
        info.get("osImage") or UNKNOWN,
        _kernel(info),
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


def _namespace(obj: Object, now: float) -> Cells:
    return [name(obj), status(obj).get("phase", ""), age(obj, now)]


def _secret(obj: Object, now: float) -> Cells:
    return [name(obj), obj.get("type", ""), len(obj.get("data") or ()), age(obj, now)]


def _service_account(obj: Object, now: float) -> Cells:
    return [name(obj), age(obj, now)]


def _config_map(obj: Object, now: float) -> Cells:
    return [name(obj), len(obj.get("data") or ()) + len(obj.get("binaryData") or ()), age(obj, now)]


def _storage_class_of(obj: Object) -> str:
    legacy = annotations(obj).get(STORAGE_CLASS_ANNOTATION)
    return spec(obj).get("storageClassName", "") if legacy is None else legacy


def _persistent_volume(obj: Object, now: float) -> Cells:
    claim = spec(obj).get("claimRef")
    return [
        name(obj),
        (spec(obj).get("capacity") or {}).get("storage", "0"),
        access_modes(spec(obj).get("accessModes")),
        spec(obj).get("persistentVolumeReclaimPolicy", ""),
        "Terminating" if deleting(obj) else status(obj).get("phase", ""),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim is not None else "",
        _storage_class_of(obj),
        spec(obj).get("volumeAttributesClassName", UNSET),
        status(obj).get("reason", ""),
        age(obj, now),
        spec(obj).get("volumeMode", UNSET),
    ]


def _persistent_volume_claim(obj: Object, now: float) -> Cells:
    capacity = modes = ""
    if spec(obj).get("volumeName"):
        modes = access_modes(status(obj).get("accessModes"))
        capacity = (status(obj).get("capacity") or {}).get("storage", "0")
    return [
        name(obj),
        "Terminating" if deleting(obj) else status(obj).get("phase", ""),
        spec(obj).get("volumeName", ""),
        capacity,
        modes,
        _storage_class_of(obj),
        spec(obj).get("volumeAttributesClassName", UNSET),
        age(obj, now),
        spec(obj).get("volumeMode", UNSET),
    ]


def _event(obj: Object, now: float) -> Cells:
    """Cells of an event in its core form."""
    first = since(obj.get("firstTimestamp") or obj.get("eventTime"), now)
    last = since(obj["lastTimestamp"], now) if obj.get("lastTimestamp") else first
    count = obj.get("count") or 1
    series = obj.get("series")
    if series is not None:
        last, count = since(series.get("lastObservedTime"), now), series.get("count", 0)
    target = obj.get("involvedObject") or {}
    kind = target.get("kind", "").lower()
    source = obj.get("source") or {}
    component = source.get("component") or obj.get("reportingComponent", "")
    instance = source.get("host") or obj.get("reportingInstance", "")
    return [
        last,
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{kind}/{target['name']}" if target.get("name") else kind,
        target.get("fieldPath", ""),
        f"{component}, {instance}" if instance else component,
        obj.get("message", "").strip(),
        first,
        count,
        name(obj),
    ]


def _component_status(obj: Object, now: float) -> Cells:
    for entry in obj.get("conditions") or ():
        if entry.get("type") == "Healthy":
            state = "Healthy" if entry.get("status") == "True" else "Unhealthy"
            return [name(obj), state, entry.get("message", ""), entry.get("error", "")]
    return [name(obj), "Unknown", "", ""]


def _resource_quota(obj: Object, now: float) -> Cells:
    used, hard = status(obj).get("used") or {}, status(obj).get("hard") or {}
    requests: list[str] = []
    limits: list[str] = []
    for resource in sorted(hard):
        column = limits if resource.startswith("limits.") else requests
        column.append(f"{resource}: {used.get(resource, '0')}/{hard[resource]}")
    return [name(obj), ", ".join(requests), ", ".join(limits), age(obj, now)]


def _api_service(obj: Object, now: float) -> Cells:
    service = spec(obj).get("service")
    available = condition(obj, "Available")
    state = "Unknown"
    if available is not None:
        state = available.get("status", "")
        if state != "True" and available.get("reason"):
            state = f"{state} ({available['reason']})"
    place = f"{service.get('namespace', '')}/{service.get('name', '')}" if service is not None else "Local"
    return [name(obj), place, state, age(obj, now)]


PRINTERS: dict[tuple[str, str], Printer] = {
    ("", "componentstatuses"): _component_status,
    ("", "configmaps"): _config_map,
    ("", "endpoints"): _endpoints,
    ("", "events"): _event,
    ("", "namespaces"): _namespace,
    ("", "nodes"): _node,
    ("", "persistentvolumeclaims"): _persistent_volume_claim,
    ("", "persistentvolumes"): _persistent_volume,
    ("", "pods"): _pod,
    ("", "podtemplates"): _pod_template,
    ("", "replicationcontrollers"): _replication_controller,
    ("", "resourcequotas"): _resource_quota,
    ("", "secrets"): _secret,
    ("", "serviceaccounts"): _service_account,
    ("", "services"): _service,
    ("apiregistration.k8s.io", "apiservices"): _api_service,
}
ROW_CONDITIONS: dict[tuple[str, str], RowConditions] = {("", "pods"): pod_row_conditions}

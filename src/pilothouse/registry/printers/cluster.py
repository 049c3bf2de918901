"""Table cells of the kinds for networking, storage, RBAC,
admission, flow control and other cluster-wide groups."""

from pilothouse.api.values.fields import Object
from pilothouse.errors import qualified
from pilothouse.gotext import label_selector
from pilothouse.registry.printers.common import (
    NONE,
    UNSET,
    Cells,
    Printer,
    RowOrder,
    age,
    annotations,
    cut,
    deleting,
    human_duration,
    name,
    selector_text,
    spec,
    status,
)
from pilothouse.registry.printers.core import load_balancer_text

DEFAULT_CLASS = {
    "ingressclasses": ("ingressclass.kubernetes.io/is-default-class",),
    "storageclasses": (
        "storageclass.kubernetes.io/is-default-class",
        "storageclass.beta.kubernetes.io/is-default-class",
    ),
    "volumeattributesclasses": ("storageclass.kubernetes.io/is-default-class",),
}


def _class_name(obj: Object, plural: str) -> str:
    """The name, with a mark if the class is the cluster's default."""
    marked = any(annotations(obj).get(key) == "true" for key in DEFAULT_CLASS[plural])
    return f"{name(obj)} (default)" if marked else name(obj)


def _hosts(rules: list[Object]) -> str:
    """The first three hosts, and the number of the remaining rules (not hosts), as upstream."""
    shown: list[str] = []
    more = False
    for rule in rules:
        more = more or len(shown) == 3
        if not more and rule.get("host"):
            shown.append(rule["host"])
    if not shown:
        return "*"
    text = ",".join(shown)
    return f"{text} + {len(rules) - 3} more..." if more else text


def _ingress(obj: Object, now: float) -> Cells:
    return [
        name(obj),
        spec(obj).get("ingressClassName", NONE),
        _hosts(spec(obj).get("rules") or []),
        load_balancer_text(status(obj).get("loadBalancer")),
        "80, 443" if spec(obj).get("tls") else "80",
        age(obj, now),
    ]


def _ingress_class(obj: Object, now: float) -> Cells:
    parameters = spec(obj).get("parameters")
    text = NONE
    if parameters is not None:
        kind, group = parameters.get("kind", ""), parameters.get("apiGroup")
        text = f"{kind if group is None else f'{kind}.{group}'}/{parameters.get('name', '')}"
    return [_class_name(obj, "ingressclasses"), spec(obj).get("controller", ""), text, age(obj, now)]


def _network_policy(obj: Object, now: float) -> Cells:
    return [name(obj), selector_text(spec(obj).get("podSelector")), age(obj, now)]


def _ip_address(obj: Object, now: float) -> Cells:
    """Returns one cell more than there are columns, as upstream does."""
    parent = spec(obj).get("parentRef")
    text = NONE
    if parent is not None:
        parts = [qualified(parent.get("group", ""), parent.get("resource", "")).lower()]
        if parent.get("namespace"):
            parts.append(parent["namespace"])
        text = "/".join([*parts, parent.get("name", "")])
    return [name(obj), text, age(obj, now)]


def _service_cidr(obj: Object, now: float) -> Cells:
    return [name(obj), ",".join(spec(obj).get("cidrs") or ()), age(obj, now)]


def _slice_port(port: Object) -> str:
    return str(port["port"]) if port.get("port") is not None else port.get("name", "*")


def _endpoint_slice(obj: Object, now: float) -> Cells:
    return [
        name(obj),
        obj.get("addressType", ""),
        cut(_slice_port(port) for port in obj.get("ports") or ()),
        cut(a for endpoint in obj.get("endpoints") or () for a in endpoint.get("addresses") or ()),
        age(obj, now),
    ]


def _csi_driver(obj: Object, now: float) -> Cells:
    rules = spec(obj)
    requests = rules.get("tokenRequests")
    return [
        name(obj),
        rules.get("attachRequired", True),
        rules.get("podInfoOnMount", False),
        rules.get("storageCapacity", False),
        UNSET if requests is None else ",".join(r.get("audience", "") for r in requests),
        rules.get("requiresRepublish", False),
        ",".join(rules.get("volumeLifecycleModes") or ()) or NONE,
        age(obj, now),
    ]


def _csi_node(obj: Object, now: float) -> Cells:
    return [name(obj), len(spec(obj).get("drivers") or ()), age(obj, now)]


def _storage_class(obj: Object, now: float) -> Cells:
    return [
        _class_name(obj, "storageclasses"),
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy", "Delete"),
        obj.get("volumeBindingMode", "Immediate"),
        obj.get("allowVolumeExpansion", False),
        age(obj, now),
    ]


def _volume_attributes_class(obj: Object, now: float) -> Cells:
    return [_class_name(obj, "volumeattributesclasses"), obj.get("driverName", ""), age(obj, now)]


def _volume_attachment(obj: Object, now: float) -> Cells:
    return [
        name(obj),
        spec(obj).get("attacher", ""),
        (spec(obj).get("source") or {}).get("persistentVolumeName", ""),
        spec(obj).get("nodeName", ""),
        status(obj).get("attached", False),
        age(obj, now),
    ]


def _binding(obj: Object, now: float) -> Cells:
    reference = obj.get("roleRef") or {}
    subjects = obj.get("subjects") or ()
    accounts = [
        f"{s.get('namespace', '')}/{s.get('name', '')}" for s in subjects if s.get("kind") == "ServiceAccount"
    ]
    return [
        name(obj),
        f"{reference.get('kind', '')}/{reference.get('name', '')}",
        age(obj, now),
        ", ".join(s.get("name", "") for s in subjects if s.get("kind") == "User"),
        ", ".join(s.get("name", "") for s in subjects if s.get("kind") == "Group"),
        ", ".join(accounts),
    ]


def _webhooks(obj: Object, now: float) -> Cells:
    return [name(obj), len(obj.get("webhooks") or ()), age(obj, now)]


def _policy(obj: Object, rules: str, now: float) -> Cells:
    kind = spec(obj).get("paramKind")
    text = UNSET if kind is None else f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}"
    return [name(obj), len(spec(obj).get(rules) or ()), text, age(obj, now)]


def _validating_policy(obj: Object, now: float) -> Cells:
    return _policy(obj, "validations", now)


def _mutating_policy(obj: Object, now: float) -> Cells:
    return _policy(obj, "mutations", now)


def _policy_binding(obj: Object, now: float) -> Cells:
    reference = spec(obj).get("paramRef") or {}
    text = UNSET
    if reference.get("name"):
        text = f"{reference.get('namespace') or '*'}/{reference['name']}"
    elif reference.get("selector") is not None:
        text = label_selector(reference["selector"])
    return [name(obj), spec(obj).get("policyName", ""), text, age(obj, now)]


def _certificate_signing_request(obj: Object, now: float) -> Cells:
    kinds = {entry.get("type") for entry in status(obj).get("conditions") or ()}
    state = "Denied" if "Denied" in kinds else "Approved" if "Approved" in kinds else "Pending"
    if "Failed" in kinds:
        state += ",Failed"
    if status(obj).get("certificate"):
        state += ",Issued"
    length = spec(obj).get("expirationSeconds")
    return [
        name(obj),
        age(obj, now),
        spec(obj).get("signerName") or NONE,
        spec(obj).get("username", ""),
        NONE if length is None else human_duration(length),
        state,
    ]


def _cluster_trust_bundle(obj: Object, now: float) -> Cells:
    return [name(obj), spec(obj).get("signerName") or NONE]


def _lease(obj: Object, now: float) -> Cells:
    return [name(obj), spec(obj).get("holderIdentity", ""), age(obj, now)]


def _lease_candidate(obj: Object, now: float) -> Cells:
    rules = spec(obj)
    return [
        name(obj),
        rules.get("leaseName", ""),
        rules.get("binaryVersion", ""),
        rules.get("emulationVersion", ""),
        age(obj, now),
    ]


def _priority_class(obj: Object, now: float) -> Cells:
    return [
        name(obj),
        obj.get("value", 0),
        obj.get("globalDefault", False),
        age(obj, now),
        obj.get("preemptionPolicy", ""),
    ]


def _runtime_class(obj: Object, now: float) -> Cells:
    return [name(obj), obj.get("handler", ""), age(obj, now)]


def _flow_schema(obj: Object, now: float) -> Cells:
    method = spec(obj).get("distinguisherMethod")
    dangling = "?"
    for entry in status(obj).get("conditions") or ():
        if entry.get("type") == "Dangling":
            dangling = entry.get("status", "")
            break
    return [
        name(obj),
        (spec(obj).get("priorityLevelConfiguration") or {}).get("name", ""),
        spec(obj).get("matchingPrecedence", 0),
        NONE if method is None else method.get("type", ""),
        age(obj, now),
        dangling,
    ]


def _priority_level(obj: Object, now: float) -> Cells:
    limited = spec(obj).get("limited")
    queuing = None if limited is None else (limited.get("limitResponse") or {}).get("queuing")
    queues: Cells = [NONE, NONE, NONE]
    if queuing is not None:
        queues = [queuing.get(member, 0) for member in ("queues", "handSize", "queueLengthLimit")]
    shares = NONE if limited is None else limited.get("nominalConcurrencyShares", 0)
    return [name(obj), spec(obj).get("type", ""), shares, *queues, age(obj, now)]


def _resource_claim(obj: Object, now: float) -> Cells:
    states = ["deleted"] if deleting(obj) else []
    if status(obj).get("allocation") is None:
        states += [] if deleting(obj) else ["pending"]
    else:
        states.append("allocated")
        if status(obj).get("reservedFor"):
            states.append("reserved")
    return [name(obj), ",".join(states), age(obj, now)]


def _resource_slice(obj: Object, now: float) -> Cells:
    rules = spec(obj)
    pool = rules.get("pool") or {}
    return [
        name(obj),
        rules.get("nodeName", ""),
        rules.get("driver", ""),
        pool.get("name", ""),
        age(obj, now),
    ]


def _name_and_age(obj: Object, now: float) -> Cells:
    return [name(obj), age(obj, now)]


_ADMISSION, _RBAC = "admissionregistration.k8s.io", "rbac.authorization.k8s.io"
_NETWORKING, _STORAGE = "networking.k8s.io", "storage.k8s.io"
_FLOWCONTROL, _RESOURCE = "flowcontrol.apiserver.k8s.io", "resource.k8s.io"


def _precedence(schema: Object) -> tuple[int, str]:
    """Sort flow schemas in the order in which they are matched."""
    return spec(schema).get("matchingPrecedence", 0), name(schema)


PRINTERS: dict[tuple[str, str], Printer] = {
    (_ADMISSION, "mutatingadmissionpolicies"): _mutating_policy,
    (_ADMISSION, "mutatingadmissionpolicybindings"): _policy_binding,
    (_ADMISSION, "mutatingwebhookconfigurations"): _webhooks,
    (_ADMISSION, "validatingadmissionpolicies"): _validating_policy,
    (_ADMISSION, "validatingadmissionpolicybindings"): _policy_binding,
    (_ADMISSION, "validatingwebhookconfigurations"): _webhooks,
    ("certificates.k8s.io", "certificatesigningrequests"): _certificate_signing_request,
    ("certificates.k8s.io", "clustertrustbundles"): _cluster_trust_bundle,
    ("coordination.k8s.io", "leasecandidates"): _lease_candidate,
    ("coordination.k8s.io", "leases"): _lease,
    ("discovery.k8s.io", "endpointslices"): _endpoint_slice,
    (_FLOWCONTROL, "flowschemas"): _flow_schema,
    (_FLOWCONTROL, "prioritylevelconfigurations"): _priority_level,
    (_NETWORKING, "ingressclasses"): _ingress_class,
    (_NETWORKING, "ingresses"): _ingress,
    (_NETWORKING, "ipaddresses"): _ip_address,
    (_NETWORKING, "networkpolicies"): _network_policy,
    (_NETWORKING, "servicecidrs"): _service_cidr,
    ("node.k8s.io", "runtimeclasses"): _runtime_class,
    (_RBAC, "clusterrolebindings"): _binding,
    (_RBAC, "rolebindings"): _binding,
    (_RESOURCE, "deviceclasses"): _name_and_age,
    (_RESOURCE, "resourceclaims"): _resource_claim,
    (_RESOURCE, "resourceclaimtemplates"): _name_and_age,
    (_RESOURCE, "resourceslices"): _resource_slice,
    ("scheduling.k8s.io", "priorityclasses"): _priority_class,
    (_STORAGE, "csidrivers"): _csi_driver,
    (_STORAGE, "csinodes"): _csi_node,
    (_STORAGE, "storageclasses"): _storage_class,
    (_STORAGE, "volumeattachments"): _volume_attachment,
    (_STORAGE, "volumeattributesclasses"): _volume_attributes_class,
}
ROW_ORDERS: dict[tuple[str, str], RowOrder] = {
    ("flowcontrol.apiserver.k8s.io", "flowschemas"): _precedence,
}

"""Validates storage.k8s.io/v1: classes, CSI drivers and nodes, capacities, attachments."""

from collections import Counter

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import equal, selector_has_invalid_value
from pilothouse.api.validate.persistentvolume import validate_volume_spec
from pilothouse.api.validate.resources import validate_nonnegative_quantity
from pilothouse.api.validate.shown import go
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values import names
from pilothouse.api.values.fields import Errors, Object

MAX_SIZE = 256 * 1024
"""Bytes of parameters, or of an attachment's metadata."""
MAX_INT32 = 2**31 - 1
_ONE_SOURCE = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"

rules = Rules(
    __name__,
    validate_nonnegative_quantity,
    provisioner=lambda name, path, errs: d.qualified_name(name.lower(), path, errs),
    short_id=d.holds(lambda node: names.size(node) <= 256, "must be 256 characters or less"),
    inline_volume=lambda spec, path, errs: validate_volume_spec(spec, "", path, errs, inline=True),
)

# Storage classes and volume attributes classes

validate_storage_class = rules.kind("storage.k8s.io/v1 StorageClass")("""
    provisioner!                        provisioner
    parameters                          parameters
    reclaimPolicy+                      Delete|Retain
    volumeBindingMode*                  Immediate|WaitForFirstConsumer
    allowedTopologies                   topologies
""")
validate_storage_class_update = d.change(
    d.fixed("provisioner"),
    d.fixed("parameters", show="map"),
    d.fixed("reclaimPolicy"),
    d.fixed("volumeBindingMode"),
)


@rules
def _parameters(parameters: dict[str, str], path: str, errs: Errors) -> None:
    if len(parameters) > 512:
        errs.too_long(path, 512)
        return
    if "" in parameters:
        errs.invalid(path, "", "field can not be empty.")
    _max_size(parameters, path, errs)


@rules
def _max_size(members: dict[str, str], path: str, errs: Errors) -> None:
    if sum(len(k.encode()) + len(v.encode()) for k, v in members.items()) > MAX_SIZE:
        errs.too_long(path, MAX_SIZE)


@rules
def _topologies(terms: list[Object], path: str, errs: Errors) -> None:
    """A term without expressions equals the empty places that upstream's list starts with."""
    seen: Counter[tuple[tuple[str, tuple[str, ...]], ...]] = Counter({(): len(terms)})
    for i, term in enumerate(terms):
        at = f"{path}[{i}].matchLabelExpressions"
        found: dict[str, set[str]] = {}
        for j, expression in enumerate(term.get("matchLabelExpressions") or ()):
            name, values = expression.get("key", ""), expression.get("values") or ()
            _topology_values(expression, f"{at}[{j}]", errs)
            if name in found:
                errs.duplicate(f"{at}[{j}].key", name)
            found[name] = set(values)
        same = tuple(sorted((name, tuple(sorted(values))) for name, values in found.items()))
        for _ in range(seen[same]):
            errs.duplicate(at, "")
        seen[same] += 1


_topology_values = rules.table("api.core.v1.TopologySelectorLabelRequirement")("""
    values!
    values[]                            unique:
    key                                 qualified-name
""")

validate_volume_attributes_class = rules.kind("storage.k8s.io/v1 VolumeAttributesClass")("""
    driverName!                         provisioner
    parameters                          parameters
    parameters!                         : must contain at least one key/value pair
""")


validate_volume_attributes_class_update = d.change(
    d.fixed("driverName", forbidden="updates to driverName are forbidden."),
    d.fixed("parameters", forbidden="updates to parameters are forbidden."),
)

# CSI drivers

validate_csi_driver = rules.kind("storage.k8s.io/v1 CSIDriver")("""
    spec.attachRequired*                as:attachedRequired
    spec.podInfoOnMount*
    spec.storageCapacity*
    spec.fsGroupPolicy                  File|None|ReadWriteOnceWithFSType
    spec.tokenRequests                  token-requests
    spec.volumeLifecycleModes[=]        Persistent|Ephemeral
    spec.seLinuxMount*
    spec.nodeAllocatableUpdatePeriodSeconds >=10 : must be greater than or equal to 10 seconds
    if not spec.tokenRequests
      spec.serviceAccountTokenInSecrets never : serviceAccountTokenInSecrets is set but no tokenRequests are specified
""")
validate_csi_driver_update = d.change(
    d.anew(validate_csi_driver),
    d.fixed("spec.attachRequired", at="spec.attachedRequired"),
    d.fixed("spec.volumeLifecycleModes"),
)
_token_request = rules.table("api.storage.v1.TokenRequest")(f"""
    expirationSeconds                   >=600 : may not specify a duration less than 10 minutes
    expirationSeconds                   <={2**32} : may not specify a duration larger than 2^32 seconds
""")


@rules
def _token_requests(requests: list[Object], path: str, errs: Errors) -> None:
    audiences: set[str] = set()
    for i, request in enumerate(requests):
        audience = request.get("audience", "")
        if audience in audiences:
            errs.duplicate(f"{path}[{i}].audience", audience)
        else:
            audiences.add(audience)
            _token_request(request, f"{path}[{i}]", errs)


def csi_driver_warnings(obj: Object, old: Object | None) -> list[str]:
    """Warns about new tokens in a driver's volume context, where they may be logged (KEP-5538)."""
    spec = obj.get("spec") or {}
    if not spec.get("tokenRequests") or spec.get("serviceAccountTokenInSecrets") is not None:
        return []
    if old is not None and equal(d.found(old, ("spec", "tokenRequests"), []), spec["tokenRequests"]):
        return []
    return [
        "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent "
        "possible logging of tokens in volume attributes"
    ]


# CSI nodes

validate_csi_node = rules.kind("storage.k8s.io/v1 CSINode")("""
    spec.drivers[]
      name                              driver-name
      nodeID!
      nodeID                            short-id
      allocatable.count                 >=0
      name                              unique
      topologyKeys[=]                   as: nonempty-text unique qualified-name
""")


def validate_csi_node_update(obj: Object, old: Object, errs: Errors) -> None:
    """Validates a changed CSINode: of existing drivers only the volume count may change."""
    validate_csi_node(obj, errs)
    by_name: dict[str, list[Object]] = {}
    for driver in d.found(obj, ("spec", "drivers"), ()):
        by_name.setdefault(driver.get("name", ""), []).append(driver)
    for before in d.found(old, ("spec", "drivers"), ()):
        for driver in by_name.get(before.get("name", ""), ()):
            shown, kept = (
                go({**one, "allocatable": None}, "api.storage.v1.CSINodeDriver") for one in (driver, before)
            )
            if not equal(shown, kept):
                errs.invalid("spec.drivers", shown, "field is immutable")


# CSI storage capacities


def validate_capacity(obj: Object, errs: Errors, old: Object | None = None) -> None:
    """Validates a new capacity; with `old`, a changed one, whose topology may keep invalid label values."""
    _capacity(obj, errs, old is not None and selector_has_invalid_value(old.get("nodeTopology")))


_capacity = rules.kind("storage.k8s.io/v1 CSIStorageCapacity")("""
    nodeTopology                        $?any-selector:label-selector
    storageClassName                    dns-subdomain
    capacity                            nonnegative-quantity
""")
validate_capacity_update = d.change(
    d.fixed("nodeTopology", show="label-selector"),
    d.fixed("storageClassName", ""),
)

# Volume attachments

validate_attachment = rules.kind("storage.k8s.io/v1 VolumeAttachment")(f"""
    spec.attacher!
    spec.source
      if none-of inlineVolumeSpec,persistentVolumeName
        required                        : {_ONE_SOURCE}
      elif several-of inlineVolumeSpec,persistentVolumeName
        forbidden                       : {_ONE_SOURCE}
      elif inlineVolumeSpec given
        inlineVolumeSpec                inline-volume
      else
        persistentVolumeName!           : must specify non empty persistentVolumeName
    spec.nodeName                       dns-subdomain
    status.attachmentMetadata           max-size
    status.attachError                  volume-error
    status.detachError                  volume-error
    spec.attacher+                      driver-name
    spec.source.persistentVolumeName    dns-subdomain
""")
"""Validates a new attachment; v1 checks names more strictly than older versions."""
rules.define(f"""
volume-error                        api.storage.v1.VolumeError
    message+                            short-message
    errorCode                           >=0 : must be between 0 and {MAX_INT32}, inclusive
""")


@rules
def _short_message(message: str, path: str, errs: Errors) -> None:
    if len(message.encode()) > 1024:
        errs.too_long(path, MAX_SIZE)


def _attachment_shown(spec: Object) -> Object:
    source = spec.get("source") or {}
    return {
        "Attacher": spec.get("attacher", ""),
        "Source": {
            "PersistentVolumeName": source.get("persistentVolumeName"),
            "InlineVolumeSpec": source.get("inlineVolumeSpec"),
        },
        "NodeName": spec.get("nodeName", ""),
    }


validate_attachment_update = d.change(
    d.anew(validate_attachment), d.fixed("spec", {}, show=_attachment_shown)
)
"""Applies the rules for new attachments, those of v1 as well; the spec is immutable."""

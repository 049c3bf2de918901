"""Every cause that the kinds of storage.k8s.io can have (pkg/apis/storage/validation)."""

from rules import at, below, changed, each, put, table

from pilothouse.api.validate import storage as rules
from pilothouse.api.values.fields import Object

CLASS, DRIVER, NODE = rules.validate_storage_class, rules.validate_csi_driver, rules.validate_csi_node
ATTRIBUTES, CAPACITY, ATTACHMENT = rules.validate_volume_attributes_class, rules.validate_capacity, rules.validate_attachment
CLASS_UPDATE, ATTACHMENT_UPDATE = rules.validate_storage_class_update, rules.validate_attachment_update
SC: Object = {"provisioner": "p", "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"}
VAC: Object = {"driverName": "d", "parameters": {"a": "b"}}
CSI: Object = {"spec": {"attachRequired": True, "podInfoOnMount": False, "storageCapacity": False, "seLinuxMount": False, "fsGroupPolicy": "File", "volumeLifecycleModes": ["Persistent"]}}
BAD = {"matchExpressions": [{"key": "a", "operator": "In", "values": ["-"]}]}
VA: Object = {"spec": {"attacher": "a", "nodeName": "n", "source": {"persistentVolumeName": "v"}}}


def topology(*expressions: Object) -> Object:
    return {"matchLabelExpressions": list(expressions)}


driver = at({}, "spec.drivers[]", {"name": "d", "nodeID": "n"})
tokens = each(CSI, "spec.tokenRequests")
TERM = "allowedTopologies[{}].matchLabelExpressions"
ZONE = {"key": "zone", "values": ["a", "b"]}
MANY = {f"k{i}": "" for i in range(513)}
LARGE = {"k": "x" * 256 * 1024}

test_causes = table([
    (CLASS, SC, []),
    (CLASS, {}, ["provisioner: Required value", "volumeBindingMode: Required value"]),
    (CLASS, put(SC, {"provisioner": "a b", "reclaimPolicy": "Recycle", "volumeBindingMode": "Later"}), ['provisioner: Invalid value: "a b": <name part>',
        'reclaimPolicy: Unsupported value: "Recycle": supported values: "Delete", "Retain"', 'volumeBindingMode: Unsupported value: "Later": supported values: "Immediate", "WaitForFirstConsumer"']),
    (CLASS, put(SC, {"parameters": MANY}), ["parameters: Too long: may not be more than 512 bytes"]),
    (CLASS, put(SC, {"parameters": {"": "x", **LARGE}}), ['parameters: Invalid value: "": field can not be empty.', "parameters: Too long: may not be more than 262144 bytes"]),
    (CLASS, put(SC, {"allowedTopologies": [topology(ZONE)]}), []),
    (CLASS, put(SC, {"allowedTopologies": [{}]}), [f'{TERM.format(0)}: Duplicate value: ""']),
    (CLASS, put(SC, {"allowedTopologies": [{}, {}]}), [f'{TERM.format(i)}: Duplicate value: ""' for i in (0, 0, 1, 1, 1)]),
    (CLASS, put(SC, {"allowedTopologies": [topology(ZONE, ZONE), topology({"key": "a b"})]}), ['allowedTopologies[0].matchLabelExpressions[1].key: Duplicate value: "zone"',
        "allowedTopologies[1].matchLabelExpressions[0].values: Required value", 'allowedTopologies[1].matchLabelExpressions[0].key: Invalid value: "a b": <name part>']),
    (CLASS, put(SC, {"allowedTopologies": [topology(ZONE), topology({"key": "zone", "values": ["b", "a", "a"]})]}), ['allowedTopologies[1].matchLabelExpressions[0].values[2]: Duplicate value: "a"',
        'allowedTopologies[1].matchLabelExpressions: Duplicate value: ""']),
    (CLASS_UPDATE, (put(SC, {"parameters": {"b": "1", "a": "2"}}), SC), ['parameters: Invalid value: {"a":"2","b":"1"}: field is immutable']),
    (CLASS_UPDATE, (put(SC, {"volumeBindingMode": "WaitForFirstConsumer"}), SC), ['volumeBindingMode: Invalid value: "WaitForFirstConsumer": field is immutable']),
    (ATTRIBUTES, VAC, []),
    (ATTRIBUTES, {}, ["driverName: Required value", "parameters: Required value: must contain at least one key/value pair"]),
    (rules.validate_volume_attributes_class_update, (put(VAC, {"parameters.a": "c", "driverName": "e"}), VAC), ["driverName: Forbidden: updates to driverName are forbidden.",
        "parameters: Forbidden: updates to parameters are forbidden."]),
    (DRIVER, CSI, []),
    (DRIVER, {}, ["spec.attachedRequired: Required value", "spec.podInfoOnMount: Required value", "spec.storageCapacity: Required value", "spec.seLinuxMount: Required value"]),
    (DRIVER, put(CSI, {"spec.fsGroupPolicy": "Odd", "spec.volumeLifecycleModes": ["Odd"]}),
        ['spec.fsGroupPolicy: Unsupported value: "Odd": supported values: "File", "None", "ReadWriteOnceWithFSType"',
        'spec.volumeLifecycleModes: Unsupported value: "Odd": supported values: "Persistent", "Ephemeral"']),
    (DRIVER, put(CSI, {"spec.nodeAllocatableUpdatePeriodSeconds": 9}), ["spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 9: must be greater than or equal to 10 seconds"]),
    (DRIVER, put(CSI, {"spec.serviceAccountTokenInSecrets": True}), ["spec.serviceAccountTokenInSecrets: Invalid value: true: serviceAccountTokenInSecrets is set but no tokenRequests are specified"]),
    (DRIVER, tokens({"audience": "a", "expirationSeconds": 600}, {}), []),
    (DRIVER, tokens({"audience": "a"}, {"audience": "a"}), ['spec.tokenRequests[1].audience: Duplicate value: "a"']),
    (DRIVER, tokens({"expirationSeconds": 599}, {"audience": "a", "expirationSeconds": 2**32 + 1}),
        ["spec.tokenRequests[0].expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes",
        "spec.tokenRequests[1].expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds"]),
    (rules.validate_csi_driver_update, (put(CSI, {"spec.attachRequired": False, "spec.volumeLifecycleModes": []}), CSI), ["spec.attachedRequired: Invalid value: false: field is immutable",
        "spec.volumeLifecycleModes: Invalid value: []: field is immutable"]),
    (NODE, driver(topologyKeys=["zone"], allocatable={"count": 1}), []),
    (NODE, driver(name="", nodeID=""), ["spec.drivers[0].name: Required value", "spec.drivers[0].nodeID: Required value"]),
    (NODE, driver(name="D_" * 40, nodeID="n" * 257), ["spec.drivers[0].name: Too long: may not be more than 63 bytes",
        'spec.drivers[0].name: Invalid value: "D_D_D_D_D_D_D_D_D_D_D_D_D_D_D_D_D_D_D_D_D_D_D_D_D_D_D_D_D_D_D_D_D_D_D_D_D_D_D_D_": <RFC 1123 subdomain>',
        'spec.drivers[0].nodeID: Invalid value: "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn": must be 256 characters or less']),
    (NODE, driver(allocatable={"count": -1}, topologyKeys=["a", "a", "", "a b"]), below("spec.drivers[0]", ".allocatable.count: Invalid value: -1: <not negative>", ': Duplicate value: "a"',
        ": Required value", ': Invalid value: "": name part must be non-empty', ': Invalid value: "": <name part>', ': Invalid value: "a b": <name part>')),
    (NODE, {"spec": {"drivers": [{"name": "d", "nodeID": "n"}] * 2}}, ['spec.drivers[1].name: Duplicate value: "d"']),
    (rules.validate_csi_node_update, (driver(allocatable={"count": 2}), driver(allocatable={"count": 1})), []),
    (rules.validate_csi_node_update, (driver(nodeID="m", topologyKeys=["zone"]), driver()),
        ['spec.drivers: Invalid value: {"Name":"d","NodeID":"m","TopologyKeys":["zone"],"Allocatable":null}: field is immutable']),
    (CAPACITY, {"storageClassName": "s", "capacity": "1Gi", "nodeTopology": {"matchLabels": {"a": "b"}}}, []),
    (CAPACITY, {"storageClassName": "S_", "capacity": "-1", "nodeTopology": BAD}, ['nodeTopology.matchExpressions[0].values[0]: Invalid value: "-": <label value>',
        'storageClassName: Invalid value: "S_": <RFC 1123 subdomain>', 'capacity: Invalid value: "-1": <not negative>']),
    (changed(CAPACITY), ({"storageClassName": "s", "nodeTopology": BAD}, {"nodeTopology": BAD}), []),
    (rules.validate_capacity_update, ({"storageClassName": "t", "nodeTopology": {"matchLabels": {"a": "b"}}}, {"storageClassName": "s"}),
        ['nodeTopology: Invalid value: {"matchLabels":{"a":"b"}}: field is immutable', 'storageClassName: Invalid value: "t": field is immutable']),
    (ATTACHMENT, VA, []),
    (ATTACHMENT, {}, ["spec.attacher: Required value", "spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName",
        'spec.nodeName: Invalid value: "": <RFC 1123 subdomain>']),
    (ATTACHMENT, put(VA, {"spec.attacher": "A_", "spec.source.persistentVolumeName": "V_"}), ['spec.attacher: Invalid value: "A_": <RFC 1123 subdomain>',
        'spec.source.persistentVolumeName: Invalid value: "V_": <RFC 1123 subdomain>']),
    (ATTACHMENT, put(VA, {"spec.source.persistentVolumeName": ""}), ["spec.source.persistentVolumeName: Required value: must specify non empty persistentVolumeName",
        'spec.source.persistentVolumeName: Invalid value: "": <RFC 1123 subdomain>']),
    (ATTACHMENT, put(VA, {"spec.source.inlineVolumeSpec": {}}), ["spec.source: Forbidden: must specify exactly one of inlineVolumeSpec and persistentVolumeName"]),
    (ATTACHMENT, put(VA, {"spec.source": {"inlineVolumeSpec": {"accessModes": ["ReadWriteOnce"], "csi": {"driver": "d", "volumeHandle": "h"}}}}), []),
    (ATTACHMENT, put(VA, {"spec.source": {"inlineVolumeSpec": {}}}), ["spec.source.inlineVolumeSpec.csi: Required value: has to be specified in the context of inline volumes",
        "spec.source.inlineVolumeSpec.accessModes: Required value", "spec.source.inlineVolumeSpec: Required value: must specify a volume type"]),
    (ATTACHMENT, put(VA, {"status": {"attachmentMetadata": LARGE, "attachError": {"message": "m" * 1025}, "detachError": {"errorCode": -1}}}),
        ["status.attachmentMetadata: Too long: may not be more than 262144 bytes", "status.attachError.message: Too long: may not be more than 262144 bytes",
        "status.detachError.errorCode: Invalid value: -1: <ID>"]),
    (ATTACHMENT_UPDATE, (VA, VA), []),
    (ATTACHMENT_UPDATE, (put(VA, {"spec.source": {"persistentVolumeName": "-"}}), put(VA, {"spec.source": {"persistentVolumeName": "-"}})),
        ['spec.source.persistentVolumeName: Invalid value: "-": <RFC 1123 subdomain>']),
    (ATTACHMENT_UPDATE, (put(VA, {"spec.nodeName": "m", "spec.attacher": ""}), VA), ["spec.attacher: Required value",
        'spec: Invalid value: {"Attacher":"","Source":{"PersistentVolumeName":"v","InlineVolumeSpec":null},"NodeName":"m"}: field is immutable']),
    (CLASS, {**SC, "provisioner": ""}, ["provisioner: Required value"]),
    (CLASS, {**SC, "reclaimPolicy": "Recycle"}, ['reclaimPolicy: Unsupported value: "Recycle": supported values: "Delete", "Retain"']),
    (CLASS, {**SC, "parameters": {"": "x"}}, ['parameters: Invalid value: "": field can not be empty.']),
    (CLASS, {**SC, "allowedTopologies": [{"matchLabelExpressions": [{"key": "z"}]}]}, ["allowedTopologies[0].matchLabelExpressions[0].values: Required value"]),
    (CLASS_UPDATE, ({**SC, "parameters": {"b": "2", "a": "1"}}, SC), ['parameters: Invalid value: {"a":"1","b":"2"}: field is immutable']),
    (ATTACHMENT, {"spec": {"attacher": "d", "nodeName": "n", "source": {}}}, ["spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName"]),
])  # fmt: skip


def test_tokens_in_the_volume_context_are_warned_of() -> None:
    assert rules.csi_driver_warnings(CSI, None) == []
    [warning] = rules.csi_driver_warnings(tokens({"audience": "a"}), None)
    assert warning.startswith("spec.serviceAccountTokenInSecrets is unset")
    assert rules.csi_driver_warnings(put(tokens({}), {"spec.serviceAccountTokenInSecrets": False}), None) == []
    assert rules.csi_driver_warnings(tokens({"audience": "a"}), CSI) == [warning]
    assert rules.csi_driver_warnings(tokens({"audience": "a"}), tokens({"audience": "a"})) == []

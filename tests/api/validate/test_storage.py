"""Every cause that the kinds of storage.k8s.io can have (pkg/apis/storage/validation)."""

from rules import BAD, at, below, changed, each, gives, put, table, valid

from pilothouse.api.validate import storage as rules

CLASS, DRIVER, NODE = rules.validate_storage_class, rules.validate_csi_driver, rules.validate_csi_node
ATTRIBUTES, CAPACITY, ATTACHMENT = rules.validate_volume_attributes_class, rules.validate_capacity, rules.validate_attachment
CLASS_UPDATE, ATTACHMENT_UPDATE = rules.validate_storage_class_update, rules.validate_attachment_update
SC = {"provisioner": "p", "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"}
VAC = {"driverName": "d", "parameters": {"a": "b"}}
CSI = {"spec": {"attachRequired": True, "podInfoOnMount": False, "storageCapacity": False, "seLinuxMount": False, "fsGroupPolicy": "File", "volumeLifecycleModes": ["Persistent"]}}
VA = {"spec": {"attacher": "a", "nodeName": "n", "source": {"persistentVolumeName": "v"}}}
topology = each({}, "matchLabelExpressions")
driver = at({}, "spec.drivers[]", {"name": "d", "nodeID": "n"})
tokens = each(CSI, "spec.tokenRequests")
TERM = "allowedTopologies[{}].matchLabelExpressions"
ZONE = {"key": "zone", "values": ["a", "b"]}
MANY = {f"k{i}": "" for i in range(513)}
LARGE = {"k": "x" * 256 * 1024}

test_causes = table([
    *valid(CLASS, SC, put(SC, {"allowedTopologies": [topology(ZONE)]})),
    (CLASS, {}, "provisioner!", "volumeBindingMode!"),
    (CLASS, put(SC, {"provisioner": "a b", "reclaimPolicy": "Recycle", "volumeBindingMode": "Later"}), "provisioner : <name part>", "reclaimPolicy Delete|Retain",
        "volumeBindingMode Immediate|WaitForFirstConsumer"),
    (CLASS, put(SC, {"parameters": MANY}), "parameters max:512"),
    (CLASS, put(SC, {"parameters": {"": "x", **LARGE}}), 'parameters="" : field can not be empty.', "parameters max:262144"),
    (CLASS, put(SC, {"allowedTopologies": [{}]}), f'{TERM.format(0)}: Duplicate value: ""'),
    (CLASS, put(SC, {"allowedTopologies": [{}, {}]}), *[f'{TERM.format(i)}: Duplicate value: ""' for i in (0, 0, 1, 1, 1)]),
    (CLASS, put(SC, {"allowedTopologies": [topology(ZONE, ZONE), topology({"key": "a b"})]}), *below("allowedTopologies", "[0].matchLabelExpressions[1].key unique",
        "[1].matchLabelExpressions[0].values!", "[1].matchLabelExpressions[0].key : <name part>")),
    (CLASS, put(SC, {"allowedTopologies": [topology(ZONE), topology({"key": "zone", "values": ["b", "a", "a"]})]}), "allowedTopologies[1].matchLabelExpressions[0].values[2] unique",
        'allowedTopologies[1].matchLabelExpressions="" unique'),
    (CLASS_UPDATE, (put(SC, {"parameters": {"b": "1", "a": "2"}}), SC), 'parameters={"a":"2","b":"1"} fixed'),
    (CLASS_UPDATE, (put(SC, {"volumeBindingMode": "WaitForFirstConsumer"}), SC), "volumeBindingMode fixed"),
    (ATTRIBUTES, VAC),
    (ATTRIBUTES, {}, "driverName!", "parameters! : must contain at least one key/value pair"),
    (rules.validate_volume_attributes_class_update, (put(VAC, {"parameters.a": "c", "driverName": "e"}), VAC), "driverName- : updates to driverName are forbidden.",
        "parameters- : updates to parameters are forbidden."),
    *valid(DRIVER, CSI, tokens({"audience": "a", "expirationSeconds": 600}, {})),
    (DRIVER, {}, "spec.attachedRequired,podInfoOnMount,storageCapacity,seLinuxMount!"),
    (DRIVER, put(CSI, {"spec.fsGroupPolicy": "Odd", "spec.volumeLifecycleModes": ["Odd"]}), "spec.fsGroupPolicy File|None|ReadWriteOnceWithFSType",
        'spec.volumeLifecycleModes="Odd" Persistent|Ephemeral'),
    (DRIVER, put(CSI, {"spec.nodeAllocatableUpdatePeriodSeconds": 9}), "spec.nodeAllocatableUpdatePeriodSeconds : must be greater than or equal to 10 seconds"),
    (DRIVER, put(CSI, {"spec.serviceAccountTokenInSecrets": True}), "spec.serviceAccountTokenInSecrets : serviceAccountTokenInSecrets is set but no tokenRequests are specified"),
    (DRIVER, tokens({"audience": "a"}, {"audience": "a"}), "spec.tokenRequests[1].audience unique"),
    (DRIVER, tokens({"expirationSeconds": 599}, {"audience": "a", "expirationSeconds": 2**32 + 1}), "spec.tokenRequests[0].expirationSeconds : may not specify a duration less than 10 minutes",
        "spec.tokenRequests[1].expirationSeconds : may not specify a duration larger than 2^32 seconds"),
    (rules.validate_csi_driver_update, (put(CSI, {"spec.attachRequired": False, "spec.volumeLifecycleModes": []}), CSI), "spec.attachedRequired=false fixed", "spec.volumeLifecycleModes fixed"),
    (NODE, driver(topologyKeys=["zone"], allocatable={"count": 1})),
    (NODE, driver(name="", nodeID=""), "spec.drivers[0].name,nodeID!"),
    (NODE, driver(name="D_" * 40, nodeID="n" * 257), *below("spec.drivers[0]", ".name max:63", ".name : <RFC 1123 subdomain>", ".nodeID : must be 256 characters or less")),
    (NODE, driver(allocatable={"count": -1}, topologyKeys=["a", "a", "", "a b"]), *below("spec.drivers", "[0].allocatable.count : <not negative>", '[0]="a" unique', "[0]!",
        '[0]="" : name part must be non-empty', '[0]="" : <name part>', '[0]="a b" : <name part>')),
    (NODE, {"spec": {"drivers": [{"name": "d", "nodeID": "n"}] * 2}}, "spec.drivers[1].name unique"),
    (rules.validate_csi_node_update, (driver(allocatable={"count": 2}), driver(allocatable={"count": 1}))),
    (rules.validate_csi_node_update, (driver(nodeID="m", topologyKeys=["zone"]), driver()), 'spec.drivers={"Name":"d","NodeID":"m","TopologyKeys":["zone"],"Allocatable":null} fixed'),
    (CAPACITY, {"storageClassName": "s", "capacity": "1Gi", "nodeTopology": {"matchLabels": {"a": "b"}}}),
    (CAPACITY, {"storageClassName": "S_", "capacity": "-1", "nodeTopology": BAD}, "nodeTopology.matchExpressions[0].values[0] : <label value>", "storageClassName : <RFC 1123 subdomain>",
        "capacity : <not negative>"),
    (changed(CAPACITY), ({"storageClassName": "s", "nodeTopology": BAD}, {"nodeTopology": BAD})),
    (rules.validate_capacity_update, ({"storageClassName": "t", "nodeTopology": {"matchLabels": {"a": "b"}}}, {"storageClassName": "s"}), "nodeTopology fixed", "storageClassName fixed"),
    *valid(ATTACHMENT, VA, put(VA, {"spec.source": {"inlineVolumeSpec": {"accessModes": ["ReadWriteOnce"], "csi": {"driver": "d", "volumeHandle": "h"}}}})),
    (ATTACHMENT, {}, "spec.attacher!", "spec.source! : must specify exactly one of inlineVolumeSpec and persistentVolumeName", 'spec.nodeName="" : <RFC 1123 subdomain>'),
    (ATTACHMENT, put(VA, {"spec.attacher": "A_", "spec.source.persistentVolumeName": "V_"}), "spec.attacher : <RFC 1123 subdomain>", "spec.source.persistentVolumeName : <RFC 1123 subdomain>"),
    (ATTACHMENT, put(VA, {"spec.source.persistentVolumeName": ""}), "spec.source.persistentVolumeName! : must specify non empty persistentVolumeName",
        "spec.source.persistentVolumeName : <RFC 1123 subdomain>"),
    (ATTACHMENT, put(VA, {"spec.source.inlineVolumeSpec": {}}), "spec.source- : must specify exactly one of inlineVolumeSpec and persistentVolumeName"),
    (ATTACHMENT, put(VA, {"spec.source": {"inlineVolumeSpec": {}}}), "spec.source.inlineVolumeSpec.csi! : has to be specified in the context of inline volumes",
        "spec.source.inlineVolumeSpec.accessModes!", "spec.source.inlineVolumeSpec! : must specify a volume type"),
    (ATTACHMENT, put(VA, {"status": {"attachmentMetadata": LARGE, "attachError": {"message": "m" * 1025}, "detachError": {"errorCode": -1}}}), "status.attachmentMetadata max:262144",
        "status.attachError.message max:262144", "status.detachError.errorCode : <ID>"),
    (ATTACHMENT_UPDATE, (VA, VA)),
    (ATTACHMENT_UPDATE, (put(VA, {"spec.source": {"persistentVolumeName": "-"}}), put(VA, {"spec.source": {"persistentVolumeName": "-"}})), "spec.source.persistentVolumeName : <RFC 1123 subdomain>"),
    (ATTACHMENT_UPDATE, (put(VA, {"spec.nodeName": "m", "spec.attacher": ""}), VA), "spec.attacher!",
        'spec={"Attacher":"","Source":{"PersistentVolumeName":"v","InlineVolumeSpec":null},"NodeName":"m"} fixed'),
])  # fmt: skip
UNSET = ["spec.serviceAccountTokenInSecrets is unset…"]
test_tokens_in_the_volume_context_are_warned_of = gives(lambda changed: rules.csi_driver_warnings(*changed), [
    ((CSI, None), []),
    ((tokens({"audience": "a"}), None), UNSET),
    ((put(tokens({}), {"spec.serviceAccountTokenInSecrets": False}), None), []),
    ((tokens({"audience": "a"}), CSI), UNSET),
    ((tokens({"audience": "a"}), tokens({"audience": "a"})), []),
])  # fmt: skip

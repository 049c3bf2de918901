"""Every cause that stateful sets can have (pkg/apis/apps/validation)."""

from pods import POD
from rules import below, new, put, table

from pilothouse.api.validate import stateful_set as rules
from pilothouse.api.values.fields import Object

stateful_set, SET_UPDATE = new(rules.validate_stateful_set), rules.validate_stateful_set_update
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": POD["spec"]}
SET: Object = {"metadata": {"name": "w"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE, "podManagementPolicy": "Parallel", "updateStrategy": {"type": "RollingUpdate"}}}


def strategy(kind: str, rolling: Object) -> Object:
    return put(SET, {"spec.updateStrategy": {"type": kind, "rollingUpdate": rolling}})


def status(**members: int) -> tuple[Object, Object]:
    return {"status": members}, {"status": {"collisionCount": 2}}


test_causes = table([
    (stateful_set, SET, []),
    (stateful_set, put(SET, {"spec.volumeClaimTemplates": [{"metadata": {"name": "v"}}, {}], "spec.replicas": -1}),
        ["spec.volumeClaimTemplates[0].spec.accessModes: Required value: at least 1 access mode is required", "spec.volumeClaimTemplates[0].spec.resources[storage]: Required value",
        "spec.volumeClaimTemplates[1].spec.accessModes: Required value: at least 1 access mode is required", "spec.volumeClaimTemplates[1].spec.resources[storage]: Required value",
        "spec.replicas: Invalid value: -1: <not negative>", "spec.template.spec.volumes[1].persistentVolumeClaim.claimName: Required value", "spec.template.spec.volumes[1].name: Required value"]),
    (stateful_set, put(SET, {"spec.podManagementPolicy": ""}), ["spec.podManagementPolicy: Required value"]),
    (stateful_set, put(SET, {"spec.podManagementPolicy": "Odd"}), ["spec.podManagementPolicy: Invalid value: \"Odd\": must be 'OrderedReady' or 'Parallel'"]),
    (stateful_set, put(SET, {"spec.updateStrategy": {}}), ["spec.updateStrategy: Required value"]),
    (stateful_set, strategy("OnDelete", {"partition": 1}),
        ['spec.updateStrategy.rollingUpdate: Invalid value: {"Partition":1,"MaxUnavailable":null}: only allowed for updateStrategy \'RollingUpdate\'']),
    (stateful_set, strategy("Odd", {}),
        ['spec.updateStrategy: Invalid value: {"Type":"Odd","RollingUpdate":{"Partition":0,"MaxUnavailable":null}}: must be \'RollingUpdate\' or \'OnDelete\'']),
    (stateful_set, strategy("RollingUpdate", {"partition": -1, "maxUnavailable": 0}), ["spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: <not negative>",
        "spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: 0: cannot be 0"]),
    (stateful_set, strategy("RollingUpdate", {"maxUnavailable": "101%"}),
        ['spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%']),
    (stateful_set, put(SET, {"spec.persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Odd"}}), below("spec.persistentVolumeClaimRetentionPolicy",
        '.whenDeleted: Unsupported value: "Odd": supported values: "Retain", "Delete"', '.whenScaled: Unsupported value: "": supported values: "Retain", "Delete"')),
    (stateful_set, put(SET, {"spec.ordinals": {"start": -1}, "spec.minReadySeconds": -1, "spec.replicas": -1}), ["spec.replicas: Invalid value: -1: <not negative>",
        "spec.minReadySeconds: Invalid value: -1: <not negative>", "spec.ordinals.start: Invalid value: -1: <not negative>"]),
    (stateful_set, put(SET, {"spec.template.spec.restartPolicy": "Never", "spec.template.spec.activeDeadlineSeconds": 1}), below("spec.template.spec",
        '.restartPolicy: Unsupported value: "Never": supported values: "Always"', ".activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in StatefulSet is not Supported")),
    (SET_UPDATE, (put(SET, {"spec.template.spec": {**POD["spec"], "containers": []}}), SET), ["spec.template.spec.containers: Required value"]),
    (SET_UPDATE, (put(SET, {"spec.template.spec": {**POD["spec"], "containers": []}}),) * 2, []),
    (SET_UPDATE, (put(SET, {"spec.serviceName": "s"}), SET),
        ["spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"]),
    (rules.validate_stateful_set_status, status(replicas=1, readyReplicas=1, availableReplicas=2), ["status.availableReplicas: Invalid value: 2: <at most replicas>",
        "status.availableReplicas: Invalid value: 2: cannot be greater than status.readyReplicas", "status.collisionCount: Invalid value: 0: cannot be decremented"]),
    (SET_UPDATE, (put(SET, {"spec.serviceName": "t"}), SET),
        ["spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"]),
    (SET_UPDATE, (put(SET, {"spec.minReadySeconds": 5}), SET), []),
])  # fmt: skip

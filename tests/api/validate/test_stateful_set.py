"""Every cause that stateful sets can have (pkg/apis/apps/validation)."""

from pods import POD
from rules import against, at, below, new, put, table, valid

from pilothouse.api.validate import stateful_set as rules

stateful_set, SET_UPDATE = new(rules.validate_stateful_set), rules.validate_stateful_set_update
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": POD["spec"]}
SET = {"metadata": {"name": "w"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE, "podManagementPolicy": "Parallel", "updateStrategy": {"type": "RollingUpdate"}}}
strategy = at(SET, "spec.updateStrategy", {})
status = against({"status": {"collisionCount": 2}}, at({}, "status", {}))

test_causes = table([
    (stateful_set, SET),
    (stateful_set, put(SET, {"spec.volumeClaimTemplates": [{"metadata": {"name": "v"}}, {}], "spec.replicas": -1}),
        "spec.volumeClaimTemplates[0].spec.accessModes! : at least 1 access mode is required", "spec.volumeClaimTemplates[0].spec.resources[storage]!",
        "spec.volumeClaimTemplates[1].spec.accessModes! : at least 1 access mode is required", "spec.volumeClaimTemplates[1].spec.resources[storage]!", "spec.replicas : <not negative>",
        "spec.template.spec.volumes[1].persistentVolumeClaim.claimName!", "spec.template.spec.volumes[1].name!"),
    (stateful_set, put(SET, {"spec.podManagementPolicy": ""}), "spec.podManagementPolicy!"),
    (stateful_set, put(SET, {"spec.podManagementPolicy": "Odd"}), "spec.podManagementPolicy : must be 'OrderedReady' or 'Parallel'"),
    (stateful_set, put(SET, {"spec.updateStrategy": {}}), "spec.updateStrategy!"),
    (stateful_set, strategy(type="OnDelete", rollingUpdate={"partition": 1}),
        "spec.updateStrategy.rollingUpdate={\"Partition\":1,\"MaxUnavailable\":null} : only allowed for updateStrategy 'RollingUpdate'"),
    (stateful_set, strategy(type="Odd", rollingUpdate={}),
        "spec.updateStrategy={\"Type\":\"Odd\",\"RollingUpdate\":{\"Partition\":0,\"MaxUnavailable\":null}} : must be 'RollingUpdate' or 'OnDelete'"),
    (stateful_set, strategy(type="RollingUpdate", rollingUpdate={"partition": -1, "maxUnavailable": 0}), *below("spec.updateStrategy.rollingUpdate", ".partition : <not negative>",
        ".maxUnavailable : cannot be 0")),
    (stateful_set, strategy(type="RollingUpdate", rollingUpdate={"maxUnavailable": "101%"}), "spec.updateStrategy.rollingUpdate.maxUnavailable : must not be greater than 100%"),
    (stateful_set, put(SET, {"spec.persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Odd"}}), *below("spec.persistentVolumeClaimRetentionPolicy", ".whenDeleted Retain|Delete",
        '.whenScaled="" Retain|Delete')),
    (stateful_set, put(SET, {"spec.ordinals": {"start": -1}, "spec.minReadySeconds": -1, "spec.replicas": -1}), "spec.replicas,minReadySeconds : <not negative>",
        "spec.ordinals.start : <not negative>"),
    (stateful_set, put(SET, {"spec.template.spec.restartPolicy": "Never", "spec.template.spec.activeDeadlineSeconds": 1}), "spec.template.spec.restartPolicy |Always",
        "spec.template.spec.activeDeadlineSeconds- : activeDeadlineSeconds in StatefulSet is not Supported"),
    (SET_UPDATE, (put(SET, {"spec.template.spec": {**POD["spec"], "containers": []}}), SET), "spec.template.spec.containers!"),
    *valid(SET_UPDATE, (put(SET, {"spec.template.spec": {**POD["spec"], "containers": []}}),) * 2, (put(SET, {"spec.minReadySeconds": 5}), SET)),
    (SET_UPDATE, (put(SET, {"spec.serviceName": "s"}), SET),
        "spec- : updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"),
    (rules.validate_stateful_set_status, status(replicas=1, readyReplicas=1, availableReplicas=2), "status.availableReplicas : <at most replicas>",
        "status.availableReplicas : cannot be greater than status.readyReplicas", "status.collisionCount=0 : cannot be decremented"),
    (SET_UPDATE, (put(SET, {"spec.serviceName": "t"}), SET),
        "spec- : updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"),
])  # fmt: skip

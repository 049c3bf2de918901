"""Every cause that deployments, replica sets, daemon sets and controller revisions can have (pkg/apis/apps/validation)."""

from pods import POD
from rules import GONE, below, new, put, table

from pilothouse.api.validate import apps as rules
from pilothouse.api.values.fields import Object

TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": POD["spec"]}
BASE: Object = {"metadata": {"name": "w"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE}}
DEPLOYMENT = put(BASE, {"spec.strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": 1}}})
DAEMON = put(BASE, {"spec.updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}})


deployment, replica_set = new(rules.validate_deployment), new(rules.validate_replica_set)
daemon_set = new(rules.validate_daemon_set)


def strategy(base: Object, member: str, kind: str, rolling: Object | None) -> Object:
    return put(base, {f"spec.{member}": {"type": kind, "rollingUpdate": rolling}})


def rolling(unavailable: object, surge: object, base: Object = DEPLOYMENT, member: str = "strategy") -> Object:
    return strategy(base, member, "RollingUpdate", {"maxUnavailable": unavailable, "maxSurge": surge})


def daemons(unavailable: object, surge: object) -> Object:
    return rolling(unavailable, surge, DAEMON, "updateStrategy")


def status(**members: int) -> tuple[Object, Object]:
    return {"status": members}, {"status": {"collisionCount": 2}}


NO_OBJECTS: tuple[object, ...] = (1, 0.5, "x", [], True)
DEPLOYMENT_STATUS = rules.validate_deployment_status
REVISION, REVISION_UPDATE = rules.validate_controller_revision, rules.validate_controller_revision_update

test_causes = table([
    (deployment, DEPLOYMENT, []),
    (deployment, put(DEPLOYMENT, {"spec.selector": GONE}), ["spec.selector: Required value", 'spec.template.metadata.labels: Invalid value: {"a":"b"}: <other labels>']),
    (deployment, put(DEPLOYMENT, {"spec.selector": {"matchLabels": {}}}), ["spec.selector: Invalid value: {}: empty selector is invalid for deployment"]),
    (deployment, put(DEPLOYMENT, {"spec.selector": {"matchExpressions": [{"key": "a", "operator": "Odd"}]}}),
        ['spec.selector.matchExpressions[0].operator: Invalid value: "Odd": not a valid selector operator',
        'spec.selector: Invalid value: {"matchExpressions":[{"key":"a","operator":"Odd"}]}: invalid label selector']),
    (deployment, put(DEPLOYMENT, {"spec.selector": {"matchLabels": {"a": "c"}}}), ['spec.template.metadata.labels: Invalid value: {"a":"b"}: <other labels>']),
    (deployment, put(DEPLOYMENT, {"spec.template.spec.restartPolicy": "Never"}), ['spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"']),
    (deployment, put(DEPLOYMENT, {"spec.template.spec.activeDeadlineSeconds": 5}), ["spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported"]),
    (deployment, put(DEPLOYMENT, {"spec.replicas": -1, "spec.minReadySeconds": -1, "spec.revisionHistoryLimit": -1}), ["spec.replicas: Invalid value: -1: <not negative>",
        "spec.minReadySeconds: Invalid value: -1: <not negative>", "spec.revisionHistoryLimit: Invalid value: -1: <not negative>"]),
    (deployment, put(DEPLOYMENT, {"spec.progressDeadlineSeconds": 5, "spec.minReadySeconds": 5}), ["spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds"]),
    (deployment, strategy(DEPLOYMENT, "strategy", "Recreate", {}), ["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"]),
    (deployment, strategy(DEPLOYMENT, "strategy", "RollingUpdate", None), ["spec.strategy.rollingUpdate: Required value: this should be defaulted and never be nil"]),
    (deployment, strategy(DEPLOYMENT, "strategy", "Odd", {"maxSurge": 1}),
        ['spec.strategy: Unsupported value: {"Type":"Odd","RollingUpdate":{"MaxUnavailable":0,"MaxSurge":1}}: supported values: "Recreate", "RollingUpdate"']),
    (deployment, rolling(0, "0%"), ["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"]),
    (deployment, rolling("some", -1), ['spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "some": <percent>', "spec.strategy.rollingUpdate.maxSurge: Invalid value: -1: <not negative>"]),
    (deployment, rolling("101%", 0), ['spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%']),
    (rules.validate_deployment_update, (put(DEPLOYMENT, {"spec.selector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}), DEPLOYMENT),
        ['spec.selector: Invalid value: {"matchExpressions":[{"key":"a","operator":"Exists"}]}: field is immutable']),
    (DEPLOYMENT_STATUS, status(replicas=1, updatedReplicas=2, readyReplicas=2, availableReplicas=3, collisionCount=2), ["status.updatedReplicas: Invalid value: 2: <at most replicas>",
        "status.readyReplicas: Invalid value: 2: <at most replicas>", "status.availableReplicas: Invalid value: 3: <at most replicas>",
        "status.availableReplicas: Invalid value: 3: cannot be greater than readyReplicas"]),
    (DEPLOYMENT_STATUS, status(replicas=-1, collisionCount=1), below("status", ".replicas: Invalid value: -1: <not negative>", ".updatedReplicas: Invalid value: 0: <at most replicas>",
        ".readyReplicas: Invalid value: 0: <at most replicas>", ".availableReplicas: Invalid value: 0: <at most replicas>", ".collisionCount: Invalid value: 1: cannot be decremented")),
    (replica_set, BASE, []),
    (replica_set, put(BASE, {"spec.selector": {}, "spec.minReadySeconds": -1}), ["spec.minReadySeconds: Invalid value: -1: <not negative>",
        "spec.selector: Invalid value: {}: empty selector is invalid for deployment"]),
    (rules.validate_replica_set_update, (put(BASE, {"spec.replicas": -1}), BASE), ["spec.replicas: Invalid value: -1: <not negative>"]),
    (rules.validate_replica_set_status, status(replicas=1, fullyLabeledReplicas=2), ["status.fullyLabeledReplicas: Invalid value: 2: <at most replicas>"]),
    (deployment, rolling("25%", ""), ['spec.strategy.rollingUpdate.maxSurge: Invalid value: "": <percent>']),
    (daemon_set, DAEMON, []),
    (daemon_set, put(DAEMON, {"spec.selector": {}}), ["spec.selector: Invalid value: {}: empty selector is invalid for daemonset"]),
    (daemon_set, put(DAEMON, {"spec.template.spec.activeDeadlineSeconds": 1}), ["spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in DaemonSet is not Supported"]),
    (daemon_set, strategy(DAEMON, "updateStrategy", "RollingUpdate", None), ["spec.updateStrategy.rollingUpdate: Required value"]),
    (daemon_set, strategy(DAEMON, "updateStrategy", "Odd", None), ['spec.updateStrategy: Unsupported value: {"Type":"Odd","RollingUpdate":null}: supported values: "RollingUpdate", "OnDelete"']),
    (daemon_set, daemons(1, 1), ["spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero"]),
    (daemon_set, daemons("0%", 0), ["spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0"]),
    (daemon_set, daemons("101%", "x"), below("spec.updateStrategy.rollingUpdate", '.maxSurge: Invalid value: "x": <percent>', '.maxUnavailable: Invalid value: "101%": must not be greater than 100%')),
    (rules.validate_daemon_set_update, (put(DAEMON, {"spec.selector": {"matchLabels": {"a": "b", "c": "d"}}}), DAEMON),
        ['spec.selector: Invalid value: {"matchLabels":{"a":"b","c":"d"}}: field is immutable', 'spec.template.metadata.labels: Invalid value: {"a":"b"}: <other labels>']),
    (rules.validate_daemon_set_status, status(numberReady=-1), ["status.numberReady: Invalid value: -1: <not negative>", "status.collisionCount: Invalid value: 0: cannot be decremented"]),
    (REVISION, {"data": {}, "revision": 1}, []),
    (REVISION, {"revision": -1}, ["revision: Invalid value: -1: <not negative>", "data: Required value: data is mandatory"]),
    *((REVISION, {"data": odd}, ["data: Required value: data must be a valid JSON object"]) for odd in NO_OBJECTS),
    (REVISION_UPDATE, ({"data": 1}, {"data": 1}), []),
    (REVISION_UPDATE, ({"data": True}, {"data": 1}), ["data: Invalid value: true: field is immutable"]),
    (REVISION_UPDATE, ({"data": {"a": 1}}, {"data": {}}), ['data: Invalid value: {"a":1}: field is immutable']),
    (REVISION_UPDATE, ({}, {"data": {}}), ["data: Invalid value: null: field is immutable"]),
    (DEPLOYMENT_STATUS, ({"status": {"replicas": 2, "readyReplicas": 1, "availableReplicas": 1}}, {}), []),
    (DEPLOYMENT_STATUS, ({"status": {"replicas": 1, "readyReplicas": 2}}, {}), ["status.readyReplicas: Invalid value: 2: <at most replicas>"]),
    (DEPLOYMENT_STATUS, ({"status": {"replicas": 2, "availableReplicas": 1}}, {}), ["status.availableReplicas: Invalid value: 1: cannot be greater than readyReplicas"]),
    (rules.validate_daemon_set_status, ({"status": {}}, {"status": {"collisionCount": 2}}), ["status.collisionCount: Invalid value: 0: cannot be decremented"]),
])  # fmt: skip

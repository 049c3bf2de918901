"""Every cause that deployments, replica sets, daemon sets and controller revisions can have (pkg/apis/apps/validation)."""

from pods import POD
from rules import GONE, against, at, below, new, put, table

from pilothouse.api.validate import apps as rules

TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": POD["spec"]}
BASE = {"metadata": {"name": "w"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE}}
DEPLOYMENT = put(BASE, {"spec.strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": 1}}})
DAEMON = put(BASE, {"spec.updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}})
deployment, replica_set = new(rules.validate_deployment), new(rules.validate_replica_set)
daemon_set = new(rules.validate_daemon_set)
strategy, rolling = at(DEPLOYMENT, "spec.strategy"), at(DEPLOYMENT, "spec.strategy.rollingUpdate")
daemon_strategy, daemons = at(DAEMON, "spec.updateStrategy"), at(DAEMON, "spec.updateStrategy.rollingUpdate")
status = against({"status": {"collisionCount": 2}}, at({}, "status", {}))
DEPLOYMENT_STATUS = rules.validate_deployment_status
REVISION, REVISION_UPDATE = rules.validate_controller_revision, rules.validate_controller_revision_update
NO_OBJECTS: tuple[object, ...] = (1, 0.5, "x", [], True)

test_causes = table([
    (deployment, DEPLOYMENT),
    (deployment, put(DEPLOYMENT, {"spec.selector": GONE}), "spec.selector!", "spec.template.metadata.labels : <other labels>"),
    (deployment, put(DEPLOYMENT, {"spec.selector": {"matchLabels": {}}}), "spec.selector={} : empty selector is invalid for deployment"),
    (deployment, put(DEPLOYMENT, {"spec.selector": {"matchExpressions": [{"key": "a", "operator": "Odd"}]}}), "spec.selector.matchExpressions[0].operator : not a valid selector operator",
        "spec.selector : invalid label selector"),
    (deployment, put(DEPLOYMENT, {"spec.selector": {"matchLabels": {"a": "c"}}}), "spec.template.metadata.labels : <other labels>"),
    (deployment, put(DEPLOYMENT, {"spec.template.spec.restartPolicy": "Never"}), "spec.template.spec.restartPolicy |Always"),
    (deployment, put(DEPLOYMENT, {"spec.template.spec.activeDeadlineSeconds": 5}), "spec.template.spec.activeDeadlineSeconds- : activeDeadlineSeconds in ReplicaSet is not Supported"),
    (deployment, put(DEPLOYMENT, {"spec.replicas": -1, "spec.minReadySeconds": -1, "spec.revisionHistoryLimit": -1}), "spec.replicas,minReadySeconds,revisionHistoryLimit : <not negative>"),
    (deployment, put(DEPLOYMENT, {"spec.progressDeadlineSeconds": 5, "spec.minReadySeconds": 5}), "spec.progressDeadlineSeconds : must be greater than minReadySeconds"),
    (deployment, strategy(type="Recreate", rollingUpdate={}), "spec.strategy.rollingUpdate- : may not be specified when strategy `type` is 'Recreate'"),
    (deployment, strategy(rollingUpdate=None), "spec.strategy.rollingUpdate! : this should be defaulted and never be nil"),
    (deployment, strategy(type="Odd", rollingUpdate={"maxSurge": 1}), 'spec.strategy={"Type":"Odd","RollingUpdate":{"MaxUnavailable":0,"MaxSurge":1}} Recreate|RollingUpdate'),
    (deployment, rolling(maxUnavailable=0, maxSurge="0%"), "spec.strategy.rollingUpdate.maxUnavailable : may not be 0 when `maxSurge` is 0"),
    (deployment, rolling(maxUnavailable="some", maxSurge=-1), *below("spec.strategy.rollingUpdate", ".maxUnavailable : <percent>", ".maxSurge : <not negative>")),
    (deployment, rolling(maxUnavailable="101%", maxSurge=0), "spec.strategy.rollingUpdate.maxUnavailable : must not be greater than 100%"),
    (rules.validate_deployment_update, (put(DEPLOYMENT, {"spec.selector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}), DEPLOYMENT), "spec.selector fixed"),
    (DEPLOYMENT_STATUS, status(replicas=1, updatedReplicas=2, readyReplicas=2, availableReplicas=3, collisionCount=2), "status.updatedReplicas,readyReplicas,availableReplicas : <at most replicas>",
        "status.availableReplicas : cannot be greater than readyReplicas"),
    (DEPLOYMENT_STATUS, status(replicas=-1, collisionCount=1), "status.replicas : <not negative>", "status.updatedReplicas,readyReplicas,availableReplicas=0 : <at most replicas>",
        "status.collisionCount : cannot be decremented"),
    (replica_set, BASE),
    (replica_set, put(BASE, {"spec.selector": {}, "spec.minReadySeconds": -1}), "spec.minReadySeconds : <not negative>", "spec.selector : empty selector is invalid for deployment"),
    (rules.validate_replica_set_update, (put(BASE, {"spec.replicas": -1}), BASE), "spec.replicas : <not negative>"),
    (rules.validate_replica_set_status, status(replicas=1, fullyLabeledReplicas=2), "status.fullyLabeledReplicas : <at most replicas>"),
    (deployment, rolling(maxUnavailable="25%", maxSurge=""), "spec.strategy.rollingUpdate.maxSurge : <percent>"),
    (daemon_set, DAEMON),
    (daemon_set, put(DAEMON, {"spec.selector": {}}), "spec.selector : empty selector is invalid for daemonset"),
    (daemon_set, put(DAEMON, {"spec.template.spec.activeDeadlineSeconds": 1}), "spec.template.spec.activeDeadlineSeconds- : activeDeadlineSeconds in DaemonSet is not Supported"),
    (daemon_set, daemon_strategy(rollingUpdate=None), "spec.updateStrategy.rollingUpdate!"),
    (daemon_set, daemon_strategy(type="Odd", rollingUpdate=None), 'spec.updateStrategy={"Type":"Odd","RollingUpdate":null} RollingUpdate|OnDelete'),
    (daemon_set, daemons(maxUnavailable=1, maxSurge=1), "spec.updateStrategy.rollingUpdate.maxSurge : may not be set when maxUnavailable is non-zero"),
    (daemon_set, daemons(maxUnavailable="0%", maxSurge=0), "spec.updateStrategy.rollingUpdate.maxUnavailable! : cannot be 0 when maxSurge is 0"),
    (daemon_set, daemons(maxUnavailable=0, maxSurge="101%"), "spec.updateStrategy.rollingUpdate.maxSurge : must not be greater than 100%"),
    (daemon_set, daemons(maxUnavailable="101%", maxSurge="x"), *below("spec.updateStrategy.rollingUpdate", ".maxSurge : <percent>", ".maxUnavailable : must not be greater than 100%")),
    (rules.validate_daemon_set_update, (put(DAEMON, {"spec.selector": {"matchLabels": {"a": "b", "c": "d"}}}), DAEMON), "spec.selector fixed", "spec.template.metadata.labels : <other labels>"),
    (rules.validate_daemon_set_status, status(numberReady=-1), "status.numberReady : <not negative>", "status.collisionCount=0 : cannot be decremented"),
    (REVISION, {"data": {}, "revision": 1}),
    (REVISION, {"revision": -1}, "revision : <not negative>", "data! : data is mandatory"),
    *((REVISION, {"data": odd}, "data! : data must be a valid JSON object") for odd in NO_OBJECTS),
    (REVISION_UPDATE, ({"data": 1}, {"data": 1})),
    (REVISION_UPDATE, ({"data": True}, {"data": 1}), "data fixed"),
    (REVISION_UPDATE, ({"data": {"a": 1}}, {"data": {}}), "data fixed"),
    (REVISION_UPDATE, ({}, {"data": {}}), "data=null fixed"),
    (DEPLOYMENT_STATUS, ({"status": {"replicas": 2, "readyReplicas": 1, "availableReplicas": 1}}, {})),
    (DEPLOYMENT_STATUS, ({"status": {"replicas": 1, "readyReplicas": 2}}, {}), "status.readyReplicas : <at most replicas>"),
    (DEPLOYMENT_STATUS, ({"status": {"replicas": 2, "availableReplicas": 1}}, {}), "status.availableReplicas : cannot be greater than readyReplicas"),
    (rules.validate_daemon_set_status, ({"status": {}}, {"status": {"collisionCount": 2}}), "status.collisionCount=0 : cannot be decremented"),
])  # fmt: skip

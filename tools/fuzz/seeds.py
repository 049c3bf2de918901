"""A valid object of every built-in kind that can be created, and statuses of those that have one:
scenarios grow from them."""

import copy
from typing import Any

from fuzz.good_objects import META, NS, POD, SELECTOR, TEMPLATE
from fuzz.growth_kinds import collection, good

from pilothouse.registry.catalog import built_in
from pilothouse.registry.resource import Resource

Object = dict[str, Any]

TIME = "2026-01-01T00:00:00Z"
CONDITION = {"type": "A", "status": "True", "reason": "R", "message": "m", "lastTransitionTime": TIME}
PLAIN = {"name": "fuzz", "labels": {"a": "b"}}
_HOOK = {
    "name": "a.b.c",
    "clientConfig": {"service": {"namespace": "n", "name": "s", "path": "/p"}},
    "rules": [{"operations": ["CREATE"], "apiGroups": ["x"], "apiVersions": ["v1"], "resources": ["nope"]}],
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
    "matchConditions": [{"name": "m", "expression": "request.dryRun"}],
}
_MATCH = {
    "resourceRules": [
        {"operations": ["CREATE"], "apiGroups": ["x"], "apiVersions": ["v1"], "resources": ["nope"]}
    ]
}
_CLAIM = {
    "devices": {
        "requests": [
            {
                "name": "r",
                "exactly": {
                    "deviceClassName": "c",
                    "selectors": [{"cel": {"expression": "device.driver == 'd'"}}],
                },
            }
        ],
        "constraints": [{"requests": ["r"], "matchAttribute": "d.example.com/a"}],
        "config": [{"requests": ["r"], "opaque": {"driver": "d.example.com", "parameters": {"a": 1}}}],
    }
}
_JOB = {**TEMPLATE, "spec": {**POD, "restartPolicy": "Never"}}
_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"

SEEDS: dict[str, Object] = {
    f"/api/v1{NS}/configmaps": {"metadata": META, "data": {"a": "b"}, "binaryData": {"c": "YQ=="}},
    f"/api/v1{NS}/endpoints": {
        "metadata": META,
        "subsets": [
            {"addresses": [{"ip": "1.2.3.4", "hostname": "h"}], "ports": [{"name": "p", "port": 80}]}
        ],
    },
    "/api/v1/namespaces": {"metadata": PLAIN},
    f"/api/v1{NS}/podtemplates": {"metadata": META, "template": TEMPLATE},
    f"/api/v1{NS}/replicationcontrollers": {
        "metadata": META,
        "spec": {"replicas": 1, "selector": {"a": "b"}, "template": TEMPLATE},
    },
    f"/api/v1{NS}/serviceaccounts": {
        "metadata": META,
        "secrets": [{"name": "a"}],
        "imagePullSecrets": [{"name": "b"}],
    },
    f"/api/v1{NS}/bindings": {"metadata": {"name": "fuzz"}, "target": {"kind": "Node", "name": "n"}},
    "/apis/apiregistration.k8s.io/v1/apiservices": {
        "metadata": {"name": "v1.b.c"},
        "spec": {
            "group": "b.c",
            "version": "v1",
            "service": {"namespace": "n", "name": "s"},
            "groupPriorityMinimum": 100,
            "versionPriority": 1,
            "insecureSkipTLSVerify": True,
        },
    },
    f"/apis/apps/v1{NS}/controllerrevisions": {"metadata": META, "data": {"a": {"b": 1}}, "revision": 1},
    f"/apis/apps/v1{NS}/daemonsets": {"metadata": META, "spec": {"selector": SELECTOR, "template": TEMPLATE}},
    f"/apis/apps/v1{NS}/replicasets": {
        "metadata": META,
        "spec": {"replicas": 1, "selector": SELECTOR, "template": TEMPLATE},
    },
    f"/apis/events.k8s.io/v1{NS}/events": {
        "metadata": {"name": "fuzz"},
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "a.b/c",
        "reportingInstance": "i",
        "action": "A",
        "reason": "R",
        "type": "Normal",
        "regarding": {"apiVersion": "v1", "kind": "Pod", "name": "p", "namespace": "default"},
    },
    f"/apis/batch/v1{NS}/jobs": {
        "metadata": META,
        "spec": {"template": _JOB, "completions": 2, "parallelism": 1, "completionMode": "Indexed"},
    },
    "/apis/networking.k8s.io/v1/ingressclasses": {
        "metadata": META,
        "spec": {"controller": "a.b/c", "parameters": {"kind": "P", "name": "p", "apiGroup": "x.y"}},
    },
    "/apis/networking.k8s.io/v1/ipaddresses": {
        "metadata": {"name": "10.0.9.9"},
        "spec": {"parentRef": {"resource": "services", "name": "s", "namespace": "n"}},
    },
    "/apis/networking.k8s.io/v1/servicecidrs": {"metadata": PLAIN, "spec": {"cidrs": ["10.9.0.0/24"]}},
    f"/apis/policy/v1{NS}/poddisruptionbudgets": {
        "metadata": META,
        "spec": {"minAvailable": "50%", "selector": SELECTOR},
    },
    f"/apis/{_RBAC}/v1/clusterroles": {
        "metadata": META,
        "rules": [
            {"apiGroups": ["x"], "resources": ["r"], "verbs": ["get"]},
            {"nonResourceURLs": ["/a/*"], "verbs": ["*"]},
        ],
    },
    f"/apis/{_RBAC}/v1/clusterrolebindings": {
        "metadata": META,
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "nobody", "namespace": "nowhere"}],
    },
    "/apis/storage.k8s.io/v1/csidrivers": {
        "metadata": META,
        "spec": {"attachRequired": False, "podInfoOnMount": True, "tokenRequests": [{"audience": "a"}]},
    },
    "/apis/storage.k8s.io/v1/csinodes": {
        "metadata": META,
        "spec": {
            "drivers": [{"name": "d", "nodeID": "n", "topologyKeys": ["z"], "allocatable": {"count": 1}}]
        },
    },
    f"/apis/storage.k8s.io/v1{NS}/csistoragecapacities": {
        "metadata": META,
        "storageClassName": "s",
        "capacity": "1Gi",
        "nodeTopology": SELECTOR,
    },
    "/apis/storage.k8s.io/v1/volumeattachments": {
        "metadata": META,
        "spec": {"attacher": "d", "nodeName": "n", "source": {"persistentVolumeName": "v"}},
    },
    "/apis/storage.k8s.io/v1/volumeattributesclasses": {
        "metadata": META,
        "driverName": "d",
        "parameters": {"a": "b"},
    },
    "/apis/scheduling.k8s.io/v1/priorityclasses": {"metadata": META, "value": 5, "description": "d"},
    "/apis/node.k8s.io/v1/runtimeclasses": {
        "metadata": META,
        "handler": "h",
        "overhead": {"podFixed": {"cpu": "1m"}},
        "scheduling": {"nodeSelector": {"a": "b"}, "tolerations": [{"key": "k", "operator": "Exists"}]},
    },
    "/apis/resource.k8s.io/v1/deviceclasses": {
        "metadata": META,
        "spec": {"selectors": [{"cel": {"expression": "device.driver == 'd'"}}]},
    },
    f"/apis/resource.k8s.io/v1{NS}/resourceclaims": {"metadata": META, "spec": _CLAIM},
    f"/apis/resource.k8s.io/v1{NS}/resourceclaimtemplates": {
        "metadata": META,
        "spec": {"metadata": {"labels": {"a": "b"}}, "spec": _CLAIM},
    },
    "/apis/resource.k8s.io/v1/resourceslices": {
        "metadata": META,
        "spec": {
            "driver": "d.example.com",
            "nodeName": "n",
            "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1},
            "devices": [
                {
                    "name": "d0",
                    "attributes": {"a": {"string": "x"}, "v": {"version": "1.0.0"}},
                    "capacity": {"memory": {"value": "1Gi"}},
                }
            ],
        },
    },
    "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas": {
        "metadata": PLAIN,
        "spec": {
            "priorityLevelConfiguration": {"name": "global-default"},
            "matchingPrecedence": 500,
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [
                {
                    "subjects": [{"kind": "User", "user": {"name": "nobody"}}],
                    "resourceRules": [
                        {"verbs": ["get"], "apiGroups": ["x"], "resources": ["r"], "namespaces": ["n"]}
                    ],
                    "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["/nope"]}],
                }
            ],
        },
    },
    "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations": {
        "metadata": PLAIN,
        "spec": {
            "type": "Limited",
            "limited": {
                "nominalConcurrencyShares": 1,
                "limitResponse": {
                    "type": "Queue",
                    "queuing": {"queues": 4, "handSize": 2, "queueLengthLimit": 5},
                },
            },
        },
    },
    f"{_ADMISSION}/validatingwebhookconfigurations": {"metadata": PLAIN, "webhooks": [_HOOK]},
    f"{_ADMISSION}/mutatingwebhookconfigurations": {
        "metadata": PLAIN,
        "webhooks": [{**_HOOK, "reinvocationPolicy": "IfNeeded"}],
    },
    f"{_ADMISSION}/validatingadmissionpolicies": {
        "metadata": PLAIN,
        "spec": {
            "matchConstraints": _MATCH,
            "variables": [{"name": "v", "expression": "object.metadata.name"}],
            "validations": [{"expression": "variables.v != 'a'", "message": "m", "reason": "Invalid"}],
            "auditAnnotations": [{"key": "k", "valueExpression": "'v'"}],
        },
    },
    f"{_ADMISSION}/validatingadmissionpolicybindings": {
        "metadata": PLAIN,
        "spec": {"policyName": "nope", "validationActions": ["Deny"], "matchResources": _MATCH},
    },
    f"{_ADMISSION}/mutatingadmissionpolicies": {
        "metadata": PLAIN,
        "spec": {
            "matchConstraints": _MATCH,
            "reinvocationPolicy": "Never",
            "mutations": [
                {
                    "patchType": "ApplyConfiguration",
                    "applyConfiguration": {
                        "expression": "Object{metadata: Object.metadata{labels: {'a': 'b'}}}"
                    },
                },
                {
                    "patchType": "JSONPatch",
                    "jsonPatch": {"expression": "[JSONPatch{op: 'test', path: '/kind', value: 'A'}]"},
                },
            ],
        },
    },
    f"{_ADMISSION}/mutatingadmissionpolicybindings": {"metadata": PLAIN, "spec": {"policyName": "nope"}},
    "/apis/authentication.k8s.io/v1/tokenreviews": {"spec": {"token": "a.b.c", "audiences": ["a"]}},
    "/apis/authentication.k8s.io/v1/selfsubjectreviews": {},
    f"/apis/authorization.k8s.io/v1{NS}/localsubjectaccessreviews": {
        "spec": {
            "user": "a",
            "resourceAttributes": {"namespace": "default", "verb": "get", "resource": "pods"},
        },
    },
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": {
        "spec": {"nonResourceAttributes": {"path": "/healthz", "verb": "get"}},
    },
    "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews": {"spec": {"namespace": "default"}},
}
"""Objects by the path of their collection; those of good_objects.py are not repeated."""

_INGRESS = {"loadBalancer": {"ingress": [{"ip": "1.2.3.4", "ports": [{"port": 80, "protocol": "TCP"}]}]}}
_RUNNING = {
    "name": "c",
    "ready": True,
    "restartCount": 1,
    "image": "i",
    "imageID": "x",
    "state": {"running": {"startedAt": TIME}},
}

STATUSES: dict[str, Object] = {
    "Pod": {
        "phase": "Running",
        "podIPs": [{"ip": "1.2.3.4"}],
        "hostIP": "5.6.7.8",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [_RUNNING],
    },
    "Service": {**_INGRESS, "conditions": [CONDITION]},
    "Node": {
        "capacity": {"cpu": "2"},
        "conditions": [{"type": "Ready", "status": "False"}],
        "addresses": [{"type": "InternalIP", "address": "1.2.3.4"}],
    },
    "Namespace": {"phase": "Active", "conditions": [{"type": "A", "status": "False"}]},
    "PersistentVolumeClaim": {
        "phase": "Bound",
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
    },
    "PersistentVolume": {"phase": "Available", "message": "m"},
    "ReplicationController": {"replicas": 1, "readyReplicas": 1, "observedGeneration": 1},
    "ResourceQuota": {"hard": {"pods": "2"}, "used": {"pods": "1"}},
    "Deployment": {"replicas": 2, "readyReplicas": 1, "unavailableReplicas": 1, "observedGeneration": 1},
    "ReplicaSet": {"replicas": 1, "fullyLabeledReplicas": 1, "observedGeneration": 1},
    "DaemonSet": {
        "currentNumberScheduled": 1,
        "numberMisscheduled": 0,
        "desiredNumberScheduled": 1,
        "numberReady": 1,
    },
    "StatefulSet": {"replicas": 1, "currentRevision": "a", "observedGeneration": 1, "availableReplicas": 1},
    "Job": {"active": 1, "succeeded": 1, "startTime": TIME, "uncountedTerminatedPods": {"succeeded": ["u"]}},
    "CronJob": {"lastScheduleTime": TIME, "active": [{"kind": "Job", "name": "j"}]},
    "HorizontalPodAutoscaler": {"currentReplicas": 1, "desiredReplicas": 2, "conditions": [CONDITION]},
    "PodDisruptionBudget": {
        "disruptionsAllowed": 1,
        "currentHealthy": 2,
        "desiredHealthy": 1,
        "expectedPods": 2,
        "conditions": [CONDITION],
    },
    "Ingress": _INGRESS,
    "CertificateSigningRequest": {"conditions": [{"type": "Approved", "status": "True", "reason": "r"}]},
    "VolumeAttachment": {"attached": True, "attachmentMetadata": {"a": "b"}},
    "ResourceClaim": {
        "reservedFor": [{"resource": "pods", "name": "p", "uid": "u"}],
        "allocation": {
            "devices": {"results": [{"request": "r", "driver": "d.example.com", "pool": "p", "device": "d0"}]}
        },
    },
    "CustomResourceDefinition": {
        "conditions": [{"type": "Established", "status": "True"}],
        "acceptedNames": {"plural": "as", "kind": "A"},
        "storedVersions": ["v1"],
    },
    "APIService": {"conditions": [{"type": "Available", "status": "True"}]},
    "FlowSchema": {"conditions": [{"type": "Dangling", "status": "False"}]},
    "PriorityLevelConfiguration": {"conditions": [{"type": "A", "status": "False"}]},
    "ServiceCIDR": {"conditions": [CONDITION]},
    "ValidatingAdmissionPolicy": {"observedGeneration": 1, "typeChecking": {"expressionWarnings": []}},
}
"""A status of every kind that has one, by kind."""

CHANGES_ALL = frozenset(
    {
        "APIService",
        "FlowSchema",
        "IPAddress",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "MutatingWebhookConfiguration",
        "PriorityLevelConfiguration",
        "ResourceQuota",
        "ServiceCIDR",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
    }
)
"""Kinds whose objects change the answers to others: they are written as dry runs only."""


def creatable() -> list[Resource]:
    """Every built-in resource of which something can be created."""
    return [r for r in built_in() if r.type_of is not None and "create" in r.verbs]


def seed(resource: Resource) -> Object:
    """A valid object, which may be changed."""
    found = SEEDS.get(collection(resource))
    if found is None:
        return good(resource)
    return copy.deepcopy({"apiVersion": resource.api_version, "kind": resource.kind, **found})

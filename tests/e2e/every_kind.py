"""An object of every stored kind by the path of its collection, with some members that must be preserved."""

import base64
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

Object = dict[str, Any]

NAMESPACE = "interop"
IN = f"/namespaces/{NAMESPACE}"
NOBODYS = [
    {
        "apiGroups": ["none.example.com"],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["nothings"],
    }
]
"""Rules of webhooks and policies that no request meets."""

POD = {
    "containers": [
        {
            "name": "c",
            "image": "registry.example.com/a:1",
            "args": ["-v", "--flag=ü"],
            "env": [{"name": "A", "value": "b"}],
            "ports": [{"containerPort": 8080, "name": "http"}],
            "resources": {"requests": {"cpu": "1500m", "memory": "1Gi"}, "limits": {"memory": "2048Mi"}},
            "livenessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 3},
            "volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": True}],
            "securityContext": {"runAsUser": 1000, "capabilities": {"drop": ["ALL"]}},
        }
    ],
    "volumes": [{"name": "v", "configMap": {"name": "a", "defaultMode": 256}}],
    "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}],
}
LABELS = {"app": "interop"}
TEMPLATE = {"metadata": {"labels": LABELS}, "spec": POD}
JOB = {"template": {"spec": {**POD, "restartPolicy": "Never"}}, "backoffLimit": 2}
SELECTOR = {"matchLabels": LABELS}
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
SUBJECTS = [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "jane"}]
DEVICES = {"requests": [{"name": "gpu", "exactly": {"deviceClassName": "interop", "count": 2}}]}


def _request() -> str:
    """A certificate signing request as a field of bytes has it."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "interop")])
    made = x509.CertificateSigningRequestBuilder().subject_name(name)
    signed = made.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return base64.b64encode(signed.public_bytes(serialization.Encoding.PEM)).decode()


def _core() -> dict[str, Object]:
    return {
        f"{IN}/configmaps": {"data": {"a": "b\n"}, "binaryData": {"c": "AAEC"}, "immutable": False},
        f"{IN}/secrets": {"type": "example.com/kind", "data": {"a": "Yg=="}, "stringData": {"c": "d"}},
        f"{IN}/serviceaccounts": {"secrets": [{"name": "a"}], "automountServiceAccountToken": False},
        f"{IN}/pods": {"spec": POD},
        f"{IN}/podtemplates": {"template": TEMPLATE},
        f"{IN}/replicationcontrollers": {"spec": {"replicas": 2, "selector": LABELS, "template": TEMPLATE}},
        f"{IN}/services": {
            "spec": {"type": "NodePort", "selector": LABELS, "ports": [{"port": 80, "targetPort": "a"}]}
        },
        f"{IN}/endpoints": {"subsets": [{"addresses": [{"ip": "192.0.2.9"}], "ports": [{"port": 1}]}]},
        f"{IN}/persistentvolumeclaims": {"spec": CLAIM},
        f"{IN}/limitranges": {"spec": {"limits": [{"type": "Container", "max": {"cpu": "99"}}]}},
        f"{IN}/resourcequotas": {
            "spec": {"hard": {"count/nothings.example.com": "7", "requests.storage": "9Ti"}}
        },
        f"{IN}/events": {
            "involvedObject": {"kind": "Pod", "namespace": NAMESPACE, "name": "interop"},
            "reason": "Odd",
            "message": "it is odd",
            "type": "Warning",
            "firstTimestamp": "2026-01-01T00:00:00Z",
            "source": {"component": "interop"},
        },
        "/nodes": {"spec": {"podCIDR": "10.9.0.0/24", "podCIDRs": ["10.9.0.0/24"], "unschedulable": True}},
        "/namespaces": {"metadata": {"name": f"{NAMESPACE}-other", "labels": LABELS}},
        "/persistentvolumes": {
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "hostPath": {"path": "/interop"},
                "mountOptions": ["ro"],
            }
        },
    }


def _workloads() -> dict[str, Object]:
    apps = {"selector": SELECTOR, "template": TEMPLATE}
    claims = [{"metadata": {"name": "d"}, "spec": CLAIM}]
    return {
        f"apps/v1{IN}/deployments": {"spec": {**apps, "strategy": {"rollingUpdate": {"maxSurge": "30%"}}}},
        f"apps/v1{IN}/replicasets": {"spec": {**apps, "minReadySeconds": 3}},
        f"apps/v1{IN}/statefulsets": {"spec": {**apps, "serviceName": "a", "volumeClaimTemplates": claims}},
        f"apps/v1{IN}/daemonsets": {"spec": {**apps, "updateStrategy": {"type": "OnDelete"}}},
        f"apps/v1{IN}/controllerrevisions": {"revision": 7, "data": {"spec": {"any": ["thing", 1]}}},
        f"batch/v1{IN}/jobs": {"spec": {**JOB, "completions": 3, "parallelism": 2}},
        f"batch/v1{IN}/cronjobs": {"spec": {"schedule": "5 * * * *", "jobTemplate": {"spec": JOB}}},
        f"autoscaling/v2{IN}/horizontalpodautoscalers": {
            "spec": {
                "scaleTargetRef": {"kind": "Deployment", "name": "a", "apiVersion": "apps/v1"},
                "maxReplicas": 9,
                "metrics": [
                    {
                        "type": "Resource",
                        "resource": {
                            "name": "memory",
                            "target": {"type": "AverageValue", "averageValue": "1Gi"},
                        },
                    }
                ],
                "behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 5}]}},
            }
        },
        f"policy/v1{IN}/poddisruptionbudgets": {"spec": {"maxUnavailable": "10%", "selector": SELECTOR}},
        f"coordination.k8s.io/v1{IN}/leases": {
            "spec": {
                "holderIdentity": "a",
                "leaseDurationSeconds": 9,
                "renewTime": "2026-01-01T00:00:00.123456Z",
            }
        },
    }


def _networking() -> dict[str, Object]:
    backend = {"service": {"name": "a", "port": {"number": 80}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    peers = [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]
    return {
        f"networking.k8s.io/v1{IN}/ingresses": {
            "spec": {"rules": [{"host": "a.example.com", "http": {"paths": [path]}}]}
        },
        f"networking.k8s.io/v1{IN}/networkpolicies": {
            "spec": {
                "podSelector": SELECTOR,
                "ingress": [{"from": peers, "ports": [{"port": 80, "endPort": 90}]}],
            }
        },
        "networking.k8s.io/v1/ingressclasses": {"spec": {"controller": "example.com/interop"}},
        "networking.k8s.io/v1/ipaddresses": {
            "metadata": {"name": "10.0.0.200"},
            "spec": {
                "parentRef": {"group": "gateway.networking.k8s.io", "resource": "gateways", "name": "g"}
            },
        },
        "networking.k8s.io/v1/servicecidrs": {"spec": {"cidrs": ["10.77.0.0/24"]}},
        f"discovery.k8s.io/v1{IN}/endpointslices": {
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["192.0.2.7"], "conditions": {"ready": True}, "nodeName": "n"}],
            "ports": [{"name": "a", "port": 1, "protocol": "TCP"}],
        },
    }


def _storage() -> dict[str, Object]:
    allocatable = {"count": 9}
    return {
        "storage.k8s.io/v1/storageclasses": {
            "provisioner": "a/b",
            "parameters": {"c": "d"},
            "mountOptions": ["ro"],
        },
        "storage.k8s.io/v1/csidrivers": {"spec": {"attachRequired": False, "fsGroupPolicy": "File"}},
        "storage.k8s.io/v1/csinodes": {
            "spec": {"drivers": [{"name": "a.example.com", "nodeID": "n", "allocatable": allocatable}]}
        },
        f"storage.k8s.io/v1{IN}/csistoragecapacities": {"storageClassName": "a", "capacity": "5Gi"},
        "storage.k8s.io/v1/volumeattachments": {
            "spec": {"attacher": "a.example.com", "nodeName": "n", "source": {"persistentVolumeName": "p"}}
        },
        "storage.k8s.io/v1/volumeattributesclasses": {
            "driverName": "a.example.com",
            "parameters": {"iops": "9"},
        },
        "resource.k8s.io/v1/deviceclasses": {
            "spec": {"selectors": [{"cel": {"expression": 'device.driver == "gpu.example.com"'}}]}
        },
        f"resource.k8s.io/v1{IN}/resourceclaims": {"spec": {"devices": DEVICES}},
        f"resource.k8s.io/v1{IN}/resourceclaimtemplates": {"spec": {"spec": {"devices": DEVICES}}},
        "resource.k8s.io/v1/resourceslices": {
            "spec": {
                "driver": "gpu.example.com",
                "nodeName": "n",
                "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1},
                "devices": [
                    {
                        "name": "d0",
                        "attributes": {"model": {"string": "m"}},
                        "capacity": {"mem": {"value": "2Gi"}},
                    }
                ],
            }
        },
    }


def _cluster() -> dict[str, Object]:
    role = {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "resourceNames": ["a"]}]}
    hook = {
        "name": "hook.example.com",
        "clientConfig": {"url": "https://127.0.0.1:9/hook"},
        "rules": NOBODYS,
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Ignore",
    }
    validations = [{"expression": "object.spec.replicas < 9", "message": "too many"}]
    apply = {"expression": 'Object{metadata: Object.metadata{labels: {"a": "b"}}}'}
    mutations = [{"patchType": "ApplyConfiguration", "applyConfiguration": apply}]
    flow = {
        "subjects": [{"kind": "User", "user": {"name": "nobody"}}],
        "resourceRules": [
            {"verbs": ["get"], "apiGroups": ["none.example.com"], "resources": ["a"], "clusterScope": True}
        ],
    }
    rbac = "rbac.authorization.k8s.io"
    admission = "admissionregistration.k8s.io/v1"
    return {
        f"{rbac}/v1{IN}/roles": role,
        f"{rbac}/v1{IN}/rolebindings": {
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "a"},
            "subjects": SUBJECTS,
        },
        f"{rbac}/v1/clusterroles": {
            **role,
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"none": "1"}}]},
        },
        f"{rbac}/v1/clusterrolebindings": {
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "a"},
            "subjects": SUBJECTS,
        },
        f"{admission}/validatingwebhookconfigurations": {"webhooks": [hook]},
        f"{admission}/mutatingwebhookconfigurations": {
            "webhooks": [{**hook, "reinvocationPolicy": "IfNeeded"}]
        },
        f"{admission}/validatingadmissionpolicies": {
            "spec": {"matchConstraints": {"resourceRules": NOBODYS}, "validations": validations}
        },
        f"{admission}/validatingadmissionpolicybindings": {
            "spec": {"policyName": "none", "validationActions": ["Warn", "Audit"]}
        },
        f"{admission}/mutatingadmissionpolicies": {
            "spec": {
                "matchConstraints": {"resourceRules": NOBODYS},
                "mutations": mutations,
                "reinvocationPolicy": "Never",
            }
        },
        f"{admission}/mutatingadmissionpolicybindings": {"spec": {"policyName": "none"}},
        "apiextensions.k8s.io/v1/customresourcedefinitions": definition("gadgets", "Gadget"),
        "apiregistration.k8s.io/v1/apiservices": {
            "metadata": {"name": "v1.none.example.com"},
            "spec": {
                "group": "none.example.com",
                "version": "v1",
                "groupPriorityMinimum": 1000,
                "versionPriority": 15,
                "insecureSkipTLSVerify": True,
                "service": {"namespace": NAMESPACE, "name": "none"},
            },
        },
        "certificates.k8s.io/v1/certificatesigningrequests": {
            "spec": {"request": _request(), "signerName": "example.com/interop", "usages": ["client auth"]}
        },
        "scheduling.k8s.io/v1/priorityclasses": {
            "value": 1000,
            "description": "interop",
            "preemptionPolicy": "Never",
        },
        "node.k8s.io/v1/runtimeclasses": {"handler": "interop", "overhead": {"podFixed": {"cpu": "100m"}}},
        "flowcontrol.apiserver.k8s.io/v1/flowschemas": {
            "spec": {
                "priorityLevelConfiguration": {"name": "global-default"},
                "matchingPrecedence": 9999,
                "rules": [flow],
            }
        },
        "flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations": {
            "spec": {
                "type": "Limited",
                "limited": {"nominalConcurrencyShares": 1, "limitResponse": {"type": "Reject"}},
            }
        },
    }


def definition(plural: str, kind: str) -> Object:
    """A definition of custom resources of the group interop.example.com."""
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {"size": {"type": "integer"}, "name": {"type": "string"}},
            },
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    }
    column = {"name": "Size", "type": "integer", "jsonPath": ".spec.size"}
    version = {"name": "v1", "served": True, "storage": True, "additionalPrinterColumns": [column]}
    return {
        "metadata": {"name": f"{plural}.interop.example.com"},
        "spec": {
            "group": "interop.example.com",
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind},
            "versions": [{**version, "schema": {"openAPIV3Schema": schema}}],
        },
    }


def every_kind() -> dict[str, Object]:
    """Collection path -> object. Without a name of its own it is called `interop`."""
    out: dict[str, Object] = {f"/api/v1{path}": obj for path, obj in _core().items()}
    for group in (_workloads(), _networking(), _storage(), _cluster()):
        out |= {f"/apis/{path}": obj for path, obj in group.items()}
    return {
        path: {**obj, "metadata": {"name": "interop", **obj.get("metadata", {})}} for path, obj in out.items()
    }

"""Valid objects of many kinds, which tests make invalid."""

import base64

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def _request() -> str:
    """A certificate signing request, as a field of bytes has it."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a")])
    made = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(name)
        .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    )
    return base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()


POD = {
    "containers": [
        {
            "name": "c",
            "image": "i",
            "ports": [{"containerPort": 1, "protocol": "TCP"}],
            "env": [
                {"name": "A", "value": "b"},
                {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            ],
            "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}},
            "livenessProbe": {"httpGet": {"path": "/", "port": 80}},
            "volumeMounts": [{"name": "v", "mountPath": "/v"}],
            "securityContext": {"runAsUser": 1, "capabilities": {"add": ["A"]}},
        }
    ],
    "volumes": [{"name": "v", "configMap": {"name": "a", "items": [{"key": "k", "path": "p"}]}}],
    "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}]
            }
        }
    },
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
    ],
}
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": POD}
SELECTOR = {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "a", "operator": "Exists"}]}
META = {
    "name": "fuzz",
    "labels": {"a": "b"},
    "annotations": {"a": "b"},
    "finalizers": ["a/b"],
    "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "b", "controller": True}],
}
NS = "/namespaces/default"
GOOD: list[tuple[str, dict[str, object]]] = [
    (f"/api/v1{NS}/pods", {"metadata": META, "spec": POD}),
    (
        f"/api/v1{NS}/services",
        {
            "metadata": META,
            "spec": {
                "ports": [{"port": 1, "targetPort": "a", "nodePort": 0}],
                "selector": {"a": "b"},
                "type": "NodePort",
            },
        },
    ),
    (
        f"/apis/apps/v1{NS}/deployments",
        {
            "metadata": META,
            "spec": {
                "replicas": 1,
                "selector": SELECTOR,
                "template": TEMPLATE,
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0},
                },
            },
        },
    ),
    (
        f"/apis/apps/v1{NS}/statefulsets",
        {
            "metadata": META,
            "spec": {
                "selector": SELECTOR,
                "template": TEMPLATE,
                "serviceName": "a",
                "volumeClaimTemplates": [
                    {
                        "metadata": {"name": "d"},
                        "spec": {
                            "accessModes": ["ReadWriteOnce"],
                            "resources": {"requests": {"storage": "1Gi"}},
                        },
                    }
                ],
            },
        },
    ),
    (
        f"/apis/batch/v1{NS}/cronjobs",
        {
            "metadata": META,
            "spec": {
                "schedule": "* * * * *",
                "timeZone": "Etc/UTC",
                "jobTemplate": {
                    "spec": {"template": {"spec": POD | {"restartPolicy": "Never"}}, "completions": 1}
                },
            },
        },
    ),
    (
        f"/apis/networking.k8s.io/v1{NS}/ingresses",
        {
            "metadata": META,
            "spec": {
                "rules": [
                    {
                        "host": "a.b",
                        "http": {
                            "paths": [
                                {
                                    "path": "/",
                                    "pathType": "Prefix",
                                    "backend": {"service": {"name": "a", "port": {"number": 1}}},
                                }
                            ]
                        },
                    }
                ],
                "tls": [{"hosts": ["a.b"], "secretName": "a"}],
            },
        },
    ),
    (
        f"/apis/networking.k8s.io/v1{NS}/networkpolicies",
        {
            "metadata": META,
            "spec": {
                "podSelector": SELECTOR,
                "ingress": [
                    {
                        "from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}],
                        "ports": [{"port": 1}],
                    }
                ],
            },
        },
    ),
    (
        f"/apis/autoscaling/v2{NS}/horizontalpodautoscalers",
        {
            "metadata": META,
            "spec": {
                "scaleTargetRef": {"kind": "Deployment", "name": "a", "apiVersion": "apps/v1"},
                "maxReplicas": 2,
                "metrics": [
                    {
                        "type": "Resource",
                        "resource": {
                            "name": "cpu",
                            "target": {"type": "Utilization", "averageUtilization": 5},
                        },
                    }
                ],
                "behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 1}]}},
            },
        },
    ),
    (
        f"/apis/autoscaling/v1{NS}/horizontalpodautoscalers",
        {
            "metadata": META | {"annotations": {"autoscaling.alpha.kubernetes.io/metrics": "[]"}},
            "spec": {
                "scaleTargetRef": {"kind": "Deployment", "name": "a", "apiVersion": "apps/v1"},
                "maxReplicas": 2,
            },
        },
    ),
    (
        f"/api/v1{NS}/persistentvolumeclaims",
        {
            "metadata": META,
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        },
    ),
    (
        "/api/v1/persistentvolumes",
        {
            "metadata": META,
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "hostPath": {"path": "/a"},
            },
        },
    ),
    (
        "/api/v1/nodes",
        {
            "metadata": META,
            "spec": {"podCIDRs": ["10.0.0.0/24"], "taints": [{"key": "a", "effect": "NoExecute"}]},
        },
    ),
    (
        f"/api/v1{NS}/secrets",
        {"metadata": META, "type": "Opaque", "data": {"a": "Yg=="}, "stringData": {"c": "d"}},
    ),
    (f"/api/v1{NS}/resourcequotas", {"metadata": META, "spec": {"hard": {"pods": "1", "requests.cpu": "2"}}}),
    (
        f"/api/v1{NS}/limitranges",
        {"metadata": META, "spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}},
    ),
    (
        f"/apis/rbac.authorization.k8s.io/v1{NS}/rolebindings",
        {
            "metadata": META,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "a"},
            "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "a"}],
        },
    ),
    (
        f"/apis/rbac.authorization.k8s.io/v1{NS}/roles",
        {
            "metadata": META,
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "resourceNames": ["a"]}],
        },
    ),
    (
        f"/apis/discovery.k8s.io/v1{NS}/endpointslices",
        {
            "metadata": META,
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}}],
            "ports": [{"name": "a", "port": 1, "protocol": "TCP"}],
        },
    ),
    (
        "/apis/storage.k8s.io/v1/storageclasses",
        {"metadata": META, "provisioner": "a/b", "parameters": {"a": "b"}, "mountOptions": ["a"]},
    ),
    (
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        {
            "metadata": {"name": "as.b.c"},
            "spec": {
                "group": "b.c",
                "scope": "Namespaced",
                "names": {"plural": "as", "kind": "A"},
                "versions": [
                    {
                        "name": "v1",
                        "served": True,
                        "storage": True,
                        "schema": {
                            "openAPIV3Schema": {"type": "object", "properties": {"a": {"type": "string"}}}
                        },
                        "additionalPrinterColumns": [{"name": "a", "type": "string", "jsonPath": ".a"}],
                        "selectableFields": [{"jsonPath": ".a"}],
                    }
                ],
            },
        },
    ),
    (
        "/apis/authorization.k8s.io/v1/subjectaccessreviews",
        {
            "spec": {
                "user": "a",
                "groups": ["b"],
                "extra": {"c": ["d"]},
                "resourceAttributes": {"verb": "get", "resource": "pods"},
            }
        },
    ),
    (
        "/apis/certificates.k8s.io/v1/certificatesigningrequests",
        {"metadata": META, "spec": {"request": _request(), "signerName": "a.b/c", "usages": ["client auth"]}},
    ),
    (
        f"/apis/coordination.k8s.io/v1{NS}/leases",
        {
            "metadata": META,
            "spec": {
                "holderIdentity": "a",
                "leaseDurationSeconds": 1,
                "renewTime": "2026-01-01T00:00:00.000000Z",
            },
        },
    ),
    (
        f"/api/v1{NS}/events",
        {
            "metadata": META | {"namespace": "default"},
            "involvedObject": {"namespace": "default"},
            "reason": "a",
            "type": "Normal",
        },
    ),
]

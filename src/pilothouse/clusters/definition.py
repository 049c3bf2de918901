"""The definition of the resource `clusters.pilothouse.dev`, which the server brings to its own cluster."""

from pilothouse.api.values.fields import Object

GROUP, VERSION, PLURAL, KIND = "pilothouse.dev", "v1alpha1", "clusters", "Cluster"
NAME = f"{PLURAL}.{GROUP}"
SOURCE_UID = f"{GROUP}/source-uid"
"""The annotation with the UID of the cluster that a copy begins with; admission sets it."""
FINALIZER = f"{PLURAL}.{GROUP}/objects"
"""Kept on a cluster until its objects are removed."""
LABEL = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
"""A name is a part of a host name, too."""

_QUANTITY = {
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "x-kubernetes-int-or-string": True,
    "pattern": r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$",
}

_NAME: Object = {"type": "string", "minLength": 1, "maxLength": 253}

_SPEC: Object = {
    "type": "object",
    "default": {},
    "properties": {
        "copyOf": {
            "type": "string",
            "description": "Name of a cluster whose objects this one begins with. It cannot be changed.",
            "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "copyOf is immutable"}],
        },
        "suspend": {
            "type": "boolean",
            "description": "Have the cluster leave memory when no request is open. The next one wakes it.",
        },
        "kubeconfigSecret": {
            "type": "object",
            "description": "Where the server keeps a kubeconfig of the cluster's administrator.",
            "required": ["namespace", "name"],
            "properties": {"namespace": _NAME, "name": _NAME},
        },
        "authentication": {
            "type": "object",
            "description": "Issuers whose tokens say who a user of the cluster is, as the member jwt of an"
            " AuthenticationConfiguration (apiserver.config.k8s.io/v1) has them.",
            "properties": {
                "jwt": {
                    "type": "array",
                    "maxItems": 64,
                    "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                }
            },
        },
        "limits": {
            "type": "object",
            "description": "The most that the cluster may hold. Writes that exceed it are refused.",
            "properties": {"objects": {"type": "integer", "minimum": 1}, "bytes": _QUANTITY},
        },
    },
    "x-kubernetes-validations": [
        {
            "rule": "has(self.copyOf) == has(oldSelf.copyOf)",
            "message": "copyOf is immutable",
        }
    ],
}

_CONDITION: Object = {
    "type": "object",
    "required": ["type", "status", "lastTransitionTime", "reason", "message"],
    "properties": {
        "type": {"type": "string"},
        "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
        "observedGeneration": {"type": "integer", "format": "int64"},
        "lastTransitionTime": {"type": "string", "format": "date-time"},
        "reason": {"type": "string"},
        "message": {"type": "string"},
    },
}

_STATUS: Object = {
    "type": "object",
    "properties": {
        "url": {"type": "string", "description": "Where clients reach the cluster."},
        "kubeconfigSecret": {"type": "object", "properties": {"namespace": _NAME, "name": _NAME}},
        "objects": {"type": "integer", "format": "int64"},
        "bytes": {"type": "integer", "format": "int64"},
        "conditions": {
            "type": "array",
            "items": _CONDITION,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    },
}

DEFINITION: Object = {
    "metadata": {"name": NAME},
    "status": {},
    "spec": {
        "group": GROUP,
        "scope": "Cluster",
        "names": {"plural": PLURAL, "singular": "cluster", "kind": KIND, "listKind": "ClusterList"},
        "versions": [
            {
                "name": VERSION,
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "description": "A logical cluster: an API server of its own within this one.",
                        "properties": {
                            "apiVersion": {"type": "string"},
                            "kind": {"type": "string"},
                            "metadata": {"type": "object"},
                            "spec": _SPEC,
                            "status": _STATUS,
                        },
                        "x-kubernetes-validations": [
                            {
                                "rule": f"self.metadata.name.matches('^{LABEL}$')",
                                "message": "the name of a cluster must be a DNS label",
                            }
                        ],
                    }
                },
                "additionalPrinterColumns": [
                    {
                        "name": "Ready",
                        "type": "string",
                        "jsonPath": ".status.conditions[?(@.type=='Ready')].status",
                    },
                    {"name": "Objects", "type": "integer", "jsonPath": ".status.objects"},
                    {"name": "Bytes", "type": "integer", "jsonPath": ".status.bytes"},
                    {"name": "URL", "type": "string", "jsonPath": ".status.url", "priority": 1},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                ],
            }
        ],
    },
}


def condition(kind: str, status: str, reason: str, message: str) -> Object:
    """A condition, without its times."""
    return {"type": kind, "status": status, "reason": reason, "message": message}


def settled(told: Object, before: Object, generation: int, now: str) -> Object:
    """A condition as it is written: its time is that of the last change of its status.
    `now` is the time."""
    since = before["lastTransitionTime"] if before.get("status") == told["status"] else now
    return {**told, "observedGeneration": generation, "lastTransitionTime": since}


def owner(obj: Object) -> Object:
    """The reference by which something belongs to a Cluster object."""
    named = {"name": obj["metadata"]["name"], "uid": obj["metadata"]["uid"]}
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND, **named, "controller": True}


def owned_by(found: Object, obj: Object) -> bool:
    """Whether something belongs to a Cluster object."""
    refs = found["metadata"].get("ownerReferences") or ()
    return any(ref.get("uid") == obj["metadata"]["uid"] for ref in refs)

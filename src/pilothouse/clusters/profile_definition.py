"""The definition of the resource `clusterprofiles.multicluster.x-k8s.io` (Cluster Inventory API, KEP-4322).

The server brings it where there is none. Its objects are those of the project's own definition, which stays
where somebody has created it.
"""

from pilothouse.api.values.fields import Object

GROUP, VERSION, PLURAL, KIND = "multicluster.x-k8s.io", "v1alpha1", "clusterprofiles", "ClusterProfile"
NAME = f"{PLURAL}.{GROUP}"
MANAGED = "app.kubernetes.io/managed-by"
MANAGER = "pilothouse"
"""The name of the cluster manager, which is this server."""


def _text(most: int = 0, least: int = 0) -> Object:
    bounds = {"minLength": least} if least else {}
    return {"type": "string", **bounds, **({"maxLength": most} if most else {})}


def _list(key: str, members: Object, *required: str) -> Object:
    """A list whose items have a key."""
    return {
        "type": "array",
        "items": {"type": "object", "required": [key, *required], "properties": members},
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": [key],
    }


_CONDITIONS = _list(
    "type",
    {
        "type": _text(316),
        "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
        "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
        "lastTransitionTime": {"type": "string", "format": "date-time"},
        "reason": _text(1024, 1),
        "message": _text(32768),
    },
    "status",
    "lastTransitionTime",
    "reason",
    "message",
)
_PROPERTIES = _list(
    "name",
    {
        "name": _text(253, 1),
        "value": _text(1024, 1),
        "lastObservedTime": {"type": "string", "format": "date-time"},
    },
    "value",
)
_EXTENSIONS = _list(
    "name",
    {
        "name": _text(253, 1),
        "extension": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
    "extension",
)
_ACCESS: Object = {
    "type": "object",
    "description": "Where a cluster is reached, as a kubeconfig says it.",
    "properties": {
        "server": _text(2048),
        "tls-server-name": _text(253),
        "insecure-skip-tls-verify": {"type": "boolean"},
        "certificate-authority": _text(),
        "certificate-authority-data": {"type": "string", "format": "byte"},
        "proxy-url": _text(2048),
        "disable-compression": {"type": "boolean"},
        "extensions": _EXTENSIONS,
    },
}
_PROVIDERS = _list("name", {"name": _text(253, 1), "cluster": _ACCESS})


def _version(name: str, *, storage: bool, **status: Object) -> Object:
    spec = {
        "type": "object",
        "required": ["clusterManager"],
        "properties": {
            "displayName": {**_text(), "description": "A name for people."},
            "clusterManager": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {**_text(63, 1), "description": "Who writes this profile."}},
                "x-kubernetes-validations": [
                    {"rule": "self == oldSelf", "message": "ClusterManager is immutable"}
                ],
            },
        },
    }
    members = {
        "conditions": _CONDITIONS,
        "version": {"type": "object", "properties": {"kubernetes": _text()}},
        "properties": _PROPERTIES,
        "accessProviders": _PROVIDERS,
        **status,
    }
    return {
        "name": name,
        "served": True,
        "storage": storage,
        "subresources": {"status": {}},
        "schema": {
            "openAPIV3Schema": {
                "type": "object",
                "description": "A cluster of several, for those who work with all of them.",
                "required": ["spec"],
                "properties": {
                    "apiVersion": {"type": "string"},
                    "kind": {"type": "string"},
                    "metadata": {"type": "object"},
                    "spec": spec,
                    "status": {"type": "object", "properties": members},
                },
            }
        },
        "additionalPrinterColumns": [
            {"name": "Display Name", "type": "string", "jsonPath": ".spec.displayName"},
            {"name": "Manager", "type": "string", "jsonPath": ".spec.clusterManager.name"},
            {"name": "Version", "type": "string", "jsonPath": ".status.version.kubernetes"},
            {
                "name": "Healthy",
                "type": "string",
                "jsonPath": '.status.conditions[?(@.type=="ControlPlaneHealthy")].status',
            },
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        ],
    }


DEFINITION: Object = {
    "metadata": {"name": NAME, "labels": {MANAGED: MANAGER}},
    "status": {},
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {
            "plural": PLURAL,
            "singular": "clusterprofile",
            "kind": KIND,
            "listKind": "ClusterProfileList",
            "categories": ["multicluster"],
        },
        "versions": [
            _version(VERSION, storage=True, credentialProviders=_PROVIDERS),
            _version("v1alpha2", storage=False),
        ],
    },
}

"""Definitions that differ in how they are stored, each with an object of it."""

from typing import Any

from e2e.every_kind import definition

Object = dict[str, Any]
GROUP = "stored.example.com"
OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
COLUMNS = [
    {"name": "Size", "type": "integer", "jsonPath": ".spec.size", "priority": 1, "description": "how large"}
]
SIZED = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "size": {"type": "integer", "format": "int64", "minimum": 0, "default": 1},
                "ratio": {"type": "number"},
                "port": {"x-kubernetes-int-or-string": True},
                "colour": {"type": "string", "enum": ["red", "blue"]},
                "shade": {"type": "string", "nullable": True},
                "names": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                "parts": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {"name": {"type": "string"}},
                    },
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                },
                "any": OPEN,
            },
            "x-kubernetes-validations": [{"rule": "self.size < 100", "message": "too large"}],
        },
        "status": {
            "type": "object",
            "properties": {"size": {"type": "integer"}, "selector": {"type": "string"}},
        },
    },
}
SPEC = {
    "ratio": 1.50,
    "port": "http",
    "shade": None,
    "names": ["b", "a"],
    "parts": [{"name": "ü"}],
    "any": {"z": [1, 2.0, 1e3], "a": {"b": None, "<&>": "\u2028"}},
}
SUBRESOURCES = {
    "status": {},
    "scale": {
        "specReplicasPath": ".spec.size",
        "statusReplicasPath": ".status.size",
        "labelSelectorPath": ".status.selector",
    },
}


def _version(name: str, schema: Object, **more: Any) -> Object:
    return {"name": name, "served": True, "storage": False, "schema": {"openAPIV3Schema": schema}, **more}


def _definition(kind: str, scope: str, versions: list[Object], **spec: Any) -> Object:
    plural = f"{kind.lower()}s"
    return {
        "metadata": {"name": f"{plural}.{GROUP}", "labels": {"a": "b"}},
        "spec": {
            "group": GROUP,
            "scope": scope,
            "names": {
                "plural": plural,
                "kind": kind,
                "shortNames": [kind[:2].lower()],
                "categories": ["all"],
            },
            "versions": [*versions[:-1], {**versions[-1], "storage": True}],
            **spec,
        },
    }


def custom_kinds() -> list[tuple[Object, Object]]:
    """Definitions and objects; each object is in the first of its versions."""
    alike = _definition(
        "Alike",
        "Namespaced",
        [
            _version("v1", SIZED, subresources=SUBRESOURCES),
            _version("v1beta1", SIZED, subresources=SUBRESOURCES),
        ],
    )
    mixed = _definition(
        "Mixed",
        "Namespaced",
        [
            _version(
                "v2", SIZED, additionalPrinterColumns=COLUMNS, selectableFields=[{"jsonPath": ".spec.colour"}]
            ),
            _version("v1", OPEN, deprecated=True, deprecationWarning="old"),
        ],
    )
    whole = _definition("Whole", "Cluster", [_version("v1", OPEN)])
    plain = definition("plains", "Plain")
    made: list[tuple[Object, Object]] = [
        (alike, {"spec": SPEC}),
        (mixed, {"spec": {**SPEC, "colour": "red"}}),
        (whole, {"spec": SPEC, "x": [[]]}),
        (plain, {"spec": {"size": 3, "name": "ü"}, "free": {"any": [{"thing": 1.5}]}}),
    ]
    return [(one, _headed(one) | obj) for one, obj in made]


def _headed(made: Object) -> Object:
    spec = made["spec"]
    return {
        "apiVersion": f"{spec['group']}/{spec['versions'][0]['name']}",
        "kind": spec["names"]["kind"],
        "metadata": {
            "name": "fuzz",
            "labels": {"a": "b"},
            "annotations": {"a": "b"},
            "finalizers": ["a.b/c"],
        },
    }

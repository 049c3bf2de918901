"""The resources of the group history.pilothouse.dev, described as definitions describe custom resources.

`changes` are those of objects in namespaces, `clusterchanges` those of the others. Nothing of them is stored:
they are read from the history. The others are reviews, which a client posts. The answer to a Blame says of
each field of an object who has set it; an Undo takes a change back, a Restore makes objects as they were.
"""

from dataclasses import replace
from typing import Any

import orjson

from pilothouse.api.values.fields import Object
from pilothouse.registry.crd import Definition, Digests
from pilothouse.registry.resource import Action, Resource

GROUP, VERSION = "history.pilothouse.dev", "v1"
API_VERSION = f"{GROUP}/{VERSION}"

ANY: Object = {"x-kubernetes-preserve-unknown-fields": True}


def _text(description: str) -> Object:
    return {"type": "string", "description": description}


def _object(description: str, properties: Object) -> Object:
    return {"type": "object", "description": description, "properties": properties}


def _list(description: str, items: Object) -> Object:
    return {"type": "array", "description": description, "items": items}


OBJECT = _object(
    "The object that was changed.",
    {
        "apiVersion": _text("The preferred version of the object's kind."),
        "kind": _text("The kind of the object."),
        "resource": _text("The resource, as pods or deployments.apps."),
        "namespace": _text("The namespace of the object."),
        "name": _text("The name of the object."),
    },
)
AUTHOR: Object = {
    "user": _object(
        "Who has made the change; absent where that is not known.",
        {
            "username": _text("The name of the user."),
            "groups": _list("The groups of the user.", {"type": "string"}),
        },
    ),
    "authorUnknown": _text("Why it is not known who has made the change, where another server has made it."),
    "manager": _text("The field manager."),
    "verb": _text("The verb of the request: create, update, patch, delete or deletecollection."),
    "subresource": _text("The subresource that the request went to."),
    "sourceIPs": _list("The addresses that the request came from.", {"type": "string"}),
    "auditID": _text("The audit ID of the request."),
    "time": {"type": "string", "format": "date-time", "description": "When the change was made."},
    "revision": _text("The resourceVersion that the change gave the object."),
}
CHANGE = _object(
    "A Change is one change of an object, as the history keeps it.",
    {
        "object": OBJECT,
        "operation": _text("Created, Changed or Deleted."),
        **AUTHOR,
        "summary": _text("The fields that were changed, in one line."),
        "fields": _list(
            "The fields that were changed, managed fields and resourceVersion left out.",
            _object(
                "A field that was changed.",
                {
                    "path": _text(
                        "The path of the field, as in .spec.replicas or .spec.containers[0].image."
                    ),
                    "old": {"description": "The value before; absent where there was none.", **ANY},
                    "new": {"description": "The value after; absent where there is none.", **ANY},
                },
            ),
        ),
    },
)
BLAME = _object(
    "A Blame tells of each field of an object which change has set it last.",
    {
        "spec": {
            **_object(
                "The object.",
                {
                    "resource": _text("The resource, as pods or deployments.apps."),
                    "namespace": _text("The namespace of the object."),
                    "name": _text("The name of the object."),
                },
            ),
            "required": ["resource", "name"],
        },
        "status": _object(
            "The answer.",
            {
                "resourceVersion": _text("The version of the object that is told of."),
                "fields": _list(
                    "The fields of the object in their order.",
                    _object(
                        "A field, and the change that has set it.",
                        {
                            "path": _text("The path of the field."),
                            "value": {"description": "The value of the field.", **ANY},
                            **AUTHOR,
                        },
                    ),
                ),
            },
        ),
    },
)
BLAME["required"] = ["spec"]


OBJECTS: Object = {
    "resource": _text("The resource of one object, as pods or deployments.apps."),
    "name": _text("The name of one object."),
    "namespace": _text("The namespace of the object, or the one whose objects are restored."),
}
UNDO = _object(
    "An Undo takes one change of an object back, by an ordinary write of the user who posts it.",
    {
        "spec": {
            **_object(
                "The change.",
                {
                    "change": _text("The name of the Change or ClusterChange, as r205."),
                    "force": {
                        "type": "boolean",
                        "description": "Take fields back as well that others have changed since.",
                    },
                },
            ),
            "required": ["change"],
        },
        "status": _object("What was written.", {}),
    },
)
RESTORE = _object(
    "A Restore makes an object, or the objects of a namespace, as they were at an earlier time, by ordinary"
    " writes of the user who posts it.",
    {
        "spec": _object(
            "What to restore. Without a name, all objects of the namespace.",
            {
                **OBJECTS,
                "at": _text("The time, as in RFC 3339, or how long ago as a duration."),
                "revision": _text("The resourceVersion, instead of a time."),
                "resources": _list("The resources to restore; all when it is empty.", {"type": "string"}),
                "labelSelector": _text("The labels of the objects to restore, as they were."),
                "prune": {
                    "type": "boolean",
                    "description": "Delete the objects that have come since.",
                },
            },
        ),
        "status": _object("What was written.", {}),
    },
)
for _answered in (UNDO, RESTORE):
    _answered["required"] = ["spec"]
    _answered["properties"]["status"]["properties"] = {
        "revision": _text("The revision whose state is restored."),
        "results": _list(
            "One item for each object.",
            _object(
                "What became of an object.",
                {
                    "resource": _text("The resource."),
                    "namespace": _text("The namespace."),
                    "name": _text("The name."),
                    "action": _text("Created, Updated, Deleted, Unchanged, Skipped or Failed."),
                    "message": _text("Why it failed or was skipped."),
                    "warnings": _list("What of the object does not come back.", {"type": "string"}),
                    "object": {
                        "description": "The answer to the write; only of a dry run of an Undo.",
                        **ANY,
                    },
                },
            ),
        ),
    }


def _column(name: str, path: str, type_: str = "string", priority: int = 0) -> Object:
    return {"name": name, "jsonPath": path, "type": type_, "priority": priority}


COLUMNS = [
    _column("When", ".time", "date"),
    _column("User", ".user.username"),
    _column("Verb", ".verb"),
    _column("Object", ".object.resource"),
    _column("Object-Name", ".object.name"),
    _column("Change", ".summary"),
    _column("Manager", ".manager", priority=1),
    _column("Subresource", ".subresource", priority=1),
    _column("Audit-ID", ".auditID", priority=1),
]


def _record(
    plural: str,
    kind: str,
    schema: Object,
    action: Action,
    verbs: tuple[str, ...],
    *,
    namespaced: bool,
    columns: Any,
) -> Resource:
    names = {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"}
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "additionalPrinterColumns": columns,
    }
    definition: Object = {
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": names,
            "scope": "Namespaced" if namespaced else "Cluster",
            "versions": [version],
        },
        "status": {"acceptedNames": names},
    }
    raw = orjson.dumps(definition)
    [record] = Definition(raw, definition, Digests(raw, definition)).records
    return replace(record, verbs=verbs, action=action, storage_version_hash="")


def resources() -> list[Resource]:
    """The records of the group."""
    read = ("get", "list", "watch")
    return [
        _record("changes", "Change", CHANGE, Action.CHANGES, read, namespaced=True, columns=COLUMNS),
        _record(
            "clusterchanges", "ClusterChange", CHANGE, Action.CHANGES, read, namespaced=False, columns=COLUMNS
        ),
        _record("blames", "Blame", BLAME, Action.BLAME, ("create",), namespaced=False, columns=None),
        _record("undos", "Undo", UNDO, Action.UNDO, ("create",), namespaced=False, columns=None),
        _record("restores", "Restore", RESTORE, Action.RESTORE, ("create",), namespaced=False, columns=None),
    ]

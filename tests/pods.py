"""Valid pods that tests of validation rules change."""

from typing import Any

from rules import put

from pilothouse.api.values.fields import Object

CONTAINER: Object = {
    "name": "c",
    "image": "i",
    "imagePullPolicy": "Always",
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}
POD: Object = {
    "metadata": {"name": "p", "namespace": "n"},
    "spec": {
        "containers": [CONTAINER],
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "terminationGracePeriodSeconds": 30,
        "securityContext": {},
        "schedulerName": "default-scheduler",
    },
    "status": {},
}


def pod(**spec: Any) -> Object:
    """A pod whose spec has these members besides or instead."""
    return put(POD, {f"spec.{name}": value for name, value in spec.items()})


def container(**members: Any) -> Object:
    """A pod whose only container has these members besides or instead."""
    return pod(containers=[{**CONTAINER, **members}])


def annotated(annotations: dict[str, str], **spec: Any) -> Object:
    """A pod with annotations."""
    return put(pod(**spec), {"metadata.annotations": annotations})

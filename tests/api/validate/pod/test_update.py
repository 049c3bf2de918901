"""Every cause that changes of pods can have:
updates, ephemeral containers, resizes (pkg/apis/core/validation)."""

from pods import CONTAINER, POD, annotated, container, pod
from rules import at, below, causes, put, table

from pilothouse.api.validate.pod.annotations import MIRROR
from pilothouse.api.validate.pod.update import validate_ephemeral_update as EPHEMERAL
from pilothouse.api.validate.pod.update import validate_pod_update as UPDATE
from pilothouse.api.validate.pod.update import validate_resize as RESIZE
from pilothouse.api.values.fields import Object

DEBUGGER = {"name": "e", "image": "i", "imagePullPolicy": "Always", "terminationMessagePolicy": "File"}
BOTH, RUNNING = {"cpu": "1", "memory": "1Gi"}, {"phase": "Running", "qosClass": "Burstable"}


def sized(cpu: str = "1", **limits: str) -> Object:
    return container(resources={"requests": {"cpu": cpu, **limits}})


with_debugger = at(POD, "spec.ephemeralContainers[]", DEBUGGER)

test_causes = table([
    (UPDATE, (POD, POD), []),
    (UPDATE, (container(image="j"), POD), []),
    (UPDATE, (container(image=""), POD), ["spec.containers[0].image: Required value", "spec.containers[0].image: Required value"]),
    (UPDATE, (container(image=" i"), POD), ['spec.containers[0].image: Invalid value: " i": must not have leading or trailing whitespace',
        'spec.containers[0].image: Invalid value: " i": must not have leading or trailing whitespace']),
    (UPDATE, (pod(containers=[CONTAINER, {**CONTAINER, "name": "d"}]), POD), ["spec.containers: Forbidden: pod updates may not add or remove containers"]),
    (UPDATE, (pod(activeDeadlineSeconds=5), POD), []),
    (UPDATE, (POD, pod(activeDeadlineSeconds=5)), ["spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value"]),
    (UPDATE, (pod(activeDeadlineSeconds=6), pod(activeDeadlineSeconds=5)), ["spec.activeDeadlineSeconds: Invalid value: 6: must be less than or equal to previous value"]),
    (UPDATE, (pod(activeDeadlineSeconds=-1), POD), below("spec.activeDeadlineSeconds", ": Invalid value: -1: must be between 1 and 2147483647, inclusive", ": Invalid value: -1: <ID>")),
    (UPDATE, (pod(terminationGracePeriodSeconds=1), pod(terminationGracePeriodSeconds=-1)), []),
    (UPDATE, (annotated({MIRROR: "m"}, nodeName="n"), pod(nodeName="n")), ["metadata.annotations[kubernetes.io/config.mirror]: Forbidden: may not add mirror pod annotation"]),
    (EPHEMERAL, (with_debugger(), POD), []),
    (EPHEMERAL, (with_debugger(targetContainerName="c"), POD), []),
    (EPHEMERAL, (with_debugger(targetContainerName="d"), POD), ['spec.ephemeralContainers[0].targetContainerName: Not found: "d"']),
    (EPHEMERAL, (POD, with_debugger()), ['spec.ephemeralContainers: Forbidden: existing ephemeral containers "e" may not be removed\n']),
    (EPHEMERAL, (with_debugger(), annotated({MIRROR: "m"})), [": Forbidden: static pods do not support ephemeral containers"]),
    (RESIZE, (sized("2"), sized()), []),
    (RESIZE, (POD, annotated({MIRROR: "m"})), [": Forbidden: static pods cannot be resized"]),
    (RESIZE, (put(sized(), {"spec.containers.0.name": "other"}), sized()), ["spec.containers[0].name: Forbidden: containers may not be renamed or reordered on resize"]),
    (RESIZE, (POD, pod(os={"name": "windows"})), [": Forbidden: windows pods cannot be resized"]),
    (RESIZE, (sized(), POD), ['spec: Invalid value: "": Pod QOS Class may not change as a result of resizing', "spec: Forbidden: only cpu and memory resources are mutable"]),
    (RESIZE, (POD, sized()), ['spec: Invalid value: "": Pod QOS Class may not change as a result of resizing',
        "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed"]),
    (RESIZE, (put(sized("2"), {"spec.containers.0.image": "j"}), sized()), ["spec: Forbidden: only cpu and memory resources are mutable"]),
    (RESIZE, (sized("2", **{"ephemeral-storage": "1"}), sized()), ["spec: Forbidden: only cpu and memory resources are mutable"]),
    (RESIZE, (pod(containers=[*sized()["spec"]["containers"], {**CONTAINER, "name": "d"}]), sized()), ["spec.containers: Forbidden: containers may not be added or removed on resize"]),
    (RESIZE, (put(sized("2"), {"spec.hostname": "h"}), sized()), ["spec: Forbidden: only cpu and memory resources are mutable"]),
    (RESIZE, (put(container(resources={"requests": BOTH, "limits": BOTH}), {"status": RUNNING}), put(container(resources={"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}), {"status": RUNNING})),
        ['spec: Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing']),
])  # fmt: skip


def test_a_change_of_a_debugger_is_shown() -> None:
    [cause] = causes(EPHEMERAL, (with_debugger(image="j"), with_debugger()))
    assert cause.startswith('spec.ephemeralContainers: Forbidden: existing ephemeral containers "e" may not be changed\n')


def test_an_update_may_not_change_much() -> None:
    [cause] = causes(UPDATE, (put(container(image="other"), {"spec.restartPolicy": "Never"}), POD))
    assert cause.startswith("spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`")

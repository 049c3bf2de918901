"""Every cause that changes of pods can have: updates, ephemeral containers, resizes (pkg/apis/core/validation)."""

from pods import CONTAINER, POD, annotated, container, pod
from rules import at, put, table, valid

from pilothouse.api.validate.pod.annotations import MIRROR
from pilothouse.api.validate.pod.update import validate_ephemeral_update as EPHEMERAL
from pilothouse.api.validate.pod.update import validate_pod_update as UPDATE
from pilothouse.api.validate.pod.update import validate_resize as RESIZE

DEBUGGER = {"name": "e", "image": "i", "imagePullPolicy": "Always", "terminationMessagePolicy": "File"}
BOTH, RUNNING = {"cpu": "1", "memory": "1Gi"}, {"phase": "Running", "qosClass": "Burstable"}
sized = at(container(), "spec.containers.0.resources.requests", {"cpu": "1"})
with_debugger = at(POD, "spec.ephemeralContainers[]", DEBUGGER)

test_causes = table([
    (EPHEMERAL, (with_debugger(image="j"), with_debugger()), 'spec.ephemeralContainers: Forbidden: existing ephemeral containers "e" may not be changed\n…'),
    (UPDATE, (put(container(image="other"), {"spec.restartPolicy": "Never"}), POD), "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`…"),
    *valid(UPDATE, (POD, POD), (container(image="j"), POD), (pod(activeDeadlineSeconds=5), POD), (pod(terminationGracePeriodSeconds=1), pod(terminationGracePeriodSeconds=-1))),
    (UPDATE, (container(image=""), POD), "spec.containers[0].image!", "spec.containers[0].image!"),
    (UPDATE, (container(image=" i"), POD), "spec.containers[0].image : must not have leading or trailing whitespace", "spec.containers[0].image : must not have leading or trailing whitespace"),
    (UPDATE, (pod(containers=[CONTAINER, {**CONTAINER, "name": "d"}]), POD), "spec.containers- : pod updates may not add or remove containers"),
    (UPDATE, (POD, pod(activeDeadlineSeconds=5)), "spec.activeDeadlineSeconds=null : must not update from a positive integer to nil value"),
    (UPDATE, (pod(activeDeadlineSeconds=6), pod(activeDeadlineSeconds=5)), "spec.activeDeadlineSeconds : must be less than or equal to previous value"),
    (UPDATE, (pod(activeDeadlineSeconds=-1), POD), "spec.activeDeadlineSeconds 1..2147483647", "spec.activeDeadlineSeconds : <ID>"),
    (UPDATE, (annotated({MIRROR: "m"}, nodeName="n"), pod(nodeName="n")), "metadata.annotations[kubernetes.io/config.mirror]- : may not add mirror pod annotation"),
    *valid(EPHEMERAL, (with_debugger(), POD), (with_debugger(targetContainerName="c"), POD)),
    (EPHEMERAL, (with_debugger(targetContainerName="d"), POD), 'spec.ephemeralContainers[0].targetContainerName: Not found: "d"'),
    (EPHEMERAL, (POD, with_debugger()), 'spec.ephemeralContainers- : existing ephemeral containers "e" may not be removed\n'),
    (EPHEMERAL, (with_debugger(), annotated({MIRROR: "m"})), ": Forbidden: static pods do not support ephemeral containers"),
    (RESIZE, (sized(cpu="2"), sized())),
    (RESIZE, (POD, annotated({MIRROR: "m"})), ": Forbidden: static pods cannot be resized"),
    (RESIZE, (put(sized(), {"spec.containers.0.name": "other"}), sized()), "spec.containers[0].name- : containers may not be renamed or reordered on resize"),
    (RESIZE, (POD, pod(os={"name": "windows"})), ": Forbidden: windows pods cannot be resized"),
    (RESIZE, (sized(), POD), 'spec="" : Pod QOS Class may not change as a result of resizing', "spec- : only cpu and memory resources are mutable"),
    (RESIZE, (POD, sized()), 'spec="" : Pod QOS Class may not change as a result of resizing', "spec.containers[0].resources.requests- : resource requests cannot be removed"),
    (RESIZE, (put(sized(cpu="2"), {"spec.containers.0.image": "j"}), sized()), "spec- : only cpu and memory resources are mutable"),
    (RESIZE, (sized(cpu="2", **{"ephemeral-storage": "1"}), sized()), "spec- : only cpu and memory resources are mutable"),
    (RESIZE, (pod(containers=[*sized()["spec"]["containers"], {**CONTAINER, "name": "d"}]), sized()), "spec.containers- : containers may not be added or removed on resize"),
    (RESIZE, (put(sized(cpu="2"), {"spec.hostname": "h"}), sized()), "spec- : only cpu and memory resources are mutable"),
    (RESIZE, (put(container(resources={"requests": BOTH, "limits": BOTH}), {"status": RUNNING}), put(container(resources={"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}), {"status": RUNNING})),
        'spec="Burstable" : Pod QOS Class may not change as a result of resizing'),
])  # fmt: skip

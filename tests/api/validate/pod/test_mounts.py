"""Every cause that mounts, devices, probes and handlers of containers can have (pkg/apis/core/validation)."""

from pods import CONTAINER, pod
from rules import table

from pilothouse.api.validate.pod.spec import validate_pod as NEW
from pilothouse.api.values.fields import Object

VOLUMES = [{"name": "v", "emptyDir": {}}, {"name": "w", "emptyDir": {}}, {"name": "p", "persistentVolumeClaim": {"claimName": "c"}}, {"name": "q", "persistentVolumeClaim": {"claimName": "d"}}]


def of(**members: object) -> Object:
    return pod(volumes=VOLUMES, containers=[{**CONTAINER, **members}])


def mounts(*listed: Object) -> Object:
    return of(volumeMounts=list(listed))


def mount(**members: object) -> Object:
    return mounts({"name": "v", "mountPath": "/v", **members})


def devices(*listed: Object, **members: object) -> Object:
    return of(volumeDevices=list(listed), **members)


test_causes = table([
    (NEW, mount(), []),
    (NEW, mounts({"name": "", "mountPath": ""}), [
        "spec.containers[0].volumeMounts[0].name: Required value",
        'spec.containers[0].volumeMounts[0].name: Not found: ""',
        "spec.containers[0].volumeMounts[0].mountPath: Required value"]),
    (NEW, mounts({"name": "x", "mountPath": "/x"}), ['spec.containers[0].volumeMounts[0].name: Not found: "x"']),
    (NEW, mounts({"name": "v", "mountPath": "/v"}, {"name": "w", "mountPath": "/v"}), ['spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/v": must be unique']),
    (NEW, mount(subPath="../a"), ["spec.containers[0].volumeMounts.subPath: Invalid value: \"../a\": must not contain '..'"]),
    (NEW, mount(subPath="a", subPathExpr="$(A)"), ['spec.containers[0].volumeMounts[0].subPathExpr: Invalid value: "$(A)": subPathExpr and subPath are mutually exclusive']),
    (NEW, mount(subPathExpr="/a"), ['spec.containers[0].volumeMounts.subPathExpr: Invalid value: "/a": must be a relative path']),
    (NEW, mount(mountPropagation="HostToContainer"), []),
    (NEW, mount(mountPropagation="Odd"), ['spec.containers[0].volumeMounts.mountPropagation: Unsupported value: "Odd": supported values: "Bidirectional", "HostToContainer", "None"']),
    (NEW, mount(mountPropagation="Bidirectional"), ["spec.containers[0].volumeMounts.mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers"]),
    (NEW, mount(readOnly=True, recursiveReadOnly="Enabled"), []),
    (NEW, mount(recursiveReadOnly="Odd"), ['spec.containers[0].volumeMounts.recursiveReadOnly: Unsupported value: "Odd": supported values: "Disabled", "Enabled", "IfPossible"']),
    (NEW, mount(recursiveReadOnly="Enabled", mountPropagation="HostToContainer"), [
        "spec.containers[0].volumeMounts.recursiveReadOnly: Forbidden: may only be specified when readOnly is true",
        "spec.containers[0].volumeMounts.recursiveReadOnly: Forbidden: may only be specified when mountPropagation is None or not specified"]),
    (NEW, devices({"name": "p", "devicePath": "/dev/p"}), []),
    (NEW, devices({}), [
        "spec.containers[0].volumeDevices[0].name: Required value",
        'spec.containers[0].volumeDevices[0].name: Not found: ""',
        "spec.containers[0].volumeDevices[0].devicePath: Required value"]),
    (NEW, devices({"name": "p", "devicePath": "/dev/p"}, {"name": "p", "devicePath": "/dev/p"}), [
        'spec.containers[0].volumeDevices[1].name: Invalid value: "p": must be unique',
        'spec.containers[0].volumeDevices[1].devicePath: Invalid value: "/dev/p": must be unique']),
    (NEW, devices({"name": "v", "devicePath": "/a/../b"}), [
        'spec.containers[0].volumeDevices[0].name: Invalid value: "v": can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode',
        "spec.containers[0].volumeDevices[0].devicePath: Invalid value: \"/a/../b\": can not contain backsteps ('..')"]),
    (NEW, devices({"name": "p", "devicePath": "/p"}, volumeMounts=[{"name": "p", "mountPath": "/q"}]), [
        'spec.containers[0].volumeMounts[0].name: Invalid value: "p": must not already exist in volumeDevices',
        'spec.containers[0].volumeDevices[0].name: Invalid value: "p": must not already exist in volumeMounts']),
    (NEW, devices({"name": "p", "devicePath": "/q"}, volumeMounts=[{"name": "q", "mountPath": "/q"}]), [
        'spec.containers[0].volumeMounts[0].mountPath: Invalid value: "/q": must not already exist as a path in volumeDevices',
        'spec.containers[0].volumeDevices[0].devicePath: Invalid value: "/q": must not already exist as a path in volumeMounts']),
])  # fmt: skip

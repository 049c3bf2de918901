"""Every cause that mounts, devices, probes and handlers of containers can have (pkg/apis/core/validation)."""

from pods import CONTAINER, pod
from rules import at, each, table, within

from pilothouse.api.validate.pod.spec import validate_pod
from pilothouse.api.values.fields import Object

NEW = within("spec.containers[0]", validate_pod)
VOLUMES = [{"name": "v", "emptyDir": {}}, {"name": "w", "emptyDir": {}}, *({"name": name, "persistentVolumeClaim": {"claimName": name}} for name in "pq")]


of = at(pod(volumes=VOLUMES), "spec.containers[]", CONTAINER)
mounts = each(of(), "spec.containers.0.volumeMounts")
mount = at(of(), "spec.containers.0.volumeMounts[]", {"name": "v", "mountPath": "/v"})


def devices(*listed: Object, **members: object) -> Object:
    return of(volumeDevices=list(listed), **members)


test_causes = table([
    (NEW, mount(), []),
    (NEW, mounts({"name": "", "mountPath": ""}), ["~.volumeMounts[0].name: Required value", '~.volumeMounts[0].name: Not found: ""', "~.volumeMounts[0].mountPath: Required value"]),
    (NEW, mounts({"name": "x", "mountPath": "/x"}), ['~.volumeMounts[0].name: Not found: "x"']),
    (NEW, mounts({"name": "v", "mountPath": "/v"}, {"name": "w", "mountPath": "/v"}), ['~.volumeMounts[1].mountPath: Invalid value: "/v": must be unique']),
    (NEW, mount(subPath="../a"), ["~.volumeMounts.subPath: Invalid value: \"../a\": must not contain '..'"]),
    (NEW, mount(subPath="a", subPathExpr="$(A)"), ['~.volumeMounts[0].subPathExpr: Invalid value: "$(A)": subPathExpr and subPath are mutually exclusive']),
    (NEW, mount(subPathExpr="/a"), ['~.volumeMounts.subPathExpr: Invalid value: "/a": must be a relative path']),
    (NEW, mount(mountPropagation="HostToContainer"), []),
    (NEW, mount(mountPropagation="Odd"), ['~.volumeMounts.mountPropagation: Unsupported value: "Odd": supported values: "Bidirectional", "HostToContainer", "None"']),
    (NEW, mount(mountPropagation="Bidirectional"), ["~.volumeMounts.mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers"]),
    (NEW, mount(readOnly=True, recursiveReadOnly="Enabled"), []),
    (NEW, mount(recursiveReadOnly="Odd"), ['~.volumeMounts.recursiveReadOnly: Unsupported value: "Odd": supported values: "Disabled", "Enabled", "IfPossible"']),
    (NEW, mount(recursiveReadOnly="Enabled", mountPropagation="HostToContainer"), ["~.volumeMounts.recursiveReadOnly: Forbidden: may only be specified when readOnly is true",
        "~.volumeMounts.recursiveReadOnly: Forbidden: may only be specified when mountPropagation is None or not specified"]),
    (NEW, devices({"name": "p", "devicePath": "/dev/p"}), []),
    (NEW, devices({}), ["~.volumeDevices[0].name: Required value", '~.volumeDevices[0].name: Not found: ""', "~.volumeDevices[0].devicePath: Required value"]),
    (NEW, devices({"name": "p", "devicePath": "/dev/p"}, {"name": "p", "devicePath": "/dev/p"}), ['~.volumeDevices[1].name: Invalid value: "p": must be unique',
        '~.volumeDevices[1].devicePath: Invalid value: "/dev/p": must be unique']),
    (NEW, devices({"name": "v", "devicePath": "/a/../b"}), ['~.volumeDevices[0].name: Invalid value: "v": can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode',
        "~.volumeDevices[0].devicePath: Invalid value: \"/a/../b\": can not contain backsteps ('..')"]),
    (NEW, devices({"name": "p", "devicePath": "/p"}, volumeMounts=[{"name": "p", "mountPath": "/q"}]), ['~.volumeMounts[0].name: Invalid value: "p": must not already exist in volumeDevices',
        '~.volumeDevices[0].name: Invalid value: "p": must not already exist in volumeMounts']),
    (NEW, devices({"name": "p", "devicePath": "/q"}, volumeMounts=[{"name": "q", "mountPath": "/q"}]),
        ['~.volumeMounts[0].mountPath: Invalid value: "/q": must not already exist as a path in volumeDevices',
        '~.volumeDevices[0].devicePath: Invalid value: "/q": must not already exist as a path in volumeMounts']),
])  # fmt: skip

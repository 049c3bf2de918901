"""Every cause that mounts, devices, probes and handlers of containers can have (pkg/apis/core/validation)."""

from pods import CONTAINER, pod
from rules import at, below, each, table, valid, within

from pilothouse.api.validate.pod.spec import validate_pod

NEW = within("spec.containers[0]", validate_pod)
VOLUMES = [{"name": "v", "emptyDir": {}}, {"name": "w", "emptyDir": {}}, *({"name": name, "persistentVolumeClaim": {"claimName": name}} for name in "pq")]
of = at(pod(volumes=VOLUMES), "spec.containers[]", CONTAINER)
mounts = each(of(), "spec.containers.0.volumeMounts")
devices = each(of(), "spec.containers.0.volumeDevices")
mount = at(of(), "spec.containers.0.volumeMounts[]", {"name": "v", "mountPath": "/v"})


test_causes = table([
    *valid(NEW, mount(), mount(mountPropagation="HostToContainer"), mount(readOnly=True, recursiveReadOnly="Enabled"), devices({"name": "p", "devicePath": "/dev/p"})),
    (NEW, mounts({"name": "", "mountPath": ""}), *below("~.volumeMounts[0]", ".name!", '.name: Not found: ""', ".mountPath!")),
    (NEW, mounts({"name": "x", "mountPath": "/x"}), '~.volumeMounts[0].name: Not found: "x"'),
    (NEW, mounts({"name": "v", "mountPath": "/v"}, {"name": "w", "mountPath": "/v"}), "~.volumeMounts[1].mountPath : must be unique"),
    (NEW, mount(subPath="../a"), "~.volumeMounts.subPath=\"../a\" : must not contain '..'"),
    (NEW, mount(subPath="a", subPathExpr="$(A)"), "~.volumeMounts[0].subPathExpr : subPathExpr and subPath are mutually exclusive"),
    (NEW, mount(subPathExpr="/a"), '~.volumeMounts.subPathExpr="/a" : must be a relative path'),
    (NEW, mount(mountPropagation="Odd"), '~.volumeMounts.mountPropagation="Odd" Bidirectional|HostToContainer|None'),
    (NEW, mount(mountPropagation="Bidirectional"), "~.volumeMounts.mountPropagation- : Bidirectional mount propagation is available only to privileged containers"),
    (NEW, mount(recursiveReadOnly="Odd"), '~.volumeMounts.recursiveReadOnly="Odd" Disabled|Enabled|IfPossible'),
    (NEW, mount(recursiveReadOnly="Enabled", mountPropagation="HostToContainer"), "~.volumeMounts.recursiveReadOnly- : may only be specified when readOnly is true",
        "~.volumeMounts.recursiveReadOnly- : may only be specified when mountPropagation is None or not specified"),
    (NEW, devices({}), *below("~.volumeDevices[0]", ".name!", '.name: Not found: ""', ".devicePath!")),
    (NEW, devices({"name": "p", "devicePath": "/dev/p"}, {"name": "p", "devicePath": "/dev/p"}), "~.volumeDevices[1].name,devicePath : must be unique"),
    (NEW, devices({"name": "v", "devicePath": "/a/../b"}), "~.volumeDevices[0].name : can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode",
        "~.volumeDevices[0].devicePath : can not contain backsteps ('..')"),
    (NEW, of(volumeDevices=[{"name": "p", "devicePath": "/p"}], volumeMounts=[{"name": "p", "mountPath": "/q"}]), "~.volumeMounts[0].name : must not already exist in volumeDevices",
        "~.volumeDevices[0].name : must not already exist in volumeMounts"),
    (NEW, of(volumeDevices=[{"name": "p", "devicePath": "/q"}], volumeMounts=[{"name": "q", "mountPath": "/q"}]), "~.volumeMounts[0].mountPath : must not already exist as a path in volumeDevices",
        "~.volumeDevices[0].devicePath : must not already exist as a path in volumeMounts"),
])  # fmt: skip

"""Validates volume mounts and devices of containers (apis/core/validation)."""

from collections.abc import Mapping, Sequence

from pilothouse.api.validate.paths import has_backsteps, validate_descending
from pilothouse.api.values.fields import Errors, Object

_PROPAGATIONS = ("Bidirectional", "HostToContainer", "None")
_RECURSIVE = ("Disabled", "Enabled", "IfPossible")


def validate_volume_mounts(
    mounts: Sequence[Object],
    devices: Sequence[Object],
    volumes: Mapping[str, Object],
    path: str,
    errs: Errors,
    *,
    container: Object | None = None,
) -> None:
    """`volumes` are the pod's valid volumes by name; `container` is None while it is unknown."""
    device_paths = {d.get("name", ""): d.get("devicePath", "") for d in devices} if devices else {}
    taken = set(device_paths.values())
    seen: set[str] = set()
    for i, mount in enumerate(mounts):
        at, name, where = f"{path}[{i}]", mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            errs.required(f"{at}.name")
        if name not in volumes:
            errs.not_found(f"{at}.name", name)
        if not where:
            errs.required(f"{at}.mountPath")
        if where in seen:
            errs.invalid(f"{at}.mountPath", where, "must be unique")
        seen.add(where)
        if name in device_paths:
            errs.invalid(f"{at}.name", name, "must not already exist in volumeDevices")
        if where in taken:
            errs.invalid(f"{at}.mountPath", where, "must not already exist as a path in volumeDevices")
        if mount.get("subPath") or mount.get("subPathExpr"):
            _sub_paths(mount, at, path, errs)
        if mount.get("mountPropagation") is not None:
            _propagation(mount["mountPropagation"], container, f"{path}.mountPropagation", errs)
        mode = mount.get("recursiveReadOnly")
        if mode is not None and mode != "Disabled":
            _recursive_read_only(mode, mount, f"{path}.recursiveReadOnly", errs)


def _sub_paths(mount: Object, at: str, path: str, errs: Errors) -> None:
    sub, expression = mount.get("subPath", ""), mount.get("subPathExpr", "")
    if sub:
        validate_descending(sub, f"{path}.subPath", errs)
    if expression:
        if sub:
            errs.invalid(f"{at}.subPathExpr", expression, "subPathExpr and subPath are mutually exclusive")
        validate_descending(expression, f"{path}.subPathExpr", errs)


def _propagation(mode: str, container: Object | None, path: str, errs: Errors) -> None:
    if mode not in _PROPAGATIONS:
        errs.not_supported(path, mode, _PROPAGATIONS)
    privileged = ((container or {}).get("securityContext") or {}).get("privileged")
    if container is not None and mode == "Bidirectional" and not privileged:
        errs.forbidden(path, "Bidirectional mount propagation is available only to privileged containers")


def _recursive_read_only(mode: str, mount: Object, path: str, errs: Errors) -> None:
    if mode not in _RECURSIVE:
        errs.not_supported(path, mode, _RECURSIVE)
        return
    if not mount.get("readOnly"):
        errs.forbidden(path, "may only be specified when readOnly is true")
    if mount.get("mountPropagation") not in (None, "None"):
        errs.forbidden(path, "may only be specified when mountPropagation is None or not specified")


def validate_volume_devices(
    devices: Sequence[Object],
    mounts: Sequence[Object],
    volumes: Mapping[str, Object],
    path: str,
    errs: Errors,
) -> None:
    mount_paths = {m.get("name", ""): m.get("mountPath", "") for m in mounts}
    taken = set(mount_paths.values())
    seen_names: set[str] = set()
    seen_paths: set[str] = set()
    for i, device in enumerate(devices):
        at, name, where = f"{path}[{i}]", device.get("name", ""), device.get("devicePath", "")
        volume = volumes.get(name)
        if not name:
            errs.required(f"{at}.name")
        if name in seen_names:
            errs.invalid(f"{at}.name", name, "must be unique")
        if volume is None:
            errs.not_found(f"{at}.name", name)
        elif volume.get("persistentVolumeClaim") is None and volume.get("ephemeral") is None:
            why = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            errs.invalid(f"{at}.name", name, why)
        if not where:
            errs.required(f"{at}.devicePath")
        if where in seen_paths:
            errs.invalid(f"{at}.devicePath", where, "must be unique")
        if has_backsteps(where):
            errs.invalid(f"{at}.devicePath", where, "can not contain backsteps ('..')")
        else:
            seen_paths.add(where)
        if name in mount_paths:
            errs.invalid(f"{at}.name", name, "must not already exist in volumeMounts")
        if where in taken:
            errs.invalid(f"{at}.devicePath", where, "must not already exist as a path in volumeMounts")
        if name:
            seen_names.add(name)

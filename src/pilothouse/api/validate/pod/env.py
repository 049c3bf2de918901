"""Validates environment variables and the fields that they refer to (apis/core/validation, apis/core/pods)."""

from collections.abc import Sequence

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object
from pilothouse.api.validate.common import report, validate_name, validate_qualified_name
from pilothouse.api.validate.paths import validate_local_path
from pilothouse.api.validate.resources import amount

ENV_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
VOLUME_FIELDS = (
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
)
RESOURCE_FIELDS = (
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
)
_HUGE_PAGES = ("limits.hugepages-", "requests.hugepages-")
_BYTES = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")
_CONVERTIBLE = frozenset(
    (
        "metadata.annotations",
        "metadata.labels",
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.serviceAccountName",
        "spec.schedulerName",
        "status.phase",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    )
)
_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")


def validate_env(variables: Sequence[Object], path: str, errs: Errors) -> None:
    for i, variable in enumerate(variables):
        name = variable.get("name", "")
        if not name:
            errs.required(f"{path}[{i}].name")
        elif messages := names.relaxed_env_var_name(name):
            report(f"{path}[{i}].name", name, messages, errs)
        if variable.get("valueFrom") is not None:
            _value_from(variable, f"{path}[{i}].valueFrom", errs)


def _value_from(variable: Object, path: str, errs: Errors) -> None:
    source = variable["valueFrom"]
    if source.get("fieldRef") is not None:
        validate_field_ref(source["fieldRef"], ENV_FIELDS, f"{path}.fieldRef", errs)
    if source.get("resourceFieldRef") is not None:
        validate_resource_ref(source["resourceFieldRef"], f"{path}.resourceFieldRef", errs, in_volume=False)
    for member in ("configMapKeyRef", "secretKeyRef"):
        if source.get(member) is not None:
            _key_ref(source[member], f"{path}.{member}", errs)
    if source.get("fileKeyRef") is not None:
        _file_ref(source["fileKeyRef"], f"{path}.fileKeyRef", errs)
    count = sum(source.get(member) is not None for member in _SOURCES)
    if count == 0:
        errs.invalid(
            path,
            "",
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef`"
            " or `fileKeyRef`",
        )
    elif variable.get("value"):
        errs.invalid(path, "", "may not be specified when `value` is not empty")
    elif count > 1:
        errs.invalid(path, "", "may not have more than one field specified at a time")


def validate_field_ref(ref: Object, allowed: Sequence[str], path: str, errs: Errors) -> None:
    """Validates an ObjectFieldSelector of the downward API; `allowed` are the fields without a subscript."""
    version, field = ref.get("apiVersion", ""), ref.get("fieldPath", "")
    if not version:
        errs.required(f"{path}.apiVersion")
        return
    if not field:
        errs.required(f"{path}.fieldPath")
        return
    plain, subscript = _subscripted(field)
    found = subscript is not None
    base = "spec.nodeName" if field == "spec.host" else plain
    if version != "v1":
        why = f"unsupported pod version: {version}"
        errs.invalid(f"{path}.fieldPath", field, f"error converting fieldPath: {why}")
    elif found and base not in ("metadata.annotations", "metadata.labels"):
        why = f"field label does not support subscript: {field}"
        errs.invalid(f"{path}.fieldPath", field, f"error converting fieldPath: {why}")
    elif subscript is not None:
        name = subscript.lower() if base == "metadata.annotations" else subscript
        validate_qualified_name(name, path, errs)
    elif base not in _CONVERTIBLE:
        why = f"field label not supported: {field}"
        errs.invalid(f"{path}.fieldPath", field, f"error converting fieldPath: {why}")
    elif base not in allowed:
        errs.not_supported(f"{path}.fieldPath", base, allowed)


def _subscripted(field: str) -> tuple[str, str | None]:
    """Path and subscript of `path['subscript']`; the subscript is None if there is none."""
    base, opening, rest = field.partition("['")
    if base and opening and rest.endswith("']"):
        return base, rest.removesuffix("']")
    return field, None


def validate_resource_ref(ref: Object, path: str, errs: Errors, *, in_volume: bool) -> None:
    """Validates a ResourceFieldSelector: in a volume it names a container, in a variable it means the own one."""
    resource = ref.get("resource", "")
    if in_volume and not ref.get("containerName"):
        errs.required(f"{path}.containerName")
    elif not resource:
        errs.required(f"{path}.resource")
    elif resource not in RESOURCE_FIELDS and not resource.startswith(_HUGE_PAGES):
        errs.not_supported(f"{path}.resource", resource, RESOURCE_FIELDS)
    divisor = ref.get("divisor") or "0"
    if not amount(divisor):
        return
    for suffix, valid, what in (
        (".cpu", ("1m", "1"), "cpu"),
        (".memory", _BYTES, "memory"),
        (".ephemeral-storage", _BYTES, "local ephemeral storage"),
    ):
        if resource in (f"limits{suffix}", f"requests{suffix}") and divisor not in valid:
            listed = "1m and 1" if valid is not _BYTES else ", ".join(_BYTES)
            why = f"only divisor's values {listed} are supported with the {what} resource"
            errs.invalid(f"{path}.divisor", resource, why)
    if resource.startswith(_HUGE_PAGES) and divisor not in _BYTES:
        why = f"only divisor's values {', '.join(_BYTES)} are supported with the hugepages resource"
        errs.invalid(f"{path}.divisor", resource, why)


def _key_ref(ref: Object, path: str, errs: Errors) -> None:
    validate_name(names.dns_subdomain, ref.get("name", ""), f"{path}.name", errs)
    key = ref.get("key", "")
    if not key:
        errs.required(f"{path}.key")
    else:
        report(f"{path}.key", key, names.config_map_key(key), errs)


def _file_ref(ref: Object, path: str, errs: Errors) -> None:
    """Validates a variable that is read from a file in a volume (KEP-3721)."""
    key, file = ref.get("key", ""), ref.get("path", "")
    if not ref.get("volumeName"):
        errs.required(f"{path}.volumeName")
    if not file:
        errs.required(f"{path}.path")
    else:
        validate_local_path(file, f"{path}.path", errs)
    if not key:
        errs.required(f"{path}.key")
    else:
        report(f"{path}.key", key, names.relaxed_env_var_name(key), errs)


def validate_env_from(sources: Sequence[Object], path: str, errs: Errors) -> None:
    for i, source in enumerate(sources):
        at, prefix = f"{path}[{i}]", source.get("prefix", "")
        if prefix:
            report(f"{at}.prefix", prefix, names.relaxed_env_var_name(prefix), errs)
        count = 0
        for member in ("configMapRef", "secretRef"):
            ref = source.get(member)
            if ref is None:
                continue
            count += 1
            if not ref.get("name"):
                errs.required(f"{at}.{member}.name")
            else:
                report(f"{at}.{member}.name", ref["name"], names.dns_subdomain(ref["name"], True), errs)
        if count == 0:
            errs.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")
        elif count > 1:
            errs.invalid(path, "", "may not have more than one field specified at a time")

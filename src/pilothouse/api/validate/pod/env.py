"""Validates environment variables and the fields that they refer to (apis/core/validation)."""

from collections.abc import Sequence
from typing import Any

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.paths import validate_local_path
from pilothouse.api.validate.resources import amount
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values import names
from pilothouse.api.values._structs import lacked
from pilothouse.api.values.fields import Errors, Object

_OBJECT = ("metadata.name", "metadata.namespace", "metadata.uid")
_STATUS = ("status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs")
ENV_FIELDS = (*_OBJECT, "spec.nodeName", "spec.serviceAccountName", *_STATUS)
VOLUME_FIELDS = ("metadata.annotations", "metadata.labels", *_OBJECT)
RESOURCE_FIELDS = tuple(
    f"{kind}.{name}" for kind in ("limits", "requests") for name in ("cpu", "ephemeral-storage", "memory")
)
_HUGE_PAGES = ("limits.hugepages-", "requests.hugepages-")
_BYTES = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")
_CONVERTIBLE = {*ENV_FIELDS, *VOLUME_FIELDS, "spec.restartPolicy", "spec.schedulerName", "status.phase"}
_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_NO_SOURCE = (
    "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
)
rules = Rules(
    __name__,
    validate_local_path,
    variable_name=d.Matches(names.relaxed_env_var_name),
    prefix_of_subdomain=d.Matches(lambda name: names.dns_subdomain(name, True)),
    env_field_ref=lambda ref, path, errs: validate_field_ref(ref, ENV_FIELDS, path, errs),
    env_resource_ref=lambda ref, path, errs: validate_resource_ref(ref, path, errs, in_volume=False),
)


@rules
def _reads_file(ref: Object, path: str, errs: Errors, around: Any) -> None:
    """The rules for the pod as a whole look at the volumes of files."""
    around.reads_files = True


@rules
def _one_source(variable: Object, path: str, errs: Errors) -> None:
    count, at = sum(variable["valueFrom"].get(member) is not None for member in _SOURCES), f"{path}.valueFrom"
    if count == 0:
        errs.invalid(at, "", _NO_SOURCE)
    elif variable.get("value"):
        errs.invalid(at, "", "may not be specified when `value` is not empty")
    elif count > 1:
        errs.invalid(at, "", "may not have more than one field specified at a time")


validate_env = rules.table("api.core.v1.Container|EphemeralContainer")("""
    env[]
      name!                             variable-name
      valueFrom
        fieldRef                        env-field-ref
        resourceFieldRef                env-resource-ref
        configMapKeyRef                 key-ref
        secretKeyRef                    key-ref
        fileKeyRef
          @reads-file
          volumeName!
          path!                         local-path
          key!                          variable-name
      if valueFrom given
        @one-source
""")
rules.define("""
key-ref                             api.core.v1.ConfigMapKeySelector|SecretKeySelector
    name                                dns-subdomain
    key!                                config-key
""")
_env_from = rules.table("api.core.v1.EnvFromSource")("""
    prefix+                             variable-name
    configMapRef
      name!                             prefix-of-subdomain
    secretRef
      name!                             prefix-of-subdomain
""")


def has_plain_env(container: Object) -> bool:
    """Whether no variable of a container can be wrong. PERF: those of most containers."""
    variables = container.get("env")
    return not variables or (
        lacked(variables, "valueFrom") and names.VARIABLE_SHAPE.takes_all(variables, "name")
    )


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
        d.qualified_name(name, path, errs)
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
    """Validates a ResourceFieldSelector, which in a volume names a container."""
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


def validate_env_from(sources: Sequence[Object], path: str, errs: Errors) -> None:
    for i, source in enumerate(sources):
        _env_from(source, f"{path}[{i}]", errs)
        count = sum(source.get(member) is not None for member in ("configMapRef", "secretRef"))
        if count == 0:
            errs.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")
        elif count > 1:
            errs.invalid(path, "", "may not have more than one field specified at a time")

"""Validates apiregistration.k8s.io/v1: APIServices."""

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object, quote
from pilothouse.api.validate.common import CONDITION_STATUSES, report, validate_dns_subdomain

MAX_GROUP_PRIORITY, MAX_VERSION_PRIORITY = 20_000, 1000
_STATUSES = ("True", "False", "Unknown")


def validate_api_service(obj: Object, errs: Errors) -> None:
    name, spec = (obj.get("metadata") or {}).get("name", ""), obj.get("spec") or {}
    group, version, service = spec.get("group", ""), spec.get("version", ""), spec.get("service")
    if name != f"{version}.{group}" and not names.path_segment(name):
        wanted = quote(f"{version}.{group}")
        errs.invalid("metadata.name", name, f'must be `spec.version+"."+spec.group`: {wanted}')
    if not group and version != "v1":
        errs.required("spec.group", "only v1 may have an empty group and it better be legacy kube")
    if group:
        validate_dns_subdomain(group, "spec.group", errs)
    report("spec.version", version, names.dns1035_label(version), errs)
    _priority(spec, "groupPriorityMinimum", MAX_GROUP_PRIORITY, errs)
    _priority(spec, "versionPriority", MAX_VERSION_PRIORITY, errs)
    if service is None:
        _local(spec, errs)
    else:
        _remote(spec, service, errs)


def _priority(spec: Object, member: str, limit: int, errs: Errors) -> None:
    value = spec.get(member, 0)
    if not 0 < value <= limit:
        errs.invalid(f"spec.{member}", value, f"must be positive and less than {limit}")


def _local(spec: Object, errs: Errors) -> None:
    bundle = spec.get("caBundle") or ""
    if bundle:
        shown = f"{len(bundle) * 3 // 4 - bundle.count('=')} bytes"
        errs.invalid("spec.caBundle", shown, "local APIServices may not have a caBundle")
    if spec.get("insecureSkipTLSVerify"):
        why = "local APIServices may not have insecureSkipTLSVerify"
        errs.invalid("spec.insecureSkipTLSVerify", True, why)


def _remote(spec: Object, service: Object, errs: Errors) -> None:
    for member in ("namespace", "name"):
        if not service.get(member):
            errs.required(f"spec.service.{member}")
    port = service.get("port") or 0
    wrong = names.port_number(port)
    if wrong:
        errs.invalid("spec.service.port", port, f"port is not valid: {', '.join(wrong)}")
    if spec.get("insecureSkipTLSVerify") and spec.get("caBundle"):
        errs.invalid("spec.insecureSkipTLSVerify", True, "may not be true if caBundle is present")


def validate_api_service_update(obj: Object, old: Object, errs: Errors) -> None:
    validate_api_service(obj, errs)


def validate_api_service_status(obj: Object, old: Object, errs: Errors) -> None:
    for i, condition in enumerate((obj.get("status") or {}).get("conditions") or ()):
        status = condition.get("status", "")
        if status not in CONDITION_STATUSES:
            errs.not_supported(f"status.conditions[{i}].status", status, _STATUSES)

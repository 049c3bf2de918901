"""Validates apiregistration.k8s.io/v1: APIServices."""

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object, quote
from pilothouse.api.validate import declare as d

MAX_GROUP_PRIORITY, MAX_VERSION_PRIORITY = 20_000, 1000


def _name(obj: Object, path: str, errs: Errors) -> None:
    name, spec = (obj.get("metadata") or {}).get("name", ""), obj.get("spec") or {}
    wanted = f"{spec.get('version', '')}.{spec.get('group', '')}"
    if name != wanted and not names.path_segment(name):
        errs.invalid("metadata.name", name, f'must be `spec.version+"."+spec.group`: {quote(wanted)}')


def _legacy(spec: Object, path: str, errs: Errors) -> None:
    if not spec.get("group") and spec.get("version", "") != "v1":
        errs.required(f"{path}.group", "only v1 may have an empty group and it better be legacy kube")


def _priority(limit: int) -> d.Rule:
    return d.between(1, limit, f"must be positive and less than {limit}")


def _without_ca(bundle: str, path: str, errs: Errors) -> None:
    shown = f"{len(bundle) * 3 // 4 - bundle.count('=')} bytes"
    errs.invalid(path, shown, "local APIServices may not have a caBundle")


def _skips(why: str) -> d.Step:
    return d.filled("insecureSkipTLSVerify", d.holds(lambda value: False, why))


_LOCAL = d.struct(
    d.filled("caBundle", _without_ca),
    _skips("local APIServices may not have insecureSkipTLSVerify"),
)
_REMOTE = d.struct(
    d.required("service.namespace"),
    d.required("service.name"),
    d.number("service.port", d.matches(names.port_number, joined=", ", text="port is not valid: {}")),
)
_TRUSTED = d.struct(_skips("may not be true if caBundle is present"))


def _place(spec: Object, path: str, errs: Errors) -> None:
    if spec.get("service") is None:
        _LOCAL(spec, path, errs)
        return
    _REMOTE(spec, path, errs)
    if spec.get("caBundle"):
        _TRUSTED(spec, path, errs)


validate_api_service = d.whole(
    _name,
    d.inside(
        "spec",
        _legacy,
        d.filled("group", d.dns_subdomain),
        d.text("version", d.dns1035_label),
        d.number("groupPriorityMinimum", _priority(MAX_GROUP_PRIORITY)),
        d.number("versionPriority", _priority(MAX_VERSION_PRIORITY)),
        _place,
    ),
)
validate_api_service_update = d.anew(validate_api_service)
validate_api_service_status = d.anew(
    d.whole(d.each("status.conditions", d.struct(d.text("status", d.one_of("True", "False", "Unknown")))))
)

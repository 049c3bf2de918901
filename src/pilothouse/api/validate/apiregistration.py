"""Validates apiregistration.k8s.io/v1: APIServices."""

from pilothouse.api.validate import declare as d
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values import names
from pilothouse.api.values.fields import Errors, Object
from pilothouse.gotext import quote

MAX_GROUP_PRIORITY, MAX_VERSION_PRIORITY = 20_000, 1000
rules = Rules(__name__)


@rules
def _name(obj: Object, path: str, errs: Errors) -> None:
    metadata, spec = obj.get("metadata") or {}, obj.get("spec") or {}
    wanted = f"{spec.get('version', '')}.{spec.get('group', '')}"
    for member in ("generateName", "name"):
        name = metadata.get(member, "")
        if not name and member == "generateName":
            continue
        if name != wanted and not names.path_segment(name, member == "generateName"):
            errs.invalid(
                f"metadata.{member}", name, f'must be `spec.version+"."+spec.group`: {quote(wanted)}'
            )


@rules
def _not_local(bundle: str, path: str, errs: Errors) -> None:
    shown = f"{len(bundle) * 3 // 4 - bundle.count('=')} bytes"
    errs.invalid(path, shown, "local APIServices may not have a caBundle")


validate_api_service = rules.kind("apiregistration.k8s.io/v1 APIService")(f"""
    @name
    if not spec.group and spec.version != v1
      spec.group!                       : only v1 may have an empty group and it better be legacy kube
    spec.group+                         dns-subdomain
    spec.version                        dns1035-label
    spec.groupPriorityMinimum           1..{MAX_GROUP_PRIORITY} : must be positive and less than {MAX_GROUP_PRIORITY}
    spec.versionPriority                1..{MAX_VERSION_PRIORITY} : must be positive and less than {MAX_VERSION_PRIORITY}
    if spec.service given
      spec.service.namespace!
      spec.service.name!
      spec.service.port~                valid-port
      if spec.caBundle
        spec.insecureSkipTLSVerify+     never : may not be true if caBundle is present
    else
      spec.caBundle+                    not-local
      spec.insecureSkipTLSVerify+       never : local APIServices may not have insecureSkipTLSVerify
""")
validate_api_service_update = d.anew(validate_api_service)
validate_api_service_status = rules.change("apiregistration.k8s.io/v1 APIService")("""
    status.conditions[]
      status                            True|False|Unknown
""")

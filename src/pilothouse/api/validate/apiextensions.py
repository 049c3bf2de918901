"""Rules of apiextensions.k8s.io/v1: definitions of custom resources, all but what their schemas say.

Upstream's internal type holds what all versions have in common once, above them; paths follow it.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object, quote
from pilothouse.api.validate.admissionregistration import validate_webhook_service, validate_webhook_url
from pilothouse.api.validate.common import immutable_field, report

APPROVAL = "api-approved.kubernetes.io"
_HELP = "see https://github.com/kubernetes/enhancements/pull/1111"
_SCOPES = ("Cluster", "Namespaced")
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_REVIEW_VERSIONS = ("v1", "v1beta1")
_HOISTED = ("subresources", "schema", "additionalPrinterColumns", "selectableFields")
_LOST_VERSION = (
    "missing from spec.versions; {0} was previously a storage version, and must remain in spec.versions "
    "until a storage migration ensures no data remains persisted in {0} and removes {0} from "
    "status.storedVersions"
)
_NO_PRESERVING = (
    "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
)


class Schemas:
    """Checks the schemas of a definition; this one takes whatever is written."""

    def schema(self, schema: Object, has_status: bool, path: str, errs: Errors) -> None:
        """A version's `schema`, or the one that all versions have in common."""

    def selectable(self, fields: Sequence[Object], schema: Object, path: str, errs: Errors) -> None:
        """`selectableFields`, which point into the schema."""


def validate_definition(
    obj: Object, errs: Errors, old: Object | None = None, schemas: Schemas | None = None
) -> None:
    """A new definition, or with `old` a changed one."""
    metadata, spec, status = (obj.get(m) or {} for m in ("metadata", "spec", "status"))
    plural, group = (spec.get("names") or {}).get("plural", ""), spec.get("group", "")
    if old is None and metadata.get("name", "") != f"{plural}.{group}":
        errs.invalid("metadata.name", metadata.get("name", ""), 'must be spec.names.plural+"."+spec.group')
    _spec(spec, old, errs, schemas or Schemas())
    if old is not None:
        _fixed(spec, old, errs)
    _names(status.get("acceptedNames") or {}, "status.acceptedNames", errs)
    _stored_versions(status.get("storedVersions") or [], spec.get("versions") or [], errs)
    _approval(obj, old, errs)
    if spec.get("preserveUnknownFields") and not ((old or {}).get("spec") or {}).get("preserveUnknownFields"):
        errs.invalid("spec.preserveUnknownFields", True, _NO_PRESERVING)


def validate_definition_status(obj: Object, old: Object, errs: Errors) -> None:
    _names((obj.get("status") or {}).get("acceptedNames") or {}, "status.acceptedNames", errs)


def hoist(versions: Sequence[Object]) -> tuple[Object, list[Object]]:
    """What all versions have in common, and the versions without it."""
    common: Object = {}
    for member in _HOISTED:
        values = [v.get(member) or None for v in versions]
        if values and values[0] is not None and all(v == values[0] for v in values):
            common[member] = values[0]
    return common, [{k: v for k, v in version.items() if k not in common} for version in versions]


def _spec(spec: Object, old: Object | None, errs: Errors, schemas: Schemas) -> None:
    _group_and_scope(spec, errs)
    common, versions = hoist(spec.get("versions") or [])
    if not (common.get("schema") or {}).get("openAPIV3Schema"):
        for i, version in enumerate(versions):
            if not (version.get("schema") or {}).get("openAPIV3Schema"):
                errs.required(f"spec.versions[{i}].schema.openAPIV3Schema")
    for i, version in enumerate(versions):
        subresources = version.get("subresources", common.get("subresources")) or {}
        _version(version, f"spec.versions[{i}]", errs, schemas, subresources.get("status") is not None)
    listed = [v.get("name", "") for v in versions]
    if len(set(listed)) < len(listed):
        errs.invalid("spec.versions", _versions_shown(versions), "must contain unique version names")
    if sum(bool(v.get("storage")) for v in versions) != 1:
        why = "must have exactly one version marked as storage version"
        errs.invalid("spec.versions", _versions_shown(versions), why)
    called = spec.get("names") or {}
    for member in ("plural", "singular", "kind", "listKind"):
        if not called.get(member):
            errs.required(f"spec.names.{member}")
    _names(called, "spec.names", errs)
    any_status = any(
        (v.get("subresources") or {}).get("status") is not None for v in spec.get("versions") or ()
    )
    if common.get("schema") is not None:
        schemas.schema(common["schema"], any_status, "spec.validation", errs)
    _members(common, "spec", errs, schemas)
    _conversion(spec, old, errs)


def _group_and_scope(spec: Object, errs: Errors) -> None:
    group, scope = spec.get("group", ""), spec.get("scope", "")
    wrong = names.dns_subdomain(group)
    if not group:
        errs.required("spec.group")
    elif wrong:
        errs.invalid("spec.group", group, ",".join(wrong))
    elif "." not in group:
        errs.invalid("spec.group", group, "should be a domain with at least one dot")
    if not scope:
        errs.required("spec.scope")
    elif scope not in _SCOPES:
        errs.not_supported("spec.scope", scope, _SCOPES)


def _version(version: Object, path: str, errs: Errors, schemas: Schemas, has_status: bool) -> None:
    name, warning = version.get("name", ""), version.get("deprecationWarning")
    wrong = names.dns1035_label(name)
    if wrong:
        errs.invalid(f"{path}.name", name, ",".join(wrong))
    if warning is not None:
        faults = _warning_faults(warning, version.get("deprecated", False))
        report(f"{path}.deprecationWarning", warning, faults, errs)
    if version.get("schema") is not None:
        schemas.schema(version["schema"], has_status, f"{path}.schema", errs)
    _members(version, path, errs, schemas)


def _members(holder: Object, path: str, errs: Errors, schemas: Schemas) -> None:
    """Subresources, printer columns and selectable fields, of one version or of all."""
    _subresources(holder.get("subresources") or {}, f"{path}.subresources", errs)
    for i, column in enumerate(holder.get("additionalPrinterColumns") or ()):
        _column(column, f"{path}.additionalPrinterColumns[{i}]", errs)
    fields = holder.get("selectableFields") or ()
    if not fields:
        return
    schema = (holder.get("schema") or {}).get("openAPIV3Schema")
    if schema is None:
        one = "may only be set when `version.schema.openAPIV3Schema` is not included"
        why = "may only be set when validations.schema is included" if path == "spec" else one
        errs.invalid(f"{path}.selectableFields", "", why)
    else:
        schemas.selectable(fields, schema, f"{path}.selectableFields", errs)


def _warning_faults(warning: str, deprecated: bool) -> list[str]:
    if not deprecated:
        return ["can only be set for deprecated versions"]
    out = []
    if len(warning.encode()) > 256:
        out.append("must be <= 256 characters long")
    if not warning:
        out.append("must not be an empty string")
    for i, char in enumerate(warning):
        if not char.isprintable():
            at = len(warning[:i].encode())
            rule = "must only contain printable UTF-8 characters"
            out.append(f"{rule}; non-printable character found at index {at}")
            break
    return out


def _versions_shown(versions: Sequence[Object]) -> list[Object] | None:
    """Versions as upstream's internal type prints them."""
    members = (("Name", ""), ("Served", False), ("Storage", False), ("Deprecated", False))
    rest = ("DeprecationWarning", "Schema", "Subresources", "AdditionalPrinterColumns", "SelectableFields")
    shown = []
    for version in versions:
        out: Object = {m: version.get(m.lower(), zero) for m, zero in members}
        out |= {m: version.get(m[0].lower() + m[1:]) for m in rest}
        shown.append(out)
    return shown or None


def _names(called: Object, path: str, errs: Errors) -> None:
    mixed = "may have mixed case, but should otherwise match: "
    for member, intro in (("plural", ""), ("singular", ""), ("kind", mixed), ("listKind", mixed)):
        value = called.get(member, "")
        wrong = names.dns1035_label(value.lower() if intro else value) if value else []
        if wrong:
            errs.invalid(f"{path}.{member}", value, intro + ",".join(wrong))
    _labels(called.get("shortNames") or (), f"{path}.shortNames", errs)
    kind = called.get("kind", "")
    if kind and kind == called.get("listKind", ""):
        errs.invalid(f"{path}.listKind", kind, "kind and listKind may not be the same")
    _labels(called.get("categories") or (), f"{path}.categories", errs)


def _labels(values: Sequence[str], path: str, errs: Errors) -> None:
    for i, value in enumerate(values):
        wrong = names.dns1035_label(value)
        if wrong:
            errs.invalid(f"{path}[{i}]", value, ",".join(wrong))


def _subresources(subresources: Object, path: str, errs: Errors) -> None:
    scale = subresources.get("scale")
    if scale is None:
        return
    _replicas_path(scale.get("specReplicasPath", ""), ".spec", f"{path}.scale.specReplicasPath", errs)
    _replicas_path(scale.get("statusReplicasPath", ""), ".status", f"{path}.scale.statusReplicasPath", errs)
    selector = scale.get("labelSelectorPath") or ""
    path = f"{path}.scale.labelSelectorPath"
    if selector and _simple_path(selector, path, errs) and not selector.startswith((".spec.", ".status.")):
        errs.invalid(path, selector, "should be a json path under either .spec or .status")


def _replicas_path(text: str, root: str, path: str, errs: Errors) -> None:
    if not text:
        errs.required(path)
    elif _simple_path(text, path, errs) and not text.startswith(f"{root}."):
        errs.invalid(path, text, f"should be a json path under {root}")


def _simple_path(text: str, path: str, errs: Errors) -> bool:
    if text.startswith("."):
        return True
    errs.invalid(path, text, "must be a simple json path starting with .")
    return False


def _column(column: Object, path: str, errs: Errors) -> None:
    kind, form, where = (column.get(m, "") for m in ("type", "format", "jsonPath"))
    valid = f"must be one of {','.join(_COLUMN_TYPES)}"
    if not column.get("name"):
        errs.required(f"{path}.name")
    if not kind:
        errs.required(f"{path}.type", valid)
    elif kind not in _COLUMN_TYPES:
        errs.invalid(f"{path}.type", kind, valid)
    if form and form not in _COLUMN_FORMATS:
        errs.invalid(f"{path}.format", form, f"must be one of {','.join(_COLUMN_FORMATS)}")
    if not where:
        errs.required(f"{path}.JSONPath")
    else:
        _simple_path(where, f"{path}.JSONPath", errs)


def _conversion(spec: Object, old: Object | None, errs: Errors) -> None:
    conversion, path = spec.get("conversion"), "spec.conversion"
    if conversion is None:
        return
    strategy, webhook = conversion.get("strategy", ""), conversion.get("webhook") or {}
    config, versions = webhook.get("clientConfig"), webhook.get("conversionReviewVersions") or []
    if strategy != "None" and spec.get("preserveUnknownFields"):
        errs.invalid(f"{path}.strategy", strategy, "must be None if spec.preserveUnknownFields is true")
    if not strategy:
        errs.required(f"{path}.strategy")
    elif strategy not in ("None", "Webhook"):
        errs.not_supported(f"{path}.strategy", strategy, ("None", "Webhook"))
    if strategy != "Webhook":
        why = "should not be set when strategy is not set to Webhook"
        if config is not None:
            errs.forbidden(f"{path}.webhookClientConfig", why)
        if versions:
            errs.forbidden(f"{path}.conversionReviewVersions", why)
        return
    _client_config(config, f"{path}.webhookClientConfig", errs)
    before = (((old or {}).get("spec") or {}).get("conversion") or {}).get("webhook") or {}
    known = before.get("conversionReviewVersions") or _REVIEW_VERSIONS
    _review_versions(
        versions, bool(set(known) & set(_REVIEW_VERSIONS)), f"{path}.conversionReviewVersions", errs
    )


def _client_config(config: Object | None, path: str, errs: Errors) -> None:
    if config is None:
        errs.required(path, "required when strategy is set to Webhook")
        return
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        errs.required(path, "exactly one of url or service is required")
    elif url is not None:
        validate_webhook_url(url, f"{path}.url", errs)
    else:
        validate_webhook_service(service or {}, f"{path}.service", errs)


def _review_versions(versions: list[str], must_know_one: bool, path: str, errs: Errors) -> None:
    if not versions:
        errs.required(path)
        return
    for i, version in enumerate(versions):
        if version in versions[:i]:
            errs.invalid(f"{path}[{i}]", version, "duplicate version")
        else:
            report(f"{path}[{i}]", version, names.dns1035_label(version), errs)
    if must_know_one and not set(versions) & set(_REVIEW_VERSIONS):
        errs.invalid(path, versions, f"must include at least one of {', '.join(_REVIEW_VERSIONS)}")


def _fixed(spec: Object, old: Object, errs: Errors) -> None:
    """Scope and kind are fixed once the definition is established, group and plural from the start."""
    before, called = old.get("spec") or {}, spec.get("names") or {}
    was = before.get("names") or {}
    if is_condition_true(old, "Established"):
        immutable_field(spec.get("scope", ""), before.get("scope", ""), "spec.scope", errs)
        immutable_field(called.get("kind", ""), was.get("kind", ""), "spec.names.kind", errs)
    immutable_field(spec.get("group", ""), before.get("group", ""), "spec.group", errs)
    immutable_field(called.get("plural", ""), was.get("plural", ""), "spec.names.plural", errs)


def is_condition_true(obj: Object, kind: str) -> bool:
    conditions: Sequence[Any] = (obj.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == kind and c.get("status") == "True" for c in conditions)


def _stored_versions(stored: list[str], versions: Sequence[Object], errs: Errors) -> None:
    path = "status.storedVersions"
    if not stored:
        errs.invalid(path, None, "must have at least one stored version")
        return
    listed = {v.get("name", "") for v in versions}
    for version in versions:
        name = version.get("name", "")
        if version.get("storage") and name not in stored:
            errs.invalid(path, stored, f"must have the storage version {name}")
    for i, name in enumerate(stored):
        if name not in listed:
            errs.invalid(f"{path}[{i}]", name, _LOST_VERSION.format(name))


def _approval(obj: Object, old: Object | None, errs: Errors) -> None:
    """Groups of the community need an approved API or a reason why it is not (KEP-1111)."""
    group = (obj.get("spec") or {}).get("group", "")
    if not (group in ("k8s.io", "kubernetes.io") or group.endswith((".k8s.io", ".kubernetes.io"))):
        return
    state, text = _approval_state(obj)
    if old is not None and _approval_state(old)[0] == state:
        return
    path, needs = (
        f"metadata.annotations[{APPROVAL}]",
        f"protected groups must have approval annotation {quote(APPROVAL)}",
    )
    if state == "missing":
        errs.required(path, f"{needs}, {_HELP}")
    elif state == "invalid":
        how = 'with either a URL or a reason starting with "unapproved"'
        errs.invalid(path, text, f"{needs} {how}, {_HELP}")


def _approval_state(obj: Object) -> tuple[str, str]:
    text = ((obj.get("metadata") or {}).get("annotations") or {}).get(APPROVAL, "")
    if not text:
        return "missing", text
    if text.startswith("unapproved"):
        return "bypassed", text
    try:
        parts = urlsplit(text)
    except ValueError:
        return "invalid", text
    return ("approved" if parts.scheme and parts.netloc else "invalid"), text

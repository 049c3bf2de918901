"""Validates CustomResourceDefinitions (apiextensions-apiserver pkg/apis/apiextensions/validation).

Upstream validates an internal form that has values common to all versions at the top level; error paths show
it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from pilothouse.api import names
from pilothouse.api.fields import Errors, Object, key, quote
from pilothouse.api.structural.formats import known, request_uri
from pilothouse.api.structural.paths import Trail
from pilothouse.api.validate import declare as d
from pilothouse.api.validate.admissionregistration import validate_webhook_service, validate_webhook_url
from pilothouse.api.validate.common import equal, is_true
from pilothouse.api.validate.crd.paths import PathError, valid_path
from pilothouse.api.validate.crd.schema import (
    Options,
    atomic_set,
    go_schema,
    map_list_keys,
    structural_faults,
    validate_schema,
    walk,
)
from pilothouse.api.validate.crd.structural import unsupported
from pilothouse.api.validate.shown import go
from pilothouse.api.validate.tables import Rules

APPROVED = "api-approved.kubernetes.io"
MAX_SELECTABLE_FIELDS = 8
REVIEW_VERSIONS = ("v1", "v1beta1")
_WARNING_MAX = 256
_SHARED = ("schema", "subresources", "additionalPrinterColumns", "selectableFields")
_TYPES = "must be one of boolean,date,integer,number,string"
_FORMATS = "must be one of byte,date,date-time,double,float,int32,int64,password"


def _listed(why: str) -> d.Rule:
    """One of those that the message lists."""
    valid = why.rpartition(" ")[2].split(",")
    return d.holds(lambda value: value in valid, why)


rules = Rules(
    column_type=_listed(_TYPES),
    column_format=_listed(_FORMATS),
    simple_path=d.holds(lambda text: text.startswith("."), "must be a simple json path starting with ."),
    joined_label=d.matches(names.dns1035_label, ","),
)
rules.define(f"""
names
    plural+,singular+                   joined-label
    kind+,listKind+                     mixed-case-label
    shortNames[]                        joined-label
    @unlike-kinds
    categories[]                        joined-label
columns
    additionalPrinterColumns[]
      name!
      type!                             : {_TYPES}
      type+                             column-type
      format+                           column-format
      jsonPath!                         simple-path as:JSONPath
subresources
    subresources.scale?
      specReplicasPath!                 simple-path
      @below-spec
      statusReplicasPath!               simple-path
      @below-status
      labelSelectorPath+                simple-path
      @below-either
""")


@dataclass(slots=True)
class Internal:
    """A spec in upstream's internal form: `top` holds the values that all versions have in common."""

    spec: Object
    versions: list[Object]
    top: Object

    @classmethod
    def of(cls, spec: Object) -> "Internal":
        versions = [dict(version) for version in spec.get("versions") or ()]
        top: Object = {}
        for name in _SHARED:
            first = versions[0].get(name) if versions else None
            if versions and all(equal(version.get(name), first) for version in versions):
                if first is not None:
                    top[name] = first
                for version in versions:
                    version.pop(name, None)
        return cls(spec, versions, top)

    def schemas(self) -> list[Object]:
        """All distinct schemas."""
        holders = [self.top, *self.versions]
        found = [(holder.get("schema") or {}).get("openAPIV3Schema") for holder in holders]
        return [schema for schema in found if schema is not None]

    def any_schema(self, test: Callable[[Object], bool]) -> bool:
        return any(test(node) for schema in self.schemas() for node in walk(schema))


def definition_name(name: str, spec: Object) -> list[str]:
    """Name rule: a DNS subdomain of the form `plural.group`."""
    wrong = names.dns_subdomain(name)
    if name != f"{(spec.get('names') or {}).get('plural', '')}.{spec.get('group', '')}":
        wrong = [*wrong, 'must be spec.names.plural+"."+spec.group']
    return wrong


def validate_create(obj: Object, errs: Errors) -> None:
    """A new definition; its name is checked with its metadata."""
    _validate_spec(obj["spec"], "spec", Options(), True, True, set(), errs)
    _validate_rest(obj, None, errs)


def validate_update(obj: Object, old: Object, errs: Errors) -> None:
    """A changed definition: what the stored one does not fulfil is not demanded of it."""
    spec, before = obj["spec"], old["spec"]
    internal = Internal.of(before)
    versions = internal.versions
    whole = "schema" in internal.top or all((v.get("schema") or {}).get("openAPIV3Schema") for v in versions)
    options = Options(
        require_structural=not any(map(structural_faults, internal.schemas())),
        require_types=not internal.any_schema(_has_odd_type),
        require_schema=whole,
        require_atomic_sets=not internal.any_schema(_breaks(atomic_set)),
        require_map_keys=not internal.any_schema(_breaks(map_list_keys)),
        stored=internal.schemas(),
    )
    recognised = ((before.get("conversion") or {}).get("webhook") or {}).get("conversionReviewVersions") or []
    established = is_true(old, "Established")
    many = _too_many(internal, Internal.of(spec))
    _validate_spec(
        spec,
        "spec",
        options,
        not recognised or bool(set(recognised) & set(REVIEW_VERSIONS)),
        not established,
        many,
        errs,
    )
    if established:
        _fixed_when_established(obj, old, errs)
    _fixed(obj, old, errs)
    _validate_rest(obj, old, errs)


_fixed_when_established = d.change(d.fixed("spec.scope", ""), d.fixed("spec.names.kind", ""))
_fixed = d.change(d.fixed("spec.group", ""), d.fixed("spec.names.plural", ""))


def validate_status_update(obj: Object, errs: Errors) -> None:
    """Validates a changed status."""
    _accepted(obj, errs)


_accepted = rules.kind("status.acceptedNames? names")


def _has_odd_type(schema: Object) -> bool:
    from pilothouse.api.validate.crd.schema import TYPES

    return bool(schema.get("type")) and schema["type"] not in TYPES


def _breaks(rule: Callable[[Object, Trail, Errors], None]) -> Callable[[Object], bool]:
    def test(schema: Object) -> bool:
        found = Errors()
        rule(schema, Trail(""), found)
        return bool(found)

    return test


def _too_many(before: Internal, now: Internal) -> set[str]:
    """Versions ("" for all) that have too many selectable fields, unchanged from the stored definition."""
    out = set()
    was, fields = before.top.get("selectableFields") or [], now.top.get("selectableFields")
    if len(was) > MAX_SELECTABLE_FIELDS and equal(fields, was):
        out.add("")
    stored = {version.get("name"): version.get("selectableFields") or [] for version in before.versions}
    for version in now.versions:
        live = stored.get(version.get("name"), [])
        if len(live) > MAX_SELECTABLE_FIELDS and equal(version.get("selectableFields"), live):
            out.add(version.get("name", ""))
    return out


def _validate_rest(obj: Object, old: Object | None, errs: Errors) -> None:
    status, spec = obj.get("status") or {}, obj["spec"]
    _accepted(obj, errs)
    _validate_stored(status.get("storedVersions"), spec.get("versions") or [], "status.storedVersions", errs)
    _validate_approval(obj, old, errs)
    preserved = old is not None and old["spec"].get("preserveUnknownFields")
    if spec.get("preserveUnknownFields") and not preserved:
        errs.invalid(
            "spec.preserveUnknownFields",
            True,
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
        )


# Spec


def _validate_spec(
    spec: Object,
    path: str,
    options: Options,
    recognised: bool,
    any_bundle: bool,
    many: set[str],
    errs: Errors,
) -> None:
    """`recognised` requires a known review version; `any_bundle` accepts an invalid CA bundle."""
    internal = Internal.of(spec)
    _group_and_scope(spec, path, errs)
    options = replace(
        options, require_structural=options.require_structural or not spec.get("preserveUnknownFields")
    )
    versions, top = internal.versions, internal.top
    if (top.get("schema") or {}).get("openAPIV3Schema") is None:
        _require_schemas(spec, versions, path, options, errs)
    if spec.get("preserveUnknownFields") and internal.any_schema(lambda s: s.get("default") is not None):
        errs.invalid(
            f"{path}.preserveUnknownFields", True, "must be false in order to use defaults in the schema"
        )
    for i, version in enumerate(versions):
        where = f"{path}.versions[{i}]"
        wrong = names.dns1035_label(version.get("name") or "")
        if wrong:
            errs.invalid(f"{where}.name", version.get("name") or "", ",".join(wrong))
        _validate_version(version, top, where, options, many, errs)
    _validate_versions(spec.get("versions"), versions, f"{path}.versions", errs)
    first = (versions[0].get("name") or "") if versions else ""
    if first and (wrong := names.dns1035_label(first)):
        errs.invalid(f"{path}.version", first, ",".join(wrong))
    _all_names(spec, path, errs)
    holders = [top, *versions]
    status = any("status" in (holder.get("subresources") or {}) for holder in holders)
    validate_schema(top.get("schema"), status, f"{path}.validation", options, errs)
    _views(top, path, errs)
    if top.get("selectableFields"):
        if top.get("schema") is None:
            errs.invalid(
                f"{path}.selectableFields", "", "may only be set when validations.schema is included"
            )
        else:
            _validate_selectable(top, f"{path}.selectableFields", "" in many, errs)
    conversion = spec.get("conversion")
    if conversion is not None and conversion.get("strategy") != "None" and spec.get("preserveUnknownFields"):
        why = "must be None if spec.preserveUnknownFields is true"
        errs.invalid(f"{path}.conversion.strategy", conversion.get("strategy", ""), why)
    if conversion is not None:
        _validate_conversion(conversion, recognised, any_bundle, f"{path}.conversion", errs)


_group_and_scope = rules.table("""
    group!                              joined-subdomain-with-dot
    scope!                              Cluster|Namespaced
""")
_all_names = rules.table("""
    names
      plural!,singular!,kind!,listKind!
      @names
""")
_views = rules.table("""
    @subresources
    @columns
""")


@rules
def _joined_subdomain_with_dot(group: str, path: str, errs: Errors) -> None:
    wrong = names.dns_subdomain(group)
    if wrong:
        errs.invalid(path, group, ",".join(wrong))
    elif "." not in group:
        errs.invalid(path, group, "should be a domain with at least one dot")


def _require_schemas(spec: Object, versions: list[Object], path: str, options: Options, errs: Errors) -> None:
    for i, version in enumerate(versions):
        if (version.get("schema") or {}).get("openAPIV3Schema") is not None:
            continue
        where = f"{path}.versions[{i}].schema.openAPIV3Schema"
        if options.require_schema:
            errs.required(where)
        elif version.get("served") and not spec.get("preserveUnknownFields"):
            errs.required(where, "because otherwise all fields are pruned")


def _validate_version(
    version: Object, top: Object, path: str, options: Options, many: set[str], errs: Errors
) -> None:
    for why in _warning_faults(bool(version.get("deprecated")), version.get("deprecationWarning")):
        errs.invalid(f"{path}.deprecationWarning", version["deprecationWarning"], why)
    subresources = version.get("subresources") or top.get("subresources") or {}
    validate_schema(version.get("schema"), "status" in subresources, f"{path}.schema", options, errs)
    _views(version, path, errs)
    if version.get("selectableFields"):
        holder = version if version.get("schema") else {**version, "schema": None}
        if (holder.get("schema") or {}).get("openAPIV3Schema") is None:
            errs.invalid(
                f"{path}.selectableFields",
                "",
                "may only be set when `version.schema.openAPIV3Schema` is not included",
            )
        else:
            _validate_selectable(holder, f"{path}.selectableFields", version.get("name", "") in many, errs)


def _warning_faults(deprecated: bool, warning: str | None) -> list[str]:
    if warning is None:
        return []
    if not deprecated:
        return ["can only be set for deprecated versions"]
    out = []
    if names.size(warning) > _WARNING_MAX:
        out.append(f"must be <= {_WARNING_MAX} characters long")
    if not warning:
        out.append("must not be an empty string")
    at = next((i for i, char in enumerate(warning) if not char.isprintable()), -1)
    if at >= 0:
        index = names.size(warning[:at])
        out.append(
            f"must only contain printable UTF-8 characters; non-printable character found at index {index}"
        )
    return out


def _validate_versions(given: list[Object] | None, versions: list[Object], path: str, errs: Errors) -> None:
    shown: Any = None if given is None else [_go_version(version) for version in versions]
    if len({version.get("name") for version in versions}) != len(versions):
        errs.invalid(path, shown, "must contain unique version names")
    if sum(bool(version.get("storage")) for version in versions) != 1:
        errs.invalid(path, shown, "must have exactly one version marked as storage version")


def _go_version(version: Object) -> Object:
    """A version as Go prints its internal struct."""
    shown: Object = go({**version, "schema": None}, _VERSION)
    declared = (version.get("schema") or {}).get("openAPIV3Schema")
    if version.get("schema") is not None:
        shown["Schema"] = {"OpenAPIV3Schema": go_schema(declared) if declared is not None else None}
    return shown


_VERSION = "apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionVersion"


@rules
def _unlike_kinds(given: Object, path: str, errs: Errors) -> None:
    if given.get("kind") and given["kind"] == given.get("listKind"):
        errs.invalid(f"{path}.listKind", given["listKind"], "kind and listKind may not be the same")


def _below(member: str, *roots: str) -> d.Rule:
    """A path that begins with a dot leads below one of these."""
    why = f"should be a json path under {'either ' if roots[1:] else ''}{' or '.join(roots)}"

    def rule(scale: Object, path: str, errs: Errors) -> None:
        text = scale.get(member) or ""
        if text.startswith(".") and not text.startswith(tuple(f"{root}." for root in roots)):
            errs.invalid(f"{path}.{member}", text, why)

    return rule


rules.add("below-spec", _below("specReplicasPath", ".spec"))
rules.add("below-status", _below("statusReplicasPath", ".status"))
rules.add("below-either", _below("labelSelectorPath", ".spec", ".status"))


def _validate_selectable(holder: Object, path: str, any_number: bool, errs: Errors) -> None:
    declared = holder["schema"].get("openAPIV3Schema") or {}
    why = unsupported(declared)
    if why:
        errs.invalid(path.removesuffix("selectableFields") + "schema.openAPIV3Schema", "", why)
        return
    seen: set[str] = set()
    for i, one in enumerate(holder["selectableFields"]):
        where, text = f"{path}[{i}].jsonPath", one.get("jsonPath") or ""
        if not text:
            errs.required(where)
            continue
        try:
            found, schema = valid_path(text, declared, arrays=False)
        except PathError as err:
            errs.invalid(where, text, f"is an invalid path: {err}")
            continue
        if found.split(".")[0].split("[")[0] == "metadata":
            errs.invalid(where, text, "must not point to fields in metadata")
        if schema.get("type") not in ("string", "boolean", "integer"):
            errs.invalid(
                where,
                text,
                "must point to a field of type string, boolean or integer. Enum string fields and strings with "
                "formats are allowed.",
            )
        if found in seen:
            errs.duplicate(where, text)
        seen.add(found)
    if len(seen) > MAX_SELECTABLE_FIELDS and not any_number:
        errs.too_many(path, len(seen), MAX_SELECTABLE_FIELDS)


_strategy = rules.table("strategy! None|Webhook")


def _validate_conversion(
    conversion: Object, recognised: bool, any_bundle: bool, path: str, errs: Errors
) -> None:
    _strategy(conversion, path, errs)
    webhook = conversion.get("webhook") or {}
    client, reviews = webhook.get("clientConfig"), webhook.get("conversionReviewVersions") or []
    where = f"{path}.webhookClientConfig"
    if conversion.get("strategy") != "Webhook":
        if client is not None:
            errs.forbidden(where, "should not be set when strategy is not set to Webhook")
        if reviews:
            errs.forbidden(
                f"{path}.conversionReviewVersions", "should not be set when strategy is not set to Webhook"
            )
        return
    if client is None:
        errs.required(where, "required when strategy is set to Webhook")
    else:
        url, service = client.get("url"), client.get("service")
        if (url is None) == (service is None):
            errs.required(where, "exactly one of url or service is required")
        elif url is not None:
            validate_webhook_url(url, f"{where}.url", errs)
        else:
            validate_webhook_service(service, f"{where}.service", errs)
        if client.get("caBundle") and not any_bundle and not is_bundle(client["caBundle"]):
            errs.add("FieldValueInvalid", f"{where}.caBundle", _BUNDLE)
    _validate_reviews(reviews, recognised, f"{path}.conversionReviewVersions", errs)


_BUNDLE = "Invalid value: <cert bundle>: unable to load root certificates: unable to parse bytes as PEM block"


def is_bundle(bundle: str) -> bool:
    """Whether a base64 text contains PEM certificates."""
    import base64

    from cryptography import x509

    try:
        return bool(x509.load_pem_x509_certificates(base64.b64decode(bundle)))
    except ValueError:
        return False


def _validate_reviews(versions: list[str], recognised: bool, path: str, errs: Errors) -> None:
    if not versions:
        errs.required(path)
        return
    seen: set[str] = set()
    for i, version in enumerate(versions):
        if version in seen:
            errs.invalid(f"{path}[{i}]", version, "duplicate version")
            continue
        seen.add(version)
        for wrong in names.dns1035_label(version):
            errs.invalid(f"{path}[{i}]", version, wrong)
    if recognised and not seen & set(REVIEW_VERSIONS):
        errs.invalid(path, versions, f"must include at least one of {', '.join(REVIEW_VERSIONS)}")


# Status


def _validate_stored(stored: list[str] | None, versions: list[Object], path: str, errs: Errors) -> None:
    if not stored:
        errs.invalid(path, stored, "must have at least one stored version")
        return
    names_, known_ = {version.get("name") for version in versions}, set(stored)
    for version in versions:
        if version.get("storage") and version.get("name") not in known_:
            errs.invalid(path, stored, f"must have the storage version {version.get('name', '')}")
        known_.discard(version.get("name"))
    for i, name in enumerate(stored):
        if name not in names_:
            errs.invalid(
                f"{path}[{i}]",
                name,
                f"missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions "
                f"until a storage migration ensures no data remains persisted in {name} and removes {name} from "
                "status.storedVersions",
            )


# Protected groups


def is_protected(group: str) -> bool:
    """Whether a group is reserved for Kubernetes (`*.k8s.io`, `*.kubernetes.io`)."""
    return group in ("k8s.io", "kubernetes.io") or group.endswith((".k8s.io", ".kubernetes.io"))


def approval(annotations: Object | None) -> tuple[str, str]:
    """The state of the approval annotation (missing, bypassed, approved, invalid) and the reason for it."""
    text = (annotations or {}).get(APPROVED) or ""
    see = "see https://github.com/kubernetes/enhancements/pull/1111"
    if not text:
        return "missing", f"protected groups must have approval annotation {quote(APPROVED)}, {see}"
    if text.startswith("unapproved"):
        return "bypassed", f"not approved: {quote(text)}"
    if request_uri(text):
        url = urlsplit(text)
        if url.scheme and url.netloc:
            return "approved", f"approved in {text}"
    either = 'with either a URL or a reason starting with "unapproved"'
    return "invalid", f"protected groups must have approval annotation {quote(APPROVED)} {either}, {see}"


def _validate_approval(obj: Object, old: Object | None, errs: Errors) -> None:
    if not is_protected(obj["spec"].get("group") or ""):
        return
    annotations = obj["metadata"].get("annotations")
    state, reason = approval(annotations)
    if old is not None and approval(old["metadata"].get("annotations"))[0] == state:
        return
    path = key("metadata.annotations", APPROVED)
    if state == "missing":
        errs.required(path, reason)
    elif state == "invalid":
        errs.invalid(path, (annotations or {}).get(APPROVED, ""), reason)


# Warnings


def warnings(obj: Object, old: Object | None) -> list[str]:
    """Warnings about unknown formats that the update adds."""
    before = set(_unknown_formats(old["spec"])) if old is not None else set()
    return [
        f"unrecognized format {quote(form)}" for form in _unknown_formats(obj["spec"]) if form not in before
    ]


def _unknown_formats(spec: Object) -> list[str]:
    nodes = [node for schema in Internal.of(spec).schemas() for node in walk(schema)]
    return [
        node["format"]
        for node in nodes
        if node.get("format") and not known(node.get("type") or "", node["format"])
    ]

"""Validates CustomResourceDefinitions (apiextensions-apiserver pkg/apis/apiextensions/validation).

Upstream validates an internal form that has values common to all versions at the top level; error paths show
it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from pilothouse.api.structural.field_paths import PathError, valid_path
from pilothouse.api.structural.formats import known, request_uri
from pilothouse.api.structural.paths import Trail
from pilothouse.api.validate import admissionregistration
from pilothouse.api.validate import declare as d
from pilothouse.api.validate.common import equal, is_true
from pilothouse.api.validate.crd.schema import (
    TYPES,
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
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values import names
from pilothouse.api.values.fields import Errors, Object, key
from pilothouse.gotext import quote

APPROVED = "api-approved.kubernetes.io"
MAX_SELECTABLE_FIELDS = 8
_WARNING_MAX = 256
_SELECTABLE = (
    "must point to a field of type string, boolean or integer. Enum string fields and strings with formats"
    " are allowed."
)
_SHARED = ("schema", "subresources", "additionalPrinterColumns", "selectableFields")
_TYPES = "must be one of boolean,date,integer,number,string"
_FORMATS = "must be one of byte,date,date-time,double,float,int32,int64,password"


def _listed(why: str) -> d.Rule:
    """The value must be one of those that the message lists."""
    valid = why.rpartition(" ")[2].split(",")
    return d.holds(lambda value: value in valid, why)


def _below(*roots: str) -> d.Rule:
    """A path that begins with a dot leads below one of these."""
    whole = tuple(f"{root}." for root in roots)
    why = f"should be a json path under {'either ' if roots[1:] else ''}{' or '.join(roots)}"
    return d.holds(lambda text: not text.startswith(".") or text.startswith(whole), why)


rules = Rules(
    __name__,
    admissionregistration.rules,
    column_type=_listed(_TYPES),
    column_format=_listed(_FORMATS),
    simple_path=d.holds(lambda text: text.startswith("."), "must be a simple json path starting with ."),
    below_spec=_below(".spec"),
    below_status=_below(".status"),
    below_either=_below(".spec", ".status"),
    joined_label=d.Matches(names.dns1035_label, ","),
    reviews=lambda versions, path, errs, options: admissionregistration.validate_review_versions(
        versions, path, options.require_review, errs
    ),
)
rules.define(f"""
names                               apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionNames
    plural+,singular+                   joined-label
    kind+,listKind+                     mixed-case-label
    shortNames[]                        joined-label
    @unlike-kinds
    categories[]                        joined-label
views                               apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionVersion
    subresources.scale
      specReplicasPath!                 simple-path below-spec
      statusReplicasPath!               simple-path below-status
      labelSelectorPath+                simple-path below-either
    additionalPrinterColumns[]
      name!
      type!                             : {_TYPES}
      type+                             column-type
      format+                           column-format
      jsonPath!                         simple-path as:JSONPath
version                             apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionVersion
    name                                joined-label
    if deprecationWarning given and not deprecated
      deprecationWarning                never : can only be set for deprecated versions
    else
      deprecationWarning                warning-text
    @version-schema
    @views
    if selectableFields
      if not schema.openAPIV3Schema given
        invalid                         at:selectableFields : may only be set when `version.schema.openAPIV3Schema` is not included
      else
        @selectable-fields
conversion                          apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceConversion
    strategy!                           None|Webhook
    if strategy == Webhook
      webhook.clientConfig*             as-root:spec.conversion.webhookClientConfig : required when strategy is set to Webhook
      webhook.clientConfig              client-config certificates as-root:spec.conversion.webhookClientConfig
      webhook.conversionReviewVersions! reviews as-root:spec.conversion.conversionReviewVersions
    else
      webhook.clientConfig-?            as-root:spec.conversion.webhookClientConfig : should not be set when strategy is not set to Webhook
      webhook.conversionReviewVersions- as-root:spec.conversion.conversionReviewVersions : should not be set when strategy is not set to Webhook
""")
_spec = rules.untyped("""
    group!                              joined-subdomain-with-dot
    scope!                              Cluster|Namespaced
    if not schema.openAPIV3Schema given
      versions[]
        if not schema.openAPIV3Schema given
          if $require_schema
            required                    at:schema.openAPIV3Schema
          elif served and not /preserveUnknownFields
            required                    at:schema.openAPIV3Schema : because otherwise all fields are pruned
    if preserveUnknownFields
      @no-defaults
    versions[]                          version
    @versions
    version+                            joined-label
    names.plural!,names.singular!,names.kind!,names.listKind!
    names                               names
    @common-schema
    @views
    if selectableFields
      if not schema given
        invalid                         at:selectableFields : may only be set when validations.schema is included
      else
        @selectable-fields
    if conversion given and conversion.strategy != None and preserveUnknownFields
      conversion.strategy               never : must be None if spec.preserveUnknownFields is true
    conversion                          conversion
""")
"""The rules of a spec in the internal form; around it are its options."""


@dataclass(frozen=True, slots=True)
class _Options(Options):
    """Further rules that an update need not fulfil,
    and what the rules of one version must know of the others.

    require_review: a known review version; any_bundle: an invalid CA bundle is accepted; many: versions, ""
    for all, that may have too many selectable fields; top: the values that all versions have in common.
    """

    require_review: bool = True
    any_bundle: bool = True
    many: frozenset[str] = frozenset()
    top: Object = field(default_factory=dict)


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
        found = map(_declared, [self.top, *self.versions])
        return [schema for schema in found if schema is not None]

    def any_schema(self, test: Callable[[Object], bool]) -> bool:
        return any(test(node) for schema in self.schemas() for node in walk(schema))


def definition_name(name: str, spec: Object, prefix: bool = False) -> list[str]:
    """Name rule: a DNS subdomain of the form `plural.group`; `prefix` as in names.py."""
    wrong = names.dns_subdomain(name, prefix)
    if name != f"{(spec.get('names') or {}).get('plural', '')}.{spec.get('group', '')}":
        wrong = [*wrong, 'must be spec.names.plural+"."+spec.group']
    return wrong


def validate_create(obj: Object, errs: Errors) -> None:
    """A new definition; its name is checked with its metadata."""
    _validate_spec(obj["spec"], _Options(), errs)
    _validate_rest(obj, None, errs)


def validate_update(obj: Object, old: Object, errs: Errors) -> None:
    """A changed definition: what the stored one does not fulfil is not demanded of it."""
    spec, before = obj["spec"], old["spec"]
    internal = Internal.of(before)
    versions = internal.versions
    recognised = d.found(before, ("conversion", "webhook", "conversionReviewVersions"), [])
    established = is_true(old, "Established")
    options = _Options(
        require_structural=not any(map(structural_faults, internal.schemas())),
        require_types=not internal.any_schema(_has_odd_type),
        require_schema="schema" in internal.top or all(map(_declared, versions)),
        require_atomic_sets=not internal.any_schema(_breaks(atomic_set)),
        require_map_keys=not internal.any_schema(_breaks(map_list_keys)),
        stored=internal.schemas(),
        require_review=not recognised or bool(set(recognised) & set(admissionregistration.REVIEW_VERSIONS)),
        any_bundle=not established,
        many=frozenset(_too_many(internal, Internal.of(spec))),
    )
    _validate_spec(spec, options, errs)
    if established:
        _fixed_when_established(obj, old, errs)
    _fixed(obj, old, errs)
    _validate_rest(obj, old, errs)


_fixed_when_established = d.change(d.fixed("spec.scope", ""), d.fixed("spec.names.kind", ""))
_fixed = d.change(d.fixed("spec.group", ""), d.fixed("spec.names.plural", ""))


validate_status_update = rules.kind("apiextensions.k8s.io/v1 CustomResourceDefinition")(
    "status.acceptedNames names"
)


def _declared(holder: Object) -> Object | None:
    """The schema of a version, or of all."""
    return (holder.get("schema") or {}).get("openAPIV3Schema")


def _has_odd_type(schema: Object) -> bool:
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
    spec = obj["spec"]
    validate_status_update(obj, errs)
    stored = (obj.get("status") or {}).get("storedVersions")
    _validate_stored(stored, spec.get("versions") or [], "status.storedVersions", errs)
    _validate_approval(obj, old, errs)
    if spec.get("preserveUnknownFields") and not (old and old["spec"].get("preserveUnknownFields")):
        why = (
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema"
            " instead"
        )
        errs.invalid("spec.preserveUnknownFields", True, why)


# Spec


def _validate_spec(spec: Object, options: _Options, errs: Errors) -> None:
    internal = Internal.of(spec)
    options = replace(
        options,
        require_structural=options.require_structural or not spec.get("preserveUnknownFields"),
        top=internal.top,
    )
    given = {**spec, **internal.top}
    if spec.get("versions") is not None:
        given |= {"versions": internal.versions, "version": (internal.versions or [{}])[0].get("name")}
    _spec(given, "spec", errs, options)


@rules
def _joined_subdomain_with_dot(group: str, path: str, errs: Errors) -> None:
    wrong = names.dns_subdomain(group)
    if wrong:
        errs.invalid(path, group, ",".join(wrong))
    elif "." not in group:
        errs.invalid(path, group, "should be a domain with at least one dot")


@rules
def _no_defaults(spec: Object, path: str, errs: Errors) -> None:
    schemas = filter(None, map(_declared, (spec, *(spec.get("versions") or ()))))
    if any(node.get("default") is not None for schema in schemas for node in walk(schema)):
        why = "must be false in order to use defaults in the schema"
        errs.invalid(f"{path}.preserveUnknownFields", True, why)


@rules
def _version_schema(version: Object, path: str, errs: Errors, options: _Options) -> None:
    subresources = version.get("subresources") or options.top.get("subresources") or {}
    validate_schema(version.get("schema"), "status" in subresources, f"{path}.schema", options, errs)


@rules
def _common_schema(spec: Object, path: str, errs: Errors, options: _Options) -> None:
    holders = [options.top, *(spec.get("versions") or ())]
    status = any("status" in (holder.get("subresources") or {}) for holder in holders)
    validate_schema(spec.get("schema"), status, f"{path}.validation", options, errs)


def _warning_faults(warning: str) -> list[str]:
    out = []
    if names.size(warning) > _WARNING_MAX:
        out.append(f"must be <= {_WARNING_MAX} characters long")
    if not warning:
        out.append("must not be an empty string")
    at = next((i for i, char in enumerate(warning) if not char.isprintable()), -1)
    if at >= 0:
        found = f"non-printable character found at index {names.size(warning[:at])}"
        out.append(f"must only contain printable UTF-8 characters; {found}")
    return out


rules.add("warning-text", d.Matches(_warning_faults))


@rules
def _versions(spec: Object, path: str, errs: Errors) -> None:
    versions, path = spec.get("versions") or [], f"{path}.versions"
    shown = [_go_version(version) for version in versions] if spec.get("versions") is not None else None
    if len({version.get("name") for version in versions}) != len(versions):
        errs.invalid(path, shown, "must contain unique version names")
    if sum(bool(version.get("storage")) for version in versions) != 1:
        errs.invalid(path, shown, "must have exactly one version marked as storage version")


def _go_version(version: Object) -> Object:
    """A version as Go prints its internal struct."""
    shown: Object = go({**version, "schema": None}, _VERSION)
    declared = _declared(version)
    if version.get("schema") is not None:
        shown["Schema"] = {"OpenAPIV3Schema": go_schema(declared) if declared is not None else None}
    return shown


_VERSION = "apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionVersion"


@rules
def _unlike_kinds(given: Object, path: str, errs: Errors) -> None:
    if given.get("kind") and given["kind"] == given.get("listKind"):
        errs.invalid(f"{path}.listKind", given["listKind"], "kind and listKind may not be the same")


@rules
def _selectable_fields(holder: Object, path: str, errs: Errors, options: _Options) -> None:
    declared = _declared(holder) or {}
    why = unsupported(declared)
    if why:
        errs.invalid(f"{path}.schema.openAPIV3Schema", "", why)
        return
    path, seen = f"{path}.selectableFields", set[str]()
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
            errs.invalid(where, text, _SELECTABLE)
        if found in seen:
            errs.duplicate(where, text)
        seen.add(found)
    if len(seen) > MAX_SELECTABLE_FIELDS and holder.get("name", "") not in options.many:
        errs.too_many(path, len(seen), MAX_SELECTABLE_FIELDS)


@rules
def _certificates(client: Object, path: str, errs: Errors, options: _Options) -> None:
    if client.get("caBundle") and not options.any_bundle and not is_bundle(client["caBundle"]):
        errs.add("FieldValueInvalid", f"{path}.caBundle", _BUNDLE)


_BUNDLE = "Invalid value: <cert bundle>: unable to load root certificates: unable to parse bytes as PEM block"


def is_bundle(bundle: str) -> bool:
    """Whether a base64 text contains PEM certificates."""
    import base64

    from cryptography import x509

    try:
        return bool(x509.load_pem_x509_certificates(base64.b64decode(bundle)))
    except ValueError:
        return False


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
            why = (
                f"missing from spec.versions; {name} was previously a storage version, and must remain in"
                f" spec.versions until a storage migration ensures no data remains persisted in {name} and"
                f" removes {name} from status.storedVersions"
            )
            errs.invalid(f"{path}[{i}]", name, why)


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
    new = [form for form in _unknown_formats(obj["spec"]) if form not in before]
    return [f"unrecognized format {quote(form)}" for form in new]


def _unknown_formats(spec: Object) -> list[str]:
    nodes = [node for schema in Internal.of(spec).schemas() for node in walk(schema) if node.get("format")]
    return [node["format"] for node in nodes if not known(node.get("type") or "", node["format"])]

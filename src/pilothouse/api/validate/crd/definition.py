"""Validates CustomResourceDefinitions (apiextensions-apiserver pkg/apis/apiextensions/validation).

Upstream validates an internal form that has values common to all versions at the top level; error paths show
it.
"""

from dataclasses import field, replace

from pilothouse.api.structural.formats import known
from pilothouse.api.validate import admissionregistration, pem
from pilothouse.api.validate import declare as d
from pilothouse.api.validate.crd.approval import validate_approval
from pilothouse.api.validate.crd.go_schema import go_schema
from pilothouse.api.validate.crd.internal import Internal, schema_of
from pilothouse.api.validate.crd.schema import Options, validate_schema, walk
from pilothouse.api.validate.crd.selectable import validate_selectable_fields
from pilothouse.api.validate.shown import go
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values import names
from pilothouse.api.values.fields import Errors, Object
from pilothouse.gotext import quote
from pilothouse.process.frozen import frozen

_WARNING_MAX = 256
_TYPES = "must be one of boolean,date,integer,number,string"
_FORMATS = "must be one of byte,date,date-time,double,float,int32,int64,password"
_VERSION = "apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionVersion"
_BUNDLE = "Invalid value: <cert bundle>: unable to load root certificates: unable to parse bytes as PEM block"


def _listed(why: str) -> d.Rule:
    """The value must be one of those that the message lists."""
    valid = why.rpartition(" ")[2].split(",")
    return d.holds(lambda value: value in valid, why)


def _below(*roots: str) -> d.Rule:
    """A path that begins with a dot leads below one of these."""
    prefixes = tuple(f"{root}." for root in roots)
    why = f"should be a json path under {'either ' if roots[1:] else ''}{' or '.join(roots)}"
    return d.holds(lambda text: not text.startswith(".") or text.startswith(prefixes), why)


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
    warning_text=d.Matches(_warning_faults),
    selectable_fields=lambda holder, path, errs, options: validate_selectable_fields(
        holder, path, errs, options.many
    ),
)


@frozen
class DefinitionOptions(Options):
    """Further rules that an update need not fulfil,
    and what the rules of one version must know of the others.

    require_review: a known review version; any_bundle: an invalid CA bundle is accepted; many: versions, ""
    for all, that may have too many selectable fields; top: the values that all versions have in common.
    """

    require_review: bool = True
    any_bundle: bool = True
    many: frozenset[str] = frozenset()
    top: Object = field(default_factory=dict)


@rules
def _joined_subdomain_with_dot(group: str, path: str, errs: Errors) -> None:
    wrong = names.dns_subdomain(group)
    if wrong:
        errs.invalid(path, group, ",".join(wrong))
    elif "." not in group:
        errs.invalid(path, group, "should be a domain with at least one dot")


@rules
def _no_defaults(spec: Object, path: str, errs: Errors) -> None:
    schemas = filter(None, map(schema_of, (spec, *(spec.get("versions") or ()))))
    if any(node.get("default") is not None for schema in schemas for node in walk(schema)):
        why = "must be false in order to use defaults in the schema"
        errs.invalid(f"{path}.preserveUnknownFields", True, why)


@rules
def _version_schema(version: Object, path: str, errs: Errors, options: DefinitionOptions) -> None:
    subresources = version.get("subresources") or options.top.get("subresources") or {}
    validate_schema(version.get("schema"), "status" in subresources, f"{path}.schema", options, errs)


@rules
def _common_schema(spec: Object, path: str, errs: Errors, options: DefinitionOptions) -> None:
    holders = [options.top, *(spec.get("versions") or ())]
    status = any("status" in (holder.get("subresources") or {}) for holder in holders)
    validate_schema(spec.get("schema"), status, f"{path}.validation", options, errs)


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
    declared = schema_of(version)
    if version.get("schema") is not None:
        shown["Schema"] = {"OpenAPIV3Schema": go_schema(declared) if declared is not None else None}
    return shown


@rules
def _unlike_kinds(given: Object, path: str, errs: Errors) -> None:
    if given.get("kind") and given["kind"] == given.get("listKind"):
        errs.invalid(f"{path}.listKind", given["listKind"], "kind and listKind may not be the same")


@rules
def _certificates(client: Object, path: str, errs: Errors, options: DefinitionOptions) -> None:
    if client.get("caBundle") and not options.any_bundle and not pem.is_bundle(client["caBundle"]):
        errs.add("FieldValueInvalid", f"{path}.caBundle", _BUNDLE)


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
validate_status_update = rules.kind("apiextensions.k8s.io/v1 CustomResourceDefinition")(
    "status.acceptedNames names"
)


def definition_name(name: str, spec: Object, prefix: bool = False) -> list[str]:
    """Name rule: a DNS subdomain of the form `plural.group`; `prefix` as in names.py."""
    wrong = names.dns_subdomain(name, prefix)
    if name != f"{(spec.get('names') or {}).get('plural', '')}.{spec.get('group', '')}":
        wrong = [*wrong, 'must be spec.names.plural+"."+spec.group']
    return wrong


def validate_create(obj: Object, errs: Errors) -> None:
    """A new definition; its name is checked with its metadata."""
    validate_spec(obj["spec"], DefinitionOptions(), errs)
    validate_rest(obj, None, errs)


def validate_spec(spec: Object, options: DefinitionOptions, errs: Errors) -> None:
    """The spec of a new or changed definition."""
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


def validate_rest(obj: Object, old: Object | None, errs: Errors) -> None:
    """The rules that look at more than the spec."""
    spec = obj["spec"]
    validate_status_update(obj, errs)
    stored = (obj.get("status") or {}).get("storedVersions")
    _validate_stored(stored, spec.get("versions") or [], "status.storedVersions", errs)
    validate_approval(obj, old, errs)
    if spec.get("preserveUnknownFields") and not (old and old["spec"].get("preserveUnknownFields")):
        why = (
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema"
            " instead"
        )
        errs.invalid("spec.preserveUnknownFields", True, why)


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


def warnings(obj: Object, old: Object | None) -> list[str]:
    """Warnings about unknown formats that the update adds."""
    before = set(_unknown_formats(old["spec"])) if old is not None else set()
    new = [form for form in _unknown_formats(obj["spec"]) if form not in before]
    return [f"unrecognized format {quote(form)}" for form in new]


def _unknown_formats(spec: Object) -> list[str]:
    nodes = [node for schema in Internal.of(spec).schemas() for node in walk(schema) if node.get("format")]
    return [node["format"] for node in nodes if not known(node.get("type") or "", node["format"])]

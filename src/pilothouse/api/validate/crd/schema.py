"""Validates schemas of definitions (ValidateCustomResourceDefinitionOpenAPISchema)."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any

from pilothouse.api.structural.paths import Trail
from pilothouse.api.structural.schema import TYPE_META
from pilothouse.api.validate.crd.defaults import validate_defaults
from pilothouse.api.validate.crd.go_schema import go_schema, validate_root_of_status
from pilothouse.api.validate.crd.rules import validate_rule_members, validate_rules
from pilothouse.api.validate.crd.structural import unsupported, validate_structural, with_unsupported
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values.fields import Errors, Object
from pilothouse.api.values.turns import sorted_members
from pilothouse.process.frozen import frozen

TYPES = ("array", "boolean", "integer", "number", "object", "string")


@frozen
class Options:
    """Rules that an update need not fulfil because the stored definition breaks them too."""

    require_structural: bool = True
    require_types: bool = True
    require_schema: bool = True
    require_pruned: bool = True
    require_atomic_sets: bool = True
    require_map_keys: bool = True
    stored: Sequence[Object] = ()
    """The schemas that are stored: what the rules of one that comes again may cost was accepted before."""


@frozen
class _Place:
    """Context of the current node in the schema."""

    options: Options
    no_defaults: str = ""
    inside_meta: bool = False
    unsupported: AbstractSet[int] = frozenset()
    """IDs of the nodes that cannot be checked as structural schemas."""


rules = Rules(
    __name__,
    no_default=lambda s, path, errs, place: errs.forbidden(
        f"{path}.default", f"must not be set {place.no_defaults}"
    ),
)


@rules
def _no_list_of_items(s: Object, path: Trail, errs: Errors) -> None:
    if isinstance(s.get("items"), list):
        errs.forbidden(f"{path}.items", "items must be a schema object and not an array")


@rules
def _list_map(s: Object, path: Trail, errs: Errors) -> None:
    where = path.below(".x-kubernetes-list-map-keys")
    items, keys = s.get("items"), s.get("x-kubernetes-list-map-keys") or []
    if not keys:
        errs.required(str(where), "must not be empty if x-kubernetes-list-type is map")
    if items is None:
        errs.required(f"{path}.items", "must have a schema if x-kubernetes-list-type is map")
        return
    if not isinstance(items, dict):
        why = "must only have a single schema if x-kubernetes-list-type is map"
        errs.invalid(f"{path}.items", go_schema({"items": items})["Items"], why)
        return
    if items.get("type") != "object":
        why = "must be object if parent array's x-kubernetes-list-type is map"
        errs.invalid(f"{path}.items.type", items.get("type") or "", why)
        return
    seen: set[str] = set()
    for name in keys:
        member = (items.get("properties") or {}).get(name)
        if member is None:
            errs.invalid(str(where), keys, "entries must all be names of item properties")
        elif member.get("type") in ("array", "object"):
            why = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            errs.invalid(f"{path}.items.properties[{name}].type", "object", why)
        if name in seen:
            errs.invalid(str(where), keys, "must not contain duplicate entries")
        seen.add(name)


@rules
def atomic_set(s: Object, path: Trail, errs: Errors) -> None:
    """Check that items of a set are atomic."""
    items = s.get("items")
    if s.get("x-kubernetes-list-type") != "set" or not isinstance(items, dict):
        return
    why = "must be atomic as item of a list with x-kubernetes-list-type=set"
    list_type = items.get("x-kubernetes-list-type")
    if items.get("type") == "array" and list_type not in (None, "atomic"):
        errs.invalid(f"{path}.items.x-kubernetes-list-type", list_type, why)
    if items.get("type") == "object" and items.get("x-kubernetes-map-type") != "atomic":
        errs.invalid(f"{path}.items.x-kubernetes-map-type", list_type, why)


@rules
def map_list_keys(s: Object, path: Trail, errs: Errors) -> None:
    """Check that items of sets and maps are not nullable, and keys of maps are required or have defaults."""
    items, list_type = s.get("items"), s.get("x-kubernetes-list-type")
    if not isinstance(items, dict) or list_type not in ("set", "map"):
        return
    if items.get("nullable"):
        why = f"cannot be nullable when x-kubernetes-list-type is {list_type}"
        errs.forbidden(f"{path}.items.nullable", why)
    if list_type != "map":
        return
    required = frozenset(items.get("required") or ())
    for name in s.get("x-kubernetes-list-map-keys") or ():
        member = (items.get("properties") or {}).get(name)
        if member is None:
            continue
        where = path.below(f".items.properties[{name}]")
        about = "this property is in x-kubernetes-list-map-keys, so it"
        if name not in required and member.get("default") is None:
            errs.required(f"{where}.default", f"{about} must have a default or be a required property")
        if member.get("nullable"):
            errs.forbidden(f"{where}.nullable", f"{about} cannot be nullable")


_node = rules.table("apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps")(f"""
    if $options.require_types
      type+                             {"|".join(TYPES)}
    if default given and $no_defaults
      @no-default
    id-                                 : id is not supported
    additionalItems-?                   : additionalItems is not supported
    patternProperties-                  : patternProperties is not supported
    definitions-                        : definitions is not supported
    dependencies-                       : dependencies is not supported
    $ref-?                              : $ref is not supported
    if type == null
      forbidden                         at:type : type cannot be set to null, use nullable as an alternative
    @no-list-of-items
    if $inside_meta
      x-kubernetes-embedded-resource-   : must not be used inside of resource meta
    uniqueItems-                        : uniqueItems cannot be set to true since the runtime complexity becomes quadratic
""")
_extensions = rules.table("apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps")("""
    if x-kubernetes-preserve-unknown-fields given and not x-kubernetes-preserve-unknown-fields
      x-kubernetes-preserve-unknown-fields never : must be true or undefined
    if x-kubernetes-map-type given
      if not type
        required                        at:type : must be object if x-kubernetes-map-type is specified
      elif type != object
        type                            never : must be object if x-kubernetes-map-type is specified
      x-kubernetes-map-type             atomic|granular
    if x-kubernetes-list-type given
      if not type
        required                        at:type : must be array if x-kubernetes-list-type is specified
      elif type != array
        type                            never : must be array if x-kubernetes-list-type is specified
      elif $require_atomic_sets
        @atomic-set
      x-kubernetes-list-type            atomic|set|map
    if x-kubernetes-list-map-keys
      x-kubernetes-list-type*           : must be map if x-kubernetes-list-map-keys is non-empty
      if x-kubernetes-list-type given and x-kubernetes-list-type != map
        x-kubernetes-list-type          never : must be map if x-kubernetes-list-map-keys is non-empty
    if x-kubernetes-list-type == map
      @list-map
    if $require_map_keys
      @map-list-keys
""")


def validate_schema(schema: Object | None, status: bool, path: str, options: Options, errs: Errors) -> None:
    """Validates the `schema` of a version or of all; with `status`, its root may have certain fields only."""
    if schema is None or schema.get("openAPIV3Schema") is None:
        return
    declared = schema["openAPIV3Schema"]
    path = f"{path}.openAPIV3Schema"
    found = Errors()
    if status:
        validate_root_of_status(declared, path, found)
    if declared.get("nullable"):
        found.forbidden(f"{path}.nullable", "nullable cannot be true at the root")
    late = ""
    structural = False
    if options.require_structural:
        late = unsupported(declared)
        if not late:
            count = len(found)
            validate_structural(declared, path, found)
            if len(found) == count:
                validate_defaults(declared, path, found, require_pruned=options.require_pruned)
            structural = len(found) == count
    openapi = Errors()
    place = _Place(options, unsupported=with_unsupported(declared))
    _validate(declared, Trail(path), place, openapi, root=True)
    found.extend(openapi)
    if late and not found:
        found.invalid(path, "", late)
    if structural and not openapi:
        validate_rules(declared, path, found, unchanged=declared in options.stored)
    errs.extend(found)


def _validate(s: Object, path: Trail, place: _Place, errs: Errors, *, root: bool = False) -> None:
    _node(s, path, errs, place)
    _members(s, path, place, root, errs)
    if isinstance(s.get("not"), dict):
        _validate(s["not"], path.below(".not"), place, errs)
    for name in ("allOf", "oneOf", "anyOf"):
        for i, one in enumerate(s.get(name) or ()):
            _validate(one, path.below(f".{name}[{i}]"), place, errs)
    for name, one in sorted_members(s.get("definitions") or {}).items():
        _validate(one, path.below(f".definitions[{name}]"), place, errs)
    items = s.get("items")
    if isinstance(items, dict):
        _validate(items, path.below(".items"), place, errs)
    elif isinstance(items, list):
        for i, one in enumerate(items):
            _validate(one, path.below(f".items[{i}]"), place, errs)
    for name, one in sorted_members(s.get("dependencies") or {}).items():
        if isinstance(one, dict):
            _validate(one, path.below(f".dependencies[{name}]"), place, errs)
    _extensions(s, path, errs, place.options)
    for i, rule in enumerate(s.get("x-kubernetes-validations") or ()):
        validate_rule_members(s, rule, path.below(f".x-kubernetes-validations[{i}]"), errs, place.unsupported)


def _members(s: Object, path: Trail, place: _Place, root: bool, errs: Errors) -> None:
    properties, additional = s.get("properties") or {}, s.get("additionalProperties")
    if additional is not None:
        if properties and additional is not True:
            why = "additionalProperties and properties are mutual exclusive"
            errs.forbidden(f"{path}.additionalProperties", why)
        if isinstance(additional, dict):
            below = place
            if place.inside_meta:
                below = replace(place, no_defaults="inside additionalProperties applying to object metadata")
            _validate(additional, path.below(".additionalProperties"), below, errs)
    for name, member in sorted_members(properties).items():
        below = place
        if name in TYPE_META and (root or s.get("x-kubernetes-embedded-resource")):
            below = replace(below, inside_meta=True)
            if root:
                below = replace(below, no_defaults=f"in top-level {name}")
        _validate(member, path.below(f".properties[{name}]"), below, errs)


def walk(declared: Any) -> Iterator[Object]:
    """Yield a schema and all schemas below it, in upstream's order."""
    waiting = [declared]
    while waiting:
        one = waiting.pop()
        if not isinstance(one, dict):
            continue
        yield one
        below = [one.get("items")]
        for name in ("allOf", "anyOf", "oneOf"):
            below += one.get(name) or ()
        below.append(one.get("not"))
        below += [member for _, member in sorted_members(one.get("properties") or {}).items()]
        below.append(one.get("additionalProperties"))
        waiting += reversed(below)


def structural_faults(declared: Object) -> bool:
    """Whether a stored schema is not structural."""
    found = Errors()
    if unsupported(declared):
        return True
    validate_structural(declared, "", found)
    return bool(found)

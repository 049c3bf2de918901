"""Checks that a schema is structural, with upstream's errors (apiserver/schema/validation.go).

Causes are sorted by their complete text.
"""

from typing import Any, NamedTuple

from pilothouse.api.structural.paths import Trail
from pilothouse.api.structural.patterns import compile_pattern
from pilothouse.api.validate.tables.rules import Rules
from pilothouse.api.values.fields import Errors, Object


class _Level(NamedTuple):
    """The place of a schema, and the message if it has no type there."""

    root: bool
    no_type: str


ROOT = _Level(True, "must not be empty at the root")
ITEM = _Level(False, "must not be empty for specified array items")
FIELD = _Level(False, "must not be empty for specified object fields")
_INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]

# Fields that schemas below a junctor (allOf, anyOf, oneOf, not) must not set: name and message.
_FORBIDDEN = (
    ("type", "must be empty to be structural"),
    ("additionalProperties", "must be undefined to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
    ("x-kubernetes-embedded-resource", "must be false to be structural"),
    ("x-kubernetes-int-or-string", "must be false to be structural"),
    ("x-kubernetes-list-map-keys", "must be empty to be structural"),
    ("x-kubernetes-list-type", "must be undefined to be structural"),
    ("x-kubernetes-map-type", "must be undefined to be structural"),
    ("x-kubernetes-validations", "must be empty to be structural"),
)


def unsupported(declared: Object) -> str:
    """Why a schema cannot be converted to a structural one; "" if it can (structural NewStructural)."""
    why = _unsupported_here(declared)
    if not why:
        for below in below_all(declared):
            why = unsupported(below)
            if why:
                break
    return why


def _unsupported_here(declared: Object) -> str:
    for name in _UNSUPPORTED:
        if declared.get(name):
            return f"OpenAPIV3Schema '{'schema' if name == '$schema' else name}' is not supported"
    if declared.get("x-kubernetes-preserve-unknown-fields") is False:
        return "internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined"
    if isinstance(declared.get("items"), list):
        return "OpenAPIV3Schema 'items' must be a schema, but is an array"
    return ""


_UNSUPPORTED = (
    "id",
    "$schema",
    "$ref",
    "patternProperties",
    "dependencies",
    "additionalItems",
    "definitions",
)


def with_unsupported(declared: Object) -> set[int]:
    """IDs of the schemas that have such an error at or below them."""
    out: set[int] = set()
    _mark_unsupported(declared, out)
    return out


def _mark_unsupported(declared: Object, out: set[int]) -> bool:
    found = bool(_unsupported_here(declared))
    for below in below_all(declared):
        found = _mark_unsupported(below, out) or found
    if found:
        out.add(id(declared))
    return found


def below_all(declared: Object) -> list[Object]:
    """All schemas directly below one, including those of junctors."""
    out = [
        declared[name]
        for name in ("not", "items", "additionalProperties")
        if isinstance(declared.get(name), dict)
    ]
    for name in ("allOf", "anyOf", "oneOf"):
        out += declared.get(name) or []
    out += (declared.get("properties") or {}).values()
    return out


def validate_structural(declared: Object, path: str, errs: Errors) -> None:
    """Validates a schema for which `unsupported` returns ""."""
    found = Errors()
    trail = Trail(path)
    _invariants(declared, ROOT, trail, found)
    _completeness(declared, declared, trail, trail, found)
    found.causes.sort(key=lambda cause: f"{cause['field']}: {cause['message']}")
    errs.extend(found)


def _invariants(s: Object, level: _Level, path: Trail, errs: Errors) -> None:
    items, properties, additional = s.get("items"), s.get("properties") or {}, s.get("additionalProperties")
    if s.get("type") == "array" and items is None:
        errs.required(f"{path}.items", "must be specified")
    if items is not None:
        _invariants(items, ITEM, path.below(".items"), errs)
    for name, member in properties.items():
        _invariants(member, FIELD, path.below(f".properties[{name}]"), errs)
    if additional is not None:
        if level.root:
            errs.forbidden(f"{path}.additionalProperties", "must not be used at the root")
        if isinstance(additional, dict):
            _invariants(additional, FIELD, path.below(".additionalProperties"), errs)
    any_of, all_of = s.get("anyOf"), s.get("allOf") or []
    skip_all = bool(all_of) and all_of[0].get("anyOf") == _INT_OR_STRING
    _value_validation(s, any_of == _INT_OR_STRING, skip_all, path, errs)
    _members(s, path, errs, level)


rules = Rules(__name__, no_type=lambda s, path, errs, level: errs.required(f"{path}.type", level.no_type))
_members = rules.table("apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps")("""
    if x-kubernetes-int-or-string
      x-kubernetes-preserve-unknown-fields+ never : must be false if x-kubernetes-int-or-string is true
      x-kubernetes-embedded-resource+   never : must be false if x-kubernetes-int-or-string is true
    if x-kubernetes-embedded-resource and type != object
      if type
        type                            never : must be object if x-kubernetes-embedded-resource is true
      else
        required                        at:type : must be object if x-kubernetes-embedded-resource is true
    elif not type and not x-kubernetes-int-or-string and not x-kubernetes-preserve-unknown-fields
      @no-type
    if x-kubernetes-embedded-resource
      additionalProperties-?            : must not be used if x-kubernetes-embedded-resource is set
    if $root and type and type != object
      type                              never : must be object at the root
    @type-meta
    if x-kubernetes-embedded-resource and not x-kubernetes-preserve-unknown-fields and not properties
      required at:properties : must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields
""")
"""Causes are sorted in the end, so that their order counts only where two have the same text."""


@rules
def _type_meta(s: Object, path: Trail, errs: Errors, level: _Level) -> None:
    properties = s.get("properties") or {}
    if level.root or s.get("x-kubernetes-embedded-resource"):
        for name, kind in (("kind", "string"), ("apiVersion", "string"), ("metadata", "object")):
            if name in properties and properties[name].get("type") != kind:
                found = properties[name].get("type") or ""
                errs.invalid(f"{path}.properties[{name}].type", found, f"must be {kind}")
    metadata = properties.get("metadata")
    if not level.root or metadata is None:
        return
    more = set(metadata) - {"type", "default", "properties"}
    if more or set(metadata.get("properties") or ()) - {"name", "generateName"}:
        why = (
            "must not specify anything other than name and generateName, but metadata is implicitly specified"
        )
        errs.forbidden(f"{path}.properties[metadata]", why)


def _value_validation(s: Object, skip_any: bool, skip_all: bool, path: Trail, errs: Errors) -> None:
    if not skip_any:
        for i, one in enumerate(s.get("anyOf") or ()):
            _nested(one, False, path.below(f".anyOf[{i}]"), errs)
    for i, one in enumerate(s.get("allOf") or ()):
        _nested(one, skip_all and i == 0, path.below(f".allOf[{i}]"), errs)
    for i, one in enumerate(s.get("oneOf") or ()):
        _nested(one, False, path.below(f".oneOf[{i}]"), errs)
    if isinstance(s.get("not"), dict):
        _nested(s["not"], False, path.below(".not"), errs)
    pattern = s.get("pattern")
    if pattern:
        try:
            compile_pattern(pattern)
        except ValueError as err:
            errs.invalid(f"{path}.pattern", pattern, f"must be a valid regular expression, but isn't: {err}")


def _nested(v: Object, skip_any: bool, path: Trail, errs: Errors) -> None:
    _value_validation(v, skip_any, False, path, errs)
    if isinstance(v.get("items"), dict):
        _nested(v["items"], False, path.below(".items"), errs)
    properties = v.get("properties") or {}
    for name, member in properties.items():
        _nested(member, False, path.below(f".properties[{name}]"), errs)
    for name, why in _FORBIDDEN:
        value = v.get(name)
        if (
            value
            or (name == "additionalProperties" and isinstance(value, dict))
            or (name == "default" and value is not None)
        ):
            errs.forbidden(f"{path}.{name}", why)
    if "metadata" in properties:
        errs.forbidden(f"{path}.properties[metadata]", "must not be specified in a nested context")


def _completeness(v: Object, s: Object | None, s_path: Trail, v_path: Trail, errs: Errors) -> None:
    """Check that fields in junctors are also declared outside of them."""
    if isinstance(v.get("not"), dict):
        _nested_completeness(v["not"], s, s_path, v_path.below(".not"), errs)
    for name in ("allOf", "anyOf", "oneOf"):
        for i, one in enumerate(v.get(name) or ()):
            _nested_completeness(one, s, s_path, v_path.below(f".{name}[{i}]"), errs)


def _nested_completeness(v: Object, s: Any, s_path: Trail, v_path: Trail, errs: Errors) -> None:
    if s is None:
        errs.required(str(s_path), f"because it is defined in {v_path}")
        return
    _completeness(v, s, s_path, v_path, errs)
    if isinstance(v.get("items"), dict):
        _nested_completeness(v["items"], s.get("items"), s_path.below(".items"), v_path.below(".items"), errs)
    declared = s.get("properties") or {}
    for name, member in (v.get("properties") or {}).items():
        inner = v_path.below(f".properties[{name}]")
        if name not in declared:
            errs.required(f"{s_path}.properties[{name}]", f"because it is defined in {inner}")
        else:
            _nested_completeness(member, declared[name], s_path.below(f".properties[{name}]"), inner, errs)

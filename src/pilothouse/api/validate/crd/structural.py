"""Checks that a schema is structural, with upstream's errors (apiserver/schema/validation.go).

Causes are sorted by their complete text.
"""

from typing import Any

from pilothouse.api.fields import Errors, Object
from pilothouse.api.structural.paths import Trail
from pilothouse.api.structural.patterns import compile_pattern

ROOT, ITEM, FIELD = "root", "array item", "object field"
_EMPTY_TYPE = {
    ROOT: "must not be empty at the root",
    ITEM: "must not be empty for specified array items",
    FIELD: "must not be empty for specified object fields",
}
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
    for name, text in _UNSUPPORTED:
        if declared.get(name):
            return f"OpenAPIV3Schema '{text}' is not supported"
    if declared.get("x-kubernetes-preserve-unknown-fields") is False:
        return "internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined"
    if isinstance(declared.get("items"), list):
        return "OpenAPIV3Schema 'items' must be a schema, but is an array"
    return ""


_UNSUPPORTED = (
    ("id", "id"),
    ("$schema", "schema"),
    ("$ref", "$ref"),
    ("patternProperties", "patternProperties"),
    ("dependencies", "dependencies"),
    ("additionalItems", "additionalItems"),
    ("definitions", "definitions"),
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


def _invariants(s: Object, level: str, path: Trail, errs: Errors) -> None:
    kind = s.get("type") or ""
    items, properties, additional = s.get("items"), s.get("properties") or {}, s.get("additionalProperties")
    if kind == "array" and items is None:
        errs.required(f"{path}.items", "must be specified")
    if items is not None:
        _invariants(items, ITEM, path.below(".items"), errs)
    for name, member in properties.items():
        _invariants(member, FIELD, path.below(f".properties[{name}]"), errs)
    if additional is not None:
        if level == ROOT:
            errs.forbidden(f"{path}.additionalProperties", "must not be used at the root")
        if isinstance(additional, dict):
            _invariants(additional, FIELD, path.below(".additionalProperties"), errs)
    _extensions(s, path, errs)
    any_of, all_of = s.get("anyOf"), s.get("allOf") or []
    skip_all = bool(all_of) and all_of[0].get("anyOf") == _INT_OR_STRING
    _value_validation(s, any_of == _INT_OR_STRING, skip_all, path, errs)
    embedded = bool(s.get("x-kubernetes-embedded-resource"))
    _kind_of_type(s, kind, level, embedded, path, errs)
    _type_meta(properties, level, level == ROOT or embedded, path, errs)
    if embedded and not s.get("x-kubernetes-preserve-unknown-fields") and not properties:
        errs.required(
            f"{path}.properties",
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
        )


def _extensions(s: Object, path: Trail, errs: Errors) -> None:
    if s.get("x-kubernetes-int-or-string"):
        for name in ("x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"):
            if s.get(name):
                errs.invalid(f"{path}.{name}", True, "must be false if x-kubernetes-int-or-string is true")


def _kind_of_type(s: Object, kind: str, level: str, embedded: bool, path: Trail, errs: Errors) -> None:
    if embedded and kind != "object":
        why = "must be object if x-kubernetes-embedded-resource is true"
        if kind:
            errs.invalid(f"{path}.type", kind, why)
        else:
            errs.required(f"{path}.type", why)
    elif (
        not kind
        and not s.get("x-kubernetes-int-or-string")
        and not s.get("x-kubernetes-preserve-unknown-fields")
    ):
        errs.required(f"{path}.type", _EMPTY_TYPE[level])
    if embedded and s.get("additionalProperties") is not None:
        errs.forbidden(
            f"{path}.additionalProperties", "must not be used if x-kubernetes-embedded-resource is set"
        )
    if level == ROOT and kind and kind != "object":
        errs.invalid(f"{path}.type", kind, "must be object at the root")


def _type_meta(properties: Object, level: str, checked: bool, path: Trail, errs: Errors) -> None:
    for name in ("kind", "apiVersion"):
        if name in properties and checked and properties[name].get("type") != "string":
            errs.invalid(
                f"{path}.properties[{name}].type", properties[name].get("type") or "", "must be string"
            )
    if "metadata" not in properties:
        return
    metadata = properties["metadata"]
    where = path.below(".properties[metadata]")
    if checked and metadata.get("type") != "object":
        errs.invalid(f"{where}.type", metadata.get("type") or "", "must be object")
    if level == ROOT:
        more = set(metadata) - {"type", "default", "properties"}
        if more or set(metadata.get("properties") or ()) - {"name", "generateName"}:
            errs.forbidden(
                str(where),
                "must not specify anything other than name and generateName, but metadata is implicitly specified",
            )


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

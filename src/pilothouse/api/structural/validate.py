"""Validates values against an OpenAPI schema, with upstream's errors in its order (kube-openapi
pkg/validation/validate).

Errors about parts that an update does not change are dropped (ratcheting).
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from pilothouse import gotext
from pilothouse.api.structural.correlation import Correlation
from pilothouse.api.structural.formats import FORMATS, known, normalise
from pilothouse.api.structural.paths import Path, item, member
from pilothouse.api.structural.patterns import TooLong, compile_pattern, matches
from pilothouse.api.structural.problems import SchemaProblem, SchemaResult, report
from pilothouse.api.values.equality import identity, same
from pilothouse.api.values.fields import Errors, Object

__all__ = ["Correlation", "Validator", "compile_pattern", "report", "same", "validate"]

_EXACT_FLOAT = 2**53 - 1
_RELATIVE = 1e-9
_NONE: Mapping[str, Any] = {}


class Validator:
    """The checks for one node of an OpenAPI schema, including nested alternatives."""

    __slots__ = (
        "additional",
        "all_of",
        "allowed",
        "any_of",
        "enum",
        "enum_text",
        "exclusive_maximum",
        "exclusive_minimum",
        "format",
        "has_composites",
        "items",
        "max_items",
        "max_length",
        "max_properties",
        "maximum",
        "min_items",
        "min_length",
        "min_properties",
        "minimum",
        "multiple_of",
        "negated",
        "nullable",
        "one_of",
        "pattern",
        "properties",
        "required",
        "types",
        "unique",
    )

    def __init__(self, declared: Object) -> None:
        get = declared.get
        kind = get("type") or ""
        self.types: tuple[str, ...] = (kind,) if kind else ()
        if get("x-kubernetes-int-or-string"):
            self.types, kind = ("integer", "string"), ""
        form = get("format") or ""
        self.format: str = form if form and known(kind, form) else ""
        self.nullable = bool(get("nullable"))
        self.max_length, self.min_length = get("maxLength"), get("minLength")
        self.pattern: str = get("pattern") or ""
        self.multiple_of, self.maximum, self.minimum = get("multipleOf"), get("maximum"), get("minimum")
        self.exclusive_maximum = bool(get("exclusiveMaximum"))
        self.exclusive_minimum = bool(get("exclusiveMinimum"))
        self.max_items, self.min_items, self.unique = (
            get("maxItems"),
            get("minItems"),
            bool(get("uniqueItems")),
        )
        self.max_properties, self.min_properties = get("maxProperties"), get("minProperties")
        self.required: Sequence[str] = get("required") or ()
        self.enum: Sequence[Any] = get("enum") or ()
        self.enum_text: str | None = None
        self.allowed: frozenset[Hashable] | None = None
        self.has_composites = False
        self.any_of, self.one_of, self.all_of = _all(get("anyOf")), _all(get("oneOf")), _all(get("allOf"))
        negated, items, additional = get("not"), get("items"), get("additionalProperties")
        self.negated = Validator(negated) if isinstance(negated, dict) else None
        self.items = Validator(items) if isinstance(items, dict) else None
        self.additional: Validator | bool | None = (
            Validator(additional) if isinstance(additional, dict) else additional
        )
        self.properties: Mapping[str, Validator] = _NONE
        if properties := get("properties"):
            self.properties = {name: Validator(properties[name]) for name in sorted(properties)}

    def check(self, value: Any, path: Path, correlation: Correlation | None = None) -> SchemaResult:
        """Validate a value; errors about parts that the update does not change are left out."""
        result = self._check(value, path, correlation)
        if result.problems and correlation is not None and correlation.equal():
            result.problems.clear()
        return result

    def _check(self, value: Any, path: Path, correlation: Correlation | None) -> SchemaResult:
        out = SchemaResult()
        if value is None:
            if self.types and not self.nullable:
                out.add(_type_problem(path, ",".join(self.types), "null"))
            else:
                out.count += 1
            if self.enum:
                out.add(self._not_one(None, path))
            return out
        if self.types or self.format:
            self._type(value, path, out)
            out.count += 1
        if self.any_of or self.one_of or self.all_of or self.negated is not None:
            out.merge(self._junctors(value, path, correlation))
        out.count += 2
        if isinstance(value, str):
            self._string(value, path, out)
            out.count += 1
            if self.format and (test := FORMATS.get(normalise(self.format))) is not None:
                if not test(value):
                    words = "{path} in body must be of type {0}: {value}"
                    out.add(SchemaProblem(path, words, (self.format,), "type", value))
                out.count += 1
        elif isinstance(value, list):
            self._list(value, path, correlation, out)
            out.count += 2
        elif isinstance(value, int | float) and not isinstance(value, bool):
            self._number(value, path, out)
            out.count += 2
        if self.enum and not self._is_one(value):
            out.add(self._not_one(value, path))
        out.count += 1
        if isinstance(value, dict):
            self._object(value, path, correlation, out)
            out.count += 1
        out.count += 1
        return out

    def _type(self, value: Any, path: Path, out: SchemaResult) -> None:
        kind, form = _kind(value)
        types = self.types
        fits = (
            kind in types
            or (kind == "number" and "integer" in types and is_whole(value))
            or (kind == "integer" and "number" in types)
        )
        textual = kind in ("string", "array")
        if self.format and not textual and not fits and form != self.format:
            out.add(_type_problem(path, self.format, form))
        elif self.format and textual and "number" not in types and "integer" not in types:
            out.count += 1
        elif not fits:
            out.add(_type_problem(path, ",".join(types), kind))
        else:
            out.count += 1

    def _junctors(self, value: Any, path: Path, correlation: Correlation | None) -> SchemaResult:
        out = SchemaResult()
        if self.any_of:
            best = None
            for one in self.any_of:
                result = one._check(value, path, correlation)
                if not result.problems:
                    best = result
                    break
                if best is None or result.count > best.count:
                    best = result
            assert best is not None
            if best.problems:
                out.add(SchemaProblem(path, "{quoted} must validate at least one schema (anyOf)"))
            out.merge(best)
        if self.one_of:
            self._one_of(value, path, correlation, out)
        if self.all_of:
            passed = 0
            for one in self.all_of:
                result = one._check(value, path, correlation)
                passed += not result.problems
                out.merge(result)
            if passed != len(self.all_of):
                more = "" if passed else ". None validated"
                out.add(SchemaProblem(path, "{quoted} must validate all the schemas (allOf){0}", (more,)))
        if self.negated is not None and not self.negated._check(value, path, correlation).problems:
            out.add(SchemaProblem(path, "{quoted} must not validate the schema (not)"))
        return out

    def _one_of(self, value: Any, path: Path, correlation: Correlation | None, out: SchemaResult) -> None:
        passed = 0
        best: SchemaResult | None = None
        first: SchemaResult | None = None
        for one in self.one_of:
            result = one._check(value, path, correlation)
            if not result.problems:
                passed += 1
                best = None
                first = first or result
            elif not passed and (best is None or result.count > best.count):
                best = result
        if passed == 1 and first is not None:
            out.merge(first)
            return
        found = f"Found {passed} valid alternatives" if passed else "Found none valid"
        out.add(SchemaProblem(path, "{quoted} must validate one and only one schema (oneOf). {0}", (found,)))
        if best is not None:
            out.merge(best)

    def _string(self, value: str, path: Path, out: SchemaResult) -> None:
        if self.max_length is not None and len(value) > self.max_length:
            words, limit = "{path} in body should be at most {0} chars long", self.max_length
            out.add(SchemaProblem(path, words, (str(limit),), "too long", value, limit))
        elif self.min_length is not None and len(value) < self.min_length:
            words = "{path} in body should be at least {0} chars long"
            out.add(SchemaProblem(path, words, (str(self.min_length),), "invalid", value))
        elif self.pattern:
            try:
                if not matches(self.pattern, value):
                    words = "{path} in body should match '{0}'"
                    out.add(SchemaProblem(path, words, (self.pattern,), "invalid", value))
            except TooLong as err:
                out.add(SchemaProblem(path, "{path} in body is {0}", (str(err),), "invalid", len(value)))

    def _number(self, value: Any, path: Path, out: SchemaResult) -> None:
        kind = self.types[0] if len(self.types) == 1 and self.types[0] in ("integer", "number") else ""
        self._range(value, kind, "Checked", path, out)
        checks = (
            (self.multiple_of, "MultipleOf", _multiple_of, False),
            (self.minimum, "Minimum boundary", _minimum, self.exclusive_minimum),
            (self.maximum, "Maximum boundary", _maximum, self.exclusive_maximum),
        )
        for bound, prefix, check, exclusive in checks:
            if bound is None:
                continue
            native = self._range(float(bound), kind, prefix, path, out)
            if not native:
                check(float(value), float(bound), exclusive, path, out)
            elif isinstance(value, int):
                check(value, int(bound), exclusive, path, out)
            else:
                check(value, float(bound), exclusive, path, out)

    def _range(self, value: Any, kind: str, prefix: str, path: Path, out: SchemaResult) -> bool:
        """Whether a number fits the declared type and format."""
        form = self.format if self.format in ("int32", "int64", "float", "double") and kind else ""
        if kind == "integer":
            limit = 2**31 if form == "int32" else 2**63
            fits = float(value).is_integer() and -limit <= int(value) < limit
        else:
            fits = form != "float" or abs(value) <= _FLOAT32_MAX
        if not fits:
            of = f"{kind} with format {form}" if form else f"{kind} (default format)"
            out.add(SchemaProblem(path, "{0} value must be of type {1} in {path}", (prefix, of)))
        return fits

    def _list(self, value: list[Any], path: Path, correlation: Correlation | None, out: SchemaResult) -> None:
        if self.items is not None:
            for i, one in enumerate(value):
                below = correlation.index(i) if correlation is not None else None
                out.merge(self.items.check(one, item(path, i), below))
        size = len(value)
        if self.min_items is not None and size < self.min_items:
            words = "{path} in body should have at least {0} items"
            out.add(SchemaProblem(path, words, (str(self.min_items),), "invalid", size))
        if self.max_items is not None and size > self.max_items:
            words, limit = "{path} in body should have at most {0} items", self.max_items
            out.add(SchemaProblem(path, words, (str(limit),), "too many", size, limit))
        if self.unique and len(set(map(identity, value))) < size:
            out.add(SchemaProblem(path, "{path} in body shouldn't contain duplicates", (), "invalid"))

    def _object(self, value: Object, path: Path, correlation: Correlation | None, out: SchemaResult) -> None:
        size = len(value)
        if self.min_properties is not None and size < self.min_properties:
            words = "{path} in body should have at least {0} properties"
            out.add(SchemaProblem(path, words, (str(self.min_properties),), "invalid", size))
        if self.max_properties is not None and size > self.max_properties:
            words, limit = "{path} in body should have at most {0} properties", self.max_properties
            out.add(SchemaProblem(path, words, (str(limit),), "too many", size, limit))
        if self.additional is False:
            for name in sorted(value.keys() - self.properties.keys()):
                words = "{path}.{0} in body is a forbidden property"
                out.add(SchemaProblem(path, words, (name,), "invalid", name))
        elif isinstance(self.additional, Validator):
            for name in sorted(value.keys() - self.properties.keys()):
                inner = (path, ".", name, "")
                out.merge(self.additional.check(value[name], inner, _below(correlation, path, name)))
        for name in self._known(value):
            below = _below(correlation, path, name)
            out.merge(self.properties[name].check(value[name], member(path, name), below))
        for name in self.required:
            if name not in value:
                inner = (path, ".", name, "")
                out.add(SchemaProblem(inner, "{path} in body is required", (), "required"))

    def _known(self, value: Object) -> list[str]:
        """The members that have a schema, sorted; iterates over the smaller of schema and value."""
        if len(value) < len(self.properties):
            return sorted([name for name in value if name in self.properties])
        return [name for name in self.properties if name in value]

    # Enums

    def _is_one(self, value: Any) -> bool:
        """Whether a value is in the enum; a number is first converted to the enum's type of numbers."""
        if self.allowed is None:
            self.allowed = frozenset(identity(one) for one in self.enum if one is not None)
            self.has_composites = any(isinstance(one, dict | list) for one in self.enum)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return (float, float(value)) in self.allowed or (
                math.isfinite(value) and int(value) in self.allowed
            )
        if isinstance(value, dict | list) and not self.has_composites:
            return False
        return identity(value) in self.allowed

    def _not_one(self, value: Any, path: Path) -> SchemaProblem:
        if self.enum_text is None:
            self.enum_text = str(self.enum)
        words = "{path} in body should be one of {0}"
        return SchemaProblem(path, words, (self.enum_text,), "enum", value, self.enum)


_FLOAT32_MAX = (2 - 2**-24) * 2.0**127


def _all(declared: list[Object] | None) -> "tuple[Validator, ...]":
    return tuple(map(Validator, declared)) if declared else ()


def _below(correlation: Correlation | None, path: Path, name: str) -> Correlation | None:
    if correlation is None or (path is None and name in ("apiVersion", "kind")):
        return None
    return correlation.key(name)


def _kind(value: Any) -> tuple[str, str]:
    """The JSON schema type of a value, and the format of its Go type."""
    if isinstance(value, bool):
        return "boolean", ""
    if isinstance(value, str):
        return "string", ""
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return "integer", "int64"
    if isinstance(value, (int, float)):  # Go reads a larger integer as a float
        return "number", "float64"
    return ("array", "") if isinstance(value, list) else ("object", "")


def _type_problem(path: Path, wanted: str, found: str) -> SchemaProblem:
    return SchemaProblem(path, "{path} in body must be of type {0}: {value}", (wanted,), "type", found)


def is_whole(value: float) -> bool:
    """Whether a float counts as an integer: within the exact range of floats, and nearly whole."""
    if not math.isfinite(value) or abs(value) > _EXACT_FLOAT:
        return False
    whole = float(int(value))
    if value == whole:
        return True
    if value == 0 or whole == 0:
        return False
    return abs(value - whole) / (abs(value) + abs(whole)) < _RELATIVE


def _multiple_of(value: Any, factor: Any, exclusive: bool, path: Path, out: SchemaResult) -> None:
    if factor <= 0:
        words = "factor MultipleOf declared for {path} must be positive: {0}"
        out.add(SchemaProblem(path, words, (gotext.value(factor),), "invalid", factor))
        return
    if isinstance(value, int):
        fits = value % factor == 0
    else:
        fits = is_whole(1 / factor * value if factor < 1 else value / factor)
    if not fits:
        words = "{path} in body should be a multiple of {0}"
        out.add(SchemaProblem(path, words, (gotext.value(factor),), "invalid", value))


def _maximum(value: Any, limit: Any, exclusive: bool, path: Path, out: SchemaResult) -> None:
    if value > limit or (exclusive and value == limit):
        how = "less than" if exclusive else "less than or equal to"
        words = "{path} in body should be {0} {1}"
        out.add(SchemaProblem(path, words, (how, gotext.value(limit)), "invalid", value))


def _minimum(value: Any, limit: Any, exclusive: bool, path: Path, out: SchemaResult) -> None:
    if value < limit or (exclusive and value == limit):
        how = "greater than" if exclusive else "greater than or equal to"
        words = "{path} in body should be {0} {1}"
        out.add(SchemaProblem(path, words, (how, gotext.value(limit)), "invalid", value))


def validate(
    validator: Validator, value: Any, errs: Errors, prefix: str = "", correlation: Correlation | None = None
) -> None:
    """Validate a value and add causes for its errors."""
    report(validator.check(value, None, correlation).problems.values(), prefix, errs)

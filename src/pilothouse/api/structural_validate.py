"""Values against an OpenAPI schema, with the errors of upstream in its order (kube-openapi pkg/validation/validate).

An update need not mend what it does not touch: errors of a part that is as it was are dropped (ratcheting).
"""

import math
from typing import Any, NamedTuple

import re2

from pilothouse.api.fields import Errors, Object, quote
from pilothouse.api.structural import Schema
from pilothouse.api.structural_formats import FORMATS, known, normalise

_EXACT_FLOAT = 2**53 - 1
_RELATIVE = 1e-9
_MISSING = object()


class Problem(NamedTuple):
    """One thing wrong. `what` names the sort, `name` the path, `value` and `valid` what the cause shows."""

    text: str
    what: str = "plain"
    name: str = ""
    value: Any = None
    valid: Any = None


class Result:
    """Problems, none twice, and how many checks a value passed (by which the best alternative is found)."""

    __slots__ = ("count", "problems")

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.count = 0

    def add(self, problem: Problem) -> None:
        if all(problem.text != other.text for other in self.problems):
            self.problems.append(problem)

    def merge(self, other: "Result") -> None:
        for problem in other.problems:
            self.add(problem)
        self.count += other.count


class Correlation:
    """A new value, the old one in its place, and their schema (apiserver cel/common CorrelatedObject)."""

    __slots__ = ("_children", "_equal", "_old_items", "new", "old", "schema")

    def __init__(self, new: Any, old: Any, schema: Schema) -> None:
        self.new, self.old, self.schema = new, old, schema
        self._equal: bool | None = None
        self._children: dict[str | int, Correlation] = {}
        self._old_items: dict[tuple[Any, ...], Any] | None = None

    def equal(self) -> bool:
        """Whether nothing has changed; items of lists without a type count as changed once one of them has."""
        if self._equal is None:
            self._equal = self._compare()
        return self._equal

    def _compare(self) -> bool:
        new, old = self.new, self.old
        if isinstance(new, dict) and isinstance(old, dict):
            children = [self.key(name) for name in new] if len(new) == len(old) else [None]
        elif isinstance(new, list) and isinstance(old, list) and self.schema.list_type == "map":
            children = [self.index(i) for i in range(len(new))] if len(new) == len(old) else [None]
        else:
            return same(new, old)
        return all(child is not None and child.equal() for child in children)

    def key(self, name: str) -> "Correlation | None":
        """The same for a member of both."""
        found = self._children.get(name)
        if found is not None:
            return found
        if not isinstance(self.old, dict) or not isinstance(self.new, dict):
            return None
        below = self.schema.member(name)
        if below is None or name not in self.old or name not in self.new:
            return None
        found = self._children[name] = Correlation(self.new[name], self.old[name], below)
        return found

    def index(self, i: int) -> "Correlation | None":
        """The same for an item, which only lists of type map know again."""
        found = self._children.get(i)
        if found is not None:
            return found
        items = self.schema.items
        if self.schema.list_type != "map" or items is None or not isinstance(self.old, list):
            return None
        if self._old_items is None:
            self._old_items = {}
            for item in self.old:
                self._old_items.setdefault(self._identity(item), item)
        new = self.new[i]
        old = self._old_items.get(self._identity(new)) if isinstance(new, dict) else None
        if old is None:
            return None
        found = self._children[i] = Correlation(new, old, items)
        return found

    def _identity(self, item: Any) -> tuple[Any, ...]:
        if not isinstance(item, dict):
            return (id(item),)
        return tuple(repr(item.get(key)) for key in sorted(self.schema.list_keys))


def same(a: Any, b: Any) -> bool:
    """Go's reflect.DeepEqual of decoded JSON: true is not 1, and 1 is not 1.0."""
    if isinstance(a, dict):
        return (
            isinstance(b, dict) and len(a) == len(b) and all(k in b and same(v, b[k]) for k, v in a.items())
        )
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and bool(a == b)


class Validator:
    """The checks of one node of an OpenAPI schema, nested alternatives included."""

    __slots__ = (
        "additional",
        "all_of",
        "any_of",
        "enum",
        "exclusive_maximum",
        "exclusive_minimum",
        "format",
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
        "pattern_text",
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
        self.pattern_text: str = get("pattern") or ""
        self.pattern: Any = compile_pattern(self.pattern_text) if self.pattern_text else None
        self.multiple_of, self.maximum, self.minimum = get("multipleOf"), get("maximum"), get("minimum")
        self.exclusive_maximum = bool(get("exclusiveMaximum"))
        self.exclusive_minimum = bool(get("exclusiveMinimum"))
        self.max_items, self.min_items, self.unique = (
            get("maxItems"),
            get("minItems"),
            bool(get("uniqueItems")),
        )
        self.max_properties, self.min_properties = get("maxProperties"), get("minProperties")
        self.required: list[str] = get("required") or []
        self.enum: list[Any] = get("enum") or []
        self.any_of = [Validator(one) for one in get("anyOf") or ()]
        self.one_of = [Validator(one) for one in get("oneOf") or ()]
        self.all_of = [Validator(one) for one in get("allOf") or ()]
        negated, items, additional = get("not"), get("items"), get("additionalProperties")
        self.negated = Validator(negated) if isinstance(negated, dict) else None
        self.items = Validator(items) if isinstance(items, dict) else None
        self.additional: Validator | bool | None = (
            Validator(additional) if isinstance(additional, dict) else additional
        )
        self.properties = {
            name: Validator(member) for name, member in sorted((get("properties") or {}).items())
        }

    def check(self, value: Any, path: str, correlation: Correlation | None = None) -> Result:
        """What is wrong with a value, less what an update left as it was."""
        result = self._check(value, path, correlation)
        if result.problems and correlation is not None and correlation.equal():
            result.problems.clear()
        return result

    def _check(self, value: Any, path: str, correlation: Correlation | None) -> Result:
        out = Result()
        if value is None:
            if self.types and not self.nullable:
                out.add(_type_problem(path, ",".join(self.types), "null"))
            else:
                out.count += 1
            if self.enum:
                out.add(
                    Problem(f"{path} in body should be one of {self.enum}", "enum", path, None, self.enum)
                )
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
                    text = f"{path} in body must be of type {self.format}: {quote(value)}"
                    out.add(Problem(text, "type", path, value))
                out.count += 1
        elif isinstance(value, list):
            self._list(value, path, correlation, out)
            out.count += 2
        elif isinstance(value, int | float) and not isinstance(value, bool):
            self._number(value, path, out)
            out.count += 2
        if self.enum and not any(_matches(value, one) for one in self.enum):
            out.add(Problem(f"{path} in body should be one of {self.enum}", "enum", path, value, self.enum))
        out.count += 1
        if isinstance(value, dict):
            self._object(value, path, correlation, out)
            out.count += 1
        out.count += 1
        return out

    def _type(self, value: Any, path: str, out: Result) -> None:
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

    def _junctors(self, value: Any, path: str, correlation: Correlation | None) -> Result:
        out = Result()
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
                out.add(Problem(f"{quote(path)} must validate at least one schema (anyOf)"))
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
                out.add(Problem(f"{quote(path)} must validate all the schemas (allOf){more}"))
        if self.negated is not None and not self.negated._check(value, path, correlation).problems:
            out.add(Problem(f"{quote(path)} must not validate the schema (not)"))
        return out

    def _one_of(self, value: Any, path: str, correlation: Correlation | None, out: Result) -> None:
        passed = 0
        best: Result | None = None
        first: Result | None = None
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
        out.add(Problem(f"{quote(path)} must validate one and only one schema (oneOf). {found}"))
        if best is not None:
            out.merge(best)

    def _string(self, value: str, path: str, out: Result) -> None:
        if self.max_length is not None and len(value) > self.max_length:
            text = f"{path} in body should be at most {self.max_length} chars long"
            out.add(Problem(text, "too long", path, value, self.max_length))
        elif self.min_length is not None and len(value) < self.min_length:
            out.add(
                Problem(
                    f"{path} in body should be at least {self.min_length} chars long", "invalid", path, value
                )
            )
        elif self.pattern is not None and self.pattern.search(value) is None:
            out.add(Problem(f"{path} in body should match '{self.pattern_text}'", "invalid", path, value))

    def _number(self, value: Any, path: str, out: Result) -> None:
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

    def _range(self, value: Any, kind: str, prefix: str, path: str, out: Result) -> bool:
        """Whether a number fits the type and format that are asked for."""
        form = self.format if self.format in ("int32", "int64", "float", "double") and kind else ""
        if kind == "integer":
            limit = 2**31 if form == "int32" else 2**63
            fits = float(value).is_integer() and -limit <= int(value) < limit
        else:
            fits = form != "float" or abs(value) <= _FLOAT32_MAX
        if not fits:
            of = f"{kind} with format {form}" if form else f"{kind} (default format)"
            out.add(Problem(f"{prefix} value must be of type {of} in {path}"))
        return fits

    def _list(self, value: list[Any], path: str, correlation: Correlation | None, out: Result) -> None:
        if self.items is not None:
            for i, item in enumerate(value):
                below = correlation.index(i) if correlation is not None else None
                out.merge(self.items.check(item, f"{path}[{i}]", below))
        size = len(value)
        if self.min_items is not None and size < self.min_items:
            text = f"{path} in body should have at least {self.min_items} items"
            out.add(Problem(text, "invalid", path, size))
        if self.max_items is not None and size > self.max_items:
            text = f"{path} in body should have at most {self.max_items} items"
            out.add(Problem(text, "too many", path, size, self.max_items))
        if self.unique and any(same(value[i], value[j]) for i in range(size) for j in range(i)):
            out.add(Problem(f"{path} in body shouldn't contain duplicates", "invalid", path))

    def _object(self, value: Object, path: str, correlation: Correlation | None, out: Result) -> None:
        size = len(value)
        if self.min_properties is not None and size < self.min_properties:
            text = f"{path} in body should have at least {self.min_properties} properties"
            out.add(Problem(text, "invalid", path, size))
        if self.max_properties is not None and size > self.max_properties:
            text = f"{path} in body should have at most {self.max_properties} properties"
            out.add(Problem(text, "too many", path, size, self.max_properties))
        if self.additional is False:
            for name in sorted(value):
                if name not in self.properties:
                    out.add(Problem(f"{path}.{name} in body is a forbidden property", "invalid", path, name))
        elif isinstance(self.additional, Validator):
            for name in sorted(value):
                if name not in self.properties:
                    out.merge(
                        self.additional.check(value[name], f"{path}.{name}", _below(correlation, path, name))
                    )
        for name, member in self.properties.items():
            item = value.get(name, _MISSING)
            if item is not _MISSING:
                inner = f"{path}.{name}" if path else name
                out.merge(member.check(item, inner, _below(correlation, path, name)))
        for name in self.required:
            if name not in value:
                out.add(Problem(f"{path}.{name} in body is required", "required", f"{path}.{name}"))


_FLOAT32_MAX = (2 - 2**-24) * 2.0**127


def compile_pattern(text: str) -> Any:
    """The RE2 program of a pattern; ValueError carries Go's message when it is none."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as err:
        raise ValueError(_go_message(err.args[0].decode(errors="replace"))) from None


def _go_message(message: str) -> str:
    """RE2's complaint in the words of Go's regexp/syntax."""
    for theirs, ours in _GO_WORDS:
        if message.startswith(theirs):
            at = message.removeprefix(theirs).removeprefix(": ")
            return f"error parsing regexp: {ours}: `{at}`"
    return f"error parsing regexp: {message}"


_GO_WORDS = (
    ("missing ]", "missing closing ]"),
    ("missing )", "missing closing )"),
    ("unexpected )", "unexpected )"),
    ("invalid perl operator", "invalid or unsupported Perl syntax"),
    ("bad repetition operator", "invalid nested repetition operator"),
    ("invalid repetition size", "invalid repeat count"),
    ("no argument for repetition operator", "missing argument to repetition operator"),
    ("trailing \\", "trailing backslash at end of expression"),
    ("invalid character class range", "invalid character class range"),
    ("invalid named capture group", "invalid named capture"),
    ("invalid escape sequence", "invalid escape sequence"),
    ("invalid UTF-8", "invalid UTF-8"),
)


def _below(correlation: Correlation | None, path: str, name: str) -> Correlation | None:
    if correlation is None or (not path and name in ("apiVersion", "kind")):
        return None
    return correlation.key(name)


def _kind(value: Any) -> tuple[str, str]:
    """The JSON schema type of a value and the format that its Go type stands for."""
    if isinstance(value, bool):
        return "boolean", ""
    if isinstance(value, str):
        return "string", ""
    if isinstance(value, int):
        return "integer", "int64"
    if isinstance(value, float):
        return "number", "float64"
    return ("array", "") if isinstance(value, list) else ("object", "")


def _type_problem(path: str, wanted: str, found: str) -> Problem:
    return Problem(f"{path} in body must be of type {wanted}: {quote(found)}", "type", path, found)


def is_whole(value: float) -> bool:
    """Whether a float counts as an integer: within what a float holds exactly, and nearly whole."""
    if not math.isfinite(value) or abs(value) > _EXACT_FLOAT:
        return False
    whole = float(int(value))
    if value == whole:
        return True
    if value == 0 or whole == 0:
        return False
    return abs(value - whole) / (abs(value) + abs(whole)) < _RELATIVE


def _matches(value: Any, one: Any) -> bool:
    """Whether a value is one of an enum; a number is converted to the kind of number that the enum has."""
    if isinstance(value, bool) or isinstance(one, bool) or one is None:
        return value is one and one is not None
    if isinstance(value, int | float) and isinstance(one, int | float):
        if isinstance(one, float):
            return float(value) == one
        return math.isfinite(value) and int(value) == one
    return same(value, one)


def show_number(value: float) -> str:
    """A number as Go prints it with %v."""
    if isinstance(value, int):
        return str(value)
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    mantissa, mark, exponent = repr(value).partition("e")
    if not mark:
        return mantissa
    return f"{mantissa}e{exponent[0] if exponent[0] in '+-' else '+'}{exponent.lstrip('+-').zfill(2)}"


def _multiple_of(value: Any, factor: Any, exclusive: bool, path: str, out: Result) -> None:
    if factor <= 0:
        text = f"factor MultipleOf declared for {path} must be positive: {show_number(factor)}"
        out.add(Problem(text, "invalid", path, factor))
        return
    if isinstance(value, int):
        fits = value % factor == 0
    else:
        fits = is_whole(1 / factor * value if factor < 1 else value / factor)
    if not fits:
        out.add(
            Problem(f"{path} in body should be a multiple of {show_number(factor)}", "invalid", path, value)
        )


def _maximum(value: Any, limit: Any, exclusive: bool, path: str, out: Result) -> None:
    if value > limit or (exclusive and value == limit):
        words = "less than" if exclusive else "less than or equal to"
        out.add(Problem(f"{path} in body should be {words} {show_number(limit)}", "invalid", path, value))


def _minimum(value: Any, limit: Any, exclusive: bool, path: str, out: Result) -> None:
    if value < limit or (exclusive and value == limit):
        words = "greater than" if exclusive else "greater than or equal to"
        out.add(Problem(f"{path} in body should be {words} {show_number(limit)}", "invalid", path, value))


def report(problems: list[Problem], prefix: str, errs: Errors) -> None:
    """Problems as causes; their paths go below `prefix`, "" for a whole resource."""
    for problem in problems:
        if problem.what == "plain":
            errs.invalid(prefix or "<nil>", "", problem.text)
            continue
        name = problem.name.removeprefix(".")
        path = f"{prefix}.{name}" if prefix and name else prefix or name or "<nil>"
        value = "" if problem.value is None else problem.value
        if problem.what == "required":
            errs.required(path)
        elif problem.what == "enum":
            errs.not_supported(path, problem.value, [_allowed(one) for one in problem.valid])
        elif problem.what == "too long":
            errs.too_long(path, problem.valid)
        elif problem.what == "too many":
            errs.too_many(path, problem.value, problem.valid)
        elif problem.what == "type":
            errs.type_invalid(path, value, problem.text)
        elif isinstance(value, float):
            errs.add("FieldValueInvalid", path, f"Invalid value: {show_number(value)}: {problem.text}")
        else:
            errs.invalid(path, value, problem.text)


def _allowed(value: Any) -> str:
    from pilothouse.api import json

    return value if isinstance(value, str) else json.dump(value).decode()


def validate(
    validator: Validator, value: Any, errs: Errors, prefix: str = "", correlation: Correlation | None = None
) -> None:
    """Add the causes against a value."""
    report(validator.check(value, "", correlation).problems, prefix, errs)

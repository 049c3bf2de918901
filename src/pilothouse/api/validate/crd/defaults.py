"""Validates the defaults in a structural schema (apiserver/schema/defaulting/validation.go)."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from pilothouse.api.cel import CostBudget
from pilothouse.api.changes.patch import copy
from pilothouse.api.expressions.limits import PER_OBJECT
from pilothouse.api.expressions.object_rules import ObjectRules, check_default
from pilothouse.api.expressions.rule_nodes import RuleNode
from pilothouse.api.structural.paths import Trail
from pilothouse.api.structural.rules import coerce, validate_embedded, validate_resource
from pilothouse.api.structural.schema import TYPE_META, Schema, prune_value
from pilothouse.api.structural.validate import Validator, same, validate
from pilothouse.api.values.fields import Errors, Object

Surround = Callable[[Any], Object]
"""Returns a resource that contains only the given value, at its place."""


def validate_defaults(declared: Object, path: str, errs: Errors, *, require_pruned: bool = True) -> None:
    """Validates the defaults in a structural schema."""
    embedded = {**declared, "x-kubernetes-embedded-resource": True}
    if any(node.get("default") is not None for node in _below(embedded)):
        schema = Schema(embedded)
        rules = ObjectRules(embedded, schema).root
        validator, budget = Validator(_of_any_type(embedded)), CostBudget(PER_OBJECT)
        checks = _Checks(schema, validator, rules, budget, require_pruned, errs)
        _validate(embedded, checks, Trail(path), _resource, False)


def _below(declared: Object) -> Iterator[Object]:
    """The schemas whose defaults are validated."""
    waiting = [declared]
    while waiting:
        one = waiting.pop()
        yield one
        if isinstance(one.get("items"), dict):
            waiting.append(one["items"])
        waiting += (one.get("properties") or {}).values()


def _of_any_type(declared: Object) -> Object:
    """A schema without x-kubernetes-int-or-string, which alone refuses no default."""
    out = {name: value for name, value in declared.items() if name != "x-kubernetes-int-or-string"}
    for name in ("items", "additionalProperties"):
        if isinstance(out.get(name), dict):
            out[name] = _of_any_type(out[name])
    if out.get("properties"):
        out["properties"] = {name: _of_any_type(one) for name, one in out["properties"].items()}
    return out


class _Checks(NamedTuple):
    """A node of the schema, compiled once for validating all its defaults."""

    schema: Schema
    validator: Validator
    rules: RuleNode | None
    budget: CostBudget
    require_pruned: bool
    errs: Errors

    def items(self) -> "_Checks":
        assert self.schema.items is not None and self.validator.items is not None
        rules = None if self.rules is None else self.rules.items
        return self._replace(schema=self.schema.items, validator=self.validator.items, rules=rules)

    def member(self, name: str) -> "_Checks":
        schema, validator = self.schema.properties[name], self.validator.properties[name]
        rules = None if self.rules is None else self.rules.properties.get(name)
        return self._replace(schema=schema, validator=validator, rules=rules)

    def validate(self, value: Any, path: str) -> None:
        """Add the causes against a default: those of its schema, or without any those of its rules."""
        count = len(self.errs)
        validate(self.validator, value, self.errs, path)
        if self.rules is not None and len(self.errs) == count:
            check_default(self.rules, value, path, self.errs, self.budget)


def _resource(value: Any) -> Object:
    out: Object = value if isinstance(value, dict) else {}
    out.setdefault("kind", "Validation")
    out.setdefault("apiVersion", "validation/v1")
    return out


def _validate(declared: Object, checks: _Checks, path: Trail, surround: Surround, inside_meta: bool) -> None:
    embedded = bool(declared.get("x-kubernetes-embedded-resource"))
    if embedded:
        inside_meta, surround = False, _resource
    value = declared.get("default")
    if value is not None:
        if inside_meta:
            _inside_meta(checks, value, f"{path}.default", surround)
        else:
            _plain(checks, value, f"{path}.default")
    items = declared.get("items")
    if isinstance(items, dict):
        _validate(items, checks.items(), path.below(".items"), lambda v: surround([v]), inside_meta)
    for name, member in sorted((declared.get("properties") or {}).items()):
        _validate(
            member,
            checks.member(name),
            path.below(f".properties[{name}]"),
            _child(surround, name),
            inside_meta or (embedded and name in TYPE_META),
        )


def _child(surround: Surround, name: str) -> Surround:
    return lambda value: surround({name: value})


def _inside_meta(checks: _Checks, value: Any, path: str, surround: Surround) -> None:
    """Validates a default inside metadata: a resource that contains it must be valid."""
    obj = surround(copy(value))
    found = Errors()
    validate_resource(obj, found, "")
    if found:
        listed = [f"{cause['field']}: {cause['message']}" for cause in found.causes]
        text = listed[0] if len(listed) == 1 else f"[{', '.join(listed)}]"
        checks.errs.invalid(path, value, f"must result in valid metadata: {text}")
        return
    checks.validate(value, path)


def _plain(checks: _Checks, value: Any, path: str) -> None:
    schema, errs = checks.schema, checks.errs
    if checks.require_pruned:
        pruned = copy(value)
        prune_value(pruned, schema)
        if not same(pruned, value):
            errs.invalid(path, value, "must not have unknown fields")
    value = copy(value)
    try:
        coerce(value, schema, path)
    except ValueError as err:
        where, _, text = str(err).partition(": ")
        errs.add("FieldValueInvalid", where, text)
        return
    found = Errors()
    validate_embedded(value, schema, found, path)
    if found:
        errs.extend(found)
        return
    checks.validate(value, path)
